/**
 * A real Redis for tests: a process of its own in a temporary folder, on a free
 * port of this machine only. It writes as the storage adapter wants it, synced
 * before each answer, unless it is told otherwise.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { freePort } from './free-port.js';

export interface RedisService {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder, after a SIGKILL if it still runs. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open, and nothing is answered. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

export interface RedisServiceOptions {
  /** Settings as on Redis's command line; they win over those given here. */
  readonly settings?: readonly string[];
  /** Takes what stops it, in the place of the end of the running test. */
  readonly atEnd?: (stop: () => Promise<void>) => void;
}

const DURABLE = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];

/** Resolves once it accepts connections. */
export async function startRedis(options: RedisServiceOptions = {}): Promise<RedisService> {
  const { settings = [], atEnd = onTestFinished } = options;
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-redis-'));
  let running: ChildProcess | undefined;

  const start = async (port: number): Promise<void> => {
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
    running = await launch([...place, ...DURABLE, ...settings]);
  };
  const kill = async (): Promise<void> => {
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGKILL');
    await exited;
  };
  // Whatever ends this process must not leave a server behind.
  const killAtExit = () => void running?.kill('SIGKILL');
  process.once('exit', killAtExit);
  atEnd(async () => {
    process.off('exit', killAtExit);
    await kill();
    // A child of it may still be writing what it began.
    rmSync(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 20 });
  });

  let port = await freePort();
  for (let attempt = 1; running === undefined; attempt++) {
    try {
      await start(port);
    } catch (error) {
      // Somebody else may have taken the port in between.
      if (attempt === 5) throw error;
      port = await freePort();
    }
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return running!.pid!;
    },
    kill,
    restart: async () => {
      await kill();
      await start(port);
    },
    pause: () => void running!.kill('SIGSTOP'),
    resume: () => void running!.kill('SIGCONT'),
  };
}

/** A connection to it that tests look through, and that comes back at once when it was killed. */
export function connectTo({ url }: RedisService): Redis {
  const redis = new Redis(url, { retryStrategy: () => 10 });
  // It is killed by tests.
  redis.on('error', () => undefined);
  return redis;
}

/** One Redis for all tests of the file at whose top this is called; there from the first test on. */
export function redisOfFile(): { readonly service: RedisService; readonly admin: Redis } {
  let file: { service: RedisService; admin: Redis; stop: () => Promise<void> } | undefined;
  beforeAll(async () => {
    let stop: (() => Promise<void>) | undefined;
    const service = await startRedis({
      atEnd: (given) => {
        stop = given;
      },
    });
    file = { service, admin: connectTo(service), stop: stop! };
  });
  afterAll(async () => {
    file?.admin.disconnect();
    await file?.stop();
  });
  return {
    get service() {
      return file!.service;
    },
    get admin() {
      return file!.admin;
    },
  };
}

async function launch(settings: readonly string[]): Promise<ChildProcess> {
  const program = process.env.REDIS_SERVER ?? 'redis-server';
  const child = spawn(program, settings, { stdio: ['ignore', 'pipe', 'pipe'] });
  await new Promise<void>((resolve, reject) => {
    let output = '';
    const hear = (text: string) => {
      output += text;
      if (output.includes('Ready to accept connections')) resolve();
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${output}`)));
  });
  // Nobody reads on; a full pipe would stop it.
  for (const pipe of [child.stdout, child.stderr]) pipe.removeAllListeners('data').resume();
  return child;
}
