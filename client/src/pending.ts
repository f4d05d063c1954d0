/**
 * What of the document the server may still refuse, and how it is taken back.
 *
 * Everybody else goes on without a refused change, so it must not stay here either. Yjs cannot
 * forget a change; it is undone by one in the opposite direction, which is never sent by itself.
 * What the server has is never undone: that would be gone from this page alone.
 *
 * Owns an entry for each change that is not known to be saved, with the number of the document
 * message that carries it. Invariant: what is sent, saved or refused here is what `unsaved.ts`
 * counts; entries are in the order in which the changes were made.
 */
import * as Y from 'yjs';
import {
  addRange,
  type Change,
  isEmpty,
  merge,
  NONE,
  NOTHING,
  type Ranges,
  UNKNOWN,
  without,
} from './change.js';
import type { Decoded, follow } from './fork.js';
import { shielded } from './uncaught.js';

interface Entry {
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

type Sent = Omit<DocumentMessage, 'type' | 'update'> & { readonly bytes: number };

/** Entries from which they are put together: somebody may write for a day without a server. */
const MANY = 1_000;

/** The number of no message. */
const NEVER = Number.POSITIVE_INFINITY;

export class Pending {
  /** Null until the code for it is there. */
  follow: typeof follow | null = null;
  readonly #doc: Y.Doc;
  readonly #undoing: Y.UndoManager;
  #entries: Entry[] = [];
  /** What was refused and is in the document still. */
  #refused = NONE;
  /** What was refused, and the copies of what it had deleted; and that. */
  #traces: Change = NONE;
  /** The message that brings the traces to the server, as they are; {@link NEVER} if none does. */
  #offer = NEVER;
  readonly #sent = new Map<number, Sent>();
  /**
   * As far as it matters: what the server of this socket has deleted; and what others have
   * inserted, and does not show because of something that may be refused.
   */
  #heard = NONE;

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
    return !isEmpty(this.#traces);
  }

  /**
   * Whether traces are on their way to the server. If it takes them, what is seen of them is what
   * all see from then on, and nothing of it may be undone.
   */
  get isOffering(): boolean {
    return this.isForked && this.#offer < NEVER;
  }

