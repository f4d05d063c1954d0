/** Divides one struct that is too large for a piece, where its kind allows that: a string, or a list of values. */
import { Reader, uintSize, Writer } from './bytes.js';
import {
  HAS_PARENT_SUB,
  KIND_ANY,
  KIND_JSON,
  KIND_STRING,
  type Struct,
  skipValue,
  startOfRest,
} from './struct.js';

export interface Divided {
  /** A whole struct. */
  readonly bytes: Uint8Array;
  /** Units on the client's clock. */
  readonly length: number;
}

/**
 * @param struct as it was read from `bytes` at `from`; it ends at `to`
 * @returns structs that follow each other, of about `most` bytes or less, or of one value that has more
 */
export function* divide(
  bytes: Uint8Array,
  client: number,
  clock: number,
  struct: Struct,
  from: number,
  to: number,
  most: number,
): Generator<Divided> {
  const { kind, contentStart, length } = struct;
  const isString = kind === KIND_STRING;
  const isOfMap = (bytes[from]! & HAS_PARENT_SUB) !== 0;
  // The rest of a map's entry would be taken for a newer entry.
  if (isOfMap || (!isString && kind !== KIND_ANY && kind !== KIND_JSON)) {
    yield { bytes: bytes.subarray(from, to), length };
    return;
  }
  const reader = new Reader(bytes, contentStart);
  // The number of the string's bytes, or of values.
  reader.uint();
  let at = 0;
  while (reader.pos < to) {
    const start = reader.pos;
    const units = isString ? skipText(reader, to, most) : skipValues(reader, kind, to, most);
    const content = bytes.subarray(start, reader.pos);
    const head =
      at === 0
        ? bytes.subarray(from, contentStart)
        : startOfRest(bytes[from]!, client, clock + at - 1, struct);
    yield { bytes: put(head, isString ? content.length : units, content), length: units };
    at += units;
  }
}

function put(head: Uint8Array, count: number, content: Uint8Array): Uint8Array {
  const writer = new Writer(head.length + uintSize(count) + content.length);
  writer.raw(head);
  writer.uint(count);
  writer.raw(content);
  return writer.bytes;
}

/** Never inside a character: Yjs would put something else in the place of half of one. @returns UTF-16 units */
function skipText(reader: Reader, to: number, most: number): number {
  const { bytes, pos } = reader;
  let end = Math.min(to, pos + most);
  while (end < to && (bytes[end]! & 0xc0) === 0x80) end--;
  // A character that has more.
  if (end <= pos) for (end = pos + 1; end < to && (bytes[end]! & 0xc0) === 0x80; ) end++;
  let units = 0;
  for (let i = pos; i < end; i++) {
    const byte = bytes[i]!;
    if (byte >= 0xf0) units += 2;
    else if ((byte & 0xc0) !== 0x80) units++;
  }
  reader.pos = end;
  return units;
}

/** @returns how many values */
function skipValues(reader: Reader, kind: number, to: number, most: number): number {
  const start = reader.pos;
  let values = 0;
  while (reader.pos < to) {
    const { pos } = reader;
    skipValue(reader, kind);
    if (values > 0 && reader.pos - start > most) {
      reader.pos = pos;
      break;
    }
    values++;
  }
  return values;
}
