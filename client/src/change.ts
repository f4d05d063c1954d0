/**
 * What was made here, as ranges of clocks: what a change inserted, and what it deleted.
 *
 * Plain data, which may be cloned to another page or into a database. Invariant: the ranges of a
 * client are in order and do not touch.
 */
import * as Y from 'yjs';

/** A set of clocks of each client, in Yjs's own form. */
export type Ranges = ReturnType<typeof Y.createDeleteSet>;

export interface Change {
  readonly insertions: Ranges;
  readonly deletions: Ranges;
  /** Whether there is more of which nobody knows who made it, and which nothing can undo. */
  readonly isUnknown?: boolean | undefined;
  /** What is left of changes that were refused: what was inserted, copies too, and what was deleted. */
  readonly traces?: Change;
}

/** Where a change of the document comes from: this page, another tab, the server, or its refusal. */
export type Source = 'here' | 'tab' | 'server' | 'takenBack';

export const NOTHING: Ranges = Y.createDeleteSet();

export const NONE: Change = { insertions: NOTHING, deletions: NOTHING };

/** Content that was there before anybody watched. */
export const UNKNOWN: Change = { ...NONE, isUnknown: true };

/** The number of no message. */
export const NEVER = Number.POSITIVE_INFINITY;

/** All of them as one. */
export function merge(changes: readonly Change[]): Change {
  return {
    insertions: Y.mergeDeleteSets(changes.map(({ insertions }) => insertions)),
    deletions: Y.mergeDeleteSets(changes.map(({ deletions }) => deletions)),
    isUnknown: changes.some(({ isUnknown }) => isUnknown),
  };
}

/** Whether nothing is known of it. */
export function isEmpty({ insertions, deletions }: Change): boolean {
  return insertions.clients.size + deletions.clients.size === 0;
}

/** To be called in the order of a client's clocks, or to be merged afterwards. */
export function addRange(
  { clients }: Ranges,
  { client, clock }: Pick<Y.ID, keyof Y.ID>,
  len: number,
): void {
  const ranges = clients.get(client) ?? [];
  clients.set(client, ranges);
  ranges.push({ clock, len });
}

/** The clocks that a state vector says are known. */
export function below(stateVector: Uint8Array): Ranges {
  const ranges = Y.createDeleteSet();
  for (const [client, len] of Y.decodeStateVector(stateVector)) {
    ranges.clients.set(client, [{ clock: 0, len }]);
  }
  return ranges;
}

/** What is in the first, and not in the other. */
export function without(change: Change, other: Change): Change {
  return {
    ...change,
    insertions: outside(change.insertions, other.insertions),
    deletions: outside(change.deletions, other.deletions),
  };
}

/** The same of one of its two. */
export function outside({ clients }: Ranges, other: Ranges): Ranges {
  const rest = Y.createDeleteSet();
  for (const [client, ranges] of clients) {
    const holes = other.clients.get(client) ?? [];
    const left: typeof holes = [];
    let at = 0;
    for (const range of ranges) {
      let { clock } = range;
      const end = clock + range.len;
      for (; ; at++) {
        const hole = holes[at];
        if (hole === undefined || hole.clock >= end) break;
        if (hole.clock > clock) left.push({ clock, len: hole.clock - clock });
        clock = Math.max(clock, hole.clock + hole.len);
        // The next range may begin in the same hole.
        if (clock >= end) break;
      }
      if (clock < end) left.push({ clock, len: end - clock });
    }
    if (left.length > 0) rest.clients.set(client, left);
  }
  return rest;
}