  /** All that is not known to be saved, for a page that takes over, or one that comes later. */
  get all(): Change {
    const changes = this.#entries.map(({ change }) => change);
    return { ...merge([...changes, this.#refused]), traces: this.#traces };
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
    this.#entries.push({ change, message });
    if (message !== null || this.#entries.length < MANY) return;
    // There is no socket, and what was sent on the last one is void.
    this.#entries = [{ change: this.all, message }];
  }

  /** There is something in the document that is not on disk, and that no message carries. */
  add(change: Change, traces = NONE): void {
    this.#traces = merge([this.#traces, traces]);
    this.#entries.push({ change, message: null });
  }

  /** A message was sent. */
  sent(message: number, { type, update, ...sent }: DocumentMessage): void {
    this.#sent.set(message, { ...sent, bytes: update.length });
    if (type !== 'step2') return;
    this.#offer = message;
    for (const entry of this.#entries) entry.message ??= message;
  }

  /**
   * The largest message that is not saved, which is larger than the server takes if any of them
   * is; undefined if there is none.
   */
  get largest(): readonly [message: number, sent: Sent] | undefined {
    return [...this.#sent].sort(([, one], [, other]) => other.bytes - one.bytes)[0];
  }

  /** A new socket is open: what was under way on the last one is carried by no message. */
  opened(): void {
    this.#sent.clear();
    this.#offer = NEVER;
    this.#heard = { ...this.#heard, deletions: NOTHING };
    for (const entry of this.#entries) entry.message = null;
  }

  /**
   * The server has sent this, while something was not saved or the document was forked.
   *
   * @param displaced what had to give way to what is here, though nobody has deleted it
   * @param isComplete whether it has sent before all that it had, which {@link complete} says
   */
  heard({ structs, ds }: Decoded, displaced: Ranges, isComplete: boolean): void {
    if (isComplete && !this.isForked && displaced.clients.size === 0) return;
    this.#heard = merge([this.#heard, { insertions: displaced, deletions: ds }]);
    if (isComplete) this.#follow(structs);
  }

  /** All that the server has is here. */
  complete(): void {
    this.#follow(null);
  }

  /** The first `count` messages are on disk. */
  saved(count: number): void {
    this.#entries = this.#entries.filter(({ message }) => message === null || message > count);
    for (const message of this.#sent.keys()) if (message <= count) this.#sent.delete(message);
    if (this.#offer <= count) {
      this.#traces = NONE;
      this.#offer = NEVER;
    }
    if (this.#entries.length === 0 && !this.isForked && isEmpty(this.#refused)) this.#heard = NONE;
  }

  /** Whether something was left of a message that was refused, and waits to be sent once more. */
  get isLeft(): boolean {
    return this.#entries.some(({ message }) => message === null);
  }

  /**
   * What a server says that it has, without what is not known to be saved. It may have lost a word
   * with a connection, or have something else there: then another client uses this client's id,
   * which only the server can find out, and only if it gets to see both.
   */
  certain(stateVector: Uint8Array): Uint8Array {
    const vector = Y.decodeStateVector(stateVector);
    let isLess = false;
    for (const { change } of this.#entries) {
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
    this.#entries = [];
  }

  /** Another page has taken something back: what it has brought back must not come twice. */
  takenBackElsewhere(): void {
    this.#entries = this.#entries.map(({ change, message }) => ({
      change: { ...change, deletions: NOTHING },
      message,
    }));
  }

  /**
   * The server has refused a message. One that holds all that it lacks stands for everything
   * before it that is not saved. It stays in the document until {@link revert}.
   *
   * @param isAtFault whether a change is one for which it was refused; if none is, all are
   * @returns whether nothing of it is left; null if it held no change that was made here
   */
  refuse(refused: number, isAtFault: (change: Change) => boolean = () => true): boolean | null {
    const { known, piece } = this.#sent.get(refused) ?? {};
    const { deletions: heard } = this.#heard;
    const taken: Change[] = [];
    const isIn = ({ message }: Entry) =>
      message === refused || (known !== undefined && message !== null && message < refused);
    const atFault = this.#entries.filter((each) => isIn(each) && isAtFault(each.change));
    this.#entries = this.#entries.map((entry) => {
      const { change, message } = entry;
      const isBefore = known !== undefined && message !== null && message < refused;
      if (!piece && !isIn(entry)) return entry;
      // The others are to be sent once more.
      const isInnocent = atFault.length > 0 && !atFault.includes(entry);
      if (!piece && isInnocent) return { change, message: null };
      let lacking = change;
      if (piece) lacking = without(change, without(change, piece));
      if (known) {
        // Of what was sent by itself, the server has taken all that it could.
        const deletions = isBefore ? Y.mergeDeleteSets([heard, known]) : heard;
        lacking = without(change, { insertions: known, deletions });
      }
      taken.push(lacking);
      return { change: without(change, lacking), message };
    });
    const all = merge(taken);
    this.#refused = merge([this.#refused, { ...all, isUnknown: false }]);
    if (refused === this.#offer) this.#offer = NEVER;
    // What nothing can undo is still there, and may yet be accepted.
    const isLeft = all.isUnknown && !(piece && isEmpty(without(piece, all)));
    return isLeft || !isEmpty(all) ? !isLeft : null;
  }

  /** Removes from the document what was refused, and brings back what it had deleted. */
  revert(): void {
    const refused = this.#refused;
    if (isEmpty(refused)) return;
    this.#refused = NONE;
    this.#offer = NEVER;
    // What others have deleted since it was refused is not to come back.
    const { deletions } = this.#heard;
    const lacking = without(refused, { insertions: NOTHING, deletions });
    this.#undo(merge([this.#traces, lacking]));
  }

  #follow(structs: Decoded['structs'] | null): void {
    // The server may take all of it as it is, and others then see just that.
    if (!this.isForked || this.#offer < NEVER) return;
    const next = this.follow?.(this.#doc, this.#traces, this.#heard, structs);
    if (next) this.#undo(next.traces, next.visible);
  }

  /**
   * Removes all traces, and brings back what they had deleted. All at once: Yjs brings a deleted
   * value of a key back only if it knows that what was set after it is refused as well.
   */
  #undo(traces: Change, visible = traces.deletions): void {
    const { store, clientID } = this.#doc;
    const copies = Y.createDeleteSet();
    const item = { insertions: traces.insertions, deletions: visible, meta: new Map() };
    const undo = () => {
      const clock = Y.getState(store, clientID);
      this.#undoing.undoStack = [item];
      this.#undoing.undo();
      // Before anybody who listens can write something that is no copy.
      const len = Y.getState(store, clientID) - clock;
      if (len > 0) addRange(copies, { client: clientID, clock }, len);
      this.#traces = merge([traces, { insertions: copies, deletions: NOTHING }]);
    };
    shielded(() => this.#doc.transact(undo, this.#undoing));
    this.#undoing.undoStack = [];
    // A listener that threw leaves it set, and nothing would be undone any more.
    this.#undoing.currStackItem = null;
  }

  destroy(): void {
    this.#entries = [];
    this.#refused = NONE;
    this.#undoing.destroy();
  }
}
