import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import postgres from 'postgres';
import * as framework from 'vitest';
import { startPostgres } from '../../test/postgres-service.js';
import { systemClock } from '../clock.js';
import { sharedStorageContract, storageContract } from './contract.js';
import { PostgresStorage } from './postgres.js';
import { DamagedSnapshot, type NewEntry } from './storage.js';

const { afterAll, describe, expect, it, onTestFinished, vi } = framework;

/** For the tests that let it live. */
const server = await startPostgres({ until: afterAll });

/** A database of its own for each test, in one server for all. */
async function database(of = server): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const sql = postgres(of.url, { max: 1 });
  await sql.unsafe(`CREATE DATABASE ${name}`);
  await sql.end();
  return of.urlOf(name);
}

async function underTest() {
  const url = await database();
  return {
    survivesClose: true,
    open: () => PostgresStorage.open(url),
    dispose: async () => undefined,
  };
}

storageContract(framework, 'postgres', underTest);
sharedStorageContract(framework, 'postgres', underTest);

describe('[STO] postgres', () => {
  it('[STO-22] a batch whose connection is cut before it is committed is written once, by its retry', async () => {
    const url = await database();
    const storage = await open(url);
    await storage.append({ number: 1, appends: [append('a', 1)] });
    const other = session(url);
    await other.unsafe(`BEGIN; SELECT FROM cowrite.rooms WHERE name = 'a' FOR UPDATE`);

    const first = outcome(storage.append({ number: 2, appends: [append('a', 2)] }));
    const [backend] = await untilWaiting(url, 1);
    await session(url)`SELECT pg_terminate_backend(${backend!})`;
    expect(await first).toBeInstanceOf(Error);
    await other.unsafe('COMMIT');

    expect(await storage.append({ number: 2, appends: [append('a', 2)] })).toEqual([2]);
    expect(await stored(storage, 'a')).toEqual([...texts(1, 1), ...texts(1, 2)]);
  });

  it('[STO-22] one whose connection is cut after it is committed and before that is heard is not written again', async () => {
    const proxy = await startProxy(await database());
    const storage = await open(proxy.url);
    await storage.append({ number: 1, appends: [append('a', 1)] });

    const answered = proxy.holdAnswers();
    const batch = { number: 2, appends: [append('b', 3), append('a', 1)] };
    const first = outcome(storage.append(batch));
    await answered;
    expect((await (await open(server.urlOf(proxy.database))).load('b')).lastSeq).toBe(3);
    proxy.cut();
    expect(await first).toBeInstanceOf(Error);

    expect(await storage.append(batch)).toEqual([1, 2]);
    expect(await stored(storage, 'b')).toEqual(texts(1, 3));
    expect(await stored(storage, 'a')).toEqual([...texts(1, 1), ...texts(1, 1)]);
    expect(await storage.append({ number: 3, appends: [append('a', 1)] })).toEqual([3]);
  });

  it('[STO-23] a retry waits for a first attempt that still runs on the server, and is given its seqs', async () => {
    const proxy = await startProxy(await database());
    const url = server.urlOf(proxy.database);
    const storage = await open(proxy.url);
    await storage.append({ number: 1, appends: [append('a', 1)] });
    const other = session(url);
    await other.unsafe(`BEGIN; SELECT FROM cowrite.rooms WHERE name = 'a' FOR UPDATE`);

    const batch = { number: 2, appends: [append('a', 2), append('b', 2)] };
    const first = outcome(storage.append(batch));
    const [zombie] = await untilWaiting(url, 1);
    // The server does not learn that nobody listens any more.
    proxy.forsake();
    expect(await first).toBeInstanceOf(Error);
    const retry = storage.append(batch);
    expect(await untilWaiting(url, 2)).toContain(zombie);
    await other.unsafe('COMMIT');

    expect(await retry).toEqual([2, 1]);
    expect(await stored(storage, 'a')).toEqual([...texts(1, 1), ...texts(1, 2)]);
    expect(await stored(storage, 'b')).toEqual(texts(1, 2));
  });

  it('[STO-23] an attempt that comes after a later batch writes nothing', async () => {
    const storage = await open(await database());
    const late = { number: 1, appends: [append('a', 1)] };
    await storage.append(late);
    await storage.append({ number: 2, appends: [append('a', 1)] });
    await expect(storage.append(late)).rejects.toThrow('batch 1 comes after batch 2');
    expect((await storage.load('a')).lastSeq).toBe(2);
  });

  it('[STO-23] a storage object that wrote nothing for long is forgotten, and goes on', async () => {
    const url = await database();
    const storage = await open(url);
    await storage.append({ number: 1, appends: [append('a', 1)] });
    await session(url)`UPDATE cowrite.writers SET seen_at = now() - interval '31 days'`;
    await open(url);
    expect(await session(url)`SELECT FROM cowrite.writers`).toHaveLength(0);
    expect(await storage.append({ number: 2, appends: [append('a', 1)] })).toEqual([2]);
    expect(await storage.append({ number: 2, appends: [append('a', 1)] })).toEqual([2]);
  });

  it('[STO-23] a retry of which nobody knows any more whether it was written is refused', async () => {
    const url = await database();
    const storage = await open(url);
    await storage.append({ number: 1, appends: [append('a', 1)] });
    const other = session(url);
    await other.unsafe(`BEGIN; SELECT FROM cowrite.rooms WHERE name = 'a' FOR UPDATE`);
    const batch = { number: 2, appends: [append('a', 2)] };
    const first = outcome(storage.append(batch));
    const [backend] = await untilWaiting(url, 1);
    await session(url)`SELECT pg_terminate_backend(${backend!})`;
    expect(await first).toBeInstanceOf(Error);
    await other.unsafe('COMMIT');

    await session(url)`DELETE FROM cowrite.writers`;
    const later = systemClock.now() + 16 * 24 * 60 * 60 * 1000;
    const now = vi.spyOn(systemClock, 'now').mockReturnValue(later);
    onTestFinished(() => now.mockRestore());
    await expect(storage.append(batch)).rejects.toThrow('batch 2 was written cannot be known');
    expect(await stored(storage, 'a')).toEqual(texts(1, 1));
  });

  it('[STO-24] several open an empty database at once', async () => {
    const url = await database();
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(url)));
    for (const [i, storage] of stores.entries()) {
      expect(await storage.append({ number: 1, appends: [append('a', 1)] })).toEqual([i + 1]);
    }
    expect(await session(url)`SELECT version FROM cowrite.migrations`).toEqual([
      { version: 1 },
      { version: 2 },
      { version: 3 },
      { version: 4 },
      { version: 5 },
      { version: 6 },
      { version: 7 },
      { version: 8 },
    ]);
  });

  it('[STO-54] an instance of the version before goes on writing, but not to what was removed', async () => {
    const url = await database();
    const storage = await open(url);
    await storage.append({ number: 1, appends: [append('a', 1), append('b', 1)] });
    await storage.remove('a');
    const sql = session(url);
    const writer = randomUUID();
    await sql`INSERT INTO cowrite.writers (id, batch, seqs) VALUES (${writer}, 0, '{}')`;
    const [row] = await sql`
      SELECT cowrite.append(${writer}, 1, '{a,b}', '{1,1}', '{1,2}', '{1,2}', '{ada,ada}', '\\x0102')::text AS seqs`;
    expect(row!.seqs).toBe('{0,2}');
    expect((await storage.load('b')).lastSeq).toBe(2);
  });

  it('[STO-24] a database that cannot be used is refused', async () => {
    const url = await database();
    await open(url);
    await session(url)`INSERT INTO cowrite.migrations (version) VALUES (1000)`;
    await expect(PostgresStorage.open(url)).rejects.toThrow('newer Cowrite');
    await session(server.url).unsafe(
      `CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'`,
    );
    await expect(PostgresStorage.open(server.urlOf('latin'))).rejects.toThrow('UTF8, not LATIN1');
    await expect(PostgresStorage.open(server.urlOf('none'))).rejects.toThrow('does not exist');
    await expect(PostgresStorage.open('postgres://127.0.0.1:1/a')).rejects.toThrow('ECONNREFUSED');
  });

  it('[STO-25] while Postgres is frozen every call fails by its deadline; afterwards all work, and nothing is doubled', async () => {
    const frozen = await startPostgres();
    const url = await database(frozen);
    // A slow machine may need longer than the deadline; the same batch is written once.
    const storage = await vi.waitFor(() => open(url, { deadlineMs: 700 }));
    await vi.waitFor(() => storage.append({ number: 1, appends: [append('a', 2)] }));
    const batch = { number: 2, appends: [append('a', 3)] };

    frozen.pause();
    const calls = Promise.all(
      [
        storage.append(batch),
        storage.load('a'),
        storage.since('a', 0),
        storage.heads(['a']),
        storage.readSnapshot('a', 1),
        compact(storage, 'a', 0, 2, 10),
        storage.remove('b'),
      ].map(outcome),
    );
    // The second row of calls waits for connections that the first has. Timers in a row are as late
    // as theirs on a slow machine.
    const late = (async () => {
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 700));
      return ['late'];
    })();
    const results = await Promise.race([calls, late]);
    for (const result of results) expect(result).toBeInstanceOf(Error);
    expect(await outcome(storage.append(batch))).toBeInstanceOf(Error);
    frozen.resume();

    expect(await vi.waitFor(() => storage.append(batch))).toEqual([3]);
    const all = [...texts(1, 2), ...texts(1, 3)];
    expect(await vi.waitFor(() => stored(storage, 'a'))).toEqual(all);
    expect(await vi.waitFor(() => compact(storage, 'a', 0, 2, 10))).toBe(true);
  });

  it('[STO-25] a storage that is closed while Postgres is frozen ends', async () => {
    const frozen = await startPostgres();
    const url = await database(frozen);
    // A slow machine may need longer than the deadline.
    const storage = await vi.waitFor(() => PostgresStorage.open(url, { deadlineMs: 300 }));
    frozen.pause();
    const pending = outcome(storage.load('a'));
    await storage.close();
    expect(await pending).toBeInstanceOf(Error);
  });

  it('[STO-26] what was appended survives a SIGKILL of Postgres, also where it is told not to wait for the disk', async () => {
    // The WAL writer would hide that nobody waited.
    const mortal = await startPostgres({
      settings: { synchronous_commit: 'off', wal_writer_delay: '10s' },
    });
    const storage = await open(await database(mortal));
    await storage.append({ number: 1, appends: [append('a', 3)] });
    await compact(storage, 'a', 0, 2, 3_000_000);
    await mortal.kill();
    const batch = { number: 2, appends: [append('a', 1)] };
    expect(await outcome(storage.append(batch))).toBeInstanceOf(Error);
    await mortal.restart();

    expect(await stored(storage, 'a')).toEqual(texts(3, 3));
    expect((await storage.readSnapshot('a', 2))?.length).toBe(3_000_000);
    expect(await storage.append(batch)).toEqual([4]);
    await storage.remove('a');
    await mortal.kill();
    await mortal.restart();
    expect((await storage.load('a')).isDeleted).toBe(true);
  });

  it('[STO-26] an append waits for the disk by itself, not for what is written after it', async () => {
    const mortal = await startPostgres({
      settings: { synchronous_commit: 'off', wal_writer_delay: '10s' },
    });
    const url = await database(mortal);
    await (await open(url)).append({ number: 1, appends: [append('a', 3)] });
    await mortal.kill();
    await mortal.restart();
    expect(await stored(await open(url), 'a')).toEqual(texts(1, 3));
  });

  it('[STO-27] a server that flushes nothing is complained about', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: string) => void warnings.push(warning);
    await open(await database(), { onWarning });
    expect(warnings).toEqual([]);
    const careless = await startPostgres({ settings: { fsync: 'off' } });
    await open(careless.url, { onWarning });
    expect(warnings).toEqual([
      'Postgres runs with fsync off: what is saved may not survive a loss of power',
    ]);
  });

  it('[STO-28] a snapshot is read only when it is asked for, and is noticed to be damaged then', async () => {
    const url = await database();
    const storage = await open(url);
    const update = Uint8Array.from({ length: 2_500_000 }, (_, i) => i % 251);
    const stateVector = Uint8Array.of(1);
    const snapshot = { seq: 4, update, stateVector, deletes: stateVector };
    await storage.compact('a', { base: 0, snapshot, quarantined: [] });
    expect(Buffer.compare((await storage.readSnapshot('a', 4))!, update)).toBe(0);
    await session(url)`DELETE FROM cowrite.snapshot_parts WHERE part = 1`;
    expect((await storage.load('a')).snapshot?.size).toBe(update.length);
    await expect(storage.readSnapshot('a', 4)).rejects.toThrow(DamagedSnapshot);
    expect(await compact(storage, 'a', 4, 5, 0)).toBe(true);
    expect(await storage.readSnapshot('a', 5)).toHaveLength(0);
    expect(await session(url)`SELECT FROM cowrite.snapshot_parts`).toHaveLength(1);
  });

  it('[STO-28] of what was compacted, refused or removed nothing is left', async () => {
    const url = await database();
    // One of them for all that is not an append.
    const storage = await open(url, { connections: 2 });
    const sql = session(url);
    const count = async () => {
      const [row] = await sql`
        SELECT (SELECT count(*)::int FROM cowrite.snapshot_parts) AS parts,
          (SELECT count(*)::int FROM cowrite.updates) AS updates,
          (SELECT count(*)::int FROM cowrite.quarantine) AS quarantined`;
      return row;
    };
    await storage.append({ number: 1, appends: [append('a', 4)] });
    expect([
      await compact(storage, 'a', 0, 2, 10),
      await compact(storage, 'a', 0, 3, 10),
      await compact(storage, 'a', 2, 3, 10),
    ]).toEqual([true, false, true]);
    expect(await count()).toEqual({ parts: 1, updates: 1, quarantined: 0 });
    const bytes = Uint8Array.of(0);
    const snapshot = { seq: 4, update: bytes, stateVector: bytes, deletes: bytes };
    const quarantined = [{ seq: 4, reason: 'it threw', author: 'ada', update: bytes }];
    await storage.compact('a', { base: 3, snapshot, quarantined });
    expect(await count()).toEqual({ parts: 1, updates: 0, quarantined: 1 });
    await storage.remove('a');
    // That of an empty snapshot.
    expect(await count()).toEqual({ parts: 1, updates: 0, quarantined: 0 });
    expect((await sql`SELECT bytes FROM cowrite.snapshot_parts`)[0]!.bytes).toHaveLength(2);
  });

  it('[STO-29] authors and reasons come back as they were, but for what Postgres cannot hold', async () => {
    const storage = await open(await database());
    const authors = ['', 'NULL', '"', '\\', '{a,"b"}', "'; --", 'é😀', '\n\t', 'x'.repeat(256)];
    const entries = [...authors, 'a\0b'].map((author) => ({ author, update: Uint8Array.of(1) }));
    await storage.append({ number: 1, appends: [{ room: 'a', entries }] });
    const { tail } = await storage.load('a');
    expect(tail.map(({ author }) => author)).toEqual([...authors, 'a\ufffdb']);
    const quarantined = [{ seq: 1, reason: 'a\0"\\', author: '\0', update: Uint8Array.of(2) }];
    const bytes = Uint8Array.of(0);
    const snapshot = { seq: 1, update: bytes, stateVector: bytes, deletes: bytes };
    await storage.compact('a', { base: 0, snapshot, quarantined });
    const [set] = await storage.quarantined('a');
    expect({ reason: set?.reason, author: set?.author }).toEqual({
      reason: 'a\ufffd"\\',
      author: '\ufffd',
    });
  });
});

