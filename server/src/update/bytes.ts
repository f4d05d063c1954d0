/**
 * Reading and writing lib0's variable-length integers, with every bound checked.
 *
 * Format: https://github.com/dmonad/lib0 `encoding.js` (varUint: 7 bits a byte,
 * least significant first, high bit set on all but the last).
 */
import { isUtf8 } from 'node:buffer';
import { UpdateRefused } from './refused.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Walks over bytes that a stranger sent. Every method throws {@link UpdateRefused} instead of reading past the end. */
export class Reader {
  readonly bytes: Uint8Array;
  pos: number;

  constructor(bytes: Uint8Array, pos = 0) {
    this.bytes = bytes;
    this.pos = pos;
  }

  get left(): number {
    return this.bytes.length - this.pos;
  }

  byte(): number {
    const value = this.bytes[this.pos];
    if (value === undefined) throw new UpdateRefused('the update ends too early');
    this.pos++;
    return value;
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (;;) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new UpdateRefused('an integer passes 2^53');
      if (next < 0x80) return value;
      scale *= 0x80;
      if (scale > Number.MAX_SAFE_INTEGER) throw new UpdateRefused('an integer passes 2^53');
    }
  }

  skip(length: number): void {
    if (length > this.left) throw new UpdateRefused('the update ends too early');
    this.pos += length;
  }

  /** Skips lib0's signed integer: the first byte holds 6 bits, a sign and the continuation. */
  skipInt(): void {
    let next = this.byte();
    let value = next & 0x3f;
    let scale = 0x40;
    while (next >= 0x80) {
      next = this.byte();
      value += (next & 0x7f) * scale;
      scale *= 0x80;
      if (value > Number.MAX_SAFE_INTEGER || scale > 2 ** 60) {
        throw new UpdateRefused('an integer passes 2^53');
      }
    }
  }

  /** Skips a string. @returns its length in UTF-16 units, which is what Yjs counts. */
  skipString(): number {
    const length = this.uint();
    const start = this.pos;
    this.skip(length);
    return utf16Length(this.bytes, start, this.pos);
  }

  string(): string {
    const length = this.uint();
    const start = this.pos;
    this.skip(length);
    try {
      return utf8.decode(this.bytes.subarray(start, this.pos));
    } catch (cause) {
      throw new UpdateRefused('a string is not UTF-8', { cause });
    }
  }
}

function utf16Length(bytes: Uint8Array, start: number, end: number): number {
  let ascii = start;
  while (ascii < end && bytes[ascii]! < 0x80) ascii++;
  if (ascii === end) return end - start;
  // lib0 decodes with `fatal`, so one wrong byte would make every reader throw.
  if (!isUtf8(bytes.subarray(ascii, end))) throw new UpdateRefused('a string is not UTF-8');
  let units = ascii - start;
  for (let i = ascii; i < end; i++) {
    const byte = bytes[i]!;
    if (byte >= 0xf0) units += 2;
    else if ((byte & 0xc0) !== 0x80) units++;
  }
  return units;
}

/** How many bytes {@link Writer.uint} writes for this value. */
export function uintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Writes into an array of the exact size, known before: nothing is grown or copied twice. */
export class Writer {
  readonly bytes: Uint8Array;
  pos: number;

  /** @param size of a new array, or an array that has room for it from `pos` on */
  constructor(size: number | Uint8Array, pos = 0) {
    this.bytes = typeof size === 'number' ? new Uint8Array(size) : size;
    this.pos = pos;
  }

  uint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.pos++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.pos++] = rest;
  }

  raw(chunk: Uint8Array): void {
    this.bytes.set(chunk, this.pos);
    this.pos += chunk.length;
  }
}
