/**
 * The public class: keeps a Yjs document and its awareness in step with a room.
 *
 * Puts the parts together and decides nothing that one of them decides:
 * `connection.ts` when to connect, `socket.ts` which socket is heard,
 * `unsaved.ts` what is saved, `presence.ts` what is shown of whom.
 *
 * Invariant: what came from the server is applied with this provider as its
 * origin and is never sent back; every other change of the document is sent, or
 * counted as unsaved until a step 2 has carried it.
 */
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';
import * as connection from './connection.js';
import { applyReceived, hasContent } from './document.js';
import { askAtDoor } from './door.js';
import { Emitter } from './emitter.js';
import { checkProtocols, roomAddress, tokenProtocols } from './endpoint.js';
import {
  type CowriteProviderEvents,
  type CowriteProviderOptions,
  type CowriteStatus,
  type Refusal,
  type Settings,
  settingsOf,
} from './options.js';
import { listenToPage } from './page.js';
import { Pending } from './pending.js';
import { Presence } from './presence.js';
import {
  type Access,
  CLOSE,
  COWRITE_SUBPROTOCOL,
  decodeMessage,
  encodeMessage,
  MalformedMessage,
  type Message,
  type RejectReason,
  refusalReason,
} from './protocol/index.js';
import { Socket } from './socket.js';
import { Token } from './token.js';
import { shielded } from './uncaught.js';
import { UnloadGuard } from './unload-guard.js';
import * as unsaved from './unsaved.js';

/** Milliseconds from one question why there is no socket to the next, at least. */
const ASK_INTERVAL = 10_000;

export class CowriteProvider extends Emitter<CowriteProviderEvents> {
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly room: string;
  /** The server's address, absolute, without room and query. */
  readonly url: string;

  readonly #settings: Settings;
  readonly #ownsAwareness: boolean;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #presence: Presence;
  readonly #token: Token;
  readonly #alarm: Alarm;
  /** Null where the application does not want it. */
  readonly #guard: UnloadGuard | null;
  readonly #stopListening: () => void;
  #state: connection.ConnectionState = connection.OFFLINE;
  readonly #pending: Pending;
  #unsaved: unsaved.Unsaved;
  #lastSavedAt: Date | null = null;
  #nextRetryAt: Date | null = null;
  /** What the last socket was opened with. */
  #shown: { readonly address: string; readonly token: string } | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #access: Access = 'write';
  /** Whether this socket's server has said something of it. */
  #isAccessTold = false;

