/** A Redis for a measurement: REDIS_URL's, which nobody else may use meanwhile, or one of its own in a temporary folder. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { atExit, freePort } from './process.mjs';

const PROGRAM = process.env.REDIS_SERVER ?? 'redis-server';
const DURABLE = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];

/** @returns why there is none, if so */
export function whyNoRedis() {
  if (process.env.REDIS_URL) return undefined;
  if (spawnSync(PROGRAM, ['--version']).status === 0) return undefined;
  return `not measured: REDIS_URL is not set, and there is no ${PROGRAM}`;
}

/** @returns its `url`, and `counts` of what it has done */
export async function redisOf(scope) {
  const url = process.env.REDIS_URL || (await startRedis(scope));
  const admin = new Redis(url);
  await scope.own(() => admin.disconnect());
  return {
    url,
    async counts() {
      const info = await admin.info();
      const number = (name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)[1]);
      return {
        commands: number('total_commands_processed'),
        cpu: number('used_cpu_user') + number('used_cpu_sys'),
      };
    },
  };
}

async function startRedis(scope) {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-redis-'));
  const port = await freePort();
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn(PROGRAM, [...place, ...DURABLE], { stdio: ['ignore', 'pipe', 'inherit'] });
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const settled = atExit(() => {
    child.kill('SIGKILL');
    remove();
  });
  await scope.own(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    remove();
    settled();
  });
  await new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (text.includes('Ready to accept connections')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`${PROGRAM} ended with ${code}`)));
  });
  return `redis://127.0.0.1:${port}`;
}
