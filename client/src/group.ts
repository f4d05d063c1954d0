/**
 * What the tabs that share a room tell each other, so that one socket serves them all.
 *
 * The holder is the server's end for the others: their edits and people go to the server through
 * it, and what the server sends comes from it. Everybody hears everybody's edits, and keeps them
 * as unsaved until the holder has said that they are on disk; so whoever holds the socket next
 * has all that was not, and sends it.
 *
 * Edits are numbered per tab. Invariants: an edit is posted by the tab that made it, and by no
 * other; `settled` is told only when the holder has heard every edit that this tab knows of, and
 * nothing of what the holder has is unsaved.
 */
import * as Y from 'yjs';
import { type Change, UNKNOWN } from './change.js';
import { applyReceived } from './document.js';
import type { Generation } from './generation.js';
import type { Rejection } from './options.js';
import type { Message, Nudge, Said, State, View } from './tab-messages.js';
import type { TabSync } from './tab-sync.js';

export interface GroupListener {
  /** Which document of the room's name this is. */
  generation(): Generation;
  /** How things are here; as to the server, asked while this tab is the holder. */
  view(): View;
  /** Everybody that this tab knows of, as an awareness update. */
  people(): Uint8Array;
  /** What here may not be on disk. */
  unsavedChange(): Change;
  /** The holder, if it is another, has told how things are, or there is none. */
  changed(): void;
  /** What this tab shows has followed the holder, or its own ways if it has left. */
  followed(before: View, after: View): void;
  /**
   * The holder has something that is not on disk.
   *
   * @param isNews whether the document has just got something from it
   * @param change what it is, as far as that is known
   */
  doubted(isNews: boolean, change: Change): void;
  /** All that is here is on disk. */
  settled(): void;
  /** An awareness update of another tab. */
  heardPeople(update: Uint8Array): void;
  /** This tab has to be shown again, with a new clock. */
  welcomed(): void;
  /** The tab with this client id has left or died. */
  left(client: number): void;
  nudged(nudge: Nudge): void;
  rejected(rejection: Rejection): void;
  /** There is no group to be had: this tab is alone. */
  unavailable(error: unknown): void;
}

export class Group {
  readonly #doc: Y.Doc;
  readonly #origin: unknown;
  readonly #client: number;
  readonly #listener: GroupListener;
  readonly #sync: TabSync;
  /** The client ids of the others, by tab. */
  #members = new Map<string, number>();
  /** The number of the last edit that this tab has of each, its own included. */
  #seen = new Map<string, number>();
  /** What the holder said last; null if it is this tab, or nobody. */
  #state: State | null = null;
  /** The tab that said last that it is the holder; null if it is this one, or has left. */
  #holder: string | null = null;
  /** The holder with which this document was compared: it has had all that was in either. */
  #welcomedBy: string | null = null;
  /** It waits for a welcome, and asks each tab that comes for one. */
  #isAsking = true;
  #isApplyingEdit = false;
  #isTelling = false;

  /**
   * @param sync by which this tab has come, and may be the holder already
   * @param origin of the transactions in which the document gets what others send
   * @param client this tab's awareness client id
   */
  constructor(sync: TabSync, doc: Y.Doc, origin: unknown, client: number, listener: GroupListener) {
    this.#sync = sync;
    this.#doc = doc;
    this.#origin = origin;
    this.#client = client;
    this.#listener = listener;
    if (sync.tabs.isHolder) this.held();
  }