  /** @throws {TypeError} when an option cannot work; see {@link CowriteProviderOptions}. */
  constructor(options: CowriteProviderOptions) {
    super();
    this.#settings = settingsOf(options);
    this.url = this.#settings.url;
    this.room = this.#settings.room;
    this.#clock = this.#settings.clock;
    this.doc = options.doc ?? options.awareness?.doc ?? new Y.Doc();
    this.awareness = options.awareness ?? new Awareness(this.doc);
    this.#ownsAwareness = options.awareness === undefined;
    this.#unsaved = unsaved.initial(hasContent(this.doc));
    this.#pending = new Pending(this.doc, hasContent(this.doc), (transaction) =>
      this.#isOurs(transaction.origin, transaction),
    );
    this.#presence = new Presence(this.awareness, this.#settings.awarenessInterval, this.#clock);
    this.#socket = new Socket(this.#settings.WebSocket, {
      opened: (protocol) => this.#onOpened(protocol),
      frame: (frame) => this.#onFrame(frame),
      failed: (error) => this.emit('connection-error', { error }),
      closed: (code, reason) => {
        const wasOpen = connection.isOpen(this.#state);
        this.#dispatch({ type: 'lost', code, reason, isCurable: this.#isCurable(code) });
        if (!wasOpen) void this.#askWhy();
      },
    });
    this.#token = new Token(this.#settings.token, this.#clock, {
      renewed: (token) => this.#send({ type: 'token', token }),
      failed: (error) => this.emit('connection-error', { error }),
    });
    this.#guard = options.warnBeforeUnload === false ? null : new UnloadGuard();
    this.#guard?.set(this.unsaved);
    this.#alarm = new Alarm(this.#clock, () => this.#dispatch({ type: 'due' }));
    this.doc.on('update', this.#onDocUpdate);
    this.doc.on('destroy', this.#onDocDestroy);
    this.#stopListening = listenToPage({
      online: () => this.#dispatch({ type: 'networkUp' }),
      offline: () => this.#dispatch({ type: 'networkDown' }),
      visible: () => this.#dispatch({ type: 'visible' }),
      leave: () => this.#presence.farewell(),
      suspend: () => this.#dispatch({ type: 'suspend' }),
      resume: () => this.#dispatch({ type: 'resume' }),
    });
    if (options.connect !== false) this.connect();
  }

  get status(): CowriteStatus {
    const { kind } = this.#state;
    if (kind === 'destroyed') return 'closed';
    return kind === 'suspended' ? 'retrying' : kind;
  }

  /** Whether the document holds all that the server held when this socket was opened, and since. */
  get synced(): boolean {
    return this.#state.kind === 'online';
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
    return unsaved.isUnsaved(this.#unsaved);
  }

  /** Why the server refused a local change on this connection; null again once nothing is unsaved. */
  get rejection(): RejectReason | null {
    return this.#unsaved.rejection;
  }

  /**
   * Whether this client may change the document, as far as the server has said; `write`
   * before it has. A server that does not speak `cowrite.v1` never says.
   */
  get access(): Access {
    return this.#access;
  }

  /** When {@link unsaved} last turned false. */
  get lastSavedAt(): Date | null {
    return this.#lastSavedAt;
  }

  /** When the next attempt is due; null unless {@link status} is `retrying`, and while the page does not run. */
  get nextRetryAt(): Date | null {
    return this.#nextRetryAt;
  }

  /** Why {@link status} is `refused`; null in every other status. */
  get refusal(): Refusal | null {
    if (this.#state.kind !== 'refused') return null;
    const { code, reason } = this.#state;
    return { reason: refusalReason(code), code, message: reason };
  }

  /** Connects now: at first, after {@link disconnect}, instead of a wait, or once the cause of `refused` is removed. */
  connect(): void {
    // Somebody wants to know it now.
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#dispatch({ type: 'connect' });
  }

  /** Closes the socket and stays offline until {@link connect}. Changes made meanwhile are not lost. */
  disconnect(): void {
    this.#dispatch({ type: 'disconnect' });
  }

  /**
   * Ends this provider for good: closes the socket, stops every timer, removes
   * every listener, its own and those added to it. Destroys the awareness if
   * this provider made it, never the document. Any later call does nothing.
   */
  destroy(): void {
    if (this.#state.kind === 'destroyed') return;
    this.#dispatch({ type: 'destroy' });
    this.doc.off('update', this.#onDocUpdate);
    this.doc.off('destroy', this.#onDocDestroy);
    this.#stopListening();
    this.#guard?.set(false);
    this.#pending.destroy();
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

  #dispatch(event: connection.ConnectionEvent): void {
    this.hold(() => {
      const before = this.#state;
      const chance = { now: this.#clock.now(), random: this.#settings.random() };
      const { state, effects } = connection.transition(before, event, chance);
      this.#state = state;
      this.#alarm.set(connection.deadlineOf(state));
      if (before.kind !== state.kind) this.#announce(before, state, chance.now);
      for (const effect of effects) this.#perform(effect);
      if (connection.isOpen(before) && !connection.isOpen(state)) this.#token.stop();
      if (connection.isOpen(before) && !connection.isOpen(state)) this.#presence.lost(this);
    });
  }

  #announce(
    before: connection.ConnectionState,
    state: connection.ConnectionState,
    now: number,
  ): void {
    this.#nextRetryAt =
      state.kind === 'retrying'
        ? new Date(this.#clock.date().getTime() + state.deadline - now)
        : null;
    const { status, nextRetryAt, refusal } = this;
    this.emit('status', { status, nextRetryAt, refusal });
    if ((before.kind === 'online') !== (state.kind === 'online')) {
      this.emit('synced', this.synced);
      this.emit('sync', this.synced);
    }
    if (refusal !== null) this.emit('refused', refusal);
  }

  #perform(effect: connection.Effect): void {
    switch (effect.type) {
      case 'open':
        this.#open();
        break;
      case 'handshake':
        this.#sendStep1();
        this.#presence.opened((update) => this.#send({ type: 'awareness', update }));
        break;
      case 'probe':
        this.#sendStep1();
        break;
      case 'farewell':
        this.#presence.farewell();
        break;
      case 'close':
        this.#socket.close(effect.code, effect.reason);
        break;
    }
  }

  #open(): void {
    const token = this.#token.show();
    if (typeof token === 'string') {
      this.#openWith(token);
      return;
    }
    const attempt = this.#state;
    // The application may take so long that another attempt is under way, or none.
    token.then(
      (shown) => this.#state === attempt && this.#openWith(shown),
      (cause: unknown) => {
        if (this.#state === attempt) this.#notOpened(new Error('there is no token', { cause }));
      },
    );
  }

  #openWith(token: string): void {
    const { params, protocols } = this.#settings;
    try {
      const address = roomAddress(this.url, this.room, params());
      const offered = [COWRITE_SUBPROTOCOL, ...tokenProtocols(token), ...protocols()];
      checkProtocols(offered);
      this.#shown = { address, token };
      this.#socket.open(address, offered);
    } catch (cause) {
      this.#notOpened(new Error('no socket could be opened', { cause }));
    }
  }

  /** With another token what was wrong may be better. */
  #isCurable(code: number): boolean {
    return code === CLOSE.unauthenticated && this.#token.canRenew;
  }

  async #askWhy(): Promise<void> {
    const now = this.#clock.now();
    if (this.#shown === null || now < this.#askedAt + ASK_INTERVAL) return;
    this.#askedAt = now;
    const shown = this.#shown;
    const refusal = await askAtDoor(this.#settings.fetch, shown.address, shown.token);
    // Of an attempt since then, perhaps with another token, it says nothing.
    if (refusal === null || this.#shown !== shown || this.#isCurable(refusal.code)) return;
    this.#dispatch({ type: 'denied', ...refusal });
  }

  #notOpened(error: Error): void {
    this.emit('connection-error', { error });
    this.#dispatch({ type: 'lost', code: 1006, reason: error.message });
  }

  #send(message: Message): boolean {
    return this.#socket.send(encodeMessage(message));
  }

  #sendStep1(): void {
    this.#send({ type: 'step1', stateVector: Y.encodeStateVector(this.doc) });
  }

  #track(next: unsaved.Unsaved): void {
    const before = this.unsaved;
    this.#unsaved = next;
    if (this.unsaved === before) return;
    this.#guard?.set(this.unsaved);
    if (this.unsaved) {
      this.emit('unsaved', true);
    } else {
      const at = this.#clock.date();
      this.#lastSavedAt = at;
      this.emit('unsaved', false);
      this.emit('saved', { at });
    }
  }

  #onOpened(protocol: string): void {
    this.#isAccessTold = false;
    const isCowrite = protocol === COWRITE_SUBPROTOCOL;
    this.#track(unsaved.opened(this.#unsaved, isCowrite));
    if (isCowrite) this.#pending.opened();
    else this.#pending.forget();
    this.#dispatch({ type: 'opened' });
    // Another server would not know what to make of a new token.
    if (isCowrite && connection.isOpen(this.#state)) this.#token.start();
  }

  #onFrame(frame: Uint8Array | null): void {
    this.#dispatch({ type: 'frame' });
    try {
      if (frame === null) throw new MalformedMessage('a text frame');
      this.#receive(decodeMessage(frame));
    } catch (cause) {
      this.emit('connection-error', {
        error: new Error('the server sent a frame of no use', { cause }),
      });
      this.#dispatch({ type: 'broken', reason: 'malformed frame' });
    }
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'step1': {
        const update = Y.encodeStateAsUpdate(this.doc, message.stateVector);
        if (this.#send({ type: 'step2', update })) {
          this.#track(unsaved.sentStep2(this.#unsaved));
          this.#pending.sentWhole(this.#unsaved.sent);
        }
        break;
      }
      case 'step2':
        // Who may only read is told so before.
        if (!this.#isAccessTold) this.#setAccess('write');
        applyReceived(this.doc, message.update, this);
        this.#dispatch({ type: 'synced' });
        break;
      case 'update':
        applyReceived(this.doc, message.update, this);
        break;
      case 'awareness':
        this.#presence.receive(message.update, this);
        break;
      case 'queryAwareness':
        this.#presence.answer();
        break;
      case 'auth':
        this.emit('connection-error', {
          error: new Error(`permission denied: ${message.reason}`),
        });
        break;
      case 'saved':
        this.#track(unsaved.reportedSaved(this.#unsaved, message.count));
        if (this.#unsaved.reports) this.#pending.saved(message.count);
        break;
      case 'rejected':
        this.#rejected(message.count, message.reason);
        break;
      case 'access':
        this.#setAccess(message.access);
        break;
      case 'drain':
        this.#dispatch({ type: 'drain', delay: message.delay });
        break;
      case 'token':
        throw new MalformedMessage('a server does not send token');
    }
  }

  /** A message in which there is nothing new of this client's is no news for the application. */
  #rejected(count: number, reason: RejectReason): void {
    if (!this.#unsaved.reports) return;
    unsaved.checkRejected(this.#unsaved, count);
    this.hold(() => {
      const { hadChanges, isWhole } = this.#pending.takeBack(count);
      if (!hadChanges) return;
      this.#track(unsaved.reportedRejected(this.#unsaved, reason, isWhole));
      this.emit('rejected', { reason, isTakenBack: isWhole });
    });
  }

  #setAccess(access: Access): void {
    this.#isAccessTold = true;
    if (access === this.#access) return;
    this.#access = access;
    this.emit('access', access);
  }

  /** A local transaction counts as local even if the application gives this provider as its origin. */
  #isOurs(origin: unknown, { local }: Y.Transaction): boolean {
    return !this.#pending.isTakingBack(origin) && (origin !== this || local);
  }

  readonly #onDocUpdate = (
    update: Uint8Array,
    origin: unknown,
    _doc: Y.Doc,
    transaction: Y.Transaction,
  ): void => {
    if (!this.#isOurs(origin, transaction)) return;
    const wasSent = this.#send({ type: 'update', update });
    this.#track(wasSent ? unsaved.sentUpdate(this.#unsaved) : unsaved.changed(this.#unsaved));
    this.#pending.changed(wasSent ? this.#unsaved.sent : null);
    if (wasSent && !this.#unsaved.reports) this.#pending.forget();
  };

  readonly #onDocDestroy = (): void => this.destroy();
}
