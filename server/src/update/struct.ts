/**
 * One struct of the V1 update format: read strictly, without building an item.
 *
 * Owns what the format says of a single struct; which structs may stand beside
 * each other is parse.ts's matter. Source of the format: yjs 13.6,
 * src/utils/encoding.js, src/structs/*.js (`write` and `read*`).
 */
import { Reader, uintSize, Writer } from './bytes.js';
import { MAX_NESTING } from './nesting-limits.js';
import { UpdateRefused } from './refused.js';

/** No client writes more than 2^32 units in a document's life; a larger clock is an attack on that client's id. */
export const MAX_CLOCK = 2 ** 32;

export const KIND_GC = 0;
export const KIND_DELETED = 1;
export const KIND_JSON = 2;
export const KIND_BINARY = 3;
export const KIND_STRING = 4;
export const KIND_EMBED = 5;
export const KIND_FORMAT = 6;
export const KIND_TYPE = 7;
export const KIND_ANY = 8;
export const KIND_DOC = 9;
export const KIND_SKIP = 10;

const HAS_ORIGIN = 0x80;
const HAS_RIGHT_ORIGIN = 0x40;
export const HAS_PARENT_SUB = 0x20;
/** The bits of a struct's first byte that say what it is; the others say which references follow. */
export const KIND_BITS = 0x1f;

const XML_ELEMENT = 3;
const XML_HOOK = 5;
const LAST_TYPE = 6;

/** No id: the struct has no such reference. */
export const NONE = -1;

/** What {@link readStruct} found; reused from struct to struct, so copy what must last. */
export interface Struct {
  kind: number;
  /** Units on the client's clock, at least 1. */
  length: number;
  originClient: number;
  originClock: number;
  rightClient: number;
  rightClock: number;
  /** The parent as an id, where it is one; {@link NONE} for a root type or one inherited from a neighbour. */
  parentClient: number;
  parentClock: number;
  /** Where the content begins, after flags, references and parent. */
  contentStart: number;
  /** Whether it holds a value that is nested more than {@link MAX_NESTING} levels. */
  isDeepValue: boolean;
}

export function newStruct(): Struct {
  return {
    kind: KIND_GC,
    length: 0,
    originClient: NONE,
    originClock: NONE,
    rightClient: NONE,
    rightClock: NONE,
    parentClient: NONE,
    parentClock: NONE,
    contentStart: 0,
    isDeepValue: false,
  };
}

/**
 * Reads the struct at `reader.pos` into `into`, leaving the reader behind it.
 * Linear in the struct's bytes.
 *
 * @throws {UpdateRefused}
 */
export function readStruct(reader: Reader, into: Struct): void {
  const info = reader.byte();
  const kind = info & KIND_BITS;
  into.kind = kind;
  into.originClient = NONE;
  into.rightClient = NONE;
  into.parentClient = NONE;
  into.isDeepValue = false;
  if (kind === KIND_GC || kind === KIND_SKIP) {
    if (info !== kind) throw new UpdateRefused('unknown flags on a struct');
    into.contentStart = reader.pos;
    into.length = reader.uint();
  } else {
    if (kind > KIND_DOC) throw new UpdateRefused(`unknown content type ${kind}`);
    if ((info & HAS_ORIGIN) !== 0) {
      into.originClient = reader.uint();
      into.originClock = reader.uint();
    }
    if ((info & HAS_RIGHT_ORIGIN) !== 0) {
      into.rightClient = reader.uint();
      into.rightClock = reader.uint();
    }
    if ((info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN)) === 0) readParent(reader, info, into);
    into.contentStart = reader.pos;
    into.length = readContent(reader, kind, into);
  }
  if (into.length === 0) throw new UpdateRefused('a struct has no length');
}

function readParent(reader: Reader, info: number, into: Struct): void {
  const isRoot = reader.uint();
  if (isRoot > 1) throw new UpdateRefused('unknown kind of parent');
  if (isRoot === 1) {
    reader.skipString();
  } else {
    into.parentClient = reader.uint();
    into.parentClock = reader.uint();
  }
  if ((info & HAS_PARENT_SUB) !== 0) reader.skipString();
}

