/**
 * Copies of documents in the browser's IndexedDB, so that a page opens at once and works without
 * a server.
 *
 * All copies of an origin are in one database: `copies` has what is known of each, `updates` what
 * it is made of. A change is on its way to the database, in a transaction that is committed
 * already, when the event of the document returns; one that still waits for others when the page
 * ends is rescued (offline-rescue.ts). Everything else is done after it, in transactions that read before they write; a
 * change that waits for one of those would be lost all the same, so that they leave `updates`
 * alone while somebody types and nothing is being saved.
 *
 * A copy may be written by several tabs: each adds updates, and replaces only those that it has
 * read or written itself. Invariants: a copy is taken for saved only if every update in it is
 * known to be on a server's disk; one that somebody has removed is not begun again by a page
 * that was there before.
 *
 * y-indexeddb keeps documents as well, but tells nobody of a write that failed, nor what of a
 * document no server has yet, and sets no bound.
 */
import * as Y from 'yjs';
import { addRange, type Change, isEmpty, NONE, outside, type Source } from './change.js';
import { Mend } from './mend.js';
import { makeRoom } from './offline-bound.js';
import {
  BY_LIFE,
  COPIES,
  type Copy,
  type CopyOf,
  DAMAGED,
  type Damaged,
  done,
  keyOf,
  openDatabase,
  RECOVERABLE,
  REMOVALS,
  type Recoverable,
  type Removal,
  result,
  type Stored,
  UPDATES,
} from './offline-database.js';
import {
  type Bad,
  type Found,
  hasUnsaved,
  isCopy,
  isOfNoServer,
  isOwn,
  ownIn,
  type Row,
  readCopy,
  sumOf,
  sumOfEntry,
  sumOfRest,
} from './offline-records.js';
import { contentOf, preserve, unsavedIn } from './offline-recoverable.js';
import { hearRemovals, REMOVED, removeCopies, removeCopy, removeLife } from './offline-removals.js';
import { rescueAtEnd, rescued } from './offline-rescue.js';
import { Transactions } from './offline-transactions.js';

export { clearOfflineCopies } from './offline-removals.js';

/** Updates after which a copy is written anew as one. */
const MANY = 200;

/** Records that are kept though they cannot be read; then the oldest go. */
const MAX_DAMAGED = 1_000;

/** Which copy, and how many bytes all of them may have together. */
export interface CopySettings {
  readonly of: CopyOf;
  readonly maxBytes: number;
}

/** What was kept. */
export interface Kept {
  /** Whether some of it may be on no server's disk. */
  readonly isUnsaved: boolean;
  /** Whether there was a document to show, perhaps an empty one. */
  readonly wasReady: boolean;
  /** What was made in this browser of what may be unsaved. */
  readonly change: Change;
  /** Which document of the room's name it is; null if no server has said. */
  readonly generation: number | null;
  /** Whether a deleted item will never be brought back. */
  readonly mayForget: ((item: Y.Item) => boolean) | undefined;
  /** Applies all of it in order, by what is handed over; what throws is passed over. */
  readonly apply: (apply: (update: Uint8Array) => void) => Applied;
}

export interface Applied {
  /** Whether some of it is lost. */
  readonly isDamaged: boolean;
  /** What is to be done about that once the server has answered; null where nothing is. */
  readonly mend: Mend | null;
}

export interface OfflineListener {
  /** Of the transactions in which `loaded` changes the document. */
  readonly origin: unknown;
  loaded(kept: Kept): void;
  /** Where what a transaction changes comes from. */
  sourceOf(transaction: Y.Transaction): Source;
  /** What was made in this browser of what the document holds and no server may have. */
  unsavedChange(): Change;
  /** Whether there is a document to show. */
  isReady(): boolean;
  /** Which document of the room's name it is, and whether the server has just said so. */
  generation(): { readonly generation: number | null; readonly isTold: boolean };
  /**
   * Whether the document may hold something that no server has on disk; also asked when it
   * has just changed.
   */
  isUnsaved(): boolean;
  /** Everything is written, or something is not. */
  changed(): void;
  /** Something that was kept cannot be read; the rest is there. */
  damaged(error: Error): void;
  /** Nothing is kept any more: it could not be written, it is too large, or somebody has removed it. */
  failed(error: Error): void;
}

