/**
 * Whether two encodings of the same clocks say the same.
 *
 * One client's clocks are written once. Where two clients use one id, each writes other content
 * under the same clocks: Yjs and admission take what came first, and drop the rest as known.
 * Honest repetitions differ in how items are cut, and in what was deleted since, which may
 * arrive as a GC or as deleted content. Deleted content still says where it was. Where it is not
 * certain that they differ, they are the same.
 */
import { isDeepStrictEqual } from 'node:util';
import * as decoding from 'lib0/decoding';
import { Reader } from './bytes.js';
import type { Block } from './parsed.js';
import {
  KIND_ANY,
  KIND_BINARY,
  KIND_DELETED,
  KIND_DOC,
  KIND_EMBED,
  KIND_FORMAT,
  KIND_GC,
  KIND_JSON,
  KIND_SKIP,
  KIND_STRING,
  KIND_TYPE,
  NONE,
  newStruct,
  readStruct,
  type Struct,
} from './struct.js';

/** Structs of one client, the first of them at `start`. */
export interface Run {
  readonly bytes: Uint8Array;
  readonly client: number;
  readonly start: number;
  /** Where the first struct begins in the bytes, and how many there are. */
  readonly from: number;
  readonly count: number;
}

export function runOf(bytes: Uint8Array, { client, start, from, count }: Block): Run {
  return { bytes, client, start, from, count };
}

/** @returns the first clock below `end` for which what is brought contradicts what is stored of one client */
export function contradiction(brought: Run, stored: Run, end: number): number | undefined {
  const a = new Walk(brought);
  const b = new Walk(stored);
  while (a.isThere && b.isThere) {
    const from = Math.max(a.clock, b.clock);
    const to = Math.min(a.end, b.end, end);
    if (from >= end) return undefined;
    if (from < to && !areSame(a, b, from, to)) return from;
    if (a.end <= b.end) a.next();
    else b.next();
  }
  return undefined;
}

class Walk {
  readonly bytes: Uint8Array;
  readonly client: number;
  readonly struct: Struct = newStruct();
  clock: number;
  end: number;
  /** Where the struct begins in the bytes, and where it ends. */
  at = 0;
  #reader: Reader;
  #left: number;
  /** What is in the struct, once that was asked: many small structs may be compared with a large one. */
  #text: string | undefined;
  #values: unknown[] | undefined;
  isThere = true;

  constructor({ bytes, client, start, from, count }: Run) {
    this.bytes = bytes;
    this.client = client;
    this.clock = start;
    this.end = start;
    this.#reader = new Reader(bytes, from);
    this.#left = count;
    this.next();
  }

  get stop(): number {
    return this.#reader.pos;
  }

  get text(): string {
    this.#text ??= new Reader(this.bytes, this.struct.contentStart).string();
    return this.#text;
  }

  get values(): unknown[] {
    this.#values ??= valuesOf(this);
    return this.#values;
  }

  next(): void {
    this.clock = this.end;
    this.#text = undefined;
    this.#values = undefined;
    this.isThere = this.#left-- > 0;
    if (!this.isThere) return;
    this.at = this.#reader.pos;
    readStruct(this.#reader, this.struct);
    this.end = this.clock + this.struct.length;
  }
}

function areSame(a: Walk, b: Walk, from: number, to: number): boolean {
  const { kind } = a.struct;
  const stored = b.struct.kind;
  // Who brings nothing loses nothing.
  if (hasNoContent(kind) || stored === KIND_GC || stored === KIND_SKIP) return true;
  if (!isSamePlace(a, b, from)) return false;
  return stored === KIND_DELETED || (kind === stored && isSameContent(a, b, from, to));
}

function hasNoContent(kind: number): boolean {
  return kind === KIND_GC || kind === KIND_DELETED || kind === KIND_SKIP;
}

/** Behind a cut an item's origin is the unit before it. */
function isSamePlace(a: Walk, b: Walk, clock: number): boolean {
  const [one, other] = [a.struct, b.struct];
  const [isFirst, isOtherFirst] = [clock === a.clock, clock === b.clock];
  const client = isFirst ? one.originClient : a.client;
  if (client !== (isOtherFirst ? other.originClient : b.client)) return false;
  if (client !== NONE) {
    const origin = isFirst ? one.originClock : clock - 1;
    if (origin !== (isOtherFirst ? other.originClock : clock - 1)) return false;
  }
  if (one.rightClient !== other.rightClient) return false;
  if (one.rightClient !== NONE) return one.rightClock === other.rightClock;
  // Without either the parent is named, and perhaps a key in it.
  return client !== NONE || isEqual(parentOf(a), parentOf(b));
}

function parentOf({ bytes, at, struct }: Walk): Uint8Array {
  return bytes.subarray(at + 1, struct.contentStart);
}

function isSameContent(a: Walk, b: Walk, from: number, to: number): boolean {
  // Nothing is stored that is nested so deep, and comparing it might not come to an end.
  if (a.struct.isDeepValue || b.struct.isDeepValue) return false;
  switch (a.struct.kind) {
    case KIND_STRING:
      return isSameText(
        a.text.slice(from - a.clock, to - a.clock),
        b.text.slice(from - b.clock, to - b.clock),
      );
    case KIND_ANY:
    case KIND_JSON:
      return isDeepStrictEqual(
        a.values.slice(from - a.clock, to - a.clock),
        b.values.slice(from - b.clock, to - b.clock),
      );
    case KIND_EMBED:
    case KIND_FORMAT:
      return isEqual(contentOf(a), contentOf(b)) || isDeepStrictEqual(jsonOf(a), jsonOf(b));
    case KIND_BINARY:
    case KIND_TYPE:
      return isEqual(contentOf(a), contentOf(b));
    case KIND_DOC:
      return guidOf(a) === guidOf(b);
    default:
      return true;
  }
}

/** Half of a surrogate pair, where an item was cut there, became U+FFFD for good. */
function isSameText(one: string, other: string): boolean {
  if (one === other) return true;
  for (let i = 0; i < one.length; i++) {
    if (one[i] !== other[i] && one[i] !== '\uFFFD' && other[i] !== '\uFFFD') return false;
  }
  return true;
}

function guidOf({ bytes, struct }: Walk): string {
  return new Reader(bytes, struct.contentStart).string();
}

function contentOf({ bytes, struct, stop }: Walk): Uint8Array {
  return bytes.subarray(struct.contentStart, stop);
}

/** Of implementations of Yjs in other languages some write a number in another form. */
function valuesOf({ bytes, struct }: Walk): unknown[] {
  const decoder = decoding.createDecoder(bytes);
  decoder.pos = struct.contentStart;
  const count = decoding.readVarUint(decoder);
  return Array.from({ length: count }, () => {
    if (struct.kind === KIND_ANY) return plain(decoding.readAny(decoder));
    const text = decoding.readVarString(decoder);
    return text === 'undefined' ? undefined : (JSON.parse(text) as unknown);
  });
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

function jsonOf({ bytes, struct }: Walk): unknown[] {
  const reader = new Reader(bytes, struct.contentStart);
  const key = struct.kind === KIND_FORMAT ? reader.string() : '';
  return [key, JSON.parse(reader.string())];
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
