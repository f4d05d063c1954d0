/**
 * What of the document the server may still refuse.
 *
 * Everybody else goes on without a refused change, so it must not stay here either. How it is
 * reverted is in `revert.ts`, which is loaded when something is refused.
 *
 * Owns an entry for each change that is not known to be saved, with the number of the document
 * message that carries it. Invariant: what is sent, saved or refused here is what `unsaved.ts`
 * counts; entries are in the order in which the changes were made.
 */
import * as Y from 'yjs';
import {
  type Change,
  isEmpty,
  merge,
  NEVER,
  NONE,
  NOTHING,
  type Ranges,
  UNKNOWN,
} from './change.js';
import type { Decoded } from './fork.js';
import { refusals } from './part.js';

export interface Entry {
  readonly change: Change;
  /** The document message of this socket that carries it; null if none does. */
  message: number | null;
}

/** A message that is numbered: a change, all that the server lacks, or a piece of that. */
export interface DocumentMessage {
  readonly type: 'step2' | 'update';
  readonly update: Uint8Array;
  /** Of all that the server lacks, or that pieces have left of it: what it has when that comes. */
  readonly known?: Ranges;
  /** Of a piece: what it inserts. */
  readonly piece?: Change;
  /** Whether smaller ones can be made of it. */
  readonly isDivisible?: boolean;
}

/** What the server may refuse, and what it has. */
export interface Tracked {
  entries: Entry[];
  /** What was refused and is in the document still. */
  refused: Change;
  /** What was refused, and the copies of what it had deleted; and that. */
  traces: Change;
  /** The message that brings the traces to the server, as they are; {@link NEVER} if none does. */
  offer: number;
  readonly sent: Map<number, Sent>;
  /**
   * As far as it matters: what the server of this socket has deleted; and what others have
   * inserted, and does not show because of something that may be refused.
   */
  heard: Change;
}

type Sent = Omit<DocumentMessage, 'type' | 'update'> & { readonly bytes: number };

/** Entries from which they are put together: somebody may write for a day without a server. */
const MANY = 1_000;

