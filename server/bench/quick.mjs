/**
 * The guard against regressions: a few ratios, compared with those that were
 * recorded. Ratios, because the machine is another one each time; and the better
 * of two, because it has other things to do.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { commit, machine, versions } from './machine.mjs';
import { digits, median } from './numbers.mjs';
import { SCENARIOS } from './scenarios/index.mjs';
import { withDocument } from './scenarios/joins.mjs';
import { bounded } from './scope.mjs';
import { BARE, LABELS, OURS } from './servers.mjs';

const RECORD = new URL('recorded-quick.json', import.meta.url);
const WORSE = 1.25;
const RECORDING_REPEATS = 3;
const SECONDS = 3;
const LIMIT_SECONDS = 40;
/** Idle connections are measured with fewer. */
const FILES = 2_300;

const guarded = (id) => {
  const { title, main, figures, measure } = SCENARIOS.find((scenario) => scenario.id === id);
  return { id, title: `${title}: ${figures[main].label}`, figure: main, beside: BARE, measure };
};

const GUARDED = [
  guarded('typing/200x3'),
  guarded('typing/1-to-100'),
  guarded('typing/20-to-100'),
  guarded('cursors/50'),
  { ...guarded('memory/idle'), title: '2,000 idle connections: per connection' },
  {
    id: 'joins/1mb',
    title: '100 clients join a 1 MB document just edited: CPU',
    figure: 'cpu',
    // A bare broadcast has no document to hand out.
    beside: 'y-websocket',
    async measure(scope, { name }) {
      const { join } = await withDocument(scope, { name, megabytes: 1 });
      return join(100, 'empty');
    },
  },
];

/** @returns exit code */
export async function quick({ record: isRecording, only }) {
  const recorded = existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, 'utf8')) : { ratios: {} };
  const ratios = {};
  let isWorse = false;
  for (const guard of GUARDED) {
    if (only !== undefined && !`${guard.id} ${guard.title}`.includes(only)) continue;
    const { id, title, beside } = guard;
    const bound = recorded.ratios[id] * WORSE;
    const tries = [];
    const isEnough = () =>
      isRecording
        ? tries.length >= RECORDING_REPEATS
        : tries.length >= 2 || tries.some((ratio) => !(ratio > bound));
    do tries.push(await ratioOf(guard));
    while (!isEnough());
    const ratio = isRecording ? median(tries) : Math.min(...tries);
    ratios[id] = Number(ratio.toFixed(3));
    const isBad = !isRecording && (Number.isNaN(ratio) || ratio > bound);
    if (isBad) isWorse = true;
    process.stdout.write(
      `${isBad ? 'WORSE ' : ''}${title}: ${tries.map(digits).join(', ')} x ${LABELS[beside]}` +
        `${isRecording ? '' : `; recorded ${recorded.ratios[id] ?? 'nothing'}`}\n`,
    );
  }
  if (isRecording) {
    const kept = { ...recorded.ratios, ...ratios };
    const when = { date: new Date().toISOString().slice(0, 10), commit: commit() };
    const text = JSON.stringify(
      { ...when, versions: versions(), machine: machine(), ratios: kept },
      null,
      2,
    );
    writeFileSync(RECORD, `${text}\n`);
  }
  return isWorse ? 1 : 0;
}

/** @returns NaN when one of the two could not be measured */
async function ratioOf({ figure, beside, measure }) {
  const values = [];
  for (const name of [beside, OURS]) {
    const run = await bounded(LIMIT_SECONDS, (scope) =>
      measure(scope, { name, seconds: SECONDS, files: FILES }),
    );
    if (run.failed !== undefined) process.stderr.write(`${LABELS[name]}: ${run.failed}\n`);
    values.push(run[figure] ?? Number.NaN);
  }
  return values[1] / values[0];
}
