/**
 * The public class: keeps a Yjs document and its awareness in step with a room.
 *
 * Puts the parts together and decides nothing that one of them decides: `line.ts` what goes to
 * the server and what became of it, `presence.ts` what is shown of whom.
 *
 * Invariant: what came from the server is applied with this provider as its origin and is never
 * sent back; every other change of the document is handed to the line.
 */
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Emitter } from './emitter.js';
import { Line } from './line.js';
import {
  type CowriteProviderEvents,
  type CowriteProviderOptions,
  type CowriteStatus,
  type Refusal,
  type Settings,
  settingsOf,
} from './options.js';
import { listenToPage } from './page.js';
import { Presence } from './presence.js';
import type { Access, RejectReason } from './protocol/index.js';
import { shielded } from './uncaught.js';
import { UnloadGuard } from './unload-guard.js';

/** How things are, as the application was last told. */
interface View {
  readonly status: CowriteStatus;
  readonly nextRetryAt: Date | null;
  readonly refusal: Refusal | null;
  readonly unsaved: boolean;
  readonly rejection: RejectReason | null;
  readonly access: Access;
}

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
  /** Null where the application does not want it. */
  readonly #guard: UnloadGuard | null;
  readonly #stopListening: () => void;
  #view: View;
  #lastSavedAt: Date | null = null;

  /** @throws {TypeError} when an option cannot work; see {@link CowriteProviderOptions}. */
  constructor(options: CowriteProviderOptions) {
    super();
    this.#settings = settingsOf(options);
    this.url = this.#settings.url;
    this.room = this.#settings.room;
    this.doc = options.doc ?? options.awareness?.doc ?? new Y.Doc();
    this.awareness = options.awareness ?? new Awareness(this.doc);
    this.#ownsAwareness = options.awareness === undefined;
    const { awarenessInterval, clock } = this.#settings;
    this.#presence = new Presence(this.awareness, awarenessInterval, clock);
    const isOurs = (transaction: Y.Transaction) => this.#isOurs(transaction.origin, transaction);
    this.#line = new Line(this.doc, this, this.#settings, isOurs, {
      changed: () => this.#refresh(),
      opened: () => this.#presence.opened((update) => this.#line.sendAwareness(update)),
      leaving: () => this.#presence.farewell(),
      lost: () => this.#presence.lost(this),
      awareness: (update) => this.#presence.receive(update, this),
      asked: () => this.#presence.answer(),
      rejected: (rejection) => this.emit('rejected', rejection),
      failed: (error) => this.emit('connection-error', { error }),
      hold: (work) => this.hold(work),
    });
    this.#view = this.#look();
    this.#guard = options.warnBeforeUnload === false ? null : new UnloadGuard();
    this.#guard?.set(this.unsaved);
    this.doc.on('update', this.#onDocUpdate);
    this.doc.on('destroy', this.#onDocDestroy);
    this.#stopListening = listenToPage({
      online: () => this.#line.dispatch({ type: 'networkUp' }),
      offline: () => this.#line.dispatch({ type: 'networkDown' }),
      visible: () => this.#line.dispatch({ type: 'visible' }),
      leave: () => this.#presence.farewell(),
      suspend: () => this.#line.dispatch({ type: 'suspend' }),
      resume: () => this.#line.dispatch({ type: 'resume' }),
    });
    if (options.connect !== false) this.connect();
  }

  get status(): CowriteStatus {
    return this.#look().status;
  }

  /** Whether the document holds all that the server held when this socket was opened, and since. */
  get synced(): boolean {
    return this.status === 'online';
  }

  /**
   * Whether there is any local change that the server has not reported to be on
   * disk, whether or not there is a connection. Errs towards true: content that
   * the document had before this provider, or that another provider loaded into
   * it, is unsaved until the server says otherwise. A refused change that
   * could not be taken back stays unsaved, unless a later connection gets it accepted. With a
   * server that does not speak `cowrite.v1` it stays true after the first edit.
   * Changes made after {@link destroy} are not watched.
   */
  get unsaved(): boolean {
    return this.#look().unsaved;
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
    this.#line.connect();
  }

  /** Closes the socket and stays offline until {@link connect}. Changes made meanwhile are not lost. */
  disconnect(): void {
    this.#line.dispatch({ type: 'disconnect' });
  }

  /**
   * Ends this provider for good: closes the socket, stops every timer, removes
   * every listener, its own and those added to it. Destroys the awareness if
   * this provider made it, never the document. Any later call does nothing.
   */
  destroy(): void {
    if (this.status === 'closed') return;
    this.#line.destroy();
    this.doc.off('update', this.#onDocUpdate);
    this.doc.off('destroy', this.#onDocDestroy);
    this.#stopListening();
    this.#guard?.set(false);
    this.#presence.destroy();
    if (this.#ownsAwareness) shielded(() => this.awareness.destroy());
    this.closeEmitter();
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
    const { status, nextRetryAt, refusal, unsaved, rejection, access } = this.#line;
    return { status, nextRetryAt, refusal, unsaved, rejection, access };
  }

  /** Tells the application what is different from what it was told last. */
  #refresh(): void {
    const before = this.#view;
    const after = this.#look();
    const { status, nextRetryAt, refusal, unsaved, access } = after;
    this.#view = after;
    if (status !== before.status || nextRetryAt !== before.nextRetryAt) {
      this.emit('status', { status, nextRetryAt, refusal });
    }
    if ((before.status === 'online') !== this.synced) {
      this.emit('synced', this.synced);
      this.emit('sync', this.synced);
    }
    if (refusal !== null && before.refusal === null) this.emit('refused', refusal);
    if (unsaved !== before.unsaved) this.#unsavedChanged(unsaved);
    if (access !== before.access) this.emit('access', access);
  }

  #unsavedChanged(unsaved: boolean): void {
    this.#guard?.set(unsaved);
    if (!unsaved) this.#lastSavedAt = this.#settings.clock.date();
    this.emit('unsaved', unsaved);
    if (this.#lastSavedAt !== null && !unsaved) this.emit('saved', { at: this.#lastSavedAt });
  }

  /** A local transaction counts as local even if the application gives this provider as its origin. */
  #isOurs(origin: unknown, { local }: Y.Transaction): boolean {
    return !this.#line.isTakingBack(origin) && (origin !== this || local);
  }

  readonly #onDocUpdate = (
    update: Uint8Array,
    origin: unknown,
    _doc: Y.Doc,
    transaction: Y.Transaction,
  ): void => {
    if (this.#isOurs(origin, transaction)) this.#line.edited(update);
  };

  readonly #onDocDestroy = (): void => this.destroy();
}
