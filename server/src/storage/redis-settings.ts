/**
 * Whether a Redis can be the store, and what its settings make of "durable".
 *
 * With `appendonly yes` and `appendfsync always` a write is synced to Redis's disk
 * before it is answered. With `appendfsync everysec` the last second may be lost
 * with the machine, with `appendonly no` all since the last dump; a replica that
 * takes over lacks what had not reached it. Redis must not evict
 * (`maxmemory-policy noeviction`). Redis Cluster is not supported: a batch writes
 * the keys of many rooms at once.
 */
import { type Redis, ReplyError } from 'ioredis';
import { parseInfo, type RedisInfo, UnusableRedis, whyUnusable } from '../redis-signs.js';
import { READ } from './redis-scripts.js';

/**
 * @param prefix of all keys
 * @returns in one line what makes it less than durable, if anything does
 * @throws {UnusableRedis}
 */
export async function examine(redis: Redis, prefix: string): Promise<string | undefined> {
  const facts = parseInfo(await redis.info());
  const [major = 0, minor = 0] = (facts.redis_version ?? '').split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) {
    throw new UnusableRedis(`Redis ${facts.redis_version} is too old: 6.2 or newer`);
  }
  const unusable = whyUnusable(facts);
  if (unusable !== undefined) throw unusable;
  await tryToRead(redis, prefix);
  const settings = await readSettings(redis, facts);
  const weak = [...WANTED].flatMap(([name, wanted]) => {
    const value = settings.get(name);
    return value === undefined || value === wanted ? [] : [`${name} is ${value}, not ${wanted}`];
  });
  // Where these two are hidden nothing is known about the disk.
  if (!settings.has('appendfsync')) weak.push('appendfsync cannot be read');
  if (weak.length === 0) return undefined;
  return `Redis may lose what was reported saved: ${weak.join('; ')}`;
}

/** Whatever a server says of itself, it may know less than is needed here, or allow this user less. */
async function tryToRead(redis: Redis, prefix: string): Promise<void> {
  try {
    await READ.run(redis, [`${prefix}room:`, `${prefix}log:`], [0, 1]);
  } catch (cause) {
    if (!(cause instanceof ReplyError)) throw cause;
    throw new UnusableRedis(
      `no document can be read from this Redis (${(cause as Error).message}): it has to run scripts, and its user needs every command in them, on keys that begin with ${prefix}`,
      { cause },
    );
  }
}

const WANTED = new Map([
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['no-appendfsync-on-rewrite', 'no'],
  ['maxmemory-policy', 'noeviction'],
]);

/** As far as they can be known: a hosted Redis often forbids CONFIG. */
async function readSettings(redis: Redis, facts: RedisInfo): Promise<ReadonlyMap<string, string>> {
  const settings = new Map<string, string>();
  try {
    for (const name of WANTED.keys()) {
      const [, value] = (await redis.config('GET', name)) as string[];
      if (value !== undefined) settings.set(name, value);
    }
  } catch (error) {
    if (redis.status !== 'ready') throw error;
    settings.set('appendonly', facts.aof_enabled === '1' ? 'yes' : 'no');
    const policy = facts.maxmemory_policy;
    if (policy !== undefined) settings.set('maxmemory-policy', policy);
  }
  return settings;
}
