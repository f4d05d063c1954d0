/** Servers to be measured, each in a process of its own, and what Linux says of that process. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Kernel clock ticks a second, as /proc counts CPU time; 100 on every Linux that Node runs on. */
const TICKS = 100;

const path = (file) => fileURLToPath(new URL(file, import.meta.url));

/** What starts each server, what it says when it is ready, and where its rooms are. */
const SERVERS = {
  cowrite: { script: path('../dist/cli.js'), rooms: '/ws' },
  ws: { script: path('peers/bare-ws.mjs'), rooms: '' },
  'y-websocket': {
    script: path('peers/node_modules/y-websocket/bin/server.cjs'),
    rooms: '',
  },
  hocuspocus: { script: path('peers/hocuspocus.mjs'), rooms: '' },
};

/** @param core number of the CPU core to stay on, where `taskset` is there; undefined for any */
export function pinned(core, command, args) {
  const canPin = core !== undefined && spawnSync('taskset', ['-V']).status === 0;
  return canPin ? ['taskset', ['-c', String(core), command, ...args]] : [command, args];
}

/** Starts a server, a Cowrite in a temporary folder; `stop` ends it and removes the folder. */
export async function startServer({ name = 'cowrite', core, env = {} } = {}) {
  const { script, rooms } = SERVERS[name];
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-'));
  const [command, args] = pinned(core, process.execPath, [script]);
  const port = await freePort();
  const child = spawn(command, args, {
    env: {
      ...process.env,
      HOST: '127.0.0.1',
      PORT: String(port),
      STORAGE_URL: `lmdb:${folder}`,
      LOG_LEVEL: 'error',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const read = (file) => readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  child.stdout.resume();
  return {
    name,
    url: `ws://127.0.0.1:${port}${rooms}`,
    cpuSeconds() {
      const [, user, system] = /\) .(?: \S+){10} (\d+) (\d+)/.exec(read('stat'));
      return (Number(user) + Number(system)) / TICKS;
    },
    residentMegabytes: () => Math.round(Number(/VmRSS:\s+(\d+)/.exec(read('status'))[1]) / 1024),
    peakMegabytes: () => Math.round(Number(/VmHWM:\s+(\d+)/.exec(read('status'))[1]) / 1024),
    stop() {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
