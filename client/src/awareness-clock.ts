/**
 * The clocks that others remember of a document's clients.
 *
 * A page may give up a provider and make another for the same document: on navigation, in React's
 * strict mode, with a document that outlives its component. The document keeps its client id, a new
 * `Awareness` counts from 0, and others ignore it until it has passed the clock that they remember.
 */
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';

const clocks = new WeakMap<Y.Doc, Map<number, number>>();

/** Others may have seen the own state as it is now. */
export function rememberClock({ doc, clientID, meta }: Awareness): void {
  const clock = meta.get(clientID)?.clock;
  if (clock === undefined) return;
  const known = clocks.get(doc) ?? new Map<number, number>();
  clocks.set(doc, known);
  known.set(clientID, Math.max(clock, known.get(clientID) ?? 0));
}

/** Goes on from the clock that others may remember; the next change of the own state has a later one. */
export function continueClock({ doc, clientID, meta }: Awareness): void {
  const last = clocks.get(doc)?.get(clientID);
  const own = meta.get(clientID);
  if (last === undefined || (own !== undefined && own.clock > last)) return;
  meta.set(clientID, { clock: last + 1, lastUpdated: own?.lastUpdated ?? 0 });
}
