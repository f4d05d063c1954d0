/**
 * What a Redis says of itself: which server it is, and whether it is a primary.
 *
 * A server that is demoted keeps its connections open. It says so in its answers, in words
 * that differ by version and by where the command runs, and in `INFO`.
 */

/** The fields of INFO that were answered. Empty where INFO is forbidden. */
export type RedisInfo = Readonly<Record<string, string>>;

/** Redis cannot be used as it is; the message says what to do. */
export class UnusableRedis extends Error {
  override readonly name = 'UnusableRedis';
}

/** The server at the address is a replica. After a failover the address leads to the primary again. */
export class ReplicaRedis extends UnusableRedis {
  constructor() {
    super('this Redis is a replica and takes no writes: give the address of its primary');
  }
}

/**
 * Redis begins an error with its code. A script before 7.0 has it in the midst of its own error:
 * `ERR Error running script (call to f_…): @user_script:1: -READONLY You can't write …`.
 *
 * READONLY: a write to a replica. MASTERDOWN, LOADING: a replica that has no data of its primary
 * yet. UNBLOCKED: what ends a command that waits when a primary becomes a replica. REDIRECT: how
 * Valkey says where the primary is.
 */
const DEMOTED = /(?:^|[\s:])-?(?:READONLY|MASTERDOWN|LOADING|UNBLOCKED|REDIRECT)\s/;

/** Whether an error that Redis answered says that the server is not the primary any more. */
export function isDemotion(message: string): boolean {
  return DEMOTED.test(`${message} `);
}

export function parseInfo(info: string): RedisInfo {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** @returns why nothing can be written to this server, as far as it says so */
export function whyUnusable(info: RedisInfo): UnusableRedis | undefined {
  // Valkey gives it a name of its own.
  if (info.redis_mode === 'sentinel' || info.server_mode === 'sentinel') {
    return new UnusableRedis(
      'this is a Redis Sentinel, which keeps no data: give the address of the primary that it watches',
    );
  }
  if (info.cluster_enabled === '1') {
    return new UnusableRedis(
      'Redis Cluster is not supported: use a Redis that is not a cluster; documents can be in Postgres',
    );
  }
  return isReplica(info) ? new ReplicaRedis() : undefined;
}

export function isReplica({ role }: RedisInfo): boolean {
  return role === 'slave' || role === 'replica';
}
