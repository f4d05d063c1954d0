/** Servers to be measured, each in a process of its own, and what Linux says of that process. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Kernel clock ticks a second, as /proc counts CPU time; 100 on every Linux that Node runs on. */
export const TICKS = 100;

const path = (file) => fileURLToPath(new URL(file, import.meta.url));

/** What starts each server, what it says when it is ready, and where its rooms are. */
const SERVERS = {
  cowrite: { script: path('../dist/cli.js'), rooms: '/ws' },
  ws: { script: path('peers/bare-ws.mjs'), rooms: '' },
  'y-websocket': {
    script: path('node_modules/y-websocket/bin/server.cjs'),
    rooms: '',
  },
  hocuspocus: { script: path('peers/hocuspocus.mjs'), rooms: '' },
};

/** What must not outlive this process, however it ends. */
const ends = new Set();
process.once('exit', () => {
  for (const end of ends) end();
});
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.once(signal, () => process.exit(code));
}

/** @param end is called at the exit, unless what this returns was called before */
export function atExit(end) {
  ends.add(end);
  return () => ends.delete(end);
}

let canPin;

/** @param core number of the CPU core to stay on, where `taskset` is there; undefined for any */
export function pinned(core, command, args) {
  canPin ??= spawnSync('taskset', ['-V']).status === 0;
  return core !== undefined && canPin
    ? ['taskset', ['-c', String(core), command, ...args]]
    : [command, args];
}

/**
 * Starts a server, a Cowrite in a temporary folder; `stop` ends it and removes the folder.
 * @param folder of an earlier one that was ended with `kill`
 * @param flags of Node
 * @param onLog hears what it logs, an object a line
 */
export async function startServer({
  name = 'cowrite',
  core,
  env = {},
  folder,
  flags = [],
  onLog,
} = {}) {
  const { script, rooms } = SERVERS[name];
  const data = folder ?? mkdtempSync(join(tmpdir(), 'cowrite-bench-'));
  const [command, args] = pinned(core, process.execPath, [...flags, script]);
  const port = await freePort();
  const child = spawn(command, args, {
    env: {
      ...process.env,
      HOST: '127.0.0.1',
      PORT: String(port),
      STORAGE_URL: `lmdb:${data}`,
      LOG_LEVEL: 'error',
      ...env,
    },
    stdio: ['ignore', 'pipe', onLog === undefined ? 'inherit' : 'pipe'],
  });
  const remove = () => rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  const settled = atExit(() => {
    child.kill('SIGKILL');
    remove();
  });
  if (onLog !== undefined) {
    createInterface(child.stderr).on('line', (line) => onLog(JSON.parse(line)));
  }
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  child.stdout.resume();
  let died;
  child.once('exit', (code, signal) => {
    died = `${name} ended with ${code ?? signal}`;
  });
  const kill = () =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.removeAllListeners('exit').once('exit', resolve);
      child.kill('SIGKILL');
    });
  return {
    name,
    pid: child.pid,
    folder: data,
    url: `ws://127.0.0.1:${port}${rooms}`,
    /** How it ended on its own, if it did. */
    died: () => died,
    ...watched(child.pid),
    signal: (signal) => child.kill(signal),
    kill,
    async stop() {
      await kill();
      remove();
      settled();
    },
  };
}

/** What Linux says of a process. */
export function watched(pid) {
  const read = (file) => readFileSync(`/proc/${pid}/${file}`, 'utf8');
  const number = (file, pattern) => Number(pattern.exec(read(file))[1]);
  const nanoseconds = new Map();
  const threadSeconds = () => {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      try {
        nanoseconds.set(thread, Number(read(`task/${thread}/schedstat`).split(' ')[0]));
      } catch {
        // It has ended since, or this kernel does not say.
      }
    }
    return [...nanoseconds.values()].reduce((sum, each) => sum + each, 0) / 1e9;
  };
  return {
    cpuSeconds() {
      const [, user, system] = /\) .(?: \S+){10} (\d+) (\d+)/.exec(read('stat'));
      const counted = (Number(user) + Number(system)) / TICKS;
      // Both are rounded down; the threads know better, but those that ended are not among them.
      return Math.min(Math.max(counted, threadSeconds()), counted + 2 / TICKS);
    },
    residentBytes: () => number('status', /VmRSS:\s+(\d+)/) * 1024,
    residentMegabytes: () => Math.round(number('status', /VmRSS:\s+(\d+)/) / 1024),
    peakMegabytes: () => Math.round(number('status', /VmHWM:\s+(\d+)/) / 1024),
    /** The peak counts from here on, where the kernel allows it. */
    resetPeak() {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    },
  };
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
