/**
 * A provider's offline copy, if it wants one.
 *
 * The code that keeps copies is loaded when the first is opened: most pages keep none, and are
 * smaller without it. Invariant: after `close` or `remove` nothing is kept any more, however
 * far that had come.
 */
import type * as Y from 'yjs';
import type { CopySettings, OfflineCopy, OfflineListener } from './offline.js';
import { copies } from './part.js';

export class Keeper {
  readonly #doc: Y.Doc;
  readonly #settings: CopySettings | null;
  readonly #since: number;
  readonly #now: () => number;
  readonly #listener: OfflineListener;
  #opening: Promise<void> | null = null;
  #copy: OfflineCopy | null = null;
  #isWanted: boolean;
  /** There is none: it was removed, or the page has no database at all. */
  #isNone = false;

  /**
   * @param settings null for no copy
   * @param since when the document was opened, by `instant` of the clock
   * @param now milliseconds since 1970
   */
  constructor(
    doc: Y.Doc,
    settings: CopySettings | null,
    since: number,
    now: () => number,
    listener: OfflineListener,
  ) {
    this.#doc = doc;
    this.#settings = settings;
    this.#since = since;
    this.#now = now;
    this.#listener = listener;
    this.#isWanted = settings !== null;
  }

  /** Whether a copy is kept, or is to be. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Whether a copy was opened, or is being opened. */
  get isOpen(): boolean {
    return this.#opening !== null;
  }

  /** Whether all that the document holds is in the copy. */
  get isComplete(): boolean {
    return this.#isWanted && this.#copy?.isComplete === true;
  }

  /** Whether there may be something in a copy that could not be read; false before that was tried. */
  get isUnread(): boolean {
    return this.isOpen && this.#copy?.isRead !== true && !this.#isNone;
  }

  /** Loads what there is, and keeps the document from now on; once. Resolves also when that fails. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    this.#isNone = !this.#isWanted || typeof indexedDB === 'undefined';
    if (!this.#isWanted) return;
    try {
      const copy = await this.#make();
      if (!this.#isWanted) return;
      this.#copy = copy;
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    await this.#copy.open();
  }

  /** What is unsaved may be different. */
  check(): void {
    this.#copy?.check();
  }

  /** The page stops running: it keeps no other from the database meanwhile. */
  suspend(): void {
    this.#copy?.suspend();
  }

  /** The page runs. */
  resume(): void {
    this.#copy?.resume();
  }

  /** Keeps nothing from now on, and removes what was kept, also by another tab. */
  remove(): Promise<void> {
    return this.#end((copy) => copy.remove());
  }

  /** Keeps nothing from now on; what is unsaved is preserved, and the copy removed, unless it is of another document. */
  preserve(): Promise<void> {
    return this.#end((copy) => copy.preserve());
  }

  async #end(work: (copy: OfflineCopy) => Promise<void>): Promise<void> {
    if (this.#settings === null) return;
    this.#isWanted = false;
    await work(this.#copy ?? (await this.#make()));
    this.#isNone = true;
  }

  /** Keeps nothing from now on. What the document holds by now is still written. */
  close(): void {
    this.resume();
    this.#isWanted = false;
    this.#copy?.close();
  }

  async #make(): Promise<OfflineCopy> {
    const { OfflineCopy } = await copies.load();
    return new OfflineCopy(this.#doc, this.#settings as CopySettings, this.#since, this.#now, {
      ...this.#listener,
      failed: (error) => this.#fail(error),
    });
  }

  #fail(error: Error): void {
    this.#isWanted = false;
    this.#listener.failed(error);
  }
}
