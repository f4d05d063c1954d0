/** Postgres behind a pooler in transaction mode: every transaction may run on another connection. */
import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import * as framework from 'vitest';
import { startPgbouncer } from '../../test/pgbouncer-service.js';
import { startPostgres } from '../../test/postgres-service.js';
import { sharedStorageContract } from './contract.js';
import { PostgresStorage } from './postgres.js';

const { afterAll, describe, expect, it, onTestFinished, vi } = framework;

const server = await startPostgres({ until: afterAll });
const pooler = await startPgbouncer(server, { until: afterAll });

async function database(): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await server.query(`CREATE DATABASE ${name}`);
  return name;
}

sharedStorageContract(framework, 'postgres behind PgBouncer', async () => {
  const url = pooler.urlOf(await database());
  return {
    survivesClose: true,
    open: () => PostgresStorage.open(url),
    dispose: async () => undefined,
  };
});

async function open(name: string, deadlineMs = 10_000): Promise<PostgresStorage> {
  const storage = await PostgresStorage.open(pooler.urlOf(name), { deadlineMs });
  onTestFinished(() => storage.close());
  return storage;
}

function session(url: string): postgres.Sql {
  const sql = postgres(url, { max: 1, prepare: false, onnotice: () => undefined });
  onTestFinished(() => sql.end());
  return sql;
}

const append = (room: string, text: string) => ({
  room,
  entries: [{ author: 'ada', update: Buffer.from(text) }],
});

describe('[STO] postgres behind a pooler', () => {
  it('[STO-65] many write, compact and read at once over two connections; nothing is left on those', async () => {
    const name = await database();
    const stores = await Promise.all(Array.from({ length: 6 }, () => open(name)));
    const bytes = new Uint8Array(2_500_000).fill(7);
    await Promise.all(
      stores.map(async (store, i) => {
        for (let n = 1; n <= 10; n++) {
          await store.append({ number: n, appends: [append('all', `${i}`), append(`r${i}`, 'x')] });
          await store.heads(['all']);
        }
        const snapshot = {
          seq: 10,
          update: bytes,
          stateVector: bytes.subarray(0, 1),
          deletes: bytes,
        };
        expect(await store.compact(`r${i}`, { base: 0, snapshot, quarantined: [] })).toBe(true);
        expect(await store.readSnapshot(`r${i}`, 10)).toHaveLength(bytes.length);
      }),
    );
    expect((await stores[0]!.load('all')).lastSeq).toBe(60);
    const sql = session(pooler.urlOf(name));
    for (const setting of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
      expect(await sql.unsafe(`SHOW ${setting}`)).toEqual([{ [setting]: '0' }]);
    }
    expect(await sql.unsafe('SELECT FROM pg_prepared_statements')).toHaveLength(0);
  });

  it('[STO-65] a statement whose caller is gone ends on the server by its deadline, and why one failed is told', async () => {
    const name = await database();
    const storage = await open(name, 1_000);
    await storage.append({ number: 1, appends: [append('a', 'x')] });
    const other = session(server.urlOf(name));
    await other.unsafe(`BEGIN; SELECT FROM cowrite.rooms WHERE name = 'a' FOR UPDATE`);
    await expect(storage.append({ number: 2, appends: [append('a', 'x')] })).rejects.toThrow(
      /did not answer within 1000 ms|statement timeout/,
    );
    await vi.waitFor(
      async () => {
        const waiting = await other.unsafe(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        expect(waiting).toHaveLength(0);
      },
      { timeout: 150_000 },
    );
    await other.unsafe('COMMIT');
    expect(await storage.append({ number: 2, appends: [append('a', 'x')] })).toEqual([2]);
    await other.unsafe('ALTER TABLE cowrite.updates RENAME TO elsewhere');
    await expect(storage.append({ number: 3, appends: [append('a', 'x')] })).rejects.toThrow(
      'relation "cowrite.updates" does not exist',
    );
    await expect(storage.load('a')).rejects.toThrow('relation "cowrite.updates" does not exist');
  });

  it('[STO-63] a pooler that leads to another primary, while its clients stay connected, is a failover', async () => {
    const primary = await startPostgres();
    const standby = await startPostgres({ standbyOf: primary });
    const before = await startPgbouncer(primary);
    const storage = await PostgresStorage.open(before.urlOf('postgres'));
    onTestFinished(() => storage.close());
    const failedOver = vi.fn();
    storage.onFailover(failedOver);
    await storage.append({ number: 1, appends: [append('a', '1')] });
    const { primary: first } = storage;
    await vi.waitFor(
      async () => expect(await standby.query('SELECT FROM cowrite.updates')).toHaveLength(1),
      {
        timeout: 150_000,
      },
    );
    await standby.promote();
    before.lead(standby);
    // What was under way fails, and nothing that the new one says is taken for an answer of the old one.
    await vi.waitFor(async () => {
      await storage.heads(['a']).catch((error: unknown) => error);
      expect(failedOver).toHaveBeenCalled();
    }, 30_000);
    expect(storage.primary).not.toBe(first);
    await storage.append({ number: 2, appends: [append('a', '2')] });
    expect(await standby.query('SELECT FROM cowrite.updates')).toHaveLength(2);
    expect(await primary.query('SELECT FROM cowrite.updates')).toHaveLength(1);
    expect(failedOver).toHaveBeenCalledOnce();
  });

  it('[STO-66] whatever a value is, it comes back as it was, also where backslashes mean something', async () => {
    const name = await database();
    await server.query(`ALTER DATABASE ${name} SET standard_conforming_strings = off`);
    await server.query(`ALTER DATABASE ${name} SET bytea_output = escape`);
    const storage = await open(name);
    const rooms = [
      "'",
      "\\'",
      "\\\\'; DROP SCHEMA cowrite CASCADE; --",
      '$1',
      '$$',
      '"{,}"',
      'é😀',
    ];
    const authors = ["'", '\\', "E'\\x", '$2', '{"', "\\'); SELECT 1; --"];
    const update = Uint8Array.from({ length: 256 }, (_, i) => i);
    const entries = authors.map((author) => ({ author, update }));
    await storage.append({ number: 1, appends: rooms.map((room) => ({ room, entries })) });
    for (const room of rooms) {
      const { tail } = await storage.load(room);
      expect(tail.map(({ author }) => author)).toEqual(authors);
      for (const entry of tail) expect(Buffer.compare(entry.update, update)).toBe(0);
    }
    expect((await storage.rooms({ limit: 100, prefix: "\\'" })).map(({ name }) => name)).toEqual([
      "\\'",
    ]);
  });
});
