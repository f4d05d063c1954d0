/**
 * Whether an update says of known clocks what the log says of them.
 *
 * Live updates bring new clocks; known ones come again after a lost "saved", or from clients
 * that pass on what others wrote. So a look at each block's first clock is all that this costs.
 * What comes again is compared on the loop where that is little, else in a worker.
 */
import type { Frontier } from './frontier.js';
import type { Parsed } from './parsed.js';
import { contradiction, runOf } from './sameness.js';
import type { Tail } from './tail.js';

/** An id under which the update contradicts what is held. */
export interface Contradiction {
  readonly client: number;
  readonly clock: number;
}

/** What an update is compared with in a worker. */
export interface Comparison {
  readonly withSnapshot: boolean;
  readonly withTail: boolean;
}

/** Bytes, of an update and of what is held, that are compared on the loop; it takes a millisecond or two at most. */
const MOST_ON_LOOP = 16 * 1024;

/** Whether there is anything to compare. */
export function hasKnown({ blocks }: Parsed, frontier: Frontier): boolean {
  for (const { client, start } of blocks) if (start < frontier.clock(client)) return true;
  return false;
}

/** @returns the first contradiction with the tail; of one that would take long undefined: see {@link comparisonOf} */
export function findContradiction(
  update: Parsed,
  frontier: Frontier,
  tail: Tail,
): Contradiction | undefined {
  if (takesLong(update, frontier, tail)) return undefined;
  const { bytes, blocks } = update;
  for (const block of blocks) {
    const { client, start } = block;
    const known = frontier.clock(client);
    const run = start < known ? tail.run(client, start) : undefined;
    if (run === undefined) continue;
    const clock = contradiction(runOf(bytes, block), run, Math.min(known, block.end));
    if (clock !== undefined) return { client, clock };
  }
  return undefined;
}

/** @returns what {@link findContradiction} leaves out; undefined where that is nothing */
export function comparisonOf(
  update: Parsed,
  frontier: Frontier,
  tail: Tail,
): Comparison | undefined {
  if (!hasKnown(update, frontier)) return undefined;
  const withTail = takesLong(update, frontier, tail);
  const withSnapshot = isKnownBefore(update, frontier, tail);
  return withTail || withSnapshot ? { withTail, withSnapshot } : undefined;
}

function takesLong({ bytes, blocks }: Parsed, frontier: Frontier, tail: Tail): boolean {
  let size = bytes.length;
  for (const { client, start, end } of blocks) {
    const known = Math.min(end, frontier.clock(client));
    if (start < known) size += tail.sizeOf(client, start, known);
  }
  return size > MOST_ON_LOOP;
}

/** Whether some of what is known is only in the snapshot. */
function isKnownBefore({ blocks }: Parsed, frontier: Frontier, tail: Tail): boolean {
  return blocks.some(({ client, start }) => {
    if (start >= frontier.clock(client)) return false;
    const run = tail.run(client, start);
    return run === undefined || start < run.start;
  });
}

/**
 * @param stored an update with structs of each client in a row
 * @returns the first contradiction with that
 */
export function contradictionWith(
  stored: Parsed,
  { bytes, blocks }: Parsed,
): Contradiction | undefined {
  const byClient = new Map(stored.blocks.map((block) => [block.client, block]));
  for (const block of blocks) {
    const { client } = block;
    const kept = byClient.get(client);
    if (kept === undefined) continue;
    const clock = contradiction(runOf(bytes, block), runOf(stored.bytes, kept), kept.end);
    if (clock !== undefined) return { client, clock };
  }
  return undefined;
}