/** @returns the content's length in units of the clock. */
function readContent(reader: Reader, kind: number, into: Struct): number {
  switch (kind) {
    case KIND_DELETED:
      return reader.uint();
    case KIND_STRING:
      return reader.skipString();
    case KIND_JSON:
      return readMany(reader, into, (r) => checkJson(r.string(), true));
    case KIND_ANY:
      return readMany(reader, into, skipAny);
    case KIND_BINARY:
      reader.skip(reader.uint());
      return 1;
    case KIND_EMBED:
      into.isDeepValue = !checkJson(reader.string(), false);
      return 1;
    case KIND_FORMAT:
      reader.skipString();
      into.isDeepValue = !checkJson(reader.string(), false);
      return 1;
    case KIND_TYPE: {
      const type = reader.uint();
      if (type > LAST_TYPE) throw new UpdateRefused(`unknown shared type ${type}`);
      if (type === XML_ELEMENT || type === XML_HOOK) reader.skipString();
      return 1;
    }
    default:
      reader.skipString();
      // Yjs reads `opts.shouldLoad`, which throws on anything but an object.
      if (reader.bytes[reader.pos] !== ANY_OBJECT) {
        throw new UpdateRefused("a subdocument's options are not an object");
      }
      into.isDeepValue = !skipAny(reader);
      return 1;
  }
}

/** @param readOne returns false for a value that is nested too deep */
function readMany(reader: Reader, into: Struct, readOne: (reader: Reader) => boolean): number {
  const count = reader.uint();
  if (count > reader.left) throw new UpdateRefused('more values declared than sent');
  for (let i = 0; i < count; i++) if (!readOne(reader)) into.isDeepValue = true;
  return count;
}

/**
 * Yjs calls JSON.parse on these, and JSON.stringify when it encodes the document again.
 *
 * @returns false for one that is nested too deep; whether it is JSON is then not known
 */
function checkJson(text: string, mayBeUndefined: boolean): boolean {
  if (mayBeUndefined && text === 'undefined') return true;
  if (isNestedDeeper(text, MAX_NESTING)) return false;
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new UpdateRefused('a value is not JSON', { cause });
  }
  return true;
}

/** Whether JSON has more levels than that: to be asked before `JSON.parse`, which recurses. */
export function isNestedDeeper(text: string, levels: number): boolean {
  // What is deeper has as many closing brackets, or is no JSON.
  if (text.length <= 2 * levels) return false;
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (inString) {
      if (unit === 0x5c) i++;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) {
      inString = true;
    } else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > levels) return true;
    } else if (unit === 0x5d || unit === 0x7d) {
      depth--;
    }
  }
  return false;
}

const ANY_OBJECT = 118;

const ANY_ARRAY = 117;
/** Of a value, so that what is kept while it is read is bounded. */
const MOST_LEVELS = 100_000;

/**
 * Skips what lib0's `readAny` reads: a tag from 127 (undefined) down to 116 (bytes), then the
 * value. A loop and not a recursion, which a crafted value would end by its depth.
 *
 * @returns whether it is nested {@link MAX_NESTING} levels at most
 */
function skipAny(reader: Reader): boolean {
  if (!skipOne(reader)) return true;
  /** For each level, how many values are still to come, and whether each has a key before it. */
  const levels = [enter(reader)];
  let deepest = 1;
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    if (level.left === 0) {
      levels.pop();
      continue;
    }
    level.left--;
    if (level.hasKeys) reader.skipString();
    if (!skipOne(reader)) continue;
    levels.push(enter(reader));
    if (levels.length > deepest) deepest = levels.length;
    if (deepest > MOST_LEVELS) throw new UpdateRefused('a value is deeper than lib0 can write');
  }
  return deepest <= MAX_NESTING;
}

/** Behind the tag of an object or an array. */
function enter(reader: Reader): { left: number; readonly hasKeys: boolean } {
  const hasKeys = reader.bytes[reader.pos - 1] === ANY_OBJECT;
  const left = reader.uint();
  if (left > reader.left) throw new UpdateRefused('more values declared than sent');
  return { left, hasKeys };
}

