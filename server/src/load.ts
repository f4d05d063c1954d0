/**
 * A room as the store has it: its frontier, its tail, and what of its log cannot
 * be used. Reads only. Takes the loop in slices, because a tail may be long.
 */
import type { Clock } from './clock.js';
import type { Quarantined, SnapshotMeta, Storage } from './storage/storage.js';
import { admit, type Change } from './update/admit.js';
import { Depth } from './update/depth.js';
import { Frontier } from './update/frontier.js';
import { Levels } from './update/levels.js';
import { parseUpdate, UNBOUNDED } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { decodeReach } from './update/reach.js';
import { UpdateRefused } from './update/refused.js';
import { Tail } from './update/tail.js';

export interface LoadedRoom {
  readonly frontier: Frontier;
  readonly tail: Tail;
  readonly depth: Depth;
  readonly snapshot: SnapshotMeta | undefined;
  /** The seq up to which the store was read; so far a position in the tail is a seq. */
  readonly head: number;
  /** Damaged, missing, refused, or dependent on one of those. */
  readonly unusable: readonly Quarantined[];
}

/** The room was removed: nobody enters it until it is revived. */
export class RoomDeleted extends Error {
  override readonly name = 'RoomDeleted';

  constructor() {
    super('the room was deleted');
  }
}

/** Milliseconds of the loop that loading takes at a stretch. */
const SLICE_MS = 5;

/** @throws {RoomDeleted} or whatever the store throws */
export async function loadRoom(name: string, storage: Storage, clock: Clock): Promise<LoadedRoom> {
  const { snapshot, tail: entries, damaged, lastSeq, isDeleted } = await storage.load(name);
  if (isDeleted) throw new RoomDeleted();
  const frontier = new Frontier();
  let levels = new Levels();
  if (snapshot !== undefined) {
    const reach = decodeReach(snapshot.stateVector);
    levels = reach.levels;
    frontier.load(reach.vector, parseUpdate(snapshot.deletes, UNBOUNDED));
  }
  const base = snapshot?.seq ?? 0;
  let types = 0;
  const tail = new Tail(base);
  const unusable = [...damaged];
  const present = new Set([...entries, ...damaged].map(({ seq }) => seq));
  for (let seq = base + 1; seq <= lastSeq; seq++) {
    if (present.has(seq)) continue;
    unusable.push({ seq, author: '', reason: 'it is missing', update: new Uint8Array(0) });
  }
  let sliceEnd = clock.now() + SLICE_MS;
  for (const entry of entries) {
    const result = replay(frontier, entry.update);
    if (typeof result === 'string') unusable.push({ ...entry, reason: result });
    else if (result !== undefined) {
      tail.append(entry.seq, result.change);
      types += result.parsed.types;
    }
    if (clock.now() > sliceEnd) {
      await new Promise<void>((resolve) => clock.soon(resolve));
      sliceEnd = clock.now() + SLICE_MS;
    }
  }
  tail.skipTo(lastSeq);
  const depth = new Depth(levels, base, types);
  return { frontier, tail, depth, snapshot, head: lastSeq, unusable };
}

/** @returns the change and what brings it, nothing when the entry brings none, or why it cannot be used */
function replay(
  frontier: Frontier,
  update: Uint8Array,
): { readonly change: Change; readonly parsed: Parsed } | string | undefined {
  try {
    const parsed = parseUpdate(update, UNBOUNDED);
    // An entry is in the document or in the quarantine, never half in each.
    const { change, missing } = admit(frontier, parsed, undefined, 'all or nothing');
    if (missing === undefined) return change && { change, parsed };
    return `it needs client ${missing.client} at ${missing.clock}, which is not in the log`;
  } catch (error) {
    if (error instanceof UpdateRefused) return error.message;
    throw error;
  }
}
