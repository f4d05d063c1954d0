/**
 * The public class: keeps a Yjs document and its awareness in step with a room.
 *
 * Puts the parts together and decides nothing that one of them decides: `line.ts` what goes to
 * the server and what became of it, `group.ts` what goes to the other tabs and which of them has
 * the socket, `presence.ts` what is shown of whom.
 *
 * Invariants: what came from elsewhere is applied with this provider as its origin. What came
 * from the server is never sent back; every other change is handed to the line, which sends it,
 * or counts it as unsaved until the tab that has the socket has it on disk. What was made here
 * goes to the other tabs as well, and nothing goes back to where it came from.
 */
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Alarm } from './alarm.js';
import { holdAwareness } from './awareness-hold.js';
import type { Source } from './change.js';
import { instant } from './clock.js';
import { applyReceived, checkDoc, hasContent, watchObservers } from './document.js';
import { Emitter } from './emitter.js';
import { Keeper } from './keeper.js';
import { Line } from './line.js';
import {
  type CowriteProviderEvents,
  type CowriteProviderOptions,
  type CowriteStatus,
  type RecoverableCopy,
  type Refusal,
  type Settings,
  settingsOf,
} from './options.js';
import { listenToPage } from './page.js';
import { recovery } from './part.js';
import { Presence } from './presence.js';
import type { Access, RejectReason } from './protocol/index.js';
import { raw } from './raw.js';
import type { View } from './tab-messages.js';
import { TabSync } from './tab-sync.js';
import { shielded } from './uncaught.js';
import { unloadGuard } from './unload-guard.js';

/** Milliseconds for which the network waits for the offline copy. */
const COPY_PATIENCE = 3_000;

/** Keeps a Yjs document and its awareness in step with a room of a server. */
export class CowriteProvider extends Emitter<CowriteProviderEvents> {
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly room: string;
  /** The server's address, absolute, without room and query. */
  readonly url: string;

  readonly #settings: Settings;
  readonly #ownsAwareness: boolean;
  readonly #line: Line;
  readonly #presence: Presence;
  readonly #since = instant();
  #copy: Keeper;
  /** The document is getting what this browser has kept and no server may have. */
  #isBringing = false;
  /** Something in it is not as the server has it, and in the copy neither. */
  #isTorn = false;
  /** Null until the document is deleted, or another has taken its place. */
  #preserving: Promise<void> | null = null;
  /** What is unsaved is in the browser's database, beside the copies. */
  #isPreserved = false;
  #isLoaded: boolean;
  /** The offline copy is being loaded, and then it connects. */
  #isBeginning = false;
  /** Rings when the network has waited for the copy long enough. */
  readonly #patience: Alarm;
  /** Another tab has read the copy, and this document has had all of it from there. */
  #isCopyHeard = false;
  /** Rings when a page that was suspended runs again. */
  readonly #running: Alarm;
  #isReady = false;
  /** Null where this tab is alone. */
  #tabSync: TabSync | null = null;
  /** The page was put to sleep while it was one of the tabs. */
  #isAsleep = false;
  /** Null where the application does not want it. */
  readonly #guard: ((isOn: boolean) => void) | null;
  readonly #stopListening: () => void;
  /** As the application was last told. */
  #view: View;
  #lastSavedAt: Date | null = null;

