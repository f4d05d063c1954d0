/** `npm run fuzz -- --frames 1000000 --seed 1`: a run, what it does meanwhile, and what came of it. */
import { parseArgs } from 'node:util';
import { Broken, type Figures } from './figures.js';
import { fuzz, type Report } from './fuzz.js';

const PROGRESS_MS = 10_000;

/** @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      frames: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      first: { type: 'string', default: '0' },
    },
  });
  const seed = values.seed === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const frames = Number(values.frames);
  const first = Number(values.first);
  if (![seed, frames, first].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    console.error('--frames, --seed and --first are whole numbers');
    return 2;
  }
  console.log(`${frames} frames, seed ${seed}`);
  // So that what has to happen at the exit does.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const start = performance.now();
  let told = start;
  const onProgress = (figures: Figures): void => {
    if (performance.now() - told < PROGRESS_MS) return;
    told = performance.now();
    console.log(`${seconds(start)}: ${figures.frames} frames in ${figures.sessions} sessions`);
  };
  try {
    const report = await fuzz({ seed, frames, first, onProgress });
    console.log(`${summary(report)}\n\nAll held, in ${seconds(start)}.`);
    return 0;
  } catch (error) {
    console.error(error instanceof Broken ? `Broken: ${error.message}` : error);
    return 1;
  }
}

function summary({ figures, rooms, witness, memory, target, yjsThrew }: Report): string {
  const { before, after } = memory;
  const grown = (name: 'heapUsed' | 'external' | 'rss') =>
    `${megabytes(before[name])} → ${megabytes(after[name])}`;
  return [
    `${figures.frames} frames in ${figures.sessions} sessions in ${rooms} rooms`,
    `what followed: ${figures.outcomes}`,
    `upgrades: ${figures.statuses}`,
    `kinds: ${figures.kinds}`,
    `witness: ${witness.edits} edits, the slowest arrived after ${Math.round(witness.slowest.arrived)} ms and was saved after ${Math.round(witness.slowest.saved)} ms`,
    `memory: heap ${grown('heapUsed')}, buffers ${grown('external')}, resident ${grown('rss')}`,
    `log: ${target.logged}`,
    `Yjs threw ${yjsThrew} times in honest clients`,
  ].join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function seconds(start: number): string {
  return `${Math.round((performance.now() - start) / 1000)} s`;
}