export class Pending {
  readonly #doc: Y.Doc;
  readonly #undoing: Y.UndoManager;
  readonly #tracked: Tracked = {
    entries: [],
    refused: NONE,
    traces: NONE,
    offer: NEVER,
    sent: new Map(),
    heard: NONE,
  };

  /**
   * @param hasContent whether the document already holds what no server has reported saved
   * @param isOurs whether a transaction is a change to be watched
   */
  constructor(doc: Y.Doc, hasContent: boolean, isOurs: (transaction: Y.Transaction) => boolean) {
    if (hasContent) this.add(UNKNOWN);
    this.#doc = doc;
    this.#undoing = new Y.UndoManager(doc, {
      // Each change has an item of its own.
      captureTimeout: 0,
      // It asks whether a transaction's origin is in here; all are.
      trackedOrigins: Object.assign(new Set(), { has: () => true }),
      // Taking back keeps nothing: what is deleted by it may be forgotten at once.
      captureTransaction: (transaction) =>
        transaction.origin !== this.#undoing && isOurs(transaction),
    });
  }

  /** Whether the document has traces of what was refused. */
  get isForked(): boolean {
    return !isEmpty(this.#tracked.traces);
  }

  /**
   * Whether traces are on their way to the server. If it takes them, what is seen of them is what
   * all see from then on, and nothing of it may be undone.
   */
  get isOffering(): boolean {
    return this.isForked && this.#tracked.offer < NEVER;
  }

  /** All that is not known to be saved, for a page that takes over, or one that comes later. */
  get all(): Change {
    const changes = this.#tracked.entries.map(({ change }) => change);
    return { ...merge([...changes, this.#tracked.refused]), traces: this.#tracked.traces };
  }

  /** Whether an update of the document comes from {@link revert}. */
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
    const change = this.#undoing.undoStack.splice(0).at(-1);
    if (change === undefined) return;
    this.#tracked.entries.push({ change, message });
    if (message !== null || this.#tracked.entries.length < MANY) return;
    // There is no socket, and what was sent on the last one is void.
    this.#tracked.entries = [{ change: this.all, message }];
  }

  /** There is something in the document that is not on disk, and that no message carries. */
  add(change: Change, traces = NONE): void {
    this.#tracked.traces = merge([this.#tracked.traces, traces]);
    this.#tracked.entries.push({ change, message: null });
  }

  /** A message was sent. */
  sent(message: number, { type, update, ...sent }: DocumentMessage): void {
    this.#tracked.sent.set(message, { ...sent, bytes: update.length });
    if (type !== 'step2') return;
    this.#tracked.offer = message;
    for (const entry of this.#tracked.entries) entry.message ??= message;
  }

  /**
   * The largest message that is not saved, which is larger than the server takes if any of them
   * is; undefined if there is none.
   */
  get largest(): readonly [message: number, sent: Sent] | undefined {
    return [...this.#tracked.sent].sort(([, one], [, other]) => other.bytes - one.bytes)[0];
  }

  /** A new socket is open: what was under way on the last one is carried by no message. */
  opened(): void {
    this.#tracked.sent.clear();
    this.#tracked.offer = NEVER;
    this.#tracked.heard = { ...this.#tracked.heard, deletions: NOTHING };
    for (const entry of this.#tracked.entries) entry.message = null;
  }

  /**
   * The server has sent this, while something was not saved or the document was forked.
   *
   * @param displaced what had to give way to what is here, though nobody has deleted it
   * @param isComplete whether it has sent before all that it had, which {@link complete} says
   */
  heard({ structs, ds }: Decoded, displaced: Ranges, isComplete: boolean): void {
    if (isComplete && !this.isForked && displaced.clients.size === 0) return;
    this.#tracked.heard = merge([this.#tracked.heard, { insertions: displaced, deletions: ds }]);
    if (isComplete) this.#follow(structs);
  }

  /** All that the server has is here. */
  complete(): void {
    this.#follow(null);
  }

  /** The first `count` messages are on disk. */
  saved(count: number): void {
    const tracked = this.#tracked;
    const { sent, refused } = tracked;
    tracked.entries = tracked.entries.filter(({ message }) => message === null || message > count);
    for (const message of sent.keys()) if (message <= count) sent.delete(message);
    if (tracked.offer <= count) {
      tracked.traces = NONE;
      tracked.offer = NEVER;
    }
    const isAllSaved = tracked.entries.length === 0 && isEmpty(refused);
    if (isAllSaved && !this.isForked) tracked.heard = NONE;
  }

  /** Whether something was left of a message that was refused, and waits to be sent once more. */
  get isLeft(): boolean {
    return this.#tracked.entries.some(({ message }) => message === null);
  }

  /**
   * What a server says that it has, without what is not known to be saved. It may have lost a word
   * with a connection, or have something else there: then another client uses this client's id,
   * which only the server can find out, and only if it gets to see both.
   */
  certain(stateVector: Uint8Array): Uint8Array {
    const vector = Y.decodeStateVector(stateVector);
    let isLess = false;
    for (const { change } of this.#tracked.entries) {
      for (const [client, [first]] of change.insertions.clients) {
        if (first === undefined || first.clock >= (vector.get(client) ?? 0)) continue;
        vector.set(client, first.clock);
        isLess = true;
      }
    }
    return isLess ? Y.encodeStateVector(vector) : stateVector;
  }

  /** Nothing of it can be refused any more: all is on disk, or this server reports nothing. */
  forget(): void {
    this.#tracked.entries = [];
  }

  /** Another page has taken something back: what it has brought back must not come twice. */
  takenBackElsewhere(): void {
    this.#tracked.entries = this.#tracked.entries.map(({ change, message }) => ({
      change: { ...change, deletions: NOTHING },
      message,
    }));
  }

  /** The server has refused a message, and nothing can revert it: it waits to be sent once more. */
  keep(refused: number): void {
    for (const entry of this.#tracked.entries) {
      if (entry.message !== null && entry.message <= refused) entry.message = null;
    }
  }

  /**
   * The server has refused a message; it stays in the document until {@link revert}.
   *
   * @param isAtFault whether a change is one for which it was refused; if none is, all are
   * @returns whether nothing of it is left; null if it held no change that was made here
   */
  refuse(message: number, isAtFault: (change: Change) => boolean = () => true): boolean | null {
    return refusals.code?.refuse(this.#tracked, message, isAtFault) ?? null;
  }

  /** Removes from the document what was refused, and brings back what it had deleted. */
  revert(): void {
    refusals.code?.revert(this.#doc, this.#undoing, this.#tracked);
  }

  #follow(structs: Decoded['structs'] | null): void {
    // The server may take all of it as it is, and others then see just that.
    if (!this.isForked || this.isOffering) return;
    refusals.code?.follow(this.#doc, this.#undoing, this.#tracked, structs);
  }

  destroy(): void {
    this.#tracked.entries = [];
    this.#tracked.refused = NONE;
    this.#undoing.destroy();
  }
}