  /** @throws {TypeError} when an option cannot work; see {@link CowriteProviderOptions}. */
  constructor(options: CowriteProviderOptions) {
    super();
    this.#settings = settingsOf(options);
    this.url = this.#settings.url;
    this.room = this.#settings.room;
    this.doc = raw(checkDoc(options.doc ?? options.awareness?.doc ?? new Y.Doc()));
    this.awareness = raw(options.awareness ?? new Awareness(this.doc));
    raw(this);
    this.#ownsAwareness = options.awareness === undefined;
    holdAwareness(this.awareness, options.positions, (error) =>
      this.emit('connection-error', { error }),
    );
    watchObservers(this, (error) => this.emit('observer-error', { error }));
    const { awarenessInterval, clock } = this.#settings;
    this.#presence = new Presence(this.awareness, awarenessInterval, clock);
    this.#line = new Line(this.doc, this, this.#settings, (each) => isOurs(this.#sourceOf(each)), {
      changed: () => this.#refresh(),
      opened: () => this.#showOwn(),
      leaving: () => this.#presence.farewell(),
      lost: () => this.#lost(),
      awareness: (update) => {
        this.#presence.receive(update, this);
        this.#tabSync?.group?.people(update);
      },
      asked: () => this.#line.sendAwareness(this.#presence.of(this.#here())),
      rejected: (rejection) => {
        this.#tabSync?.group?.rejected(rejection);
        this.emit('rejected', rejection);
      },
      contradicted: (error) => {
        this.#isTorn = true;
        this.emit('connection-error', { error });
      },
      failed: (error) => this.emit('connection-error', { error }),
      hold: (work) => this.hold(work),
    });
    this.#line.generation.heard(options.generation ?? null);
    this.#copy = this.#makeCopy();
    this.#isLoaded = !this.#copy.isWanted && this.#settings.group === null;
    this.#isReady = this.#isLoaded && hasContent(this.doc);
    this.#patience = new Alarm(clock, () => this.#goOn());
    this.#running = new Alarm(clock, () => this.#copy.resume());
    if (this.#settings.group !== null) this.#tabSync = this.#makeTabSync(this.#settings.group);
    this.#view = this.#look();
    this.#guard = options.warnBeforeUnload === false ? null : unloadGuard();
    this.#guard?.(this.unsavedHere);
    this.doc.on('update', this.#onDocUpdate);
    this.doc.on('destroy', this.#onDocDestroy);
    this.#stopListening = listenToPage({
      online: () => this.#hint('networkUp'),
      offline: () => this.#line.dispatch({ type: 'networkDown' }),
      visible: () => this.#hint('visible'),
      leave: () => this.#sleep('leave'),
      suspend: () => this.#sleep('suspend'),
      resume: () => this.#wake(),
    });
    if (options.connect !== false) this.connect();
    else this.#keep();
  }

  /** Whether and how this provider is connected. */
  get status(): CowriteStatus {
    return this.#look().status;
  }

  /** Whether the document holds all that the server held when this socket was opened, and since. */
  get synced(): boolean {
    return this.status === 'online';
  }

  /**
   * Whether the document holds what this browser has of it: its offline copy, or what
   * another tab has. True from the start where there can be neither.
   */
  get loaded(): boolean {
    return this.#isLoaded;
  }

  /**
   * Whether there is a document to show: it is {@link synced}, or was, also before this page, or
   * is {@link loaded} and not empty. A copy that was never synced and is empty says nothing:
   * others may have written the document.
   */
  get ready(): boolean {
    return this.#isReady;
  }

  /**
   * Which of the documents of the room's name this is: where a room is deleted or its document
   * replaced, the next one has another number. Null until a server has said it. An application that
   * keeps the document itself keeps this with it, and gives it back as an option.
   */
  get generation(): number | null {
    return this.#line.generation.known;
  }

  /**
   * Whether there is any local change that the server has not reported to be on
   * disk, whether or not there is a connection. Errs towards true: content that
   * the document had before this provider, or that another provider loaded into
   * it, is unsaved until the server says otherwise. A refused change that
   * could not be taken back stays unsaved, unless a later connection gets it accepted. So does an
   * offline copy that cannot be read, until it is read or removed: nobody knows what is in it. With a
   * server that does not speak `cowrite.v1` it stays true after the first edit.
   * Changes made after {@link destroy} are not watched.
   */
  get unsaved(): boolean {
    return this.#look().unsaved;
  }

  /** @internal The same of the document alone, without what this browser has kept and cannot read. */
  get unsavedHere(): boolean {
    return this.#line.unsaved;
  }

  /** Why the server refused a local change on this connection; null again once nothing is unsaved. */
  get rejection(): RejectReason | null {
    return this.#look().rejection;
  }

  /**
   * Whether this client may change the document, as far as the server has said; `write`
   * before it has. A server that does not speak `cowrite.v1` never says.
   */
  get access(): Access {
    return this.#look().access;
  }

  /** When {@link unsaved} last turned false. */
  get lastSavedAt(): Date | null {
    return this.#lastSavedAt;
  }

  /** When the next attempt is due; null unless {@link status} is `retrying`, and while the page does not run. */
  get nextRetryAt(): Date | null {
    return this.#look().nextRetryAt;
  }

  /** Why {@link status} is `refused`; null in every other status. */
  get refusal(): Refusal | null {
    return this.#look().refusal;
  }

  /** Connects now: at first, after {@link disconnect}, instead of a wait, or once the cause of `refused` is removed. */
  connect(): void {
    this.#isAsleep = false;
    const sync = this.#tabSync;
    if (sync === null || sync.tabs.isHolder) {
      this.#begin();
    } else if (sync.tabs.isIn) {
      // Somebody wants to know now whether the server can be reached.
      sync.tabs.stand();
      sync.group?.nudge('connect');
    } else {
      this.hold(() => {
        sync.tabs.join();
        this.#refresh();
      });
    }
  }

  /**
   * Leaves the room until {@link connect}, and closes the socket; where other tabs use it, one of
   * them opens another. Changes made meanwhile are not lost.
   */
  disconnect(): void {
    this.#isAsleep = false;
    this.#leave();
    this.#keep();
  }

  /**
   * What was unsaved in documents of this room's name when they were deleted, or another took
   * their place ({@link refusal} is `deleted`), or when another client used this one's id (`conflict`), the oldest first. With an offline copy it stays in this
   * browser, also for later pages, until it is discarded; otherwise it is what this document holds.
   */
  async recover(): Promise<readonly RecoverableCopy[]> {
    await this.#preserving;
    const { recoverable } = await recovery.load();
    const isLost = this.refusal !== null && isOver(this.refusal);
    const isHere = isLost && this.unsavedHere && !this.#isPreserved;
    const { doc, generation } = this;
    const here = isHere ? { doc, generation, unsaved: this.#line.unsavedChange } : null;
    return recoverable(this.#settings.copy?.of ?? null, here, this.#settings.clock.date());
  }

  /**
   * Removes this browser's copy of the document, and keeps none any more. What was unsaved in
   * it is in the document still. For all copies, such as at sign-out, there is
   * `clearOfflineCopies`.
   */
  async clearOffline(): Promise<void> {
    const removed = this.#copy.remove();
    this.#refresh();
    await removed;
  }

  /**
   * Ends this provider for good: closes the socket, stops every timer, removes
   * every listener, its own and those added to it. Destroys the awareness if
   * this provider made it, never the document. Any later call does nothing.
   */
  destroy(): void {
    if (this.status === 'closed') return;
    if (this.#tabSync?.tabs.isIn === true) this.#leave();
    this.#line.destroy();
    this.#copy.close();
    this.#running.set(null);
    this.doc.off('update', this.#onDocUpdate);
    this.doc.off('destroy', this.#onDocDestroy);
    this.#stopListening();
    this.#guard?.(false);
    this.#presence.destroy();
    if (this.#ownsAwareness) shielded(() => this.awareness.destroy());
    this.closeEmitter();
  }

  /** Resolves once the document holds what this browser has of it. Rejects when this provider is destroyed before. */
  whenLoaded(): Promise<void> {
    return this.until(
      ['status', 'loaded'],
      () => this.#isLoaded,
      () => (this.status === 'closed' ? this.#ended() : null),
    );
  }

  /** Resolves once there is a document to show; see {@link ready}. Rejects as {@link whenSynced} does. */
  whenReady(): Promise<void> {
    return this.until(
      ['status', 'synced', 'loaded'],
      () => this.#isReady,
      () => this.#ended(),
    );
  }

  /** Rejects when the server refuses the connection, or this provider is destroyed. */
  whenSynced(): Promise<void> {
    return this.until(
      ['status', 'synced'],
      () => this.synced,
      () => this.#ended(),
    );
  }

  /** Resolves once nothing is unsaved. Rejects as {@link whenSynced} does, and when a change was refused. */
  whenSaved(): Promise<void> {
    return this.until(
      ['status', 'unsaved', 'rejected'],
      () => !this.unsaved,
      () => {
        const { rejection } = this;
        return rejection === null ? this.#ended() : new Error(`the server refused: ${rejection}`);
      },
    );
  }

  #ended(): Error | null {
    const { refusal, status } = this;
    if (refusal !== null) {
      return new Error(`the server refuses the connection: ${refusal.reason} ${refusal.message}`);
    }
    return status === 'closed'
      ? new Error('the provider is destroyed, its connection closed')
      : null;
  }

  #look(): View {
    const { status, nextRetryAt, refusal, rejection, access } = this.#line;
    // Of what could not be read nobody knows whether it is saved.
    const isCopyRead = this.#isLoaded && (this.#isCopyHeard || !this.#copy.isUnread);
    const unsaved = this.unsavedHere || (this.#isLoaded && !isCopyRead);
    const isKept = this.#copy.isComplete || this.#isPreserved;
    const own = { status, nextRetryAt, refusal, unsaved, rejection, access, isKept, isCopyRead };
    if (status === 'closed') return own;
    if (this.#isBeginning) return { ...own, status: 'connecting' };
    if (this.#isAsleep) return { ...own, status: 'retrying' };
    if (this.#tabSync?.tabs.isIn !== true || this.#tabSync.tabs.isHolder) return own;
    const view = this.#tabSync.group?.view ?? null;
    // What was refused is told at once, and its tab's state only after that.
    if (view !== null) return { ...view, unsaved, rejection: view.rejection ?? rejection };
    return refusal === null ? { ...own, status: 'connecting' } : own;
  }

  /** Tells the application what is different from what it was told last. */
  #refresh(): void {
    const before = this.#view;
    const after = this.#look();
    const { status, nextRetryAt, refusal, unsaved, access } = after;
    this.#view = after;
    this.#isReady ||= status === 'online';
    if (status !== before.status || nextRetryAt?.getTime() !== before.nextRetryAt?.getTime()) {
      this.emit('status', { status, nextRetryAt, refusal });
    }
    if ((before.status === 'online') !== this.synced) {
      this.emit('synced', this.synced);
      this.emit('sync', this.synced);
    }
    if (refusal !== null && before.refusal === null) this.emit('refused', refusal);
    // What cannot be read is not lost with the page.
    this.#guard?.(this.#line.isAtRisk && !after.isKept);
    if (unsaved !== before.unsaved) this.#unsavedChanged(unsaved);
    this.#copy.check();
    if (refusal !== null && isOver(refusal)) this.#outdated(refusal);
    else if (this.#isTorn && !unsaved && this.#copy.isWanted) this.#dropCopy();
    if (access !== before.access) this.emit('access', access);
    const sync = this.#tabSync;
    sync?.group?.refreshed(before, after);
    // Another tab may have a better token. All else that is refused is refused to all of them.
    if (sync?.tabs.isHolder === true && refusal?.reason === 'token') sync.resign();
  }

  #unsavedChanged(unsaved: boolean): void {
    const at = this.#settings.clock.date();
    if (!unsaved) this.#lastSavedAt = at;
    this.emit('unsaved', unsaved);
    if (!unsaved) this.emit('saved', { at });
  }

  #makeTabSync({ name, browser }: NonNullable<Settings['group']>): TabSync {
    const unavailable = (cause: unknown) => {
      this.#tabSync = null;
      this.#isCopyHeard = false;
      const error = new Error('this tab goes on without the others', { cause });
      this.emit('connection-error', { error });
      this.#begin();
    };
    const { clientID } = this.awareness;
    return new TabSync(name, browser, this.doc, clientID, {
      generation: () => this.#line.generation,
      ownState: () => this.#presence.of([clientID]),
      makeGroup: (code, sync) =>
        code.makeGroup(sync, {
          doc: this.doc,
          awareness: this.awareness,
          line: this.#line,
          presence: this.#presence,
          origin: this,
          clock: this.#settings.clock,
          view: () => this.#look(),
          changed: (view) => {
            this.#isCopyHeard ||= view?.isCopyRead === true;
            this.#refresh();
          },
          welcomed: () => {
            this.#loaded();
            if (this.#copy.isOpen && this.#copy.isWanted) {
              this.#copy.close();
              this.#copy = this.#makeCopy();
            }
          },
          connect: () => this.#begin(),
          rejected: (rejection) => this.emit('rejected', rejection),
          unavailable,
        }),
      joined: () => this.#showOwn(),
      held: () => this.#begin(),
      unavailable,
    });
  }

  #makeCopy(): Keeper {
    const now = () => this.#settings.clock.date().getTime();
    return new Keeper(this.doc, this.#settings.copy, this.#since, now, {
      origin: this,
      isReady: () => this.#isReady,
      generation: () => ({ generation: this.#line.generation.known, isTold: this.#line.isTold }),
      loaded: ({ isUnsaved, wasReady, change, generation, mayForget, apply }) => {
        this.hold(() => {
          this.#line.generation.heard(generation);
          this.#isBringing = isUnsaved;
          const { isDamaged, mend } = apply((update) =>
            applyReceived(this.doc, update, this, mayForget),
          );
          this.#isBringing = false;
          this.#isReady ||= wasReady && !isDamaged;
          this.#line.brought(change, isUnsaved || isDamaged, change.traces);
          if (mend !== null) this.#line.heal(mend, this.#isBeginning);
        });
      },
      sourceOf: (transaction) => this.#sourceOf(transaction),
      unsavedChange: () => this.#line.unsavedChange,
      isUnsaved: () => this.unsavedHere,
      changed: () => this.#refresh(),
      damaged: (error) => this.emit('connection-error', { error }),
      failed: (error) => {
        this.emit('connection-error', { error });
        this.#refresh();
      },
    });
  }

  /** The document was deleted, another has taken its place, or its client's id is another's, too: of what is here only what is unsaved is kept. */
  #outdated({ message, code }: Refusal): void {
    if (this.#tabSync?.tabs.isIn === true) {
      // Tabs that come from now on are to have what is there now.
      this.#tabSync.group?.announce();
      this.#line.outdated(message, code);
      this.#leave();
    }
    this.#preserving ??= this.#preserve();
  }

  async #preserve(): Promise<void> {
    if (this.#settings.copy === null || !this.#copy.isOpen) return this.#copy.close();
    try {
      await this.#copy.preserve();
      this.#isPreserved = this.unsavedHere;
      this.#refresh();
    } catch (cause) {
      const error = new Error('what is unsaved could not be preserved', { cause });
      this.emit('connection-error', { error });
    }
  }

  #dropCopy(): void {
    this.clearOffline().catch((cause: unknown) => {
      const error = new Error('the offline copy could not be removed', { cause });
      this.emit('connection-error', { error });
    });
  }

  /** Loads what this browser has kept, and connects. */
  #begin(): void {
    if (this.#isBeginning) return;
    if (!this.#copy.isWanted || this.#isLoaded) {
      this.#loaded();
      // What another tab had is here already; from now on it is this one that keeps it.
      void this.#copy.open();
      this.#line.connect();
      return;
    }
    this.#isBeginning = true;
    this.#refresh();
    // The copy may come too late, or never: its database can be blocked by another page.
    this.#patience.set(this.#settings.clock.now() + COPY_PATIENCE);
    void this.#copy.open().then(() => this.#goOn());
  }

  #goOn(): void {
    this.#patience.set(null);
    this.hold(() => {
      this.#loaded();
      if (this.#isBeginning) {
        this.#isBeginning = false;
        this.#line.connect();
      } else if (this.status !== 'closed') {
        this.#refresh();
      }
    });
  }

  /** Without a connection, and without another tab, it is this one that keeps the document. */
  #keep(): void {
    if (!this.#copy.isWanted) return;
    if (!this.#isLoaded) this.#patience.set(this.#settings.clock.now() + COPY_PATIENCE);
    void this.#copy.open().then(() => this.#goOn());
  }

  #loaded(): void {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    // What waits for something else is nothing to show.
    this.#isReady ||= this.doc.store.clients.size > 0;
    this.emit('loaded', undefined);
  }

  #leave(): void {
    this.hold(() => {
      this.#isBeginning = false;
      this.#patience.set(null);
      // With a socket, its end is what says farewell.
      if (!this.#line.isOpen) this.#presence.farewell();
      this.#line.dispatch({ type: 'disconnect' });
      if (this.#tabSync?.tabs.isIn !== true) return;
      this.#tabSync.leave();
      // What the others write into it from now on is not heard here.
      this.#isCopyHeard = false;
      this.#lost();
      this.#refresh();
    });
  }

  /** The page stops running. */
  #sleep(event: 'leave' | 'suspend'): void {
    if (this.#tabSync?.tabs.isIn === true) {
      this.#isAsleep = true;
      this.#leave();
      this.#keep();
    } else if (event === 'leave') {
      this.#presence.farewell();
    } else {
      this.#line.dispatch({ type: 'suspend' });
    }
    if (event === 'leave') return;
    // Last: leaving begins some.
    this.#copy.suspend();
    this.#running.set(this.#settings.clock.now());
  }

  #wake(): void {
    if (this.#isAsleep) this.connect();
    else this.#line.dispatch({ type: 'resume' });
  }

  #hint(event: 'networkUp' | 'visible'): void {
    if (this.#isAsleep) this.connect();
    else if (this.#tabSync?.tabs.isIn === true && !this.#tabSync.tabs.isHolder)
      this.#tabSync.group?.nudge(event);
    else this.#line.dispatch({ type: event });
  }

  /** The own client id, and those of the other tabs. */
  #here(): number[] {
    return [this.awareness.clientID, ...(this.#tabSync?.group?.clients ?? [])];
  }

  #showOwn(): void {
    this.#presence.opened((update) => {
      this.#tabSync?.group?.people(update);
      this.#line.sendAwareness(update);
    });
  }

  /** The others are not known any more, but for the other tabs. */
  #lost(): void {
    if (this.#tabSync?.tabs.isIn !== true) this.#presence.closed();
    this.#presence.lost(this, this.#tabSync?.group?.clients);
  }

  /** A local transaction counts as local even if the application gives this provider as its origin. */
  #sourceOf({ origin, local }: Y.Transaction): Source {
    if (this.#line.isTakingBack(origin)) return 'takenBack';
    if (origin !== this || local) return 'here';
    return this.#tabSync?.group?.isApplyingEdit === true ? 'tab' : 'server';
  }

  readonly #onDocUpdate = (
    update: Uint8Array,
    _origin: unknown,
    _doc: Y.Doc,
    transaction: Y.Transaction,
  ): void => {
    const source = this.#sourceOf(transaction);
    if (source === 'here' || this.#isBringing) this.#tabSync?.group?.edited(update);
    else if (source !== 'tab') this.#tabSync?.group?.received(update);
    if (isOurs(source)) this.#line.edited(update, transaction.beforeState);
  };

  readonly #onDocDestroy = (): void => this.destroy();
}

/** Whether the server is to get it from here. */
function isOurs(source: Source): boolean {
  return source === 'here' || source === 'tab';
}

/** Whether this document can never be the server's again. */
function isOver({ reason }: Refusal): boolean {
  return reason === 'deleted' || reason === 'conflict';
}