/** Bytes by which a copy may grow before the others are looked at. */
const GROWTH = 64 * 1024;

export class OfflineCopy {
  readonly #doc: Y.Doc;
  readonly #of: CopyOf;
  readonly #key: string;
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #listener: OfflineListener;
  readonly #since: number;
  readonly #transactions = new Transactions();
  #database: IDBDatabase | null = null;
  #life = '';
  /** The updates in it that this document holds: their numbers and bytes. */
  readonly #known = new Map<number, number>();
  /** Before there is a database. */
  #early: Pick<Stored, 'update' | 'from'>[] = [];
  /** What is on its way into the database. */
  readonly #adding = new Set<Stored>();
  readonly #stopRescue: () => void;
  /** Bytes that were added and are not in the copy's count yet. */
  #uncounted = 0;
  /** Its bytes when the others were looked at. */
  #lookedAt = 0;
  /** Something in it was unsaved when it was added, and it does not say yet that it is saved. */
  #saysUnsaved = false;
  /** It says that there was a document to show. */
  #saysReady = false;
  #saysGeneration: number | null = null;
  #removals: BroadcastChannel | null = null;
  #opening: Promise<void> | null = null;
  #isRead = false;
  #isApplying = false;
  #isFilling = false;
  #isTidying = false;
  /** Something was added since it was tidied. */
  #isUntidy = false;
  #isClosing = false;
  #isEnded = false;

  /**
   * @param since when the document was opened, by {@link instant}: what was removed later is not begun again
   * @param now milliseconds since 1970
   */
  constructor(
    doc: Y.Doc,
    { of, maxBytes }: CopySettings,
    since: number,
    now: () => number,
    listener: OfflineListener,
  ) {
    this.#doc = doc;
    this.#of = of;
    this.#key = keyOf(of);
    this.#maxBytes = maxBytes;
    this.#since = since;
    this.#now = now;
    this.#listener = listener;
    this.#stopRescue = rescueAtEnd({ key: this.#key, since }, () => [...this.#adding]);
  }

  /** Whether all that the document holds is in the copy. */
  get isComplete(): boolean {
    return this.#database !== null && !this.#isEnded && this.#adding.size === 0;
  }

  /** Whether it is known what was kept. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** Loads what there is, and keeps the document from now on; once. Resolves also when that fails. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    if (this.#isEnded) return;
    const hadContent = this.#doc.store.clients.size > 0;
    this.#doc.on('update', this.#onUpdate);
    try {
      const database = await openDatabase();
      database.onversionchange = () => {
        database.close();
        this.#fail(new Error('somebody else needs the database of the offline copies'));
      };
      database.onclose = () => this.#fail(new Error('the browser has closed the offline copies'));
      this.#removals = hearRemovals((removal) => {
        if (this.#isOfThis(removal)) this.#fail(new Error(REMOVED));
      });
      const found = await this.#load(database).catch(async (error: unknown) => {
        // Where nothing can be written any more, what was kept can still be read.
        const kept = await readCopy(database.transaction([COPIES, UPDATES]), this.#key);
        if (!this.#isEnded && !this.#isClosing) this.#apply(kept);
        throw error;
      });
      if (this.#isEnded) return database.close();
      this.#database = database;
      const failed = this.#isClosing ? [] : this.#apply(found);
      const isFailed = new Set<IDBValidKey>(failed.map(({ id }) => id));
      // What a document does not hold is not for it to say anything of.
      if (this.#isClosing) this.#known.clear();
      for (const { id } of failed) this.#known.delete(id as number);
      if (failed.length > 0) await this.#quarantine(database, failed);
      // Of what Yjs did not take as a whole it may have taken a part.
      if (hadContent || failed.length > 0) {
        const taken = found.rows.filter(({ number }) => !isFailed.has(number));
        const updates = taken.map(({ update }) => update);
        const rest = Y.encodeStateAsUpdate(this.#doc, stateVectorOf(updates));
        this.#add(rest, this.#listener.unsavedChange());
      }
      for (const { update, from } of this.#early.splice(0)) this.#add(update, from);
      await makeRoom(this.#transactions, database, this.#key, this.#maxBytes);
      this.#tidy();
    } catch (cause) {
      this.#fail(new Error('there is no offline copy of this document', { cause }));
    }
  }

  /** What is unsaved may be different. */
  check(): void {
    this.#tidy();
  }

