/**
 * Gets the records out of a data file whose index is lost: cut short by a full
 * disk or a broken copy, or overwritten.
 *
 * LMDB maps its file into memory and trusts it: a page that is not there ends
 * the process with SIGBUS. So the length is checked before LMDB sees the file,
 * against what its two meta pages say (libmdb's `MDB_meta`, data version 2).
 * Records are found by their mark and believed by their checksum. Old copies of
 * records lie in freed pages; a room takes those for known.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { decodeRecord, LONGEST_HEAD, MAGIC, type Record, recordLength } from './record.js';

const META = {
  magicAt: 24,
  magic: 0xbeefc0de,
  versionAt: 28,
  version: 2,
  pageSizeAt: 48,
  lastPageAt: 144,
  transactionAt: 152,
  bytes: 160,
};

/** @returns what is wrong with the file, or undefined when LMDB may open it */
export function findDamage(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size === 0) return undefined;
    const first = readMeta(descriptor, 0);
    if (first === undefined) return 'its first page is not one of LMDB';
    const second = readMeta(descriptor, first.pageSize);
    const newest = second !== undefined && second.transaction > first.transaction ? second : first;
    const needed = (newest.lastPage + 1) * newest.pageSize;
    return size < needed ? `it has ${size} of ${needed} bytes` : undefined;
  } finally {
    closeSync(descriptor);
  }
}

function readMeta(descriptor: number, at: number) {
  const page = Buffer.alloc(META.bytes);
  if (readSync(descriptor, page, 0, META.bytes, at) < META.bytes) return undefined;
  if (page.readUInt32LE(META.magicAt) !== META.magic) return undefined;
  if (page.readUInt32LE(META.versionAt) !== META.version) return undefined;
  return {
    pageSize: page.readUInt32LE(META.pageSizeAt),
    lastPage: Number(page.readBigUInt64LE(META.lastPageAt)),
    transaction: page.readBigUInt64LE(META.transactionAt),
  };
}

const WINDOW = 1024 * 1024;

/** Every undamaged record in the file, in the order of the file; the same one may come several times. */
export function* salvageRecords(file: string): Iterable<Record> {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const window = Buffer.alloc(WINDOW + LONGEST_HEAD);
    /** The end of the last whole record: what looks like one inside it was put there by a client. */
    let end = 0;
    for (let base = 0; base < size; base += WINDOW) {
      const read = readSync(descriptor, window, 0, window.length, base);
      const part = window.subarray(0, read);
      for (let at = part.indexOf(MAGIC); at >= 0 && at < WINDOW; at = part.indexOf(MAGIC, at + 1)) {
        if (base + at < end) continue;
        const length = recordLength(part.subarray(at, at + LONGEST_HEAD));
        if (length === undefined || length > size - base - at) continue;
        const bytes = Buffer.alloc(length);
        readSync(descriptor, bytes, 0, length, base + at);
        const record = decodeRecord(bytes);
        if (record === undefined) continue;
        end = base + at + length;
        yield record;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}
