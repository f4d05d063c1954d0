/**
 * Whether an update says of known clocks what the log says of them.
 *
 * Live updates bring new clocks; known ones come again after a lost "saved", or from clients
 * that pass on what others wrote. So a look at each block's first clock is all that this costs.
 */
import type { Frontier } from './frontier.js';
import type { Parsed } from './parsed.js';
import { ClientIdConflict } from './refused.js';
import { contradiction, runOf } from './sameness.js';
import type { Tail } from './tail.js';

/** An id under which the update contradicts what is held. */
export interface Contradiction {
  readonly client: number;
  readonly clock: number;
}

/** Bytes of an update beyond which nothing of it is compared: that takes one turn of the loop. */
const MOST_COMPARED = 256 * 1024;

/** Whether there is anything to compare. */
export function hasKnown({ bytes, blocks }: Parsed, frontier: Frontier): boolean {
  if (bytes.length > MOST_COMPARED) return false;
  for (const { client, start } of blocks) if (start < frontier.clock(client)) return true;
  return false;
}

/** @returns the first contradiction with the tail */
export function findContradiction(
  { bytes, blocks }: Parsed,
  frontier: Frontier,
  tail: Tail,
): Contradiction | undefined {
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

/** @returns each client with its first clock that is known, and only in the snapshot */
export function knownBeforeTail(
  { blocks }: Parsed,
  frontier: Frontier,
  tail: Tail,
): Map<number, number> {
  const before = new Map<number, number>();
  for (const { client, start } of blocks) {
    if (start >= frontier.clock(client)) continue;
    const run = tail.run(client, start);
    if (run === undefined || start < run.start) before.set(client, start);
  }
  return before;
}

/**
 * @param stored structs of the snapshot, as {@link knownBeforeTail} asks for them
 * @throws {ClientIdConflict}
 */
export function checkAgainst(stored: Parsed, { bytes, blocks }: Parsed): void {
  const byClient = new Map(stored.blocks.map((block) => [block.client, block]));
  for (const block of blocks) {
    const kept = byClient.get(block.client);
    if (kept === undefined) continue;
    const clock = contradiction(runOf(bytes, block), runOf(stored.bytes, kept), kept.end);
    if (clock !== undefined) throw new ClientIdConflict(block.client, clock);
  }
}
