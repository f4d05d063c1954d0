/**
 * Cuts an update that is too large for one message into several, each of which can be integrated
 * when those before it are: a block stops where it needs an id of another that is still to come, and
 * goes on behind it. Yjs keeps what comes too early, and reads all of it again with each piece.
 *
 * Linear, and without a document: bytes are copied, only strings and lists that are larger than a
 * piece are cut inside. One value that is larger than a piece, such as a picture, stays whole.
 */
import { assemble, type Part } from './assemble.js';
import { Reader } from './bytes.js';
import { divide } from './divide.js';
import type { Ranges } from './ranges.js';
import { NONE, newStruct, readStruct, type Struct } from './struct.js';

/** Bytes from which on an update is cut: what a line of 64 KB/s carries in 8 s. */
export const LARGE_MESSAGE = 512_000;
/** Bytes of a piece, about. */
export const PIECE = 256_000;
/** Numbers of a delete set in a piece: each has five bytes at most. */
const PIECE_NUMBERS = PIECE / 5;

/** One client's structs, and how far they have been handed out. */
interface Cursor {
  readonly client: number;
  readonly end: number;
  clock: number;
  pos: number;
  left: number;
  /** A block further down the stack waits for it, so that it can wait for none of those. */
  isWaiting: boolean;
}

/** What the piece that is being filled has of one client. */
interface Section {
  readonly client: number;
  readonly start: number;
  count: number;
  readonly chunks: Uint8Array[];
  /** Bytes that follow the chunks. */
  from: number;
  to: number;
}

/**
 * @param update one that the log holds, or that was made of such: it was admitted
 * @returns in the order in which they are to be sent; the update itself where it is not large
 */
export function cutUpdate(update: Uint8Array, large = LARGE_MESSAGE, piece = PIECE): Uint8Array[] {
  if (update.length <= large) return [update];
  const reader = new Reader(update);
  const cursors = readBlocks(reader);
  const pieces = new Filler(update, piece);
  for (const cursor of cursors.values()) takeAll(cursor, cursors, reader, pieces);
  pieces.flush();
  for (const deletes of readDeletes(reader)) pieces.pieces.push(assemble([], deletes));
  return pieces.pieces;
}

/** Leaves the reader behind the structs. */
function readBlocks(reader: Reader): Map<number, Cursor> {
  const cursors = new Map<number, Cursor>();
  const struct = newStruct();
  for (let blocks = reader.uint(); blocks > 0; blocks--) {
    const count = reader.uint();
    const client = reader.uint();
    const start = reader.uint();
    const { pos } = reader;
    let end = start;
    for (let i = 0; i < count; i++) {
      readStruct(reader, struct);
      end += struct.length;
    }
    cursors.set(client, { client, end, clock: start, pos, left: count, isWaiting: false });
  }
  return cursors;
}

/** Hands out all of a block, and of the others what that needs. */
function takeAll(
  first: Cursor,
  cursors: ReadonlyMap<number, Cursor>,
  bytes: Reader,
  pieces: Filler,
): void {
  const reader = new Reader(bytes.bytes);
  const struct = newStruct();
  /** Each waits for the one above it to reach a clock. */
  const stack: { readonly cursor: Cursor; readonly until: number }[] = [
    { cursor: first, until: first.end },
  ];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { cursor, until } = top;
    let needed: ReturnType<typeof neededBy> | undefined;
    cursor.isWaiting = false;
    while (cursor.clock < until && cursor.left > 0) {
      reader.pos = cursor.pos;
      readStruct(reader, struct);
      needed = neededBy(struct, cursors);
      if (needed !== undefined) break;
      pieces.take(cursor, struct, reader.pos);
      cursor.pos = reader.pos;
      cursor.clock += struct.length;
      cursor.left--;
    }
    if (needed === undefined) stack.pop();
    else {
      cursor.isWaiting = true;
      stack.push(needed);
    }
  }
}

/** Another block that has to get further before this struct. */
function neededBy(struct: Struct, cursors: ReadonlyMap<number, Cursor>) {
  return (
    ahead(struct.originClient, struct.originClock, cursors) ??
    ahead(struct.rightClient, struct.rightClock, cursors) ??
    ahead(struct.parentClient, struct.parentClock, cursors)
  );
}

function ahead(client: number, clock: number, cursors: ReadonlyMap<number, Cursor>) {
  if (client === NONE) return undefined;
  const cursor = cursors.get(client);
  // What is not in this update the receiver has. A circle, which is never admitted, is broken anywhere.
  const isThere = cursor === undefined || clock < cursor.clock || clock >= cursor.end;
  return isThere || cursor.isWaiting ? undefined : { cursor, until: clock + 1 };
}

class Filler {
  readonly pieces: Uint8Array[] = [];
  readonly #update: Uint8Array;
  readonly #most: number;
  readonly #sections = new Map<number, Section>();
  #size = 0;

  constructor(update: Uint8Array, most: number) {
    this.#update = update;
    this.#most = most;
  }

  /** The struct at the cursor, which ends at `to`. */
  take(cursor: Cursor, struct: Struct, to: number): void {
    const { client, clock, pos } = cursor;
    const size = to - pos;
    if (this.#size + size > this.#most) this.flush();
    if (size > this.#most) {
      let start = clock;
      for (const { bytes, length } of divide(
        this.#update,
        client,
        clock,
        struct,
        pos,
        to,
        this.#most,
      )) {
        if (this.#size + bytes.length > this.#most) this.flush();
        this.#add(client, start, bytes);
        start += length;
      }
      return;
    }
    const section = this.#section(client, clock);
    if (section.to !== pos) {
      this.#close(section);
      section.from = pos;
    }
    section.to = to;
    section.count++;
    this.#size += size;
  }

  #add(client: number, start: number, bytes: Uint8Array): void {
    const section = this.#section(client, start);
    this.#close(section);
    section.chunks.push(bytes);
    section.count++;
    this.#size += bytes.length;
  }

  #section(client: number, start: number): Section {
    let section = this.#sections.get(client);
    if (section === undefined) {
      section = { client, start, count: 0, chunks: [], from: 0, to: 0 };
      this.#sections.set(client, section);
    }
    return section;
  }

  #close(section: Section): void {
    if (section.to > section.from) {
      section.chunks.push(this.#update.subarray(section.from, section.to));
    }
    section.from = 0;
    section.to = 0;
  }

  flush(): void {
    if (this.#sections.size === 0) return;
    const parts: Part[] = [];
    for (const section of this.#sections.values()) {
      this.#close(section);
      parts.push(section);
    }
    this.pieces.push(assemble(parts, []));
    this.#sections.clear();
    this.#size = 0;
  }
}

/** In parts of {@link PIECE_NUMBERS}. */
function* readDeletes(reader: Reader): Generator<[number, Ranges][]> {
  let part: [number, Ranges][] = [];
  let numbers = 0;
  for (let clients = reader.uint(); clients > 0; clients--) {
    const client = reader.uint();
    let ranges: Ranges = [];
    part.push([client, ranges]);
    for (let left = reader.uint(); left > 0; left--) {
      const start = reader.uint();
      ranges.push(start, start + reader.uint());
      numbers += 2;
      if (numbers < PIECE_NUMBERS) continue;
      yield part;
      ranges = [];
      part = [[client, ranges]];
      numbers = 0;
    }
  }
  if (numbers > 0) yield part;
}
