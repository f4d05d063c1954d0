/** Who is in a room, as JSON. */
import type { AwarenessEntry } from '../awareness.js';
import type { ShownPerson } from './shapes.js';

/** People, and bytes of their states, in one answer. */
const MAX_PEOPLE = 1_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** @returns as many as fit into an answer */
export function peopleOf(entries: readonly AwarenessEntry[]): ShownPerson[] {
  const people: ShownPerson[] = [];
  let bytes = 0;
  for (const { client, state } of entries.slice(0, MAX_PEOPLE)) {
    bytes += state.length;
    if (bytes > MAX_BYTES) break;
    people.push({ client, state: stateOf(state) });
  }
  return people;
}

/** Whoever took the state over has made sure that it is JSON; another instance's presence store only says so. */
export function stateOf(state: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(state).toString());
  } catch {
    return null;
  }
}
