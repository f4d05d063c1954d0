/**
 * Which of the documents that have had a room's name one by one this one is.
 *
 * The first is 0. Where a room is deleted or its document replaced, the next one of its name has a
 * number at random, which no other server gives. What a client has of an earlier one must not be merged with it: all
 * would be there twice, or what was deleted would be back.
 *
 * Owns what is known of each document of the page, so that the next provider of the same
 * document knows it as well. Invariant: once known it does not change but by {@link Generation.told}.
 */
import type * as Y from 'yjs';

/** By document, then by server and room. */
const KNOWN = new WeakMap<Y.Doc, Map<string, number>>();

/** The state vector of a document in which nothing ever was. */
const NOTHING = 0;

/** Of a room that was never deleted, nor its document replaced. */
const FIRST = 0;

export class Generation {
  readonly #known: Map<string, number>;
  readonly #room: string;

  constructor(doc: Y.Doc, url: string, room: string) {
    this.#known = KNOWN.get(doc) ?? new Map();
    KNOWN.set(doc, this.#known);
    this.#room = `${url} ${room}`;
  }

  /** Null until somebody has said it. */
  get known(): number | null {
    return this.#known.get(this.#room) ?? null;
  }

  /** Another page has said it, or this browser's copy. */
  heard(generation: number | null): void {
    if (this.known === null && generation !== null) this.#known.set(this.#room, generation);
  }

  /** Whether that is another document than this one, as far as is known. */
  isOther(generation: number | null): boolean {
    return generation !== null && this.known !== null && generation !== this.known;
  }

  /**
   * The server has said it, and what it has.
   *
   * @param hasContent whether anything is in the document here
   * @returns false where that is another document
   */
  told(generation: number, stateVector: Uint8Array, hasContent: boolean): boolean {
    // A store that was set back to before the room was made has nothing that could be mixed up. One
    // in which the room was emptied on purpose tells another generation than the first.
    const isLost = generation === FIRST && stateVector[0] === NOTHING;
    if (this.isOther(generation) && hasContent && !isLost) return false;
    this.#known.set(this.#room, generation);
    return true;
  }
}
