/**
 * Reads code for its colours, within bounds. With each key in a block the plugin asks for all blocks
 * of the document, and anybody who may write can have written any number of them, in texts that some
 * language takes very long to read.
 *
 * What was read is kept while it is in the document. One turn reads for a moment only, and asks to
 * be called again for the rest. A block that took long makes all of its length plain from then on.
 */

/** Letters of one block. Reading is quadratic in them at worst. */
const LONGEST = 10_000;
/** Letters that are always read: they take no time that anybody would notice. */
const SHORTEST = 1_000;
/** Milliseconds of one turn, after which no other block is begun. */
const TURN = 50;
/** Milliseconds for one block that are too many. */
const TOO_LONG = 100;

export interface CodeReaderParts<T> {
  isLanguage(name: string): boolean;
  read(language: string, text: string): T;
  plain(text: string): T;
  now(): number;
  /** Calls back in another turn of the loop. */
  later(run: () => void): void;
  /** Has all blocks asked for once more. */
  again(): void;
}

export class CodeReader<T> {
  readonly #parts: CodeReaderParts<T>;
  #longest = LONGEST;
  #spent = 0;
  #isWaiting = false;
  #isIncomplete = false;
  #kept = new Map<string, T>();
  /** What was asked for in this turn. */
  #used = new Map<string, T>();

  constructor(parts: CodeReaderParts<T>) {
    this.#parts = parts;
  }

  /** @param language as the document has it, which may be anything */
  read(language: unknown, text: string): T {
    const { isLanguage, plain } = this.#parts;
    if (typeof language !== 'string' || text.length > this.#longest || !isLanguage(language)) {
      return plain(text);
    }
    this.#endTurnLater();
    const key = `${language}\n${text}`;
    const tree = this.#used.get(key) ?? this.#kept.get(key) ?? this.#readNow(language, text);
    if (tree === undefined) return plain(text);
    this.#used.set(key, tree);
    return tree;
  }

  #readNow(language: string, text: string): T | undefined {
    if (this.#spent > TURN) {
      this.#isIncomplete = true;
      return undefined;
    }
    const before = this.#parts.now();
    const tree = this.#parts.read(language, text);
    const took = this.#parts.now() - before;
    this.#spent += took;
    if (took > TOO_LONG) this.#longest = Math.max(SHORTEST, Math.floor(text.length / 2));
    return tree;
  }

  #endTurnLater(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#parts.later(() => {
      const isIncomplete = this.#isIncomplete;
      this.#kept = isIncomplete ? new Map([...this.#kept, ...this.#used]) : this.#used;
      this.#used = new Map();
      this.#isWaiting = false;
      this.#isIncomplete = false;
      this.#spent = 0;
      if (isIncomplete) this.#parts.again();
    });
  }
}
