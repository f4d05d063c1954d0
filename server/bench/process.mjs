/** A Cowrite server in a process of its own, and what Linux says of that process. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Kernel clock ticks a second, as /proc counts CPU time; 100 on every Linux that Node runs on. */
const TICKS = 100;

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** @param core number of the CPU core to stay on, where `taskset` is there; undefined for any */
export function pinned(core, command, args) {
  const canPin = core !== undefined && spawnSync('taskset', ['-V']).status === 0;
  return canPin ? ['taskset', ['-c', String(core), command, ...args]] : [command, args];
}

/** Starts a server in a temporary folder; `stop` ends it and removes the folder. */
export async function startServer({ core, env = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-'));
  const [command, args] = pinned(core, process.execPath, [CLI]);
  const child = spawn(command, args, {
    env: { ...process.env, PORT: '0', STORAGE_URL: `lmdb:${folder}`, LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const read = (file) => readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  return {
    url: await readyUrl(child),
    cpuSeconds() {
      const [, user, system] = /\) .(?: \S+){10} (\d+) (\d+)/.exec(read('stat'));
      return (Number(user) + Number(system)) / TICKS;
    },
    residentMegabytes: () => Math.round(Number(/VmRSS:\s+(\d+)/.exec(read('status'))[1]) / 1024),
    peakMegabytes: () => Math.round(Number(/VmHWM:\s+(\d+)/.exec(read('status'))[1]) / 1024),
    stop() {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function readyUrl(child) {
  let output = '';
  for await (const chunk of child.stdout) {
    output += chunk;
    const ready = /ready: http(\S+)/.exec(output);
    if (ready !== null) return `ws${ready[1]}/ws`;
  }
  throw new Error('the server did not start');
}
