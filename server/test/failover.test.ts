/** A Postgres that fails over, with real streaming replication, under two servers and people who type. */
import { CowriteProvider } from '@cowrite/client';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  PostgresStorage,
  PresenceHub,
} from '@cowrite/server';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { type PostgresService, startPostgres } from './postgres-service.js';
import { served, socketUrl, startServer } from './support.js';
import { startSwitch } from './switch.js';

const LONG = { timeout: 150_000, interval: 50 };
const TYPING_MS = 40;
const portOf = ({ url }: { readonly url: string }) => Number(new URL(url).port);

/** In these tests each primary was the standby of the one before. */
let primary: Promise<PostgresService> | undefined;
const stops: (() => Promise<void>)[] = [];
// An afterAll that a running test asks for is never called.
afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
});

async function standby(): Promise<{ from: PostgresService; to: PostgresService }> {
  primary ??= startPostgres({ until: (stop) => stops.push(stop) });
  const from = await primary;
  const to = await startPostgres({ until: (stop) => stops.push(stop), standbyOf: from });
  primary = Promise.resolve(to);
  return { from, to };
}

/** Somebody who adds to a list, and knows what was reported saved. */
class Writer {
  readonly provider: CowriteProvider;
  readonly written: string[] = [];
  readonly saved = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(server: CowriteServer, room: string, name: string) {
    const doc = new Y.Doc();
    this.provider = new CowriteProvider({ url: socketUrl(server), room, doc, WebSocket });
    onTestFinished(() => {
      this.stop();
      this.provider.destroy();
    });
    this.#timer = setInterval(() => {
      if (!this.provider.unsaved) for (const text of this.written) this.saved.add(text);
      const text = `${name}${this.written.length}`;
      this.written.push(text);
      doc.getArray('a').push([text]);
    }, TYPING_MS);
  }

  get texts(): string[] {
    return this.provider.doc.getArray<string>('a').toArray();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Two servers at one address of the store, and two people at each in each of the rooms. */
async function atWork(from: PostgresService, rooms: number) {
  const address = await startSwitch(portOf(from));
  const storage = `postgres://cowrite@127.0.0.1:${address.port}/postgres`;
  const [hub, presences] = [new MemoryHub(), new PresenceHub()];
  const start = () =>
    startServer({
      storage,
      redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(presences) },
      limits: { presenceTtlMs: 3_000 },
    });
  const servers = [await start(), await start()];
  const tag = `${portOf(from)}`;
  const names = Array.from({ length: rooms }, (_, i) => `${tag}-${i}`);
  const writers = names.map((room) =>
    servers.map((server, i) => new Writer(server, room, 'ab'[i]!)),
  );
  const savedBy = async (count: number) =>
    await vi.waitFor(() => {
      for (const writer of writers.flat()) expect(writer.saved.size).toBeGreaterThan(count);
    }, LONG);
  await savedBy(5);
  return {
    address,
    storage,
    servers,
    /** What was saved until now, of each. */
    saved: () => writers.flat().map(({ saved }) => [...saved]),
    savedBy,
    writers,
    readiness: async () =>
      await Promise.all(
        servers.map(async ({ url }) => {
          const response = await fetch(`${url}/health/ready`);
          return `${response.status} ${((await response.json()) as { store: string }).store}`;
        }),
      ),
    /** Everything that anybody wrote is everywhere, once, and in the store of now. */
    async converges() {
      for (const writer of writers.flat()) writer.stop();
      for (const [i, people] of writers.entries()) {
        const all = people.flatMap(({ written }) => written).sort();
        await vi.waitFor(() => {
          for (const { texts, provider } of people) {
            expect(provider.unsaved).toBe(false);
            expect([...texts].sort()).toEqual(all);
            expect(texts).toEqual(people[0]!.texts);
          }
        }, LONG);
        // As whoever opens it from the store alone has it.
        const fresh = await startServer({ storage });
        expect((await served(fresh, names[i]!)).getArray('a').toArray()).toEqual(people[0]!.texts);
        await fresh.close();
      }
    },
  };
}

const readOnly = async (server: PostgresService) => {
  await server.query('ALTER SYSTEM SET default_transaction_read_only = on');
  await server.query('SELECT pg_reload_conf()');
};

describe('[STO] Postgres fails over', () => {
  it('[STO-62] in order, while connections to the old primary stay open: nothing is lost, everybody has the same', async () => {
    const { from, to } = await standby();
    const work = await atWork(from, 2);
    await readOnly(from);
    // Its open connections tell, though they could still be read on.
    await vi.waitFor(async () => {
      expect(await work.readiness()).toEqual(['503 away', '503 away']);
    }, LONG);
    const saved = work.saved();
    await vi.waitFor(async () => {
      const [now] = await from.query('SELECT pg_current_wal_lsn()::text AS lsn');
      const [there] = await to.query(
        `SELECT pg_last_wal_replay_lsn() >= '${now!.lsn}'::pg_lsn AS is_there`,
      );
      expect(there!.is_there).toBe(true);
    }, LONG);
    await to.promote();
    work.address.lead(portOf(to));
    await vi.waitFor(async () => {
      expect(await work.readiness()).toEqual(['200 ok', '200 ok']);
    }, LONG);
    await work.savedBy(Math.max(...saved.map(({ length }) => length)));
    await work.converges();
  }, 120_000);

  it('[STO-63] to a standby that lacks what was confirmed: whoever has it brings it', async () => {
    const { from, to } = await standby();
    const work = await atWork(from, 2);
    // It hears of nothing from now on.
    await to.query(`ALTER SYSTEM SET primary_conninfo = ''`);
    await to.query('SELECT pg_reload_conf()');
    await vi.waitFor(async () => {
      expect(await to.query('SELECT FROM pg_stat_wal_receiver')).toHaveLength(0);
    }, LONG);
    const before = work.saved();
    await work.savedBy(Math.max(...before.map(({ length }) => length)) + 10);
    await readOnly(from);
    await to.promote();
    work.address.lead(portOf(to));
    await work.savedBy(Math.max(...work.saved().map(({ length }) => length)));
    await work.converges();
  }, 120_000);

  it('[STO-64] away from a primary that nobody has told: both servers leave it', async () => {
    const { from, to } = await standby();
    const work = await atWork(from, 1);
    // Nobody asks this one anything, so that no call makes another connection.
    const idle = await PostgresStorage.open(work.storage);
    onTestFinished(() => idle.close());
    const failedOver = vi.fn();
    idle.onFailover(failedOver);
    await to.promote();
    work.address.lead(portOf(to));
    await vi.waitFor(() => expect(failedOver).toHaveBeenCalledOnce(), LONG);
    await vi.waitFor(async () => {
      const [row] = await from.query(
        `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'cowrite'`,
      );
      expect(row!.count).toBe(0);
    }, LONG);
    await work.savedBy(Math.max(...work.saved().map(({ length }) => length)));
    await work.converges();
  }, 120_000);

  it('[STO-63] after a crash: what no server has taken is written to the new primary', async () => {
    const { from, to } = await standby();
    const work = await atWork(from, 1);
    await from.kill();
    work.address.lead(-1);
    work.address.cut();
    await vi.waitFor(async () => {
      expect(await work.readiness()).toEqual(['503 away', '503 away']);
    }, LONG);
    await to.promote();
    work.address.lead(portOf(to));
    await work.savedBy(Math.max(...work.saved().map(({ length }) => length)));
    await work.converges();
  }, 120_000);
});
