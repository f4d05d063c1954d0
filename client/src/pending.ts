/**
 * What of the document the server may still refuse, and how it is taken back.
 *
 * Everybody else goes on without a refused change, so it must not stay here either. Yjs cannot
 * forget a change; it is undone by one in the opposite direction, which is never sent by itself.
 *
 * Owns an entry for each change that is not known to be saved, with the number of the document
 * message that carries it. Invariant: what is sent, saved or refused here is what `unsaved.ts`
 * counts; entries are in the order in which the changes were made.
 */
import * as Y from 'yjs';
import { shielded } from './uncaught.js';

type StackItem = Y.UndoManager['undoStack'][number];

interface Entry {
  /** What undoes it; null for content that was there before anybody watched, which nothing can. */
  item: StackItem | null;
  /** The document message of this socket that carries it; null if none does. */
  message: number | null;
}

/** What became of a refused message. */
export interface TakenBack {
  /** Whether the message held any change that was made here. */
  readonly hadChanges: boolean;
  /** Whether nothing of it is left in the document. */
  readonly isWhole: boolean;
}

/** An undo manager asks its set whether a transaction's origin is tracked; here all are. */
class EveryOrigin extends Set<unknown> {
  override has(): boolean {
    return true;
  }
}

/** Loose entries from which they are put together: somebody may write for a day without a server. */
const MANY = 1_000;

export class Pending {
  readonly #undoing: Y.UndoManager;
  #entries: Entry[] = [];
  /** All that was ever refused. */
  #refused: StackItem | null = null;
  /** Messages of this socket that hold all that the server lacks. */
  readonly #wholes = new Set<number>();
  /** Bytes of those messages of this socket that are not saved. */
  readonly #sizes = new Map<number, number>();

  /**
   * @param hasContent whether the document already holds what no server has reported saved
   * @param isOurs whether a transaction is a change to be watched
   */
  constructor(doc: Y.Doc, hasContent: boolean, isOurs: (transaction: Y.Transaction) => boolean) {
    if (hasContent) this.#entries.push({ item: null, message: null });
    this.#undoing = new Y.UndoManager(doc, {
      // Each change has an item of its own.
      captureTimeout: 0,
      trackedOrigins: new EveryOrigin(),
      // Taking back keeps nothing: what is deleted by it may be forgotten at once.
      captureTransaction: (transaction) =>
        transaction.origin !== this.#undoing && isOurs(transaction),
    });
  }

  /** Whether an update of the document comes from {@link takeBack}. */
  isTakingBack(origin: unknown): boolean {
    return origin === this.#undoing;
  }

  /**
   * The document has changed; to be called from its `update` event.
   *
   * @param message that carries the change; null if none does
   */
  changed(message: number | null): void {
    // Transactions without a change leave items, too, but no update.
    const item = this.#undoing.undoStack.splice(0).at(-1);
    if (item === undefined) return;
    this.#entries.push({ item, message });
    if (message === null && this.#entries.length % MANY === 0) this.#foldLoose();
  }

  /**
   * There is something in the document that is not on disk, and nobody knows what.
   *
   * @param message that carries it; null if none does
   */
  unknown(message: number | null = null): void {
    this.#entries.push({ item: null, message });
  }

  /** A message was sent that carries one change. */
  sent(message: number, bytes: number): void {
    this.#sizes.set(message, bytes);
  }

  /**
   * The largest message that is not saved, which is larger than the server takes if any of them
   * is; null if there is none, or it holds all that the server lacks, of which most may be fine.
   */
  get largest(): number | null {
    const [first] = [...this.#sizes].sort(([, one], [, other]) => other - one);
    return first === undefined || this.#wholes.has(first[0]) ? null : first[0];
  }

  /** A message that holds all that the server lacks. */
  sentWhole(message: number, bytes: number): void {
    this.#wholes.add(message);
    this.#sizes.set(message, bytes);
    for (const entry of this.#entries) entry.message ??= message;
  }

  /** A new socket is open: what was under way on the last one is carried by no message. */
  opened(): void {
    this.#wholes.clear();
    this.#sizes.clear();
    for (const entry of this.#entries) entry.message = null;
  }

  /** The first `count` messages are on disk. */
  saved(count: number): void {
    const isSaved = ({ message }: Entry) => message !== null && message <= count;
    this.#entries = this.#entries.filter((entry) => !isSaved(entry));
    for (const message of this.#wholes) if (message <= count) this.#wholes.delete(message);
    for (const message of this.#sizes.keys()) if (message <= count) this.#sizes.delete(message);
  }

  /** Nothing of it can be refused any more: all is on disk, or this server reports nothing. */
  forget(): void {
    this.#entries = [];
  }

  /**
   * The server has refused a message. One that holds all that it lacks stands for everything
   * before it that is not saved.
   */
  takeBack(refused: number): TakenBack {
    const isWhole = this.#wholes.has(refused);
    const isRefused = ({ message }: Entry) =>
      message === refused || (isWhole && message !== null && message < refused);
    const entries = this.#entries.filter(isRefused);
    const items = entries.map(({ item }) => item).filter((item) => item !== null);
    // What nothing can undo is still there, and may yet be accepted.
    this.#entries = this.#entries.filter((entry) => !isRefused(entry) || entry.item === null);
    if (items.length > 0) this.#undo(items);
    return { hadChanges: entries.length > 0, isWhole: items.length === entries.length };
  }

  destroy(): void {
    this.#entries = [];
    this.#undoing.destroy();
  }

  /**
   * Together with all that was refused before: Yjs brings a deleted value of a key back only if
   * it knows that what was set after it is refused as well, which may be heard later. What was
   * undone already is passed over.
   */
  #undo(items: readonly StackItem[]): void {
    const all = this.#refused === null ? items : [this.#refused, ...items];
    this.#refused = merged(all);
    this.#undoing.undoStack = [this.#refused];
    shielded(() => this.#undoing.undo());
    this.#undoing.undoStack = [];
    // A listener that threw leaves it set, and nothing would be undone any more.
    this.#undoing.currStackItem = null;
  }

  #foldLoose(): void {
    const isLoose = ({ item, message }: Entry) => item !== null && message === null;
    const loose = this.#entries.filter(isLoose);
    if (loose.length < MANY) return;
    const item = merged(loose.map((entry) => entry.item as StackItem));
    const firstAt = this.#entries.findIndex(isLoose);
    this.#entries[firstAt] = { item, message: null };
    this.#entries = this.#entries.filter((entry, at) => at === firstAt || !isLoose(entry));
  }
}

/** Changes the first of them, which the caller owns, into all of them. */
function merged(items: readonly StackItem[]): StackItem {
  const all = items[0] as StackItem;
  all.insertions = Y.mergeDeleteSets(items.map(({ insertions }) => insertions));
  all.deletions = Y.mergeDeleteSets(items.map(({ deletions }) => deletions));
  return all;
}
