/** What a document shows, as a digest: made piece by piece, so that it takes no memory of its own. */
import { createHash, type Hash } from 'node:crypto';
import type * as Y from 'yjs';

type SharedType = Y.Doc['share'] extends Map<string, infer T> ? T : never;

/** What every root type shows, item by item, whatever runs the items are merged in. */
export function digest(doc: Y.Doc): string {
  const hash = createHash('sha256');
  const numbers = new Numbers(hash);
  for (const [name, type] of [...doc.share].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify(name));
    addSequence(type, numbers);
    for (const [key, item] of [...type._map].sort(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(JSON.stringify(key));
      const { client, clock } = item.id;
      numbers.add(client, clock + item.length, Number(item.deleted));
      numbers.flush();
    }
  }
  return hash.digest('hex');
}

/** The units of a list in document order, as runs of consecutive clocks. */
function addSequence(type: SharedType, numbers: Numbers): void {
  let client = NONE;
  let next = NONE;
  let deleted = false;
  for (let item = type._start; item !== null; item = item.right) {
    const { id } = item;
    if (id.client !== client || id.clock !== next || item.deleted !== deleted) {
      numbers.add(next, id.client, id.clock, Number(item.deleted));
    }
    client = id.client;
    deleted = item.deleted;
    next = id.clock + item.length;
  }
  numbers.add(next, END);
  numbers.flush();
}

const NONE = -1;
const END = -2;
const BUFFERED = 8_192;

class Numbers {
  readonly #hash: Hash;
  readonly #buffer = new Float64Array(BUFFERED);
  #used = 0;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  add(...numbers: readonly number[]): void {
    if (this.#used + numbers.length > BUFFERED) this.flush();
    for (const number of numbers) this.#buffer[this.#used++] = number;
  }

  flush(): void {
    this.#hash.update(new Uint8Array(this.#buffer.buffer, 0, this.#used * 8));
    this.#used = 0;
  }
}
