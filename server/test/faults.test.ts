/**
 * Several instances as processes, with a real Redis and a real Postgres, and what
 * can go wrong between them: fault rows 5, 8 to 12 and 14 of many instances.
 *
 * In every round people write on all instances while one thing breaks. Once it is
 * mended, all documents are equal, nothing that was reported saved is missing, and
 * everybody sees everybody.
 *
 * The long run: `SEED=random ROUNDS=50 npm test -- server/test/faults.test.ts`
 */
import { CowriteProvider } from '@cowrite/client';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import connectPostgres from 'postgres';
import { describe, expect, it, onTestFinished } from 'vitest';
import { edits, replay } from './histories.js';
import { Address, Ledger, same, tapped, union } from './ledger.js';
import { mutate } from './mutate.js';
import { type PostgresService, startPostgres } from './postgres-service.js';
import { proxyTo, type RedisProxy } from './redis-proxy.js';
import { type RedisService, startRedis } from './redis-service.js';
import { Dice } from './seeded.js';
import { RawClient, type ServerProcess, served, startProcess, untilDoc } from './support.js';

const INSTANCE = new URL('./instance.mjs', import.meta.url).pathname;
/** Milliseconds that the instances wait for Redis and Postgres; what is frozen is so for longer. */
const TIMEOUT = 600;
const FROZEN = 1_500;
/** Longer than every other timeout there is, also that of people. */
const LONG_FROZEN = 4_000;
const LIMITS = { presenceTtlMs: 3_000, headCheckMs: 500, heartbeatMs: 3_000, idleMs: 1_000 };
const INSTANCES = 3;
const WRITERS = 2;
/** The text is cut down beyond this, so that a long run stays as fast as a short one. */
const MAX_TEXT = 20_000;

interface World {
  readonly dice: Dice;
  readonly redis: RedisService;
  /** Undefined where the Redis is the store as well. */
  readonly postgres: PostgresService | undefined;
  readonly instances: Instance[];
}

/** A fault: breaks something, waits as long as it takes to be felt, and mends it. */
type Fault = (world: World) => Promise<void>;

/** The one that changes what instances tell each other. */
const DISTURBING = 'messages are dropped, doubled and reordered';

const FAULTS: Record<string, Fault> = {
  'an instance is killed': async ({ dice, instances }) => {
    const instance = dice.pick(instances);
    await instance.kill();
    await pause(dice.below(500));
    await instance.start();
  },
  'an instance is killed, and its people move': async ({ dice, instances }) => {
    const [instance, other] = [instances[0]!, instances[1 + dice.below(INSTANCES - 1)]!];
    await instance.kill();
    instance.address.up(other.process);
    await pause(500);
    await instance.start();
  },
  'Redis is killed and restarted': async ({ dice, redis }) => {
    await redis.kill();
    await pause(dice.below(1_000));
    await redis.restart();
  },
  'Redis is frozen': async ({ redis }) => {
    redis.pause();
    await pause(LONG_FROZEN);
    redis.resume();
  },
  [DISTURBING]: async ({ dice, instances }) => {
    const how = { drop: dice.next() / 2, double: dice.next() / 2, reorder: dice.next() / 2 };
    for (const { proxy } of instances) proxy.disturb(dice, how);
    await pause(FROZEN);
    for (const { proxy } of instances) proxy.heal();
  },
  'an instance is cut off from Redis': async ({ dice, instances }) => {
    const { proxy } = dice.pick(instances);
    proxy.cut();
    await pause(FROZEN);
    proxy.heal();
  },
  'connections to Redis carry nothing more': async ({ dice, instances }) => {
    dice.pick(instances).proxy.swallow();
    await pause(FROZEN);
  },
};

/** Only where Postgres is the store. */
const POSTGRES_FAULTS: Record<string, Fault> = {
  'Redis is flushed': async ({ redis }) => {
    const admin = new Redis(redis.url);
    await admin.flushall();
    await admin.quit();
  },
  'Postgres is frozen': async ({ postgres }) => {
    postgres!.pause();
    await pause(LONG_FROZEN);
    postgres!.resume();
  },
  'Postgres is restarted': async ({ postgres }) => postgres!.restart(),
  'Postgres is killed and restarted': async ({ dice, postgres }) => {
    await postgres!.kill();
    await pause(dice.below(500));
    await postgres!.restart();
  },
};

class Instance {
  readonly address: Address;
  readonly #redis: { readonly url: string };
  readonly #settings: string;
  process!: ServerProcess;

