/**
 * `npm run bench`: Cowrite beside a bare `ws` broadcast, the y-websocket server and
 * Hocuspocus, under the same loads in one run.
 *
 * The server has one core and the load another, where the machine has two and
 * `taskset`. Servers take turns, and every figure is the median of the repeats with
 * its range. Cowrite writes durably in all of them; the others keep documents in
 * memory.
 */
import { fork, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startServer } from './process.mjs';

const PEERS = fileURLToPath(new URL('peers', import.meta.url));
const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url));
const NAMES = ['ws', 'y-websocket', 'hocuspocus', 'cowrite'];
const CORES = cpus().length;

/** @property per what the server's CPU time is divided by: `sent` or `received` */
const SCENARIOS = [
  {
    title: '200 rooms x 3 people typing 5/s: CPU per update',
    load: { rooms: 200, people: 3, writers: 3, keys: 5 },
    per: 'sent',
    target: 1.5,
  },
  {
    title: '1 writer 50/s, 100 readers: CPU per delivery',
    load: { rooms: 1, people: 101, writers: 1, keys: 50 },
    per: 'received',
    target: 1.2,
  },
  {
    title: '20 writers 10/s each, 100 readers: CPU per delivery',
    load: { rooms: 1, people: 120, writers: 20, keys: 10 },
    per: 'received',
    target: 0.45,
  },
  {
    title: '50 people moving cursors 10/s: CPU per move',
    load: { rooms: 1, people: 50, movers: 50, moves: 10 },
    per: 'sent',
    target: 0.35,
    p99: 30,
  },
  {
    title: '200 people moving cursors 2/s: CPU per move',
    load: { rooms: 1, people: 200, movers: 200, moves: 2 },
    per: 'sent',
    target: 0.17,
    p99: 60,
  },
];

const isQuick = process.argv.includes('--quick');
const only = process.argv.slice(2).find((argument) => !argument.startsWith('-'));
const repeats = isQuick ? 1 : 3;
const seconds = isQuick ? 5 : 10;

installPeers();
for (const scenario of SCENARIOS) {
  if (only !== undefined && !scenario.title.includes(only)) continue;
  const runs = Object.fromEntries(NAMES.map((name) => [name, []]));
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const name of NAMES) runs[name].push(await measure(name, scenario));
  }
  report(scenario, runs);
}

async function measure(name, { load, per }) {
  const server = await startServer({ name, core: CORES > 1 ? 0 : undefined });
  const settings = JSON.stringify({ name, url: server.url, warmUp: 2, seconds, ...load });
  const child = fork(LOAD, [settings], { execArgv: [] });
  if (CORES > 1) spawnSync('taskset', ['-cp', '1', String(child.pid)]);
  try {
    await said(child);
    const before = server.cpuSeconds();
    child.send('go');
    await said(child);
    const cpu = server.cpuSeconds() - before;
    const figures = await said(child);
    return {
      ...figures,
      cost: (cpu / figures[per]) * 1e6,
      share: cpu / figures.seconds,
      lost: figures.expected - figures.received,
      resident: server.residentMegabytes(),
    };
  } finally {
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
    server.stop();
  }
}

function said(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  });
}

function report({ title, target, p99 }, runs) {
  const floor = median(runs.ws.map(({ cost }) => cost));
  process.stdout.write(`\n${title}; at most ${target} x ws${p99 ? `, p99 ${p99} ms` : ''}\n`);
  for (const name of NAMES) {
    const costs = runs[name].map(({ cost }) => cost);
    const p99s = runs[name].map((run) => run.p99);
    const lost = Math.max(...runs[name].map((run) => run.lost));
    process.stdout.write(
      `  ${name.padEnd(12)} ${median(costs).toFixed(1).padStart(8)} us (${range(costs, 1)}), ` +
        `${(median(costs) / floor).toFixed(2)} x ws; p50 ${median(runs[name].map((run) => run.p50)).toFixed(1)} ms, ` +
        `p99 ${median(p99s).toFixed(1)} ms (${range(p99s, 1)}); ` +
        `core ${Math.round(100 * median(runs[name].map((run) => run.share)))} %; ` +
        `not delivered ${lost}; ${median(runs[name].map((run) => run.resident))} MB\n`,
    );
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function range(values, digits) {
  return `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;
}

function installPeers() {
  if (existsSync(`${PEERS}/node_modules/@hocuspocus/server`)) return;
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: PEERS,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error('what is to be compared with could not be installed');
}
