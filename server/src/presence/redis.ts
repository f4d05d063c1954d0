/**
 * Presence in Redis.
 *
 *   person:<client>:<room> → instance LF clock LF since LF state, with a time to live
 *   people:<room>          → the set of clients that have such a key, or had one
 *                            until it ran out; lives as long as the last of them
 *
 * Invariants: whoever has a key is in the room's set, since both are written by
 * one script; the script that lists a room takes out those whose key ran out. No
 * time but Redis's own counts, so clocks of instances may differ. Nothing is left
 * behind when all instances die.
 *
 * A room's name comes last in a key, so no room reaches another's keys.
 */
import type { Redis } from 'ioredis';
import {
  asBuffer,
  begin,
  checkPrefix,
  connectRedis,
  endConnection,
  type RedisOptions,
  Script,
} from '../redis.js';
import type { Person, Presence, PresentPerson } from './presence.js';

/** More go in several scripts of one round trip: Redis serves nobody else while one runs. */
const PEOPLE_PER_SCRIPT = 500;
const LINE_FEED = 10;

/** Keys: a person's and the room's set, alternately. Arguments: time to live, then client and value of each. */
const PUT = new Script(`
local ttl = tonumber(ARGV[1])
for i = 1, #KEYS, 2 do
  redis.call('SET', KEYS[i], ARGV[i + 2], 'PX', ttl)
  redis.call('SADD', KEYS[i + 1], ARGV[i + 1])
  if redis.call('PTTL', KEYS[i + 1]) < ttl then redis.call('PEXPIRE', KEYS[i + 1], ttl) end
end
`);

/** Keys as for PUT. Arguments: the first line of what this instance holds, then the client of each. */
const REMOVE = new Script(`
local own = ARGV[1]
for i = 1, #KEYS, 2 do
  if redis.call('GETRANGE', KEYS[i], 0, #own - 1) == own then
    redis.call('DEL', KEYS[i])
    redis.call('SREM', KEYS[i + 1], ARGV[(i + 3) / 2])
  end
end
`);

/** Key: the room's set. Arguments: what stands before and behind the client in a person's key. */
const LIST = new Script(`
local found = {}
for _, client in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local value = redis.call('GET', ARGV[1] .. client .. ARGV[2])
  if value then
    found[#found + 1] = client
    found[#found + 1] = value
  else
    redis.call('SREM', KEYS[1], client)
  end
end
return found
`);

export class RedisPresence implements Presence {
  readonly name = 'redis';
  readonly #redis: Redis;
  readonly #prefix: string;

  private constructor(url: string, options: RedisOptions) {
    this.#prefix = checkPrefix(options.prefix);
    this.#redis = connectRedis(url, 'presence', options);
  }

  /**
   * Resolves once the first attempt to connect is over. Where it failed, calls
   * reject until Redis is there.
   *
   * @throws {TypeError} when the address or an option cannot be right
   * @throws {UnusableRedis} when a cluster or a Sentinel is there
   */
  static async open(url: string, options: RedisOptions = {}): Promise<RedisPresence> {
    const presence = new RedisPresence(url, options);
    try {
      await begin(presence.#redis, options.timeout);
    } catch (error) {
      await presence.close();
      throw error;
    }
    return presence;
  }

  async put(instance: string, people: readonly Person[], ttl: number): Promise<void> {
    await this.#inParts(people, async (part) => {
      const args: (string | number | Buffer)[] = [ttl];
      for (const { client, clock, since, state } of part) {
        const head = Buffer.from(`${instance}\n${clock}\n${since}\n`);
        args.push(client, Buffer.concat([head, asBuffer(state)]));
      }
      await PUT.run(this.#redis, this.#keys(part), args);
    });
  }

  async remove(
    instance: string,
    people: readonly Pick<Person, 'room' | 'client'>[],
  ): Promise<void> {
    await this.#inParts(people, async (part) => {
      const clients = part.map(({ client }) => client);
      await REMOVE.run(this.#redis, this.#keys(part), [`${instance}\n`, ...clients]);
    });
  }

  async list(room: string): Promise<readonly PresentPerson[]> {
    const args = [`${this.#prefix}person:`, `:${room}`];
    const found = (await LIST.run(this.#redis, [this.#peopleKey(room)], args)) as Buffer[];
    const people: PresentPerson[] = [];
    for (let i = 0; i < found.length; i += 2) {
      people.push(decode(Number(found[i]!.toString()), found[i + 1]!));
    }
    return people;
  }

  async close(): Promise<void> {
    await endConnection(this.#redis);
  }

  async #inParts<T>(all: readonly T[], run: (part: readonly T[]) => Promise<void>): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let i = 0; i < all.length; i += PEOPLE_PER_SCRIPT) {
      parts.push(run(all.slice(i, i + PEOPLE_PER_SCRIPT)));
    }
    await Promise.all(parts);
  }

  #keys(people: readonly Pick<Person, 'room' | 'client'>[]): string[] {
    return people.flatMap(({ room, client }) => [
      `${this.#prefix}person:${client}:${room}`,
      this.#peopleKey(room),
    ]);
  }

  #peopleKey(room: string): string {
    return `${this.#prefix}people:${room}`;
  }
}

/** Copies: what is read is a view into what the socket read. */
function decode(client: number, value: Buffer): PresentPerson {
  const first = value.indexOf(LINE_FEED);
  const second = value.indexOf(LINE_FEED, first + 1);
  const third = value.indexOf(LINE_FEED, second + 1);
  return {
    client,
    clock: Number(value.toString('latin1', first + 1, second)),
    since: Number(value.toString('latin1', second + 1, third)),
    state: new Uint8Array(value.subarray(third + 1)),
    instance: value.toString('utf8', 0, first),
  };
}