  constructor(redis: { readonly url: string }, storage: string, address = new Address()) {
    this.#redis = redis;
    this.address = address;
    this.#settings = JSON.stringify({
      redis: redis.url,
      storage,
      timeout: TIMEOUT,
      limits: LIMITS,
    });
  }

  /** What stands between it and Redis. */
  get proxy(): RedisProxy {
    return this.#redis as RedisProxy;
  }

  async start(): Promise<void> {
    this.process = await startProcess({ LOG_LEVEL: 'silent' }, [INSTANCE, this.#settings]);
    this.address.up(this.process);
  }

  async kill(): Promise<void> {
    this.address.down();
    await this.process.kill();
  }
}

describe('[FLT] two instances', () => {
  async function twoInstances() {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    const instances = [1, 2].map(() => new Instance({ url: redis.url }, postgres.url));
    await Promise.all(instances.map((instance) => instance.start()));
    return { redis, postgres, instances };
  }

  it('[FLT-5] the last session leaves one instance while another joins the other: nothing is lost', async () => {
    const { instances } = await twoInstances();
    const rounds = 300;
    let leaving: CowriteProvider | undefined;
    for (let round = 0; round < rounds; round++) {
      const joining = person(instances[round % 2]!.address, new Ledger());
      leaving?.destroy();
      await joining.whenSynced();
      const text = joining.doc.getText('text');
      // What was saved at the other instance a moment ago may still be on its way to this one.
      await untilDoc(joining.doc, () => text.length === round);
      text.insert(0, 'x');
      await joining.whenSaved();
      leaving = joining;
    }
    for (const { address } of instances) {
      const { doc } = person(address, new Ledger());
      const text = doc.getText('text');
      // The last word, too, may still be on its way.
      await untilDoc(doc, () => text.length >= rounds);
      expect(text.length).toBe(rounds);
    }
  });

  it('[FLT-14] malformed frames at one instance: both live, other rooms notice nothing, the room opens', async () => {
    const dice = Dice.announced('[FLT-14]');
    const { instances } = await twoInstances();
    const [attacked, other] = [instances[0]!, instances[1]!];
    const bystanders = [
      person(attacked.address, new Ledger(), 'quiet'),
      person(other.address, new Ledger(), 'quiet'),
    ];
    await Promise.all(bystanders.map((one) => one.whenSynced()));
    const world = fc
      .sample(edits, { seed: dice.seed, numRuns: 20 })
      .flatMap((script) => replay(script, undefined).delivered);
    const mutants = Number(process.env.MUTANTS ?? 3_000);
    let attacker = await RawClient.connect(attacked.process, 'attacked');
    for (let i = 0; i < mutants; i++) {
      if (attacker.closed !== undefined)
        attacker = await RawClient.connect(attacked.process, 'attacked');
      const mutant = mutate(dice.pick(world), dice.pick(world), dice);
      attacker.send({ type: 'update', update: mutant });
      if (i % 10 > 0) continue;
      bystanders[i % 2]!.doc.getText('text').insert(0, 'x');
      await pause(1);
    }
    const docs = bystanders.map(({ doc }) => doc);
    await Promise.all(bystanders.map((one) => one.whenSaved()));
    const all = union(docs);
    await Promise.all(docs.map((doc) => untilDoc(doc, () => same(doc, all))));
    expect(docs[0]!.getText('text').length).toBe(Math.ceil(mutants / 10));
    for (const { process } of instances) {
      expect(process.child.exitCode).toBeNull();
      await served(process, 'attacked');
    }
  });

  it('[FLT-23] an old backup of the store is restored: clients bring back what they have, and no text is doubled', async () => {
    const { redis, postgres, instances } = await twoInstances();
    const ledger = new Ledger();
    const people = instances.map(({ address }) => person(address, ledger));
    await Promise.all(people.map((one) => one.whenSynced()));
    const type = async (words: string) => {
      for (const { doc } of people) doc.getText('text').insert(doc.getText('text').length, words);
      await Promise.all(people.map((one) => one.whenSaved()));
    };
    await type('before the backup ');
    await Promise.all(instances.map((instance) => instance.kill()));
    const admin = connectPostgres(postgres.urlOf('template1'), {
      max: 1,
      onnotice: () => undefined,
    });
    await admin`CREATE DATABASE backup TEMPLATE postgres`;
    await admin.end();
    await Promise.all(instances.map((instance) => instance.start()));
    await Promise.all(people.map((one) => one.whenSynced()));
    await type('after it ');
    people[0]!.doc.getText('text').delete(0, 3);
    await Promise.all(people.map((one) => one.whenSaved()));
    await Promise.all(instances.map((instance) => instance.kill()));

    // The database is the old one now, and Redis knows nothing of it.
    const restored = instances.map(
      ({ address }) => new Instance({ url: redis.url }, postgres.urlOf('backup'), address),
    );
    await Promise.all(restored.map((instance) => instance.start()));
    await settled(people, ledger, 'the backup was restored');
    const words = people[0]!.doc.getText('text').toString();
    expect(words.split('after it').length - 1).toBe(2);
    expect(words.split('the backup').length - 1).toBe(2);
    for (const { process } of restored) {
      expect((await served(process, 'room')).getText('text').toString()).toBe(words);
    }
  });
});

describe.each(['Postgres', 'Redis'])(
  '[FLT] several instances that keep documents in %s',
  (store) => {
    const faults = store === 'Postgres' ? { ...POSTGRES_FAULTS, ...FAULTS } : FAULTS;
    const names = Object.keys(faults);
    // Each kind of fault once; where there is less time, half of them with the one store, and the
    // other half with the other.
    if (store === 'Redis') names.reverse();
    const rounds = Number(
      process.env.ROUNDS ?? (process.env.LONG === '1' ? names.length : Math.ceil(names.length / 2)),
    );

    it(`[FLT-8] [FLT-9] [FLT-10] [FLT-11] [FLT-12] ${rounds} rounds of faults: nothing saved is lost, all are equal, everybody is seen`, {
      timeout: 300_000 + rounds * 60_000,
    }, async () => {
      const dice = Dice.announced('[FLT-8]');
      const redis = await startRedis();
      const postgres = store === 'Postgres' ? await startPostgres() : undefined;
      const instances = await Promise.all(
        Array.from({ length: INSTANCES }, async () => {
          const instance = new Instance(await proxyTo(redis.port), postgres?.url ?? redis.url);
          await instance.start();
          return instance;
        }),
      );
      const world: World = { dice, redis, postgres, instances };
      const ledger = new Ledger();
      const people = instances.flatMap(({ address }) =>
        Array.from({ length: WRITERS }, () => person(address, ledger)),
      );
      await Promise.all(people.map((one) => one.whenSynced()));
      const took: Record<string, number> = {};
      let edits = 0;
      for (let round = 0; round < rounds; round++) {
        // Each of them once, and then whatever comes.
        const name = round < names.length ? names[round]! : dice.pick(names);
        let isOver = false;
        const typing = (async () => {
          while (!isOver) {
            edit(dice.pick(people), dice);
            edits++;
            await pause(6);
          }
        })();
        await faults[name]!(world);
        isOver = true;
        await typing;
        const start = performance.now();
        await settled(people, ledger, `round ${round + 1}: ${name}`);
        took[name] = Math.max(took[name] ?? 0, Math.round(performance.now() - start));
      }
      for (const { process } of instances) {
        const loaded = await served(process, 'room');
        expect(same(loaded, union(people.map(({ doc }) => doc)))).toBe(true);
      }
      const disturbed = instances.reduce((sum, { proxy }) => sum + proxy.disturbed, 0);
      const wasDisturbed = names.slice(0, rounds).includes(DISTURBING);
      if (wasDisturbed) expect(disturbed).toBeGreaterThan(0);
      console.log(
        `[FLT-8] ${store}: ${rounds} rounds, ${edits} edits, ${ledger.units} units promised, ` +
          `${disturbed} messages disturbed; ms until all was well again: ${JSON.stringify(took)}`,
      );
    });
  },
);

function person(address: Address, ledger: Ledger, room = 'room'): CowriteProvider {
  const one = new CowriteProvider({
    url: 'ws://wherever.it.is/ws',
    room,
    WebSocket: tapped(address, ledger),
  });
  one.awareness.setLocalStateField('user', { name: String(one.doc.clientID) });
  onTestFinished(() => one.destroy());
  return one;
}

function edit({ doc, awareness }: CowriteProvider, dice: Dice): void {
  const text = doc.getText('text');
  const at = dice.below(text.length + 1);
  const roll = dice.next();
  if (text.length > MAX_TEXT) text.delete(0, text.length - MAX_TEXT / 2);
  else if (roll < 0.25) text.delete(at, Math.min(1 + dice.below(5), text.length - at));
  else if (roll < 0.27) text.insert(at, 'a paste of some length '.repeat(1 + dice.below(100)));
  else text.insert(at, dice.below(36 ** 3).toString(36));
  awareness?.setLocalStateField('cursor', at);
}

/** All is saved, all are equal, everybody is seen by everybody. */
async function settled(people: CowriteProvider[], ledger: Ledger, when: string): Promise<void> {
  await Promise.all(people.map((one) => one.whenSynced()));
  await Promise.all(people.map((one) => one.whenSaved()));
  const docs = people.map(({ doc }) => doc);
  const all = union(docs);
  await Promise.all(docs.map((doc) => untilDoc(doc, () => same(doc, all))));
  expect(new Set(docs.map((doc) => doc.getText('text').toString())).size, when).toBe(1);
  expect(ledger.brokenIn(docs[0]!, all), when).toEqual([]);
  // A client takes back nobody at the clock at which somebody has left: they move, as people do.
  for (const [i, one] of people.entries()) one.awareness?.setLocalStateField('cursor', i);
  const clients = docs.map(({ clientID }) => clientID).sort();
  await Promise.all(people.map((one) => untilSees(one, clients)));
}

async function untilSees({ awareness }: CowriteProvider, clients: number[]): Promise<void> {
  const isRight = () => String([...awareness!.getStates().keys()].sort()) === String(clients);
  if (isRight()) return;
  await new Promise<void>((resolve) => {
    const look = () => {
      if (!isRight()) return;
      awareness!.off('change', look);
      resolve();
    };
    awareness!.on('change', look);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
