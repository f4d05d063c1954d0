/** A Postgres for a measurement, as its packages set it up, in a temporary folder. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { findPostgres } from '../../scripts/find-programs.mjs';
import { atExit, freePort, TICKS } from './process.mjs';

/** @returns why there is none, if so */
export function whyNoPostgres() {
  if (findPostgres() !== undefined) return undefined;
  return 'not measured: there is no Postgres; install one, or set POSTGRES_BIN';
}

/** @returns its `url`, and `counts` of what it has done */
export async function postgresOf(scope) {
  const { url, pid } = await startPostgres(scope);
  const sql = postgres(url, { max: 1 });
  await scope.own(() => sql.end({ timeout: 0 }));
  return {
    url,
    async counts() {
      const [row] = await sql`
        select
          pg_snapshot_xmax(pg_current_snapshot())::text::float8 as transactions,
          pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as wal`;
      return { ...row, cpu: cpuSeconds(pid) };
    },
  };
}

async function startPostgres(scope) {
  const programs = findPostgres();
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-pg-'));
  const user = unprivileged();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const data = join(folder, 'data');
  const place = { ...user, cwd: folder, env: { LC_ALL: 'C' } };
  execFileSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'cowrite', '--auth=trust', '-E', 'UTF8', '--locale=C'],
    { ...place, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const port = await freePort();
  const child = spawn(
    join(programs, 'postgres'),
    ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder],
    { ...place, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  // The signal on which it ends at once, and its children with it.
  const settled = atExit(() => {
    child.kill('SIGQUIT');
    remove();
  });
  await scope.own(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGQUIT');
      await ended;
    }
    remove();
    settled();
  });
  await new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      if (text.includes('ready to accept connections')) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`postgres ended with ${code}`)));
  });
  return { url: `postgres://cowrite@127.0.0.1:${port}/postgres`, pid: child.pid };
}

/** It refuses to run as root. */
function unprivileged() {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((which) => spawnSync('id', [which, name]));
    if (uid.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error('Postgres does not run as root, and there is no user postgres or nobody');
}

/** Of the first process, of those it has started, and of those of them that have ended. */
function cpuSeconds(pid) {
  let ticks = 0;
  for (const each of readdirSync('/proc')) {
    if (!/^\d+$/.test(each)) continue;
    const stat = statOf(each);
    if (stat === undefined) continue;
    const [, parent, user, system, endedUser, endedSystem] = stat;
    if (Number(each) === pid) ticks += user + system + endedUser + endedSystem;
    else if (parent === pid) ticks += user + system;
  }
  return ticks / TICKS;
}

/** @returns state, parent, and clock ticks: user, system, and those of children that have ended; undefined when it has ended */
function statOf(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return [fields[0], ...[1, 11, 12, 13, 14].map((at) => Number(fields[at]))];
}
