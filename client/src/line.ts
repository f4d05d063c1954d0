/**
 * The way to the server: one document, its messages on one socket, and what became of them.
 *
 * Puts the parts together and decides nothing that one of them decides: `connection.ts` when to
 * connect, `socket.ts` which socket is heard, `unsaved.ts` what is saved, `pending.ts` what can be
 * taken back, `token.ts` and `door.ts` what is shown at the door.
 *
 * Invariant: every change that it is told of is sent, or counted as unsaved until a step 2 has
 * carried it. What came from the server is never sent back.
 */
import * as Y from 'yjs';
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';
import * as connection from './connection.js';
import { applyReceived, hasContent } from './document.js';
import { askAtDoor } from './door.js';
import { checkProtocols, roomAddress, tokenProtocols } from './endpoint.js';
import type { CowriteStatus, Refusal, Rejection, Settings } from './options.js';
import { Pending } from './pending.js';
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
import * as unsaved from './unsaved.js';

/** Milliseconds from one question why there is no socket to the next, at least. */
const ASK_INTERVAL = 10_000;

export interface LineListener {
  /** One of the getters may say something else. */
  changed(): void;
  /** A socket is open: the others may be told who is here. */
  opened(): void;
  /** The socket is about to be closed: the last moment to tell the others. */
  leaving(): void;
  /** The socket is gone, and with it all that was known of the others. */
  lost(): void;
  awareness(update: Uint8Array): void;
  /** The server wants to know who is here. */
  asked(): void;
  rejected(rejection: Rejection): void;
  failed(error: Error): void;
  /** Runs `work`, and tells what happens in it afterwards. */
  hold(work: () => void): void;
}

export class Line {
  readonly #doc: Y.Doc;
  readonly #origin: unknown;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #listener: LineListener;
  readonly #socket: Socket;
  readonly #token: Token;
  readonly #alarm: Alarm;
  readonly #pending: Pending;
  #state: connection.ConnectionState = connection.OFFLINE;
  #unsaved: unsaved.Unsaved;
  #nextRetryAt: Date | null = null;
  /** What the last socket was opened with. */
  #shown: { readonly address: string; readonly token: string } | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #access: Access = 'write';
  /** Whether this socket's server has said something of it. */
  #isAccessTold = false;