  /** The page stops running: it keeps no other from the database meanwhile. */
  suspend(): void {
    this.#transactions.suspend();
  }

  /** The page runs. */
  resume(): void {
    this.#transactions.resume();
  }

  /** Keeps nothing from now on, and removes what was kept. */
  async remove(): Promise<void> {
    this.#end();
    await removeCopies(this.#key, ({ key }) => key === this.#key, true, this.#transactions);
  }

  /** The same, and preserves what is unsaved: the server has another document under this name. */
  async preserve(): Promise<void> {
    const { generation } = this.#listener.generation();
    const change = this.#listener.isUnsaved() ? this.#listener.unsavedChange() : null;
    this.#end();
    const content = change && contentOf(this.#doc, change);
    const now = this.#now();
    await preserve(this.#transactions, this.#key, generation, now, content, this.#isRead);
  }

  /** Keeps nothing from now on. What the document holds by now is still written. */
  close(): void {
    this.#isClosing = true;
    this.#doc.off('update', this.#onUpdate);
    if (this.#database !== null) this.#tidy();
  }

  readonly #onUpdate = (
    update: Uint8Array,
    origin: unknown,
    _doc: Y.Doc,
    transaction: Y.Transaction,
  ): void => {
    // Whoever hears of what is loaded may write as well, perhaps by another document.
    const isKept = this.#isApplying && !transaction.local && origin === this.#listener.origin;
    if (isKept && !this.#isFilling) return;
    const source = this.#isFilling ? 'filled' : this.#listener.sourceOf(transaction);
    // What is taken back was unsaved until then.
    const from = source === 'takenBack' ? this.#listener.unsavedChange() : source;
    if (this.#database === null) this.#early.push({ update, from });
    else this.#add(update, from);
  };

  #isOfThis({ what, at }: Removal): boolean {
    return at > this.#since && ['', this.#of.user, this.#key].includes(what);
  }

  /** @returns those that the document did not take */
  #apply(found: Found): Bad[] {
    const { rows, bad, savedUpTo, wasReady, generation } = found;
    const { store } = this.#doc;
    const wasTorn = isTorn(store);
    let isDamaged = false;
    this.#isRead = true;
    this.#isApplying = true;
    this.#saysUnsaved = bad.length > 0 || hasUnsaved(rows, savedUpTo);
    this.#saysReady = wasReady;
    const change = ownIn(rows, savedUpTo);
    const mustKeep = this.#saysUnsaved || !isEmpty(change.traces ?? NONE);
    const failed: Bad[] = [];
    try {
      this.#listener.loaded({
        isUnsaved: this.#saysUnsaved,
        wasReady,
        change,
        generation,
        mayForget: mustKeep ? isTrace(change) : undefined,
        apply: (apply) => {
          failed.push(...applyRows(this.#doc, rows, apply));
          const lost = [...bad, ...failed];
          // What is kept needs nothing that is not kept: something is missing without a trace.
          isDamaged = lost.length > 0 || (!wasTorn && isTorn(store));
          this.#saysUnsaved ||= isDamaged;
          const earlier = rows.filter(
            ({ number, from }) => from === 'filled' && number > savedUpTo,
          );
          if (!isDamaged && earlier.length === 0) return { isDamaged, mend: null };
          const fill = (update: Uint8Array) => {
            this.#isFilling = true;
            try {
              apply(update);
            } finally {
              this.#isFilling = false;
            }
          };
          const mayGuess =
            isDamaged &&
            (lost.length > 0 ? lost.every((each) => isOwn(each, savedUpTo)) : isOfNoServer(found));
          const updates = earlier.map(({ update }) => update);
          const mend = new Mend(this.#doc, fill, mayGuess, updates);
          return { isDamaged, mend };
        },
      });
    } finally {
      this.#isApplying = false;
    }
    this.#listener.changed();
    const [first] = [...bad, ...failed];
    if (first !== undefined) {
      const text = `damaged records of the offline copy were quarantined: ${bad.length + failed.length}`;
      this.#listener.damaged(new Error(text, { cause: new Error(first.reason) }));
    } else if (isDamaged) {
      this.#listener.damaged(new Error('records of the offline copy are missing'));
    }
    return failed;
  }

  /** Committed at once: what waited for an answer of the database would be lost with the page. */
  #add(update: Uint8Array, from: Stored['from']): void {
    if (this.#isEnded || this.#database === null) return;
    this.#isUntidy = true;
    this.#uncounted += update.length;
    const isUnsaved = this.#listener.isUnsaved();
    const row = this.#row(update, isUnsaved, from);
    this.#adding.add(row);
    const added = async (database: IDBDatabase) => {
      // This far it comes before the event is over.
      const transaction = database.transaction(UPDATES, 'readwrite');
      const request = transaction.objectStore(UPDATES).add(row);
      transaction.commit?.();
      const number = (await result(request)) as number;
      await done(transaction);
      this.#known.set(number, update.length);
      this.#saysUnsaved ||= row.isUnsaved;
      this.#adding.delete(row);
      this.#listener.changed();
      this.#tidy();
    };
    added(this.#database).catch((cause: unknown) => {
      this.#fail(new Error('the offline copy could not be written', { cause }));
    });
    this.#listener.changed();
  }

  #row(update: Uint8Array, isUnsaved: boolean, from: Stored['from']): Stored {
    const [key, life] = [this.#key, this.#life];
    const { generation } = this.#listener.generation();
    const row = { key, life, update, isUnsaved, generation, from };
    return { ...row, sum: sumOf(row), sumOfRest: sumOfRest(row) };
  }

  /** Reads the copy, or begins one. */
  async #load(database: IDBDatabase): Promise<Found> {
    const stores = [COPIES, UPDATES, REMOVALS, DAMAGED, RECOVERABLE];
    const { found, forget } = await this.#transactions.write(database, stores, (transaction) =>
      this.#loadIn(transaction),
    );
    forget();
    return found;
  }

  async #loadIn(transaction: IDBTransaction): Promise<{ found: Found; forget: () => void }> {
    const removals = transaction.objectStore(REMOVALS);
    let removedAt = 0;
    for (const what of ['', this.#of.user, this.#key]) {
      const removal = await result<Removal | undefined>(removals.get(what));
      if (removal === undefined) continue;
      if (this.#isOfThis(removal)) {
        this.#isRead = true;
        throw new Error(REMOVED);
      }
      removedAt = Math.max(removedAt, removal.at);
    }
    const left = rescued(this.#key);
    for (const { since, rows } of left.found) {
      if (removedAt > since) continue;
      for (const row of rows) transaction.objectStore(UPDATES).add(row);
    }
    const kept = await readCopy(transaction, this.#key);
    const found = this.#isOther(kept) ? await this.#replace(transaction, kept) : kept;
    this.#life = found.life ?? crypto.randomUUID();
    this.#known.clear();
    // Not what it says: a page that ended at once had no time to count.
    let bytes = 0;
    for (const { number, update } of found.rows) {
      this.#known.set(number, update.length);
      bytes += update.length;
    }
    this.#lookedAt = bytes;
    this.#saysReady = found.wasReady;
    this.#saysGeneration = found.generation;
    await this.#move(transaction, found.bad);
    transaction.objectStore(COPIES).put(this.#entry(bytes, found.savedUpTo));
    return { found, forget: left.forget };
  }

  /** Whether a copy is of another document than this one. @throws where nobody has said which of them is gone */
  #isOther({ generation: kept }: Found): boolean {
    const { generation, isTold } = this.#listener.generation();
    if (kept === null || generation === null || kept === generation) return false;
    if (isTold) return true;
    throw new Error('this browser has kept another document of this name');
  }

  /** The copy is of a document that was deleted, or replaced by this one. @returns an empty one */
  async #replace(transaction: IDBTransaction, found: Found): Promise<Found> {
    const content = unsavedIn(found);
    if (content !== null) {
      const { generation } = found;
      const kept: Recoverable = { key: this.#key, generation, at: this.#now(), ...content };
      transaction.objectStore(RECOVERABLE).add(kept);
    }
    await removeCopy(transaction, this.#key);
    const { generation: own } = this.#listener.generation();
    const nothing = { rows: [], bad: [], life: undefined, savedUpTo: 0, wasReady: false };
    return { ...nothing, generation: own };
  }

  /** What the document did not take is not lost with the next time that the copy is put together. */
  async #quarantine(database: IDBDatabase, bad: readonly Bad[]): Promise<void> {
    const stores = [COPIES, UPDATES, DAMAGED];
    await this.#transactions.write(database, stores, (transaction) => this.#move(transaction, bad));
  }

  async #move(transaction: IDBTransaction, bad: readonly Bad[]): Promise<void> {
    const damaged = transaction.objectStore(DAMAGED);
    for (const { store, id, reason, value, isLost } of bad) {
      // It stays where it is.
      if (isLost) continue;
      const kept: Damaged = { key: this.#key, store, reason, at: this.#now(), value };
      damaged.add(kept);
      transaction.objectStore(store).delete(id);
    }
    if (bad.length === 0) return;
    const all = await result(damaged.getAllKeys());
    for (const id of all.slice(0, -MAX_DAMAGED)) damaged.delete(id);
  }

  #entry(bytes: number, savedUpTo: number): Copy {
    const { url, room, user } = this.#of;
    const [usedAt, isReady, generation] = [this.#now(), this.#saysReady, this.#saysGeneration];
    const [key, life] = [this.#key, this.#life];
    const entry = { url, room, user, key, life, bytes, savedUpTo, usedAt, isReady, generation };
    return { ...entry, sum: sumOfEntry(entry) };
  }

  /** @returns what the database knows of this copy; null where somebody has removed it */
  #checked(entry: Copy | undefined): Copy | null {
    // Damaged since this page has read it: of what is in it nothing is known to be saved.
    if (isCopy(entry) !== undefined) return this.#entry(this.#lookedAt, 0);
    return entry?.life === this.#life ? entry : null;
  }

  /** One transaction at a time: what is to be done meanwhile is done in the next. */
  #tidy(): void {
    if (this.#database === null || this.#isTidying || this.#isEnded) return;
    const isDue =
      this.#isUntidy ||
      this.#saysUnsaved !== this.#listener.isUnsaved() ||
      (!this.#saysReady && this.#listener.isReady()) ||
      this.#saysGeneration !== this.#listener.generation().generation;
    if (this.#adding.size > 0) return;
    if (!isDue) {
      if (this.#isClosing) this.#end();
      return;
    }
    this.#isTidying = true;
    this.#isUntidy = false;
    this.#tidyUp(this.#database).then(
      () => {
        this.#isTidying = false;
        this.#tidy();
      },
      (cause: unknown) => {
        this.#isTidying = false;
        this.#fail(new Error('the offline copy could not be written', { cause }));
      },
    );
  }

  /** Counts what was added; and where that is due, says what is saved, or puts one update in the place of many. */
  async #tidyUp(database: IDBDatabase): Promise<void> {
    const isUnsaved = this.#listener.isUnsaved();
    // What is written into the document after its end is not for this copy to say anything of.
    const isMany = !this.#isClosing && this.#known.size > MANY;
    const counted = this.#uncounted;
    const isSavedNow = this.#saysUnsaved && !isUnsaved;
    // Before the first wait: what is added meanwhile is not saved by this.
    this.#saysUnsaved = isUnsaved;
    this.#saysReady ||= this.#listener.isReady();
    this.#saysGeneration = this.#listener.generation().generation;
    const bytes =
      isMany || isSavedNow
        ? await this.#goThrough(database, counted, isMany, isUnsaved)
        : await this.#count(database, counted);
    this.#uncounted -= counted;
    const isTooLarge = bytes > this.#maxBytes;
    if (isMany || isTooLarge || bytes > this.#lookedAt + GROWTH) {
      this.#lookedAt = bytes;
      await makeRoom(this.#transactions, database, this.#key, this.#maxBytes);
    }
  }

  /** Must not name `updates`: see the head of this file. */
  async #count(database: IDBDatabase, counted: number): Promise<number> {
    return await this.#transactions.write(database, COPIES, async (transaction) => {
      const copies = transaction.objectStore(COPIES);
      const copy = this.#checked(await result(copies.get(this.#key)));
      if (copy === null) return this.#removeLeftOver(database);
      const bytes = copy.bytes + counted;
      copies.put(this.#entry(bytes, copy.savedUpTo));
      return bytes;
    });
  }

  async #goThrough(
    database: IDBDatabase,
    counted: number,
    isMany: boolean,
    isUnsaved: boolean,
  ): Promise<number> {
    const known = [...this.#known];
    const whole = isMany ? Y.encodeStateAsUpdate(this.#doc) : null;
    const change = this.#listener.unsavedChange();
    const stores = [COPIES, UPDATES];
    const [bytes, number] = await this.#transactions.write(
      database,
      stores,
      async (transaction) => {
        const copies = transaction.objectStore(COPIES);
        const updates = transaction.objectStore(UPDATES);
        const [entry, rows] = await Promise.all([
          result(copies.get(this.#key)),
          result(updates.index(BY_LIFE).getAllKeys(this.#life)) as Promise<number[]>,
        ]);
        const copy = this.#checked(entry);
        if (copy === null) return this.#removeLeftOver(database);
        let bytes = copy.bytes + counted;
        // Of what another tab has added, this one cannot say that it is saved.
        const mine = new Set(known.map(([number]) => number));
        const isAllKnown = rows.every((number) => mine.has(number));
        const newest = known.reduce((max, [number]) => Math.max(max, number), 0);
        let number = 0;
        if (whole !== null) {
          bytes += whole.length;
          const there = new Set(rows);
          for (const [number, length] of known) {
            // Another page may have put one in its place.
            if (there.has(number)) bytes -= length;
            updates.delete(number);
          }
          const row = this.#row(whole, isUnsaved, change);
          number = (await result(updates.add(row))) as number;
        }
        copies.put(this.#entry(bytes, isAllKnown && !isUnsaved ? newest : copy.savedUpTo));
        return [bytes, number];
      },
    );
    if (whole !== null) {
      for (const [number] of known) this.#known.delete(number);
      this.#known.set(number, whole.length);
    }
    return bytes;
  }

  /**
   * Somebody has removed the copy while this document was written into it. Nobody waits for this:
   * nothing is kept any more, and whoever asks has to hear that now.
   */
  #removeLeftOver(database: IDBDatabase): never {
    const remove = (transaction: IDBTransaction) => removeLife(transaction, this.#life);
    this.#transactions.write(database, UPDATES, remove).catch(ignored);
    throw new Error(REMOVED);
  }

  #fail(error: Error): void {
    if (this.#isEnded) return;
    this.#end();
    this.#listener.failed(error);
  }

  #end(): void {
    this.#isEnded = true;
    this.#early = [];
    this.#stopRescue();
    this.#doc.off('update', this.#onUpdate);
    this.#removals?.close();
    this.#database?.close();
  }
}

/** What stays of a copy that nobody has is removed with the next one that is opened. */
const ignored = (): void => undefined;

function applyRows(
  { share }: Y.Doc,
  rows: readonly Row[],
  apply: (update: Uint8Array) => void,
): Bad[] {
  return rows.flatMap(({ number: id, ...value }) => {
    const names = new Set(share.keys());
    try {
      apply(value.update);
      return [];
    } catch (error) {
      // Reading a root's name makes it.
      for (const [name, { _start, _map }] of share) {
        if (!names.has(name) && _start === null && _map.size === 0) share.delete(name);
      }
      return [{ store: UPDATES, id, reason: `Yjs does not take it: ${error}`, value }];
    }
  });
}

/** Whether something waits for what is not there. */
function isTorn({ pendingStructs, pendingDs }: Y.Doc['store']): boolean {
  return pendingStructs !== null || pendingDs !== null;
}

/** Whether an item was refused, or is a copy: of these nothing comes back once it is deleted. */
function isTrace({ traces = NONE }: Change): (item: Y.Item) => boolean {
  return ({ id, length }) => {
    const item = Y.createDeleteSet();
    addRange(item, id, length);
    return outside(item, traces.insertions).clients.size === 0;
  };
}

function stateVectorOf(updates: readonly Uint8Array[]): Uint8Array {
  const update = merged(updates);
  return update === null ? Y.encodeStateVector(new Y.Doc()) : Y.encodeStateVectorFromUpdate(update);
}

function merged(updates: readonly Uint8Array[]): Uint8Array | null {
  if (updates.length === 0) return null;
  return updates.length === 1 ? (updates[0] as Uint8Array) : Y.mergeUpdates([...updates]);
}