  /** How things are at the holder, if that is another tab and known. */
  get view(): View | null {
    if (this.#state === null) return null;
    const { status } = this.#state;
    const isWelcome = this.#welcomedBy !== null;
    const isCompared = this.#holder === this.#welcomedBy;
    return {
      ...this.#state,
      status: status === 'online' && !isWelcome ? 'syncing' : status,
      isKept: this.#state.isKept && this.#isHeard(),
      isCopyRead: this.#state.isCopyRead && isCompared,
    };
  }

  /** The awareness client ids of the other tabs. */
  get clients(): ReadonlySet<number> {
    return new Set(this.#members.values());
  }

  /** Whether the document is being changed by what another tab has written. */
  get isApplyingEdit(): boolean {
    return this.#isApplyingEdit;
  }

  /** For the holder: tells at once how things are. */
  announce(): void {
    if (this.#sync.tabs.isHolder) this.#post({ type: 'state', state: this.#ownState() });
  }

  nudge(nudge: Nudge): void {
    if (!this.#sync.tabs.isHolder) this.#post({ type: 'nudge', nudge });
  }

  /** This tab has changed the document. */
  edited(update: Uint8Array): void {
    // To those who do not know each other yet it goes when they meet.
    if (this.#members.size === 0) return;
    const number = (this.#seen.get(this.#sync.tabs.id) ?? 0) + 1;
    this.#seen.set(this.#sync.tabs.id, number);
    this.#post({ type: 'edit', number, update });
  }

  /** For the holder: the document has changed by something that the server does not lack. */
  received(update: Uint8Array): void {
    if (this.#sync.tabs.isHolder) this.#post({ type: 'update', update });
  }

  /** Something new of this tab's person; for the holder, of anybody. */
  people(update: Uint8Array): void {
    this.#post({ type: 'people', update });
  }

  rejected(rejection: Rejection): void {
    this.#post({ type: 'rejected', rejection });
  }

  /** Things are different for the application of this tab. */
  refreshed(before: View, after: View): void {
    if (this.#sync.tabs.isHolder) this.#tell();
    else this.#listener.followed(before, after);
  }

  /** For the holder: the others are told at the end of this turn. */
  #tell(): void {
    if (this.#isTelling || this.#members.size === 0) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      if (this.#sync.tabs.isHolder) this.#post({ type: 'state', state: this.#ownState() });
    });
  }

  #post(message: Message): void {
    if (this.#members.size > 0) this.#sync.say(message);
  }

  /**
   * A tab with another document of the room's name: nothing may be mixed. Which of the two is
   * there now only the server knows, and the tab that has no socket asks it by itself.
   */
  #heardOther(from: string, { type }: Message): void {
    if (this.#sync.tabs.isHolder) {
      if (type === 'hello') this.#sync.say({ type: 'state', state: this.#ownState() });
      return;
    }
    if (type !== 'state' && type !== 'welcome' && type !== 'holding') return;
    this.#sync.leave();
    this.#listener.unavailable(new Error(`the document of tab ${from} is another one`));
  }

  #ownState(): State {
    return { ...this.#listener.view(), heard: this.#seen };
  }

  #hello(): void {
    this.#isAsking = true;
    this.#sync.hello();
  }

  /** This tab is the holder. */
  held(): void {
    this.#state = null;
    this.#holder = null;
    this.#welcomedBy = this.#sync.tabs.id;
    for (const id of this.#members.keys()) this.#sync.tabs.watch(id);
  }

  gone(id: string): void {
    this.#sync.say({ type: 'gone', id });
    this.#left(id);
  }

  heard(from: string, message: Said): void {
    const generation = this.#listener.generation();
    if (generation.isOther(message.generation)) {
      this.#heardOther(from, message);
      return;
    }
    if (HAS_CONTENT.has(message.type)) generation.heard(message.generation);
    switch (message.type) {
      case 'hello':
        this.#members.set(from, message.client);
        if (this.#sync.tabs.isHolder) this.#welcome(from, message);
        break;
      case 'welcome':
        if (message.to === this.#sync.tabs.id) this.#welcomed(from, message);
        break;
      case 'holding':
        this.#members.set(from, message.client);
        this.#follow(from);
        this.#hello();
        break;
      case 'bye':
        this.#left(from);
        break;
      case 'gone':
        this.#left(message.id);
        break;
      case 'edit':
        this.#seen.set(from, message.number);
        this.#apply(message.update, true);
        if (this.#sync.tabs.isHolder) this.#tell();
        else this.#settle();
        break;
      case 'update':
        // From one who was the holder before this tab: the server may lack it after all.
        this.#apply(message.update, this.#sync.tabs.isHolder);
        break;
      case 'people':
        this.#listener.heardPeople(message.update);
        break;
      case 'state':
        if (!this.#sync.tabs.isHolder) this.#stateChanged(from, message.state);
        break;
      case 'nudge':
        if (this.#sync.tabs.isHolder) this.#listener.nudged(message.nudge);
        break;
      case 'rejected':
        this.#listener.rejected(message.rejection);
        break;
    }
  }

  #welcome(to: string, { stateVector, people }: Message & { type: 'hello' }): void {
    this.#sync.tabs.watch(to);
    this.#listener.heardPeople(people);
    this.#sync.say({
      type: 'welcome',
      to,
      members: new Map([...this.#members, [this.#sync.tabs.id, this.#client]]),
      update: Y.encodeStateAsUpdate(this.#doc, stateVector),
      stateVector: Y.encodeStateVector(this.#doc),
      people: this.#listener.people(),
      state: this.#ownState(),
      unsavedChange: this.#listener.unsavedChange(),
    });
  }

  #welcomed(from: string, message: Message & { type: 'welcome' }): void {
    for (const [id, client] of message.members) {
      if (id !== this.#sync.tabs.id) this.#members.set(id, client);
    }
    const before = Y.encodeStateVector(this.#doc);
    this.#apply(message.update, this.#sync.tabs.isHolder, message.state.unsaved);
    this.#listener.heardPeople(message.people);
    if (this.#sync.tabs.isHolder) return;
    this.#follow(from);
    if (message.state.unsaved) {
      this.#listener.doubted(hasMore(this.#doc, before), message.unsavedChange);
    }
    this.#isAsking = false;
    if (this.#welcomedBy === from) this.#catchUp(message.state);
    else this.#meet(from, message);
    this.#stateChanged(from, message.state);
    this.#listener.welcomed();
  }

  /** That tab has the socket. Whoever does not queue for it has to hear of its end. */
  #follow(holder: string): void {
    this.#holder = holder;
    this.#sync.tabs.watch(holder);
  }

  /** With a holder that is new to this tab: of all that either has, the other gets what it lacks. */
  #meet(from: string, { state, stateVector }: Message & { type: 'welcome' }): void {
    this.#welcomedBy = from;
    const own = this.#seen.get(this.#sync.tabs.id) ?? 0;
    // Whatever else this tab had heard of others follows as an edit of its own.
    this.#seen = new Map(state.heard).set(this.#sync.tabs.id, own);
    if (hasMore(this.#doc, stateVector) || this.#listener.view().unsaved) {
      this.edited(Y.encodeStateAsUpdate(this.#doc, stateVector));
    }
  }

  /** The holder has sent again what it has; what it may lack is on its way to it already. */
  #catchUp({ heard }: State): void {
    for (const [id, number] of heard) {
      this.#seen.set(id, Math.max(number, this.#seen.get(id) ?? 0));
    }
  }

  #stateChanged(from: string, state: State): void {
    // A late word of one that is the holder no more, or has left, is about nothing.
    if (from !== this.#holder) return;
    this.#state = state;
    if (state.unsaved) this.#listener.doubted(false, UNKNOWN);
    this.#settle();
    if (this.#isBehind(state)) this.#hello();
    this.#listener.changed();
  }

  /** Whether the holder has an edit that was posted before this tab was here to hear it, and is not asked yet. */
  #isBehind({ heard }: State): boolean {
    if (this.#isAsking || this.#holder !== this.#welcomedBy) return false;
    return [...heard].some(([id, number]) => number > (this.#seen.get(id) ?? 0));
  }

  #settle(): void {
    if (this.#state?.unsaved === false && this.#isHeard()) this.#listener.settled();
  }

  /** Whether what the holder says is said of all that this tab has. */
  #isHeard(): boolean {
    // One that has not compared its document with this tab's may lack what was before.
    if (this.#state === null || this.#holder !== this.#welcomedBy) return false;
    const { heard } = this.#state;
    return [...this.#seen].every(([id, number]) => number <= (heard.get(id) ?? 0));
  }

  #apply(update: Uint8Array, isEdit: boolean, keepsDeleted = false): void {
    this.#isApplyingEdit = isEdit;
    try {
      applyReceived(this.#doc, update, this.#origin, keepsDeleted ? () => false : undefined);
    } finally {
      this.#isApplyingEdit = false;
    }
  }

  #left(id: string): void {
    const client = this.#members.get(id);
    this.#members.delete(id);
    // A tab that slept has come back under another id.
    if (client !== undefined && !this.clients.has(client)) this.#listener.left(client);
    if (id !== this.#holder) return;
    // What it said is said of nothing any more. Whoever was refused before it, and does not
    // queue, may try again, unless it was refused as well.
    const status = this.#state?.status;
    this.#holder = null;
    this.#state = null;
    if (status !== 'refused') this.#sync.tabs.stand();
    this.#listener.changed();
  }

  /** This tab has left: when it comes back, it asks again. */
  forget(): void {
    this.#isAsking = true;
    this.#members.clear();
    this.#seen.clear();
    this.#state = null;
    this.#holder = null;
    this.#welcomedBy = null;
  }
}

/** What a tab takes over: from then on it has the same document. */
const HAS_CONTENT: ReadonlySet<Message['type']> = new Set(['welcome', 'edit', 'update', 'state']);

/** Whether the document has structs behind this state vector. */
function hasMore(doc: Y.Doc, stateVector: Uint8Array): boolean {
  const known = Y.decodeStateVector(stateVector);
  for (const [client, clock] of Y.decodeStateVector(Y.encodeStateVector(doc))) {
    if (clock > (known.get(client) ?? 0)) return true;
  }
  return false;
}
