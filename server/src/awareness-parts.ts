/** Awareness of a very full room, in messages that a slow line can carry. */
import { type AwarenessEntry, encodeAwareness } from './awareness.js';

/** Bytes of a part, about, and of an entry beside its state. */
const PART_BYTES = 256_000;
const ENTRY_BYTES = 12;

/** In several updates where a slow line would take too long for one. */
export function encodeAwarenessInParts(entries: readonly AwarenessEntry[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let part: AwarenessEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (bytes > 0 && bytes + entry.state.length > PART_BYTES) {
      parts.push(encodeAwareness(part));
      part = [];
      bytes = 0;
    }
    part.push(entry);
    bytes += entry.state.length + ENTRY_BYTES;
  }
  if (part.length > 0) parts.push(encodeAwareness(part));
  return parts;
}
