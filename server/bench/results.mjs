/** Keeps the figures of every run in results.json, and makes RESULTS.md and the charts of it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reckoned } from './capacity.mjs';
import { drawCharts } from './charts.mjs';
import { commit, machine, versions } from './machine.mjs';
import { report } from './report.mjs';
import { SCENARIOS } from './scenarios/index.mjs';
import { OURS } from './servers.mjs';

/** A scenario's figures take the place of its earlier ones; all others stay. */
export function merge(folder, { id }, runs) {
  const results = readResults(folder);
  results[id] = {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    versions: versions(),
    machine: machine(),
    runs: Object.fromEntries(Object.entries(runs).map(([name, each]) => [name, each.map(rounded)])),
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
}

/** A new table and new charts from what is kept. */
export async function render(folder) {
  const results = readResults(folder);
  const charts = await drawCharts(join(folder, 'charts'), results);
  const capacity = await reckoned(results, SCENARIOS, OURS);
  writeFileSync(join(folder, 'RESULTS.md'), report(results, charts, capacity));
}

export function readResults(folder) {
  const file = join(folder, 'results.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

/** Of a figure more digits say nothing. */
function rounded(run) {
  return Object.fromEntries(
    Object.entries(run).map(([key, value]) => [
      key,
      typeof value === 'number' && value !== 0 ? Number(value.toPrecision(4)) : value,
    ]),
  );
}
