/**
 * Reads code for its colours, within bounds. With each key in a block the plugin asks for all blocks
 * of the document, and anybody who may write can have written any number of them, in texts that some
 * language takes very long to read.
 *
 * What was read is kept while it is in the document. One turn reads for a moment only, and asks to
 * be called again for the rest.
 */

/** Letters of one block. Reading is quadratic in them at worst: some 75 ms for so many, 1.2 s for four times as many. */
const LONGEST = 5_000;
/** Letters of all blocks together: the colours of all are put together again with each key. */
const MOST = 50_000;
/** Milliseconds of one turn, after which no other block is begun. */
const TURN = 50;

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
  #spent = 0;
  #letters = 0;
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
    if (typeof language !== 'string' || text.length > LONGEST || !isLanguage(language)) {
      return plain(text);
    }
    this.#endTurnLater();
    const key = `${language}\n${text}`;
    const used = this.#used.get(key);
    if (used !== undefined) return used;
    if (this.#letters + text.length > MOST) return plain(text);
    const tree = this.#kept.get(key) ?? this.#readNow(language, text);
    if (tree === undefined) return plain(text);
    this.#letters += text.length;
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
    this.#spent += this.#parts.now() - before;
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
      this.#letters = 0;
      if (isIncomplete) this.#parts.again();
    });
  }
}
