/**
 * Copies of documents in the browser's IndexedDB, so that a page opens at once and works without
 * a server.
 *
 * All copies of an origin are in one database: `copies` has what is known of each, `updates` what
 * it is made of. A change is on its way to the database, in a transaction that is committed
 * already, when the event of the document returns: it is not lost with a page that ends in the
 * next moment. Everything else is done after it, in transactions that read before they write; a
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
import {
  addRange,
  type Change,
  isEmpty,
  merge,
  NONE,
  outside,
  type Source,
  UNKNOWN,
} from './change.js';
import { instant } from './clock.js';

const DATABASE = 'cowrite';
const VERSION = 1;
const COPIES = 'copies';
const UPDATES = 'updates';
/** When copies were removed, by what was removed. */
const REMOVALS = 'removals';
/** The index of updates by the copy that they belong to. */
const BY_LIFE = 'life';

/** Where pages tell each other what they have removed. */
const CHANNEL = 'cowrite removals';

/** Updates after which a copy is written anew as one. */
const MANY = 200;

/** Whose copy of what. */
export interface CopyOf {
  readonly url: string;
  readonly room: string;
  /** Another text for another user. */
  readonly user: string;
}

/** Which copy, and how many bytes all of them may have together. */
export interface CopySettings {
  readonly of: CopyOf;
  readonly maxBytes: number;
}

/** That all copies, those of a user, or one, were removed. */
interface Removal {
  /** Empty for all; the user; or the copy's key. */
  readonly what: string;
  readonly at: number;
}

interface Copy extends CopyOf {
  readonly key: string;
  /** Another one for each time that it is begun; its updates are known by it. */
  readonly life: string;
  readonly bytes: number;
  /** The number of an update: what that one and those before it hold is on a server's disk. */
  readonly savedUpTo: number;
  /** Milliseconds since 1970. */
  readonly usedAt: number;
  /** Whether there was a document to show; an earlier version did not say. */
  readonly isReady?: boolean;
}

/** Numbered by the database, from 1. */
interface Stored {
  readonly life: string;
  readonly update: Uint8Array;
  /** Whether it may hold something that was on no server's disk when it was written. */
  readonly isUnsaved: boolean;
  /** Where it comes from, or all that was made in this browser and unsaved when it was written. */
  readonly from?: Source | Change;
}

export interface OfflineListener {
  /** Of the transactions in which `loaded` changes the document. */
  readonly origin: unknown;
  /**
   * What was kept, to be applied in this order.
   *
   * @param isUnsaved whether some of it may be on no server's disk
   * @param wasReady whether there was a document to show, perhaps an empty one
   * @param change what was made in this browser of what may be unsaved
   * @param mayForget whether a deleted item will never be brought back
   */
  loaded(
    updates: readonly Uint8Array[],
    isUnsaved: boolean,
    wasReady: boolean,
    change: Change,
    mayForget: ((item: Y.Item) => boolean) | undefined,
  ): void;
  /** Where what a transaction changes comes from. */
  sourceOf(transaction: Y.Transaction): Source;
  /** What was made in this browser of what the document holds and no server may have. */
  unsavedChange(): Change;
  /** Whether there is a document to show. */
  isReady(): boolean;
  /**
   * Whether the document may hold something that no server has on disk; also asked when it
   * has just changed.
   */
  isUnsaved(): boolean;
  /** Everything is written, or something is not. */
  changed(): void;
  /** Nothing is kept any more: it could not be written, it is too large, or somebody has removed it. */
  failed(error: Error): void;
}

