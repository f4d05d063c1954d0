/**
 * Which server is the primary, and what is to be thought of the next one that answers.
 *
 * A server that was demoted, or replaced without having been told, goes on answering on open
 * connections. What is read there is old, and what is written there is lost. So each connection
 * begins with what the server says of itself, and each transaction with the question whether
 * that still holds.
 */
import type { Connection, Row } from './postgres-connection.js';

/** What makes a server this one, over restarts. */
export interface Lineage {
  /** Of the cluster, the same on all its servers. */
  readonly system: string;
  /** Counts promotions: the newer primary has the higher one. */
  readonly timeline: number;
  /** How far its log is on disk: bytes since the cluster was made. */
  readonly flushed: bigint;
}

export interface ServerState {
  readonly isInRecovery: boolean;
  readonly isReadOnly: boolean;
  /** When it started; no two servers did at the same microsecond. */
  readonly started: string;
  /** Undefined where the server tells that to nobody like us. */
  readonly lineage: Lineage | undefined;
}

/** It answers, and is not where documents may be read or written. */
export class NotPrimary extends Error {
  override readonly name = 'NotPrimary';
}

/** What was under way began at a server that is not the primary any more. */
export class FailedOver extends Error {
  override readonly name = 'FailedOver';

  constructor() {
    super('another server has become the primary of the store');
  }
}

const STATE = `SELECT pg_is_in_recovery() AS in_recovery,
  current_setting('transaction_read_only') = 'on' AS read_only,
  extract(epoch FROM pg_postmaster_start_time())::text AS started`;
const LINEAGE = `SELECT system_identifier::text AS system,
  ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int AS timeline,
  (pg_current_wal_flush_lsn() - '0/0')::text AS flushed FROM pg_control_system()`;
/** insufficient_privilege, feature_not_supported, undefined_function. */
const UNTOLD = new Set(['42501', '0A000', '42883']);

export async function stateOf(connection: Connection, patienceMs: number): Promise<ServerState> {
  const [row] = await connection.run(STATE, patienceMs);
  const isInRecovery = row!.in_recovery as boolean;
  return {
    isInRecovery,
    isReadOnly: row!.read_only,
    started: row!.started,
    lineage: isInRecovery ? undefined : await lineageOf(connection, patienceMs),
  };
}

async function lineageOf(connection: Connection, patienceMs: number): Promise<Lineage | undefined> {
  try {
    const [row] = await connection.run(LINEAGE, patienceMs);
    return toLineage(row!);
  } catch (error) {
    // Some hosted servers keep that to themselves: when it started has to do.
    if (UNTOLD.has((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  }
}

function toLineage({ system, timeline, flushed }: Row): Lineage {
  return { system, timeline, flushed: BigInt(flushed) };
}

/**
 * `same`: the primary that is known. `other`: another one has taken its place, or what it had
 * is gone. `stale`: the known one has taken the place of this one.
 */
export type Verdict = 'same' | 'other' | 'stale';

/** @param before what was known when the server was asked: while it answered, the known one may have moved on */
export function judge(
  known: ServerState,
  found: ServerState,
  before: ServerState | undefined,
): Verdict {
  const [old, now] = [known.lineage, found.lineage];
  if (old === undefined || now === undefined || old.system !== now.system) {
    if (known.started === found.started) return 'same';
    // Nobody can say which of two is the newer; the one that was asked later is.
    return before === undefined || known.started === before.started ? 'other' : 'stale';
  }
  if (now.timeline !== old.timeline) return now.timeline > old.timeline ? 'other' : 'stale';
  const least = before?.lineage?.timeline === old.timeline ? before.lineage.flushed : 0n;
  return now.flushed < least ? 'other' : 'same';
}

/** As `id` of {@link Primary}: the same for all who are at this server, over its restarts where it tells its lineage. */
export function nameOf({ lineage, started }: ServerState): string {
  return lineage === undefined ? started : `${lineage.system}/${lineage.timeline}`;
}

/** read_only_sql_transaction, and what `cowrite.begin` says. */
const SIGNS = new Set(['25006', 'CW001', 'CW002']);

/** Whether an error says that the server is not the primary that was meant. */
export function isSign(error: unknown): boolean {
  return SIGNS.has((error as { code?: string }).code ?? '');
}
