/** A primary and its standby: which of them is used, and what is waited for. */
import postgres from 'postgres';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { startPostgres } from '../../test/postgres-service.js';
import { PostgresStorage } from './postgres.js';

const primary = await startPostgres({ until: afterAll });
const standby = await startPostgres({ until: afterAll, standbyOf: primary });
const hostOf = ({ url }: { readonly url: string }) => new URL(url).host;

async function open(
  url: string,
  options?: Parameters<typeof PostgresStorage.open>[1],
): Promise<PostgresStorage> {
  const storage = await PostgresStorage.open(url, options);
  onTestFinished(() => storage.close());
  return storage;
}

const batch = (number: number) => ({
  number,
  appends: [{ room: 'a', entries: [{ author: 'ada', update: Uint8Array.of(number) }] }],
});

describe('[STO] postgres with a standby', () => {
  it('[STO-67] of several hosts the primary is used, wherever it stands; a standby alone is refused', async () => {
    for (const hosts of [
      `127.0.0.1:1,${hostOf(standby)},${hostOf(primary)}`,
      `${hostOf(primary)},${hostOf(standby)}`,
    ]) {
      const url = `postgres://cowrite@${hosts}/postgres?target_session_attrs=read-write`;
      const storage = await open(url);
      await storage.append(batch(1));
      expect(storage.primary.id).toBeGreaterThan(0);
    }
    await expect(PostgresStorage.open(standby.url)).rejects.toThrow('is a standby');
    await expect(
      PostgresStorage.open(`postgres://cowrite@${hostOf(standby)},127.0.0.1:1/postgres`),
    ).rejects.toThrow(/none of the servers is the primary: .* standby.*; .*ECONNREFUSED/);
  });

  it('[STO-67] a user to whom the server tells little can use it as well', async () => {
    await (await open(primary.url)).close();
    await primary.query(`
      CREATE ROLE app LOGIN;
      REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;
      GRANT USAGE ON SCHEMA cowrite TO app;
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cowrite TO app`);
    const storage = await open(primary.url.replace('cowrite@', 'app@'));
    const again = await open(primary.url.replace('cowrite@', 'app@'));
    expect(storage.primary.id).toBe(again.primary.id);
    expect(await storage.append(batch(1))).toEqual([expect.any(Number)]);
    expect((await storage.load('a')).tail.length).toBeGreaterThan(0);
  });

  it('[STO-67] a server that turns read-only is left at once, also for reading, and used again afterwards', async () => {
    const storage = await open(primary.url);
    const failedOver = vi.fn();
    storage.onFailover(failedOver);
    await storage.heads(['a']);
    const turn = async (value: string) => {
      await primary.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await primary.query('SELECT pg_reload_conf()');
    };
    await turn('on');
    await vi.waitFor(async () => await expect(storage.heads(['a'])).rejects.toThrow(/no writes/), {
      timeout: 150_000,
    });
    await expect(storage.append(batch(1))).rejects.toThrow(/no writes/);
    await turn('off');
    await vi.waitFor(async () => await storage.heads(['a']), { timeout: 150_000 });
    await storage.append(batch(1));
    // It is the same one.
    expect(failedOver).not.toHaveBeenCalled();
  });

  it('[STO-68] what a synchronous standby has to confirm is not reported before, also by a retry', async () => {
    // A slow machine may need longer than the deadline; the same batch is written once.
    const storage = await vi.waitFor(() => open(primary.url, { deadlineMs: 700 }));
    await vi.waitFor(() => storage.append(batch(1)));
    const sql = postgres(primary.url, { max: 1, onnotice: () => undefined });
    onTestFinished(async () => {
      await sql.unsafe(`ALTER SYSTEM RESET synchronous_standby_names`);
      await sql.unsafe('SELECT pg_reload_conf()');
      await sql.end();
    });
    // Nobody is called so: nothing is ever confirmed.
    await sql.unsafe(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
    await sql.unsafe('SELECT pg_reload_conf()');
    await vi.waitFor(
      async () => {
        const [row] = await primary.query('SHOW synchronous_standby_names');
        expect(row!.synchronous_standby_names).toBe('nobody');
      },
      { timeout: 150_000 },
    );
    const waiting = async () =>
      await sql.unsafe(`SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`);
    const endWith = async (end: 'pg_cancel_backend' | 'pg_terminate_backend') => {
      await vi.waitFor(async () => expect(await waiting()).not.toHaveLength(0), {
        timeout: 150_000,
      });
      for (const { pid } of await waiting()) await sql.unsafe(`SELECT ${end}(${pid})`);
    };
    // Each time it is committed here, and only here.
    for (const end of [
      'pg_terminate_backend',
      'pg_cancel_backend',
      'pg_terminate_backend',
    ] as const) {
      const attempt = storage.append(batch(2)).then(
        () => 'reported',
        () => 'not reported',
      );
      await endWith(end);
      expect(await attempt, end).toBe('not reported');
      // Its first attempt may have gone on after it was given up.
      await vi.waitFor(
        async () => {
          for (const { pid } of await waiting())
            await sql.unsafe(`SELECT pg_terminate_backend(${pid})`);
          expect(await waiting()).toHaveLength(0);
        },
        { timeout: 150_000 },
      );
    }
    await sql.unsafe(`ALTER SYSTEM RESET synchronous_standby_names`);
    await sql.unsafe('SELECT pg_reload_conf()');
    await vi.waitFor(async () => await storage.append(batch(2)), { timeout: 150_000 });
    const { tail } = await storage.load('a');
    expect(tail.filter(({ update }) => update[0] === 2)).toHaveLength(1);
  });
});
