/**
 * One answer to many: an update as the messages that it is sent in, framed once for each codec.
 *
 * Invariant: none but the last can be a step 2, so that a client that calls itself synced has all.
 */
import type { Codec } from './dialect.js';
import type { Frame } from './frame.js';

interface Framed {
  /** Of all pieces; the last as an update, and as a step 2. */
  readonly first: readonly Frame[];
  update: Frame | undefined;
  step2: Frame | undefined;
}

export class MessagePieces {
  readonly #pieces: readonly Uint8Array[];
  #framed: Map<Codec, Framed> | undefined;

  /** @param pieces at least one; each can be integrated once those before it are */
  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces;
  }

  get bytes(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /** Whether it is sent in one message. */
  get isOne(): boolean {
    return this.#pieces.length === 1;
  }

  /** @param last what the last of the messages is */
  frames(codec: Codec, last: 'update' | 'step2'): Frame[] {
    this.#framed ??= new Map();
    let framed = this.#framed.get(codec);
    if (framed === undefined) {
      const first = this.#pieces
        .slice(0, -1)
        .map((update) => codec.encode({ type: 'update', update }));
      framed = { first, update: undefined, step2: undefined };
      this.#framed.set(codec, framed);
    }
    framed[last] ??= codec.encode({ type: last, update: this.#pieces.at(-1)! });
    return [...framed.first, framed[last]];
  }
}
