/**
 * One run: a server, its witness, and attackers until enough frames are sent; then
 * everything that has to hold.
 */
import { setTimeout } from 'node:timers/promises';
import { Dice } from '../test/seeded.js';
import { Attackers } from './attackers.js';
import { Broken, Figures } from './figures.js';
import { type Memory, Target } from './target.js';
import { Witness } from './witness.js';
import { YjsThrows } from './yjs-throws.js';

/**
 * By how many bytes memory may have grown since before the first frame, once rooms are at
 * rest. On the heap V8 has put some 5 MB of compiled code by then. Beside it are snapshots,
 * in a cache of at most 128 MB. Resident are pages, too, that malloc and V8 keep for later:
 * that bound is for a leak that neither of the others counts.
 */
const MAX_GROWTH = { heapUsed: 12e6, external: 140e6, rss: 700e6 };
const PARTS = ['heapUsed', 'external', 'rss'] as const;
/** Empty rooms are compacted and forgotten after ten seconds. */
const QUIET_MS = 90_000;
const LOOK_MS = 500;
/** Frames that may stay unanswered, since a server may stop reading who sends too much. */
const MAX_UNANSWERED = 0.01;
const WITNESS_SOCKETS = 2;

export interface Run {
  readonly seed: number;
  readonly frames: number;
  /** The number of the first session; those before it are left out. */
  readonly first?: number;
  readonly onProgress?: (figures: Figures) => void;
}

export interface Report {
  readonly figures: Figures;
  readonly rooms: number;
  readonly witness: Witness;
  readonly memory: { readonly before: Memory; readonly after: Memory };
  readonly target: Target;
  /** In honest clients. */
  readonly yjsThrew: number;
}

/** @throws {Broken} with what did not hold, and the sessions that were under way */
export async function fuzz(run: Run): Promise<Report> {
  const { seed, frames, first = 0, onProgress } = run;
  const figures = new Figures();
  const yjs = new YjsThrows();
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);
  const target = await Target.start((problem) => fail(new Broken(problem)));
  const { port, url } = target;
  const progress = onProgress && (() => onProgress(figures));
  const attackers = new Attackers({ port, url, seed, first, figures, onProgress: progress });
  try {
    const witness = await Witness.start(url, new Dice(seed), fail);
    const before = await target.memory();
    await Promise.race([failed, attackers.until(frames)]);
    await Promise.race([failed, attackers.rooms.check()]);
    const after = await Promise.race([failed, returned(target, before)]);
    await Promise.race([failed, witness.stop()]);
    checkFrames(figures);
    await target.stop();
    const [problem] = await target.problems();
    if (problem !== undefined) throw new Broken(problem);
    const memory = { before, after };
    return { figures, rooms: attackers.rooms.size, witness, memory, target, yjsThrew: yjs.count };
  } catch (error) {
    const { message } = error as Error;
    const where = `seed ${seed}, sessions under way: ${attackers.underWay.join(', ')}`;
    // A server that dies is noticed by its clients first.
    const problems = [message, ...(await target.problems())];
    throw new Broken(`${[...new Set(problems)].join('\n')}\n(${where})`, { cause: error });
  } finally {
    attackers.stop();
    await target.kill();
    yjs.end();
  }
}

/** Resolves once all sockets but the witness's are gone and memory is what it was, nearly. */
async function returned(target: Target, before: Memory): Promise<Memory> {
  const deadline = performance.now() + QUIET_MS;
  for (;;) {
    const now = await target.memory();
    const grown = PARTS.filter((part) => now[part] - before[part] > MAX_GROWTH[part]);
    if (grown.length === 0 && now.sockets <= WITNESS_SOCKETS) return now;
    if (performance.now() > deadline) {
      const parts = grown.map((part) => `${part} went from ${before[part]} to ${now[part]} bytes`);
      parts.push(`${now.sockets} sockets are open`);
      throw new Broken(`${QUIET_MS} ms after the last frame: ${parts.join(', ')}`);
    }
    await setTimeout(LOOK_MS);
  }
}

function checkFrames({ outcomes, frames }: Figures): void {
  const unanswered = outcomes.get('not answered') ?? 0;
  if (unanswered > frames * MAX_UNANSWERED) {
    throw new Broken(`${unanswered} of ${frames} frames were not answered at all`);
  }
}