async function open(url: string, options?: Parameters<typeof PostgresStorage.open>[1]) {
  const storage = await PostgresStorage.open(url, options);
  onTestFinished(() => storage.close());
  return storage;
}

/** Somebody else's connection to the database. */
function session(url: string): postgres.Sql {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  onTestFinished(() => sql.end());
  return sql;
}

/** The processes of the server that wait for a lock, once there are so many. */
async function untilWaiting(url: string, count: number): Promise<number[]> {
  const sql = session(url);
  for (;;) {
    const rows = await sql<{ pid: number }[]>`
      SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    if (rows.length === count) return rows.map(({ pid }) => pid);
  }
}

function append(room: string, count: number): { room: string; entries: NewEntry[] } {
  const entries = texts(1, count).map((text) => ({ author: 'ada', update: Buffer.from(text) }));
  return { room, entries };
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `entry ${from + i}`);
}

async function stored(storage: PostgresStorage, room: string): Promise<string[]> {
  const { snapshot, tail } = await storage.load(room);
  const from = (snapshot?.seq ?? 0) + 1;
  expect(tail.map(({ seq }) => seq)).toEqual(tail.map((_, i) => from + i));
  return tail.map(({ update }) => Buffer.from(update).toString());
}

async function compact(
  storage: PostgresStorage,
  room: string,
  base: number,
  seq: number,
  size: number,
): Promise<boolean> {
  const stateVector = Uint8Array.of(0);
  const snapshot = { seq, update: new Uint8Array(size), stateVector, deletes: stateVector };
  return await storage.compact(room, { base, snapshot, quarantined: [] });
}

/** What it resolves to, or rejects with. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  return await promise.catch((error: unknown) => error);
}

/** A network between the storage and the server, for the test to break. */
async function startProxy(target: string) {
  const { port, pathname } = new URL(target);
  const pairs: { near: Socket; far: Socket }[] = [];
  let onAnswer: (() => void) | undefined;
  const proxy = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1');
    pairs.push({ near, far });
    near.on('data', (data) => far.write(data)).on('error', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    far.on('data', (data) => {
      if (onAnswer === undefined) near.write(data);
      else onAnswer();
    });
    near.on('end', () => far.end());
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => {
    for (const { near, far } of pairs) {
      near.destroy();
      far.destroy();
    }
    proxy.close();
  });
  return {
    url: `postgres://cowrite@127.0.0.1:${(proxy.address() as AddressInfo).port}${pathname}`,
    database: pathname.slice(1),
    /** From now on no answer arrives; resolves once one was held. */
    holdAnswers: () =>
      new Promise<void>((resolve) => {
        onAnswer = resolve;
      }),
    /** Both sides learn that their connections are gone; new ones work. */
    cut: () => {
      onAnswer = undefined;
      for (const { near, far } of pairs.splice(0)) {
        near.destroy();
        far.destroy();
      }
    },
    /** Only the storage learns it. */
    forsake: () => {
      for (const { near } of pairs) near.destroy();
    },
  };
}
