/**
 * A real Postgres for tests: a process of its own in a temporary folder, on a free port of
 * 127.0.0.1, that can be frozen and killed.
 */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { onTestFinished } from 'vitest';
import { findPostgres } from '../../scripts/find-programs.mjs';
import { freePort } from './free-port.js';

export interface PostgresService {
  /** Of the database `postgres`; its user may do everything. */
  readonly url: string;
  /** The same server's database of that name. */
  urlOf(database: string): string;
  /** Of the first process, from which the others come. Another one after a restart. */
  readonly pid: number;
  /** Of a standby: it becomes a primary. Resolves once it is one. */
  promote(): Promise<void>;
  /** A statement of its superuser's, on a connection of its own. */
  query(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** SIGKILL of all its processes, as if its machine had lost power. */
  kill(): Promise<void>;
  /** Starts it again after {@link kill}, or ends it first. */
  restart(): Promise<void>;
  /** SIGSTOP of all its processes: connections stay up and nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its folder. Called by itself in the end. */
  stop(): Promise<void>;
}

export interface PostgresServiceOptions {
  /** Registers what ends the service: with the running test unless told otherwise, `afterAll` outside of tests and hooks. */
  readonly until?: (stop: () => Promise<void>) => void;
  /** Server settings, such as `fsync: 'off'`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** It begins as a copy of that one, and follows it. */
  readonly standbyOf?: PostgresService;
}

export async function startPostgres({
  until = onTestFinished,
  settings = {},
  standbyOf,
}: PostgresServiceOptions = {}): Promise<PostgresService> {
  const programs = findPostgres();
  if (programs === undefined) throw new Error('no Postgres: install one, or set POSTGRES_BIN');
  const user = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-pg-'));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  const data = join(folder, 'data');
  const make: [program: string, args: readonly string[]] =
    standbyOf === undefined
      ? ['initdb', ['-U', 'cowrite', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C']]
      : ['pg_basebackup', ['-d', standbyOf.url, '-R', '-X', 'stream', '-c', 'fast', '--no-sync']];
  await promisify(execFile)(join(programs, make[0]), ['-D', data, ...make[1]], {
    ...user,
    cwd: folder,
    env: { LC_ALL: 'C' },
  });
  const port = await freePort();
  const all: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    shared_buffers: '16MB',
    ...settings,
  };
  const args = ['-D', data, '-p', String(port)];
  for (const [name, value] of Object.entries(all)) args.push('-c', `${name}=${value}`);

  let child: ChildProcess | undefined;
  let paused: number[] = [];

  const start = async () => {
    const started = spawn(join(programs, 'postgres'), args, {
      ...user,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { LC_ALL: 'C' },
    });
    child = started;
    await new Promise<void>((resolve, reject) => {
      let log = '';
      started.stderr!.setEncoding('utf8').on('data', (text: string) => {
        // What comes later is read as well, or its pipe would fill up.
        if (log.length < 100_000) log += text;
        if (/ready to accept (read[- ]only )?connections/.test(log)) resolve();
      });
      started.once('error', reject);
      started.once('exit', (code) => reject(new Error(`Postgres ended with ${code}: ${log}`)));
    });
  };
  const signal = async (send: (running: ChildProcess) => void) => {
    if (child === undefined) return;
    const exited = once(child, 'exit');
    send(child);
    await exited;
    child = undefined;
    paused = [];
  };
  const endAtExit = () => void child?.kill('SIGQUIT');
  process.once('exit', endAtExit);

  const service: PostgresService = {
    url: urlOf(port, 'postgres'),
    urlOf: (database) => urlOf(port, database),
    get pid() {
      return child!.pid!;
    },
    async promote() {
      await service.query('SELECT pg_promote()');
    },
    async query(sql) {
      const session = postgres(service.url, { max: 1, onnotice: () => undefined });
      try {
        return await session.unsafe(sql);
      } finally {
        await session.end();
      }
    },
    async kill() {
      let pids: number[] = [];
      await signal((running) => {
        running.kill('SIGSTOP');
        pids = childrenOf(running.pid!);
        running.kill('SIGKILL');
        for (const pid of pids) send(pid, 'SIGKILL');
      });
      // The next one does not start while one of them holds the shared memory.
      while (pids.some((pid) => send(pid, 0))) await new Promise((done) => setTimeout(done, 2));
    },
    async restart() {
      service.resume();
      await signal((running) => running.kill('SIGINT'));
      await start();
    },
    pause() {
      // The first one first, or it would make more of them meanwhile.
      child!.kill('SIGSTOP');
      paused = childrenOf(child!.pid!);
      for (const pid of paused) send(pid, 'SIGSTOP');
    },
    resume() {
      for (const pid of paused.splice(0)) send(pid, 'SIGCONT');
      child?.kill('SIGCONT');
    },
    async stop() {
      process.off('exit', endAtExit);
      service.resume();
      await signal((running) => running.kill('SIGQUIT'));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  until(() => service.stop());
  await start();
  return service;
}

/** Postgres refuses to run as root. */
export function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((which) => spawnSync('id', [which, name]));
    if (uid!.status === 0) return { uid: Number(uid!.stdout), gid: Number(gid!.stdout) };
  }
  throw new Error('Postgres does not run as root, and there is no user postgres or nobody');
}

function childrenOf(parent: number): number[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, of]) => of === parent)
    .map(([pid]) => pid!);
}

/** @returns whether the process was still there */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

function urlOf(port: number, database: string): string {
  return `postgres://cowrite@127.0.0.1:${port}/${database}`;
}
