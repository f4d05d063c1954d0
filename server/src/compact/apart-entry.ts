/**
 * A process that does one job and ends. What it runs out of memory in is its own: where memory is
 * short, the kernel ends it before the server.
 *
 * Invariant: it outlives the server that started it by no more than its job's time.
 */
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { runInThisContext } from 'node:vm';
import type { Answer, ApartTask } from './apart.js';
import { readFrame, writeFrame } from './frames.js';
import run from './worker.js';

/** Where a core is shared, those who type come first. */
const NICE = 10;
/** The most that there is: first to go. */
const OOM_SCORE = '1000';

/** A thread of V8 ends the job when its time is over, also when nobody is there to end the process. */
function runFor(milliseconds: number, job: () => unknown): unknown {
  const name = 'cowriteJob';
  Object.assign(globalThis, { [name]: job });
  return runInThisContext(`${name}()`, { timeout: Math.ceil(milliseconds) });
}

function answerTo({ task, patience }: ApartTask): Answer {
  try {
    return { result: runFor(patience, () => run(task)) };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return { error: { name, message, ...(stack !== undefined && { stack }) } };
  }
}

process.once('disconnect', () => process.exit());
setPriority(NICE);
if (process.platform === 'linux') {
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
  } catch {
    // A sandbox without /proc: the kernel chooses by size, as it would have.
  }
}
const task = (await readFrame(process.stdin)) as ApartTask;
await writeFrame(process.stdout, answerTo(task));
process.exit();
