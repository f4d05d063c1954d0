/**
 * What stands in the place of an update that was set aside, and what others lose by it.
 *
 * A set-aside update leaves no hole: later updates of its author still follow, and
 * a client that sends it again is told that it is known.
 */
import * as Y from 'yjs';
import { assemble, EMPTY_UPDATE } from '../update/assemble.js';
import { Reader, uintSize, Writer } from '../update/bytes.js';
import type { Parsed } from '../update/parsed.js';
import { RangeSet } from '../update/ranges.js';
import {
  emptied,
  KIND_GC,
  KIND_SKIP,
  KIND_TYPE,
  NONE,
  newStruct,
  readStruct,
  type Struct,
} from '../update/struct.js';

/** The same items at the same places with nothing in them: what others wrote beside them stays where it is. */
export function inertCopy({ bytes, blocks }: Parsed): Uint8Array {
  const struct = newStruct();
  const parts = blocks.map(({ client, start, count, from }) => {
    const reader = new Reader(bytes, from);
    const chunks = Array.from({ length: count }, () => {
      const at = reader.pos;
      readStruct(reader, struct);
      return hasContent(struct)
        ? emptied(bytes.subarray(at, struct.contentStart), struct.length)
        : bytes.subarray(at, reader.pos);
    });
    return { client, start, count, chunks };
  });
  return assemble(parts, []);
}

/** GC structs over those clocks of an update that the document lacks. */
export function inertFill(doc: Y.Doc, { blocks }: Parsed): Uint8Array {
  const parts = [];
  for (const { client, end } of blocks) {
    const start = Y.getState(doc.store, client);
    if (start >= end) continue;
    const writer = new Writer(1 + uintSize(end - start));
    writer.bytes[writer.pos++] = KIND_GC;
    writer.uint(end - start);
    parts.push({ client, start, count: 1, chunks: [writer.bytes] });
  }
  return parts.length === 0 ? EMPTY_UPDATE : assemble(parts, []);
}

function hasContent({ kind }: Struct): boolean {
  return kind !== KIND_GC && kind !== KIND_SKIP;
}

/**
 * Where in a document nothing can be written any more, because of what was set
 * aside. Yjs drops what others write there, and says nothing.
 */
export class Losses {
  readonly #doc: Y.Doc;
  /** Types that stand emptied: one may write beside them, not inside. */
  readonly #types = new RangeSet();
  /** Items that are gone altogether: nothing can be written beside them either. */
  readonly #items = new RangeSet();
  #areNone = true;

  constructor(doc: Y.Doc) {
    this.#doc = doc;
  }

  /** @param update was set aside, and what is left of it is in the document */
  add(update: Parsed): void {
    for (const [struct, client, clock] of structsIn(update)) {
      if (!hasContent(struct)) continue;
      const kept = Y.getItem(this.#doc.store, Y.createID(client, clock)) as Y.Item | Y.GC;
      if (kept instanceof Y.GC) this.#items.add(client, clock, clock + struct.length);
      else if (struct.kind === KIND_TYPE && kept.deleted) this.#types.add(client, clock, clock + 1);
      else continue;
      this.#areNone = false;
    }
  }

  /** Whether an update that was not applied yet writes there. */
  areMetBy(update: Parsed): boolean {
    if (this.#areNone) return false;
    for (const [struct] of structsIn(update)) {
      if (
        has(this.#items, struct.originClient, struct.originClock) ||
        has(this.#items, struct.rightClient, struct.rightClock) ||
        has(this.#items, struct.parentClient, struct.parentClock) ||
        has(this.#types, struct.parentClient, struct.parentClock)
      ) {
        return true;
      }
    }
    return false;
  }
}

/** Each struct with its id. The struct is the same object each time. */
function* structsIn({ bytes, blocks }: Parsed): Generator<[Struct, client: number, clock: number]> {
  const struct = newStruct();
  for (const { client, start, count, from } of blocks) {
    const reader = new Reader(bytes, from);
    for (let i = 0, clock = start; i < count; i++, clock += struct.length) {
      readStruct(reader, struct);
      yield [struct, client, clock];
    }
  }
}

function has(set: RangeSet, client: number, clock: number): boolean {
  if (client === NONE) return false;
  const outside: number[] = [];
  set.subtractFrom(client, clock, clock + 1, outside);
  return outside.length === 0;
}