/** Milliseconds for which a removal is remembered: no page is open for longer. */
const MEMORY = 30 * 24 * 3_600_000;

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
  #database: IDBDatabase | null = null;
  #life = '';
  /** The updates in it that this document holds: their numbers and bytes. */
  readonly #known = new Map<number, number>();
  /** Before there is a database. */
  #early: { readonly update: Uint8Array; readonly from: Source | Change }[] = [];
  /** What was made in this browser of what it holds, and may be unsaved. */
  #change = merge([]);
  /** Transactions on their way that add something. */
  #adding = 0;
  /** Bytes that were added and are not in the copy's count yet. */
  #uncounted = 0;
  /** Its bytes when the others were looked at. */
  #lookedAt = 0;
  /** Something in it was unsaved when it was added, and it does not say yet that it is saved. */
  #saysUnsaved = false;
  /** It says that there was a document to show. */
  #saysReady = false;
  #removals: BroadcastChannel | null = null;
  #opening: Promise<void> | null = null;
  #isApplying = false;
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
  }

  /** Whether all that the document holds is in the copy. */
  get isComplete(): boolean {
    return this.#database !== null && !this.#isEnded && this.#adding === 0;
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
      const updates = await this.#load(database).catch(async (error: unknown) => {
        // Where nothing can be written any more, what was kept can still be read.
        const kept = await this.#read(database);
        if (!this.#isEnded && !this.#isClosing) this.#apply(kept);
        throw error;
      });
      if (this.#isEnded) return database.close();
      this.#database = database;
      // What a document that was closed meanwhile does not hold, is not for it to say anything of.
      if (this.#isClosing) this.#known.clear();
      else this.#apply(updates);
      if (hadContent) {
        const rest = Y.encodeStateAsUpdate(this.#doc, stateVectorOf(updates));
        this.#add(rest, this.#listener.unsavedChange());
      }
      for (const { update, from } of this.#early.splice(0)) this.#add(update, from);
      await this.#makeRoom(database);
      this.#tidy();
    } catch (cause) {
      this.#fail(new Error('there is no offline copy of this document', { cause }));
    }
  }

  /** What is unsaved may be different. */
  check(): void {
    this.#tidy();
  }

  /** Keeps nothing from now on, and removes what was kept. */
  async remove(): Promise<void> {
    this.#end();
    await removeCopies(this.#key, ({ key }) => key === this.#key);
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
    const isOwn = this.#isApplying && !transaction.local && origin === this.#listener.origin;
    if (isOwn) return;
    const source = this.#listener.sourceOf(transaction);
    // What is taken back was unsaved until then.
    const from = source === 'takenBack' ? this.#listener.unsavedChange() : source;
    if (this.#database === null) this.#early.push({ update, from });
    else this.#add(update, from);
  };

  #isOfThis({ what, at }: Removal): boolean {
    return at > this.#since && ['', this.#of.user, this.#key].includes(what);
  }

  #apply(updates: readonly Uint8Array[]): void {
    this.#isApplying = true;
    try {
      const mustKeep = this.#saysUnsaved || !isEmpty(this.#change.traces ?? NONE);
      const mayForget = mustKeep ? isTrace(this.#change) : undefined;
      const [isUnsaved, wasReady] = [this.#saysUnsaved, this.#saysReady];
      this.#listener.loaded(updates, isUnsaved, wasReady, this.#change, mayForget);
    } finally {
      this.#isApplying = false;
    }
  }

  /** Committed at once: what waited for an answer of the database would be lost with the page. */
  #add(update: Uint8Array, from: Source | Change): void {
    if (this.#isEnded || this.#database === null) return;
    this.#adding += 1;
    this.#isUntidy = true;
    this.#uncounted += update.length;
    const isUnsaved = this.#listener.isUnsaved();
    const row: Stored = { life: this.#life, update, isUnsaved, from };
    const added = async (database: IDBDatabase) => {
      // This far it comes before the event is over.
      const transaction = database.transaction(UPDATES, 'readwrite');
      const request = transaction.objectStore(UPDATES).add(row);
      transaction.commit?.();
      const number = (await result(request)) as number;
      await done(transaction);
      this.#known.set(number, update.length);
      this.#saysUnsaved ||= row.isUnsaved;
      this.#adding -= 1;
      this.#listener.changed();
      this.#tidy();
    };
    added(this.#database).catch((cause: unknown) => {
      this.#fail(new Error('the offline copy could not be written', { cause }));
    });
    this.#listener.changed();
  }

  /** Reads the copy, or begins one. */
  async #load(database: IDBDatabase): Promise<readonly Uint8Array[]> {
    const transaction = database.transaction([COPIES, UPDATES, REMOVALS], 'readwrite');
    const copies = transaction.objectStore(COPIES);
    const removals = transaction.objectStore(REMOVALS);
    for (const what of ['', this.#of.user, this.#key]) {
      const removal = await result<Removal | undefined>(removals.get(what));
      if (removal !== undefined && this.#isOfThis(removal)) throw new Error(REMOVED);
    }
    const copy = await result<Copy | undefined>(copies.get(this.#key));
    this.#life = copy?.life ?? crypto.randomUUID();
    const index = transaction.objectStore(UPDATES).index(BY_LIFE);
    const [rows, numbers] = await Promise.all([
      result<Stored[]>(index.getAll(this.#life)),
      result(index.getAllKeys(this.#life)) as Promise<number[]>,
    ]);
    // Not what it says: a page that ended at once had no time to count.
    let bytes = 0;
    for (const [at, { update }] of rows.entries()) {
      this.#known.set(numbers[at] as number, update.length);
      bytes += update.length;
    }
    const savedUpTo = copy?.savedUpTo ?? 0;
    this.#saysUnsaved = hasUnsaved(rows, numbers, savedUpTo);
    this.#change = ownIn(rows, numbers, savedUpTo);
    this.#saysReady = copy?.isReady === true;
    this.#lookedAt = bytes;
    copies.put(this.#entry(bytes, savedUpTo));
    await done(transaction);
    return rows.map(({ update }) => update);
  }

  async #read(database: IDBDatabase): Promise<readonly Uint8Array[]> {
    const transaction = database.transaction([COPIES, UPDATES]);
    const copy = await result<Copy | undefined>(transaction.objectStore(COPIES).get(this.#key));
    if (copy === undefined) return [];
    const index = transaction.objectStore(UPDATES).index(BY_LIFE);
    const [rows, numbers] = await Promise.all([
      result<Stored[]>(index.getAll(copy.life)),
      result(index.getAllKeys(copy.life)) as Promise<number[]>,
    ]);
    this.#saysUnsaved = hasUnsaved(rows, numbers, copy.savedUpTo);
    this.#change = ownIn(rows, numbers, copy.savedUpTo);
    this.#saysReady = copy.isReady === true;
    return rows.map(({ update }) => update);
  }

  #entry(bytes: number, savedUpTo: number): Copy {
    const { url, room, user } = this.#of;
    const [usedAt, isReady] = [this.#now(), this.#saysReady];
    return { url, room, user, key: this.#key, life: this.#life, bytes, savedUpTo, usedAt, isReady };
  }

  /** One transaction at a time: what is to be done meanwhile is done in the next. */
  #tidy(): void {
    if (this.#database === null || this.#isTidying || this.#isEnded) return;
    const isDue =
      this.#isUntidy ||
      this.#saysUnsaved !== this.#listener.isUnsaved() ||
      (!this.#saysReady && this.#listener.isReady());
    if (this.#adding > 0) return;
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
    const bytes =
      isMany || isSavedNow
        ? await this.#goThrough(database, counted, isMany, isUnsaved)
        : await this.#count(database, counted);
    this.#uncounted -= counted;
    const isTooLarge = bytes > this.#maxBytes;
    if (isMany || isTooLarge || bytes > this.#lookedAt + GROWTH) {
      this.#lookedAt = bytes;
      await this.#makeRoom(database);
    }
  }

  /** Must not name `updates`: see the head of this file. */
  async #count(database: IDBDatabase, counted: number): Promise<number> {
    const transaction = database.transaction(COPIES, 'readwrite');
    const copies = transaction.objectStore(COPIES);
    const copy = await result<Copy | undefined>(copies.get(this.#key));
    if (copy?.life !== this.#life) return this.#removeLeftOver(database);
    const bytes = copy.bytes + counted;
    copies.put(this.#entry(bytes, copy.savedUpTo));
    await done(transaction);
    return bytes;
  }

  async #goThrough(
    database: IDBDatabase,
    counted: number,
    isMany: boolean,
    isUnsaved: boolean,
  ): Promise<number> {
    const known = [...this.#known];
    const anew = isMany ? Y.encodeStateAsUpdate(this.#doc) : null;
    const change = this.#listener.unsavedChange();
    const transaction = database.transaction([COPIES, UPDATES], 'readwrite');
    const copies = transaction.objectStore(COPIES);
    const updates = transaction.objectStore(UPDATES);
    const [copy, rows] = await Promise.all([
      result<Copy | undefined>(copies.get(this.#key)),
      result(updates.index(BY_LIFE).getAllKeys(this.#life)) as Promise<number[]>,
    ]);
    if (copy?.life !== this.#life) return this.#removeLeftOver(database);
    let bytes = copy.bytes + counted;
    // Of what another tab has added, this one cannot say that it is saved.
    const mine = new Set(known.map(([number]) => number));
    const isAllKnown = rows.every((number) => mine.has(number));
    const newest = known.reduce((max, [number]) => Math.max(max, number), 0);
    if (anew !== null) {
      bytes += anew.length;
      const there = new Set(rows);
      for (const [number, length] of known) {
        // Another page may have put one in its place.
        if (there.has(number)) bytes -= length;
        updates.delete(number);
        this.#known.delete(number);
      }
      const row: Stored = { life: this.#life, update: anew, isUnsaved, from: change };
      this.#known.set((await result(updates.add(row))) as number, anew.length);
    }
    copies.put(this.#entry(bytes, isAllKnown && !isUnsaved ? newest : copy.savedUpTo));
    await done(transaction);
    return bytes;
  }

  /**
   * Somebody has removed the copy while this document was written into it. Nobody waits for this:
   * nothing is kept any more, and whoever asks has to hear that now.
   */
  #removeLeftOver(database: IDBDatabase): never {
    const transaction = database.transaction(UPDATES, 'readwrite');
    removeUpdates(transaction.objectStore(UPDATES), this.#life).catch(ignored);
    throw new Error(REMOVED);
  }

  /**
   * Removes copies that hold nothing unsaved, the longest unused first, until all are within the
   * bound; and what is left of copies that were removed while a page had them open.
   */
  async #makeRoom(database: IDBDatabase): Promise<void> {
    const transaction = database.transaction([COPIES, UPDATES], 'readwrite');
    const updates = transaction.objectStore(UPDATES);
    const copies = await result<Copy[]>(transaction.objectStore(COPIES).getAll());
    let total = copies.reduce((sum, { bytes }) => sum + bytes, 0);
    let isOwnGone = false;
    for (const copy of copies.sort((a, b) => a.usedAt - b.usedAt)) {
      if (total <= this.#maxBytes) break;
      const index = updates.index(BY_LIFE);
      const [rows, numbers] = await Promise.all([
        result<Stored[]>(index.getAll(copy.life)),
        result(index.getAllKeys(copy.life)) as Promise<number[]>,
      ]);
      if (hasUnsaved(rows, numbers, copy.savedUpTo)) continue;
      await removeCopy(transaction, copy);
      total -= copy.bytes;
      isOwnGone ||= copy.key === this.#key;
    }
    const lives = new Set(copies.map(({ life }) => life));
    for (const life of await livesIn(updates)) {
      if (!lives.has(life)) await removeUpdates(updates, life);
    }
    await done(transaction);
    if (isOwnGone) throw new Error(`offline copies may have ${this.#maxBytes} bytes together`);
  }

  #fail(error: Error): void {
    if (this.#isEnded) return;
    this.#end();
    this.#listener.failed(error);
  }

  #end(): void {
    this.#isEnded = true;
    this.#early = [];
    this.#doc.off('update', this.#onUpdate);
    this.#removals?.close();
    this.#database?.close();
  }
}

/**
 * Removes the offline copies of this origin: when somebody signs out, or to free the space. What
 * was unsaved in them is lost. Documents that are open go on without a copy.
 *
 * @param user whose, as the provider's option has it; all if left out
 * @throws when the browser keeps nothing for this page
 */
export async function clearOfflineCopies({ user }: { user?: string } = {}): Promise<void> {
  const whose = user === undefined ? '' : `user ${user}`;
  await removeCopies(whose, (copy) => whose === '' || copy.user === whose);
}

const REMOVED = 'somebody has removed the offline copy';

/** What stays of a copy that nobody has is removed with the next one that is opened. */
const ignored = (): void => undefined;

/** @returns null where pages cannot tell each other: they find out when they write */
function hearRemovals(heard: (removal: Removal) => void): BroadcastChannel | null {
  if (typeof BroadcastChannel === 'undefined') return null;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<Removal>) => heard(data);
  // Node would wait for it.
  (channel as { unref?(): void }).unref?.();
  return channel;
}

function tellRemoval(removal: Removal): void {
  if (typeof BroadcastChannel === 'undefined') return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(removal);
  channel.close();
}

async function removeCopies(what: string, isMeant: (copy: Copy) => boolean): Promise<void> {
  const database = await openDatabase();
  try {
    const transaction = database.transaction([COPIES, UPDATES, REMOVALS], 'readwrite');
    const removals = transaction.objectStore(REMOVALS);
    for (const { what: old, at } of await result<Removal[]>(removals.getAll())) {
      if (at < instant() - MEMORY) removals.delete(old);
    }
    const removal: Removal = { what, at: instant() };
    removals.put(removal);
    const copies = await result<Copy[]>(transaction.objectStore(COPIES).getAll());
    for (const copy of copies) if (isMeant(copy)) await removeCopy(transaction, copy);
    await done(transaction);
    tellRemoval(removal);
  } finally {
    database.close();
  }
}

async function removeCopy(transaction: IDBTransaction, { key, life }: Copy): Promise<void> {
  transaction.objectStore(COPIES).delete(key);
  await removeUpdates(transaction.objectStore(UPDATES), life);
}

async function removeUpdates(updates: IDBObjectStore, life: string): Promise<void> {
  for (const number of await result(updates.index(BY_LIFE).getAllKeys(life))) {
    updates.delete(number);
  }
}

/** The copies that any update belongs to. */
function livesIn(updates: IDBObjectStore): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const lives: string[] = [];
    const request = updates.index(BY_LIFE).openKeyCursor(null, 'nextunique');
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) return resolve(lives);
      lives.push(cursor.key as string);
      cursor.continue();
    };
    request.onerror = () => reject(request.error);
  });
}

function hasUnsaved(
  rows: readonly Stored[],
  numbers: readonly number[],
  savedUpTo: number,
): boolean {
  return rows.some(({ isUnsaved }, at) => isUnsaved && (numbers[at] as number) > savedUpTo);
}

function ownIn(rows: readonly Stored[], numbers: readonly number[], savedUpTo: number): Change {
  let changes: Change[] = [];
  // The server may have taken these. It says so when it is asked.
  let traces = NONE;
  for (const [at, { update, isUnsaved, from = UNKNOWN }] of rows.entries()) {
    // It is said of all that comes before as well.
    if (typeof from === 'object') [changes, traces] = [[], from.traces ?? NONE];
    if (!isUnsaved || (numbers[at] as number) <= savedUpTo) continue;
    if (from === 'here' || from === 'tab') changes.push(changeIn(update));
    else if (typeof from === 'object') changes.push(from);
  }
  return { ...merge(changes), traces };
}

function changeIn(update: Uint8Array): Change {
  const { structs, ds } = Y.decodeUpdate(update);
  const insertions = Y.createDeleteSet();
  for (const struct of structs) {
    if (!(struct instanceof Y.Skip)) addRange(insertions, struct.id, struct.length);
  }
  return merge([{ insertions, deletions: ds }]);
}

/** Whether an item was refused, or is a copy: of these nothing comes back once it is deleted. */
function isTrace({ traces = NONE }: Change): (item: Y.Item) => boolean {
  return ({ id, length }) => {
    const item = Y.createDeleteSet();
    addRange(item, id, length);
    return outside(item, traces.insertions).clients.size === 0;
  };
}

function keyOf({ url, room, user }: CopyOf): string {
  return JSON.stringify([url, room, user]);
}

function stateVectorOf(updates: readonly Uint8Array[]): Uint8Array {
  const update = merged(updates);
  return update === null ? Y.encodeStateVector(new Y.Doc()) : Y.encodeStateVectorFromUpdate(update);
}

function merged(updates: readonly Uint8Array[]): Uint8Array | null {
  if (updates.length === 0) return null;
  return updates.length === 1 ? (updates[0] as Uint8Array) : Y.mergeUpdates([...updates]);
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    if (typeof indexedDB === 'undefined') throw new Error('there is no IndexedDB here');
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(COPIES, { keyPath: 'key' });
      request.result.createObjectStore(REMOVALS, { keyPath: 'what' });
      const updates = request.result.createObjectStore(UPDATES, { autoIncrement: true });
      updates.createIndex(BY_LIFE, 'life');
    };
    request.onsuccess = () => {
      // A newer version of this package, in another tab, needs the database for itself.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () =>
      reject(transaction.error ?? new Error('the transaction was aborted'));
  });
}