  /**
   * @param origin of the transactions in which the document gets what the server sends
   * @param isOurs whether a transaction makes changes that the server is to get from here
   */
  constructor(
    doc: Y.Doc,
    origin: unknown,
    settings: Settings,
    isOurs: (transaction: Y.Transaction) => boolean,
    listener: LineListener,
  ) {
    this.#doc = doc;
    this.#origin = origin;
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#listener = listener;
    this.#unsaved = unsaved.initial(hasContent(doc));
    this.#pending = new Pending(doc, hasContent(doc), isOurs);
    this.#socket = new Socket(settings.WebSocket, {
      opened: (protocol) => this.#onOpened(protocol),
      frame: (frame) => this.#onFrame(frame),
      failed: (error) => listener.failed(error),
      closed: (code, reason) => {
        const wasOpen = connection.isOpen(this.#state);
        this.#listener.hold(() => {
          const isCurable = this.#isCurable(code) || this.#isMended(code);
          this.dispatch({ type: 'lost', code, reason, isCurable });
        });
        if (!wasOpen) void this.#askWhy();
      },
    });
    this.#token = new Token(settings.token, this.#clock, {
      renewed: (token) => this.#send({ type: 'token', token }),
      failed: (error) => listener.failed(error),
    });
    this.#alarm = new Alarm(this.#clock, () => this.dispatch({ type: 'due' }));
  }

  get status(): CowriteStatus {
    const { kind } = this.#state;
    if (kind === 'destroyed') return 'closed';
    return kind === 'suspended' ? 'retrying' : kind;
  }

  /** Whether messages can be exchanged. */
  get isOpen(): boolean {
    return connection.isOpen(this.#state);
  }

  get unsaved(): boolean {
    return unsaved.isUnsaved(this.#unsaved);
  }

  get rejection(): RejectReason | null {
    return this.#unsaved.rejection;
  }

  get access(): Access {
    return this.#access;
  }

  get nextRetryAt(): Date | null {
    return this.#nextRetryAt;
  }

  get refusal(): Refusal | null {
    if (this.#state.kind !== 'refused') return null;
    const { code, reason } = this.#state;
    return { reason: refusalReason(code), code, message: reason };
  }

  /** Connects now, because somebody wants to know now whether it works. */
  connect(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.dispatch({ type: 'connect' });
  }

  dispatch(event: connection.ConnectionEvent): void {
    this.#listener.hold(() => {
      const before = this.#state;
      const chance = { now: this.#clock.now(), random: this.#settings.random() };
      const { state, effects } = connection.transition(before, event, chance);
      this.#state = state;
      this.#alarm.set(connection.deadlineOf(state));
      if (before.kind !== state.kind) {
        this.#nextRetryAt =
          state.kind === 'retrying'
            ? new Date(this.#clock.date().getTime() + state.deadline - chance.now)
            : null;
        this.#listener.changed();
      }
      for (const effect of effects) this.#perform(effect);
      if (connection.isOpen(before) && !connection.isOpen(state)) {
        this.#token.stop();
        this.#listener.lost();
      }
    });
  }

  /** For good: later calls do nothing. */
  destroy(): void {
    this.dispatch({ type: 'destroy' });
    this.#pending.destroy();
  }

  /** The document has changed, and the server is to have it; to be called from its `update` event. */
  edited(update: Uint8Array): void {
    this.#carry(update, (message) => this.#pending.changed(message));
  }

  /** Without a socket here: another tab knows that all of the document is on disk. */
  settle(): void {
    if (!this.unsaved) return;
    this.#pending.forget();
    this.#track(unsaved.initial(false));
  }

  /**
   * Without a socket here: another tab knows of something in the document that is not on disk.
   *
   * @param isNews whether that may be more than what is unsaved by now
   */
  doubt(isNews: boolean): void {
    if (this.unsaved && !isNews) return;
    this.#pending.unknown();
    this.#track(unsaved.changed(this.#unsaved));
  }

  /** Without a socket here: what another tab has told of before the server says anything. */
  presume(access: Access): void {
    this.#access = access;
  }

  /** Without a socket here: something was refused, and whoever has one has taken it back. */
  refused(reason: RejectReason): void {
    this.#pending.forget();
    if (!this.unsaved) return;
    this.#pending.unknown();
    this.#track(unsaved.reportedRejected(this.#unsaved, reason, true));
  }

  /** The document has got what the server may lack, and nobody can undo. */
  brought(update: Uint8Array): void {
    this.#carry(update, (message) => this.#pending.unknown(message));
  }

  /** Whether an update of the document with this origin takes back what the server refused. */
  isTakingBack(origin: unknown): boolean {
    return this.#pending.isTakingBack(origin);
  }

  sendAwareness(update: Uint8Array): void {
    this.#send({ type: 'awareness', update });
  }

  #perform(effect: connection.Effect): void {
    switch (effect.type) {
      case 'open':
        this.#open();
        break;
      case 'handshake':
        this.#sendStep1();
        this.#listener.opened();
        break;
      case 'probe':
        this.#sendStep1();
        break;
      case 'farewell':
        this.#listener.leaving();
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
    const { url, room, params, protocols } = this.#settings;
    try {
      const address = roomAddress(url, room, params());
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

  /** Of a message that was larger than the server takes nothing is left: it is not sent again. */
  #isMended(code: number): boolean {
    const message = code === CLOSE.messageTooBig ? this.#pending.largest : null;
    return message !== null && this.#takeBack(message, 'message-too-large');
  }

  async #askWhy(): Promise<void> {
    const now = this.#clock.now();
    if (this.#shown === null || now < this.#askedAt + ASK_INTERVAL) return;
    this.#askedAt = now;
    const shown = this.#shown;
    const refusal = await askAtDoor(this.#settings.fetch, shown.address, shown.token);
    if (refusal === null) return;
    // Of an attempt since then, perhaps with another token, it says nothing.
    if (refusal === undefined || this.#shown !== shown) {
      this.#askedAt = Number.NEGATIVE_INFINITY;
      return;
    }
    if (this.#isCurable(refusal.code)) return;
    this.dispatch({ type: 'denied', ...refusal });
  }

  #notOpened(error: Error): void {
    this.#listener.failed(error);
    this.dispatch({ type: 'lost', code: 1006, reason: error.message });
  }

  #send(message: Message): boolean {
    return this.#socket.send(encodeMessage(message));
  }

  /** Sends it, if there is a socket; `remember` is called with the number of the message. */
  #carry(update: Uint8Array, remember: (message: number | null) => void): void {
    const wasSent = this.#send({ type: 'update', update });
    this.#track(wasSent ? unsaved.sentUpdate(this.#unsaved) : unsaved.changed(this.#unsaved));
    remember(wasSent ? this.#unsaved.sent : null);
    if (!wasSent) return;
    if (this.#unsaved.reports) this.#pending.sent(this.#unsaved.sent, update.length);
    else this.#pending.forget();
  }

  #sendStep1(): void {
    this.#send({ type: 'step1', stateVector: Y.encodeStateVector(this.#doc) });
  }

  #track(next: unsaved.Unsaved): void {
    this.#unsaved = next;
    this.#listener.changed();
  }

  #onOpened(protocol: string): void {
    this.#isAccessTold = false;
    const isCowrite = protocol === COWRITE_SUBPROTOCOL;
    this.#track(unsaved.opened(this.#unsaved, isCowrite));
    if (isCowrite) this.#pending.opened();
    else this.#pending.forget();
    this.dispatch({ type: 'opened' });
    // Another server would not know what to make of a new token.
    if (isCowrite && connection.isOpen(this.#state)) this.#token.start();
  }

  #onFrame(frame: Uint8Array | null): void {
    this.dispatch({ type: 'frame' });
    try {
      if (frame === null) throw new MalformedMessage('a text frame');
      this.#receive(decodeMessage(frame));
    } catch (cause) {
      this.#listener.failed(new Error('the server sent a frame of no use', { cause }));
      this.dispatch({ type: 'broken', reason: 'malformed frame' });
    }
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'step1': {
        const update = Y.encodeStateAsUpdate(this.#doc, message.stateVector);
        if (this.#send({ type: 'step2', update })) {
          this.#track(unsaved.sentStep2(this.#unsaved));
          this.#pending.sentWhole(this.#unsaved.sent, update.length);
        }
        break;
      }
      case 'step2':
        // Who may only read is told so before.
        if (!this.#isAccessTold) this.#setAccess('write');
        applyReceived(this.#doc, message.update, this.#origin);
        this.dispatch({ type: 'synced' });
        break;
      case 'update':
        applyReceived(this.#doc, message.update, this.#origin);
        break;
      case 'awareness':
        this.#listener.awareness(message.update);
        break;
      case 'queryAwareness':
        this.#listener.asked();
        break;
      case 'auth':
        this.#listener.failed(new Error(`permission denied: ${message.reason}`));
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
        this.dispatch({ type: 'drain', delay: message.delay });
        break;
      case 'token':
        throw new MalformedMessage('a server does not send token');
    }
  }

  /** A message in which there is nothing new of this client's is no news for the application. */
  #rejected(count: number, reason: RejectReason): void {
    if (!this.#unsaved.reports) return;
    unsaved.checkRejected(this.#unsaved, count);
    this.#listener.hold(() => this.#takeBack(count, reason));
  }

  /** @returns whether nothing of it is left */
  #takeBack(message: number, reason: RejectReason): boolean {
    const { hadChanges, isWhole } = this.#pending.takeBack(message);
    if (!hadChanges) return isWhole;
    this.#track(unsaved.reportedRejected(this.#unsaved, reason, isWhole));
    this.#listener.rejected({ reason, isTakenBack: isWhole });
    return isWhole;
  }

  #setAccess(access: Access): void {
    this.#isAccessTold = true;
    this.#access = access;
    this.#listener.changed();
  }
}
