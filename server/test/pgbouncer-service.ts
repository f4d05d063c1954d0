/** A real PgBouncer for tests, in transaction mode before a Postgres: a process of its own on a free port of this machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { findPgbouncer } from '../../scripts/find-programs.mjs';
import { freePort } from './free-port.js';
import { type PostgresService, unprivileged } from './postgres-service.js';

export interface PgbouncerService {
  /** The same database of the Postgres, through it. */
  urlOf(database: string): string;
  /** Its clients' next transactions are another server's, on connections that stay. */
  lead(to: PostgresService): void;
}

/** @param connections to the server, which all its clients share */
export async function startPgbouncer(
  server: PostgresService,
  { connections = 2, until = onTestFinished as (stop: () => Promise<void>) => void } = {},
): Promise<PgbouncerService> {
  const program = findPgbouncer();
  if (program === undefined) throw new Error('no PgBouncer: install one, or set PGBOUNCER_PATH');
  const user = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-pgbouncer-'));
  const port = await freePort();
  const settings = join(folder, 'pgbouncer.ini');
  // As it comes, but for the mode.
  const write = (to: PostgresService) =>
    writeFileSync(
      settings,
      `[databases]
* = host=127.0.0.1 port=${new URL(to.url).port} user=cowrite
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
`,
    );
  write(server);
  if (user !== undefined)
    for (const path of [folder, settings]) chownSync(path, user.uid, user.gid);
  const child = spawn(program, [settings], {
    ...user,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close');
  const killAtExit = () => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  until(async () => {
    process.off('exit', killAtExit);
    child.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  });
  await new Promise<void>((resolve, reject) => {
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 100_000) log += text;
      if (log.includes('process up')) resolve();
    });
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`PgBouncer ended with ${code}: ${log}`)));
  });
  return {
    urlOf: (database) => `postgres://cowrite@127.0.0.1:${port}/${database}`,
    lead(to) {
      write(to);
      child.kill('SIGHUP');
    },
  };
}
