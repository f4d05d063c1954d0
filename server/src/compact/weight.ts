/**
 * What it takes to merge a document, told from its bytes, without making it.
 *
 * Yjs makes an object of every struct, so a megabyte of single characters takes thirty times what
 * a megabyte of pasted text takes. The prices were measured on texts, maps, lists, XML and what is
 * left of deleted ones, and are a little too high for each: docs/operations/large-documents.md.
 */
import { Reader } from '../update/bytes.js';
import {
  KIND_ANY,
  KIND_BINARY,
  KIND_DOC,
  KIND_EMBED,
  KIND_FORMAT,
  KIND_JSON,
  KIND_TYPE,
  NONE,
  newStruct,
  readStruct,
  type Struct,
} from '../update/struct.js';

/** What updates hold, added up. */
export interface Weight {
  bytes: number;
  /** Also those that appear where others are taken apart. */
  structs: number;
  /** Of the structs, those that are shared types. */
  types: number;
  /** And those that are documents of their own, of which only the name is here. */
  documents: number;
  /** Values in maps and lists: numbers, strings, objects. */
  values: number;
  /** Bytes of such values. */
  valueBytes: number;
}

/** Of a heap that is fuller V8 collects the garbage all the time. */
const USABLE = 0.95;

/** Bytes of memory. */
export interface Price {
  /** How large the JavaScript heap of the worker has to be. */
  readonly heap: number;
  /** Beside it: the bytes that come in and go out, and what the thread itself takes. */
  readonly outside: number;
}

const PER_STRUCT = 300;
const PER_TYPE = 400;
const PER_DOCUMENT = 2_600;
const PER_VALUE = 64;
const PER_VALUE_BYTE = 7;
const PER_BYTE = 1;
/** As they come in, as they are written, and as they go out. */
const COPIES = 3;
const MB = 1024 * 1024;
const THREAD = 40 * MB;
/** What the code of a worker takes of its heap. */
const CODE = 16 * MB;
/** What is deleted inside of a struct leaves so many pieces of it. */
const PIECES_BESIDE = 2;
/** Bytes of a struct where there is nothing but single characters by people who take turns. */
const DENSEST = 10;

export function weigh(updates: Iterable<Uint8Array>): Weight {
  const weight: Weight = { bytes: 0, structs: 0, types: 0, documents: 0, values: 0, valueBytes: 0 };
  for (const update of updates) addUpdate(update, weight);
  return weight;
}

function addUpdate(update: Uint8Array, weight: Weight): void {
  const reader = new Reader(update);
  const struct = newStruct();
  /** The clocks of each client that it brings. */
  const brought = new Map<number, readonly [start: number, end: number]>();
  weight.bytes += update.length;
  const blocks = reader.uint();
  for (let block = 0; block < blocks; block++) {
    const count = reader.uint();
    const client = reader.uint();
    const start = reader.uint();
    let clock = start;
    weight.structs += count;
    for (let i = 0; i < count; i++) {
      readStruct(reader, struct);
      clock += struct.length;
      // Who has the whole document has it in pieces already.
      if (blocks === 1 && isInside(struct)) weight.structs++;
      switch (struct.kind) {
        case KIND_TYPE:
          weight.types++;
          break;
        case KIND_DOC:
          weight.documents++;
          break;
        case KIND_BINARY:
          // An object that says where its bytes are costs as much as several values.
          weight.values += 3;
          break;
        case KIND_ANY:
        case KIND_JSON:
        case KIND_EMBED:
        case KIND_FORMAT:
          weight.values += struct.length;
          weight.valueBytes += reader.pos - struct.contentStart;
      }
    }
    brought.set(client, [start, clock]);
  }
  for (let clients = reader.uint(); clients > 0; clients--) {
    const [start, end] = brought.get(reader.uint()) ?? [0, 0];
    for (let ranges = reader.uint(); ranges > 0; ranges--) {
      const clock = reader.uint();
      reader.uint();
      if (clock < start || clock >= end) weight.structs += PIECES_BESIDE;
    }
  }
}

/** Whether it lies between two units that were written together, and perhaps are one struct. */
function isInside({ originClient, originClock, rightClient, rightClock }: Struct): boolean {
  return originClient !== NONE && originClient === rightClient && originClock + 1 === rightClock;
}

export function priceOf({ bytes, structs, types, documents, values, valueBytes }: Weight): Price {
  const heap =
    CODE +
    structs * PER_STRUCT +
    types * PER_TYPE +
    documents * PER_DOCUMENT +
    values * PER_VALUE +
    valueBytes * PER_VALUE_BYTE +
    bytes * PER_BYTE;
  return { heap: heap / USABLE, outside: outsideOf(bytes) };
}

/** Of a document of which nothing is known but how large it is: the most that an honest one takes. */
export function priceBySize(bytes: number): Price {
  const heap = CODE + bytes * (PER_STRUCT / DENSEST + PER_BYTE);
  return { heap: heap / USABLE, outside: outsideOf(bytes) };
}

/** Bytes of memory that a document of so many bytes may need. */
export function mostMemoryFor(bytes: number): number {
  const { heap, outside } = priceBySize(bytes);
  return Math.ceil(heap + outside);
}

/** Bytes of the largest document that so much memory is certainly enough for. */
export function mostBytesIn(memory: number): number {
  const fixed = mostMemoryFor(0);
  const each = (mostMemoryFor(MB) - fixed) / MB;
  return Math.max(0, Math.floor((memory - fixed) / each));
}

/** Whatever is in them: nothing takes more than the names of other documents, 3 KB each. */
const MOST_PER_BYTE = { made: 600, read: 100 };
/** Each run of a text repeats all of its marks, and a few bytes make a run or a mark. */
const REPEATED = 8;

/**
 * Bytes of heap that a job takes at most, whatever it is given: where a thread has as much, it
 * cannot run out of it.
 *
 * @param how `read` where no document is made, `shown` where it is also told what it shows
 */
export function mostHeapFor(bytes: number, how: 'read' | 'made' | 'shown'): number {
  const each = MOST_PER_BYTE[how === 'read' ? 'read' : 'made'];
  return CODE + bytes * each + (how === 'shown' ? bytes ** 2 / REPEATED : 0);
}

export function outsideOf(bytes: number): number {
  return bytes * COPIES + THREAD;
}