/** @returns whether it stands behind the tag of an object or an array, whose values follow */
function skipOne(reader: Reader): boolean {
  const tag = reader.byte();
  switch (tag) {
    case 127:
    case 126:
    case 121:
    case 120:
      return false;
    case 125:
      reader.skipInt();
      return false;
    case 124:
      reader.skip(4);
      return false;
    case 123:
    case 122:
      reader.skip(8);
      return false;
    case 119:
      reader.skipString();
      return false;
    case ANY_OBJECT:
    case ANY_ARRAY:
      return true;
    case 116:
      reader.skip(reader.uint());
      return false;
    default:
      throw new UpdateRefused(`unknown kind of value ${tag}`);
  }
}

/** An item with its flags and references, and deleted content of its length in place of its own. */
export function emptied(head: Uint8Array, length: number): Uint8Array {
  const writer = new Writer(head.length + uintSize(length));
  writer.raw(head);
  writer.bytes[0] = (head[0]! & ~KIND_BITS) | KIND_DELETED;
  writer.uint(length);
  return writer.bytes;
}

/**
 * The part of a struct behind its first `offset` units, as Yjs would write it:
 * its origin becomes the unit before the cut.
 *
 * @param start where the struct begins in `bytes`
 * @param clock the struct's own clock
 * @param offset from 1 to the struct's length - 1
 * @returns a new array
 */
export function cutStruct(
  bytes: Uint8Array,
  start: number,
  client: number,
  clock: number,
  offset: number,
): Uint8Array {
  const struct = newStruct();
  const reader = new Reader(bytes, start);
  readStruct(reader, struct);
  const { kind } = struct;
  const end = reader.pos;
  reader.pos = struct.contentStart;
  if (kind === KIND_GC || kind === KIND_SKIP) {
    const rest = struct.length - offset;
    const writer = new Writer(1 + uintSize(rest));
    writer.bytes[writer.pos++] = kind;
    writer.uint(rest);
    return writer.bytes;
  }
  const content = cutContent(reader, kind, struct.length, offset, end);
  const head = startOfRest(bytes[start]!, client, clock + offset - 1, struct);
  const writer = new Writer(head.length + content.length);
  writer.raw(head);
  writer.raw(content);
  return writer.bytes;
}

/**
 * How a struct begins that is the rest of another: with an origin, the unit before the cut.
 *
 * @param info the first byte of that other
 * @param lastClock the clock of the unit before the cut
 */
export function startOfRest(
  info: number,
  client: number,
  lastClock: number,
  { rightClient, rightClock }: Struct,
): Uint8Array {
  const hasRight = rightClient !== NONE;
  const right = hasRight ? uintSize(rightClient) + uintSize(rightClock) : 0;
  const writer = new Writer(1 + uintSize(client) + uintSize(lastClock) + right);
  writer.bytes[writer.pos++] = info | HAS_ORIGIN;
  writer.uint(client);
  writer.uint(lastClock);
  if (hasRight) {
    writer.uint(rightClient);
    writer.uint(rightClock);
  }
  return writer.bytes;
}

function cutContent(
  reader: Reader,
  kind: number,
  length: number,
  offset: number,
  end: number,
): Uint8Array {
  switch (kind) {
    case KIND_DELETED:
      return withCount(length - offset, new Uint8Array(0));
    case KIND_STRING: {
      // A cut inside a surrogate pair leaves half of it, which encodes to U+FFFD: as in Yjs.
      const rest = new TextEncoder().encode(reader.string().slice(offset));
      return withCount(rest.length, rest);
    }
    case KIND_JSON:
    case KIND_ANY:
      reader.uint();
      for (let i = 0; i < offset; i++) skipValue(reader, kind);
      return withCount(length - offset, reader.bytes.subarray(reader.pos, end));
    default:
      throw new Error(`content of kind ${kind} has one unit and cannot be cut`);
  }
}

/** One of the values of a struct that has many: {@link KIND_JSON} or {@link KIND_ANY}. */
export function skipValue(reader: Reader, kind: number): void {
  if (kind === KIND_JSON) reader.skipString();
  else skipAny(reader);
}

function withCount(count: number, rest: Uint8Array): Uint8Array {
  const writer = new Writer(uintSize(count) + rest.length);
  writer.uint(count);
  writer.raw(rest);
  return writer.bytes;
}
