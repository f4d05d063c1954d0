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
import { addRange, below, type Change } from './change.js';
import type { Clock } from './clock.js';
import * as connection from './connection.js';
import { applyReceived, hasContent } from './document.js';
import { askAtDoor } from './door.js';
import { checkProtocols, roomAddress, tokenProtocols } from './endpoint.js';
import { Generation } from './generation.js';
import type { Mend } from './mend.js';
import type { CowriteStatus, Refusal, Rejection, Settings } from './options.js';
import { refusals } from './part.js';
import { type DocumentMessage, Pending } from './pending.js';
import {
  type Access,
  CLOSE,
  COWRITE_SUBPROTOCOL,
  decodeMessage,
  encodeMessage,
  MAX_NESTING,
  MalformedMessage,
  type Message,
  type RejectReason,
  refusalReason,
  tokenProblem,
} from './protocol/index.js';
import type { Reverting } from './reverting.js';
import { Socket } from './socket.js';
import { Token } from './token.js';
import * as unsaved from './unsaved.js';

/** Milliseconds from one question why there is no socket to the next, at least. */
const ASK_INTERVAL = 10_000;

/**
 * Bytes of a message, about, where what the server lacks is {@link LARGE}, or more than it takes in
 * one. On a slow line each is acknowledged within seconds, and what others wait for passes between.
 */
const PIECE = 64 * 1024;

/** Bytes from which on a message is sent in pieces. */
const LARGE = 1_000_000;

type Report = Message & { readonly type: 'saved' | 'rejected' };

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
  /** The server has what was damaged here, and the document has something else in its place. */
  contradicted(error: Error): void;
  failed(error: Error): void;
  /** Runs `work`, and tells what happens in it afterwards. */
  hold(work: () => void): void;
}

export class Line {
  /** Which document of the room's name this is. */
  readonly generation: Generation;
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
  /** What the server had when it last said; null before it has on this socket. */
  #stateVector: Uint8Array | null = null;
  /** Whether all that the server had when this socket was opened is in the document. */
  #isComplete = false;
  /** What has to wait for that. */
  #reports: Report[] = [];
  /** Less than was too much for the server. */
  #pieceBytes = Number.POSITIVE_INFINITY;
  /** What this socket's server has said of the room; null before it has, and where it says nothing of it. */
  #told: number | null = null;
  /** Whether this socket's server has the same document: nothing of it is sent before. */
  #isSame = false;
  /** Null until something is refused. */
  #reverting: Reverting | null = null;
  /**
   * The code for refusals, and for pieces, is being loaded: what the server reports waits for it, and
   * so does what it lacks, which may be behind something that it has refused.
   */
  #isHolding = false;
  /** A message was too large, and the code by which it is refused is being loaded. */
  #isRefusing = false;
  /** What the server lacks waits, for that or for a revert. */
  #isOwing = false;
  /** That code could not be loaded since the socket was opened. */
  #isWithout = false;
  /** Whether a step 1 of this socket's server was answered. */
  #hasAnswered = false;
  /** What is to be done about what is damaged in an offline copy; null where nothing is. */
  #mend: Mend | null = null;

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
    this.generation = new Generation(doc, settings.url, settings.room);
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
        if (wasOpen && code === CLOSE.unauthenticated) this.#token.ended();
        this.#listener.hold(() => {
          // What an editor answers a revert with may be too large again.
          const next = this.#reverting?.next() ?? 0;
          const isMended = this.#isMended(code);
          const isCurable = isMended || this.#isCurable(code);
          const notBefore = isMended ? next : 0;
          this.dispatch({ type: 'lost', code, reason, isCurable, notBefore });
        });
        if (!wasOpen) void this.#askWhy();
      },
    });
    this.#token = new Token(settings.token, this.#clock, {
      renewed: (token) => this.#send({ type: 'token', token }),
      failed: (error) => listener.failed(error),
    });
    this.#alarm = new Alarm(this.#clock, () => this.due());
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

  /** Whether anything is unsaved that may still be saved. */
  get isAtRisk(): boolean {
    return unsaved.isAtRisk(this.#unsaved);
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
      if (before.kind !== state.kind || (event.type === 'held' && before !== state)) {
        // What was reported saved may have been that of the other client.
        const isConflict = state.kind === 'refused' && state.code === CLOSE.conflict;
        if (isConflict) this.#unsaved = unsaved.changed(this.#unsaved);
        this.#nextRetryAt =
          state.kind === 'retrying'
            ? new Date(this.#clock.date().getTime() + state.deadline - chance.now)
            : null;
        this.#listener.changed();
      }
      for (const effect of effects) this.#perform(effect);
      if (connection.isOpen(before) && !connection.isOpen(state)) {
        this.#token.stop();
        this.#stateVector = null;
        this.#isSame = false;
        this.#isComplete = false;
        this.#hasAnswered = false;
        this.#isOwing = false;
        this.#reports = [];
        // Another socket, or another page, is not to bring it to a server once more.
        this.#reverting?.revert();
        this.#listener.lost();
      }
      if (isAsking(before) && !isAsking(state)) this.#mend?.guess();
    });
  }

  /** Something may be due, also by a timer that has not rung. */
  due(): void {
    if (this.#socket.isDraining()) this.dispatch({ type: 'progress' });
    this.dispatch({ type: 'due' });
    this.#listener.hold(() => this.#reverting?.revertWhenDue());
  }

  /** For good: later calls do nothing. */
  destroy(): void {
    this.dispatch({ type: 'destroy' });
    this.#pending.destroy();
  }

  /**
   * The document has changed, and the server is to have it; to be called from its `update` event.
   *
   * @param before the clocks that the document had
   */
  edited(update: Uint8Array, before: ReadonlyMap<number, number>): void {
    const isLarge = update.length > LARGE && this.#stateVector !== null;
    // What the server has is known exactly where nothing is under way.
    if (isLarge && this.#isComplete && !this.unsaved) {
      this.#stateVector = Y.encodeStateVector(new Map(before));
    }
    const message = { type: 'update', update } as const;
    // Behind what is held back nothing may pass: the server would lack what it is about.
    const maySend = this.#isSame && !isLarge && !this.#isHolding;
    const wasSent = maySend && this.#send(message);
    this.#track(wasSent ? unsaved.sentUpdate(this.#unsaved) : unsaved.changed(this.#unsaved));
    this.#pending.changed(wasSent ? this.#unsaved.sent : null);
    if ((isLarge || this.#isHolding) && this.#stateVector !== null) {
      this.#sendStep2(this.#stateVector);
    }
    if (!wasSent) return;
    const { reports, sent } = this.#unsaved;
    if (reports) this.#pending.sent(sent, message);
    else this.#pending.forget();
  }

  /** Without a socket here: another tab knows that all of the document is on disk. */
  settle(): void {
    if (!this.unsaved) return;
    this.#pending.forget();
    this.#track(unsaved.initial(false));
  }

  /**
   * The document has got what is on no server's disk, from another tab or from this browser's copy.
   *
   * @param change what it is, as far as anybody knows
   * @param isUnsaved whether there is anything but traces
   * @param traces what is left of refused changes
   */
  brought(change: Change, isUnsaved = true, traces?: Change): void {
    this.#pending.add(change, traces);
    if (!isUnsaved) return;
    this.#track(unsaved.changed(this.#unsaved));
    if (this.#stateVector !== null) this.#sendStep2(this.#stateVector);
  }

  /**
   * Something of what was brought is missing. What it is a server may know.
   *
   * @param isBeginning whether one is asked next
   */
  heal(mend: Mend, isBeginning: boolean): void {
    this.#mend = mend;
    if (this.#isComplete) this.#mendRest();
    else if (!isBeginning && !isAsking(this.#state)) mend.guess();
  }

  /** The server has another document under this name. */
  outdated(
    reason = 'another document has taken the place of this one',
    code: number = CLOSE.deleted,
  ): void {
    this.dispatch({ type: 'outdated', code, reason });
  }

  /** Whether the server of this socket has just said that it has the same document. */
  get isTold(): boolean {
    return this.#isSame && this.#told !== null;
  }

  /** Without a socket here: what another tab has told of before the server says anything. */
  presume(access: Access): void {
    this.#access = access;
  }

  /** Without a socket here: something was refused, and whoever has one has taken it back. */
  refused(reason: RejectReason): void {
    this.#pending.takenBackElsewhere();
    if (this.unsaved) this.#track(unsaved.reportedRejected(this.#unsaved, reason, true));
  }

  /** What is not known to be saved, for another tab or for the copy of this browser. */
  get unsavedChange(): Change {
    return this.#pending.all;
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
        // What is asked of any server is a step 1, whose answer may be large.
        if (this.#unsaved.reports) this.#send({ type: 'probe' });
        else this.#sendStep1();
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
    const problem = tokenProblem(token);
    if (problem !== undefined) {
      this.#listener.failed(new TypeError(problem));
      // No server takes it, and the application that gave it would give the like of it for ever.
      this.dispatch({ type: 'lost', code: CLOSE.unauthenticated, reason: problem });
      return;
    }
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

  /** Of a message that was larger than the server takes nothing is left, or it is sent in pieces. */
  #isMended(code: number): boolean {
    const { largest } = this.#pending;
    if (code !== CLOSE.messageTooBig || largest === undefined) return false;
    const [message, sent] = largest;
    const refuse = () => this.#refuse(message, 'message-too-large', true);
    if (sent.isDivisible) this.#pieceBytes = Math.min(PIECE, sent.bytes / 2);
    else if (refusals.code !== null) return refuse();
    // The next socket may be open before the code is there: it would be sent the same once more.
    const isLoading = refusals.code === null;
    if (isLoading) this.#isHolding = this.#isRefusing = true;
    void this.#prepare().then((isReady) => {
      this.#listener.hold(() => {
        // With another socket it is another message, and that one is refused as well.
        const isSame = this.#pending.largest?.[1] === sent;
        const isMended = isReady && (sent.isDivisible || !isSame || refuse());
        if (!this.isOpen) this.#reverting?.revert();
        if (!isMended) this.dispatch({ type: 'denied', code, reason: 'too large' });
      });
      if (!isLoading) return;
      this.#isRefusing = false;
      if (this.isOpen) this.#pending.opened();
      this.#release();
    });
    return true;
  }

  /** @returns whether the code for refusals is there */
  async #prepare(): Promise<boolean> {
    try {
      await refusals.load();
      return true;
    } catch (error) {
      this.#listener.failed(error as Error);
      return false;
    }
  }

  async #askWhy(): Promise<void> {
    const now = this.#clock.now();
    if (this.#shown === null || now < this.#askedAt + ASK_INTERVAL) return;
    this.#askedAt = now;
    const shown = this.#shown;
    const refusal = await askAtDoor(this.#settings.fetch, shown.address, shown.token);
    if (refusal === null) return;
    if (refusal !== undefined && 'wait' in refusal && refusal.wait > 0) {
      // Each attempt is asked about, and waits; those of one moment do not come back at one moment.
      this.#askedAt = Number.NEGATIVE_INFINITY;
      const wait = refusal.wait * (1_000 + 500 * this.#settings.random());
      this.dispatch({ type: 'held', notBefore: this.#clock.now() + wait });
      this.#listener.failed(new Error(refusal.reason));
      return;
    }
    // Of an attempt since then, perhaps with another token, it says nothing.
    if (refusal === undefined || this.#shown !== shown) {
      this.#askedAt = Number.NEGATIVE_INFINITY;
      return;
    }
    if (refusal instanceof Error) this.#listener.failed(refusal);
    else if (this.#isCurable(refusal.code)) {
      this.#listener.failed(new Error(`the server refuses the token: ${refusal.reason}`));
    } else this.dispatch({ type: 'denied', ...refusal });
  }

  #notOpened(error: Error): void {
    this.#listener.failed(error);
    this.dispatch({ type: 'lost', code: 1006, reason: error.message });
  }

  #send(message: Message): boolean {
    return this.#socket.send(encodeMessage(message));
  }

  #sendStep1(): void {
    this.#send({ type: 'step1', stateVector: Y.encodeStateVector(this.#doc) });
  }

  #track(next: unsaved.Unsaved): void {
    const wasAwaited = unsaved.isAwaited(this.#unsaved);
    this.#unsaved = next;
    const isAwaiting = unsaved.isAwaited(next);
    if (isAwaiting !== wasAwaited) this.dispatch({ type: 'awaits', isAwaiting });
    this.#listener.changed();
  }

  #onOpened(protocol: string): void {
    this.#isAccessTold = false;
    this.#isWithout = false;
    this.#told = null;
    const isCowrite = protocol === COWRITE_SUBPROTOCOL;
    // Another server cannot say it.
    this.#isSame = !isCowrite;
    this.#track(unsaved.opened(this.#unsaved, isCowrite));
    // Until then it has to be known what was in the message that is refused.
    if (isCowrite && !this.#isRefusing) this.#pending.opened();
    else if (!isCowrite) this.#pending.forget();
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
      this.#broke(cause);
    }
  }

  #broke(cause: unknown): void {
    this.#listener.failed(new Error('the server sent a frame of no use', { cause }));
    this.dispatch({ type: 'broken', reason: 'malformed frame' });
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'step1':
        if (!this.#checkSame(message.stateVector)) break;
        this.#checkMend(message.stateVector);
        this.#stateVector = message.stateVector;
        // A server asks again until it has all. The last answer is not even on its way yet.
        if (this.#hasAnswered && this.#socket.waiting > LARGE) break;
        this.#hasAnswered = true;
        this.#sendStep2AfterRevert(message.stateVector);
        break;
      case 'step2':
        // Who may only read is told so before.
        if (!this.#isAccessTold) this.#setAccess('write');
        this.#apply(message.update);
        this.#isComplete = true;
        this.#mendRest();
        this.#pending.complete();
        this.dispatch({ type: 'synced' });
        this.#readReports();
        break;
      case 'update':
        this.#apply(message.update);
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
      case 'rejected':
        this.#reports.push(message);
        this.#readReports();
        break;
      case 'access':
        this.#setAccess(message.access);
        break;
      case 'generation':
        this.#told = message.generation;
        break;
      case 'drain':
        this.dispatch({ type: 'drain', delay: message.delay });
        break;
      case 'token':
      case 'probe':
        throw new MalformedMessage(`a server does not send ${message.type}`);
    }
  }

  /** Before anything of the document is sent. */
  #checkSame(stateVector: Uint8Array): boolean {
    if (this.#isSame) return true;
    const told = this.#told;
    const isHere = hasContent(this.#doc);
    this.#isSame = told === null || this.generation.told(told, stateVector, isHere);
    if (!this.#isSame) this.outdated();
    return this.#isSame;
  }

  #checkMend(stateVector: Uint8Array): void {
    const error = this.#mend?.contradiction(stateVector);
    if (error) this.#listener.contradicted(error);
  }

  /** What is still missing, nobody has. */
  #mendRest(): void {
    const mend = this.#mend;
    this.#mend = null;
    if (!mend?.fill() || this.#stateVector === null) return;
    this.#track(unsaved.changed(this.#unsaved));
    this.#sendStep2(this.#stateVector);
  }

  #readReports(): void {
    for (let report = this.#reports[0]; report !== undefined; report = this.#reports[0]) {
      const { type, count } = report;
      if (type === 'rejected') {
        // Of what is refused the server may have some; that is known once all that it had is here.
        if (!this.#isComplete || this.#isHolding) return;
        if (refusals.code === null && !this.#isWithout) {
          void this.#hold();
          return;
        }
      }
      this.#reports.shift();
      if (type === 'saved') {
        this.#track(unsaved.reportedSaved(this.#unsaved, count));
        if (this.#unsaved.reports) this.#pending.saved(count);
        this.#listener.hold(() => this.#reverting?.revertWhenDue());
      } else if (this.#unsaved.reports) {
        unsaved.checkRejected(this.#unsaved, count);
        this.#listener.hold(() => this.#refuse(count, report.reason));
      }
    }
  }

  #apply(update: Uint8Array): void {
    const mayBeRefused = this.unsaved && this.#unsaved.reports;
    if (!mayBeRefused && !this.#pending.isForked) {
      applyReceived(this.#doc, update, this.#origin);
      return;
    }
    const decoded = Y.decodeUpdate(update);
    const displaced = Y.createDeleteSet();
    // What goes without a word of it gives way to what may be refused, and then comes back.
    const mayForget = ({ id, length }: Y.Item) => {
      const isTold = Y.isDeleted(decoded.ds, id);
      if (!isTold) addRange(displaced, id, length);
      return isTold;
    };
    applyReceived(this.#doc, update, this.#origin, mayForget);
    this.#pending.heard(decoded, displaced, this.#isComplete);
  }

  /**
   * The server asks for what an edit needs that was made on top of something refused, as fast as an
   * editor makes such edits. Were that reverted for each question, nothing would space the reverts.
   */
  #sendStep2AfterRevert(stateVector: Uint8Array): void {
    if (this.#reverting?.isWaiting) this.#isOwing = true;
    else this.#sendStep2(stateVector);
  }

  /** All that the document holds and the server lacks. */
  #sendStep2(stateVector: Uint8Array): void {
    this.#isOwing = false;
    this.#reverting?.revert();
    this.#isOwing = this.#isHolding;
    if (this.#isHolding) return;
    const update = Y.encodeStateAsUpdate(this.#doc, this.#pending.certain(stateVector));
    if (update.length > LARGE && refusals.code === null && !this.#isWithout) {
      this.#isOwing = true;
      void this.#hold();
      return;
    }
    const maxBytes = Math.min(update.length > LARGE ? PIECE : update.length, this.#pieceBytes);
    const known = below(stateVector);
    const whole: DocumentMessage = { type: 'step2', update, known, isDivisible: true };
    for (const each of refusals.code?.cut(this.#doc, whole, maxBytes) ?? [whole]) {
      if (!this.#send(each)) return;
      const next = each.type === 'step2' ? unsaved.sentStep2 : unsaved.sentUpdate;
      this.#track(next(this.#unsaved));
      this.#pending.sent(this.#unsaved.sent, each);
    }
  }

  /** Until the code is there, or known not to be. */
  async #hold(): Promise<void> {
    this.#isHolding = true;
    this.#isWithout = !(await this.#prepare());
    this.#release();
  }

  #release(): void {
    this.#isHolding = false;
    try {
      this.#readReports();
    } catch (cause) {
      this.#broke(cause);
    }
    // Perhaps of another socket's server by now.
    this.#sendOwed();
  }

  #sendOwed(): void {
    if (this.#isOwing && this.#stateVector !== null) this.#sendStep2(this.#stateVector);
  }

  /** @returns whether nothing of it is left, or is going to be; see {@link Reverting.refuse} */
  #refuse(message: number, reason: RejectReason, isUrgent = false): boolean {
    const { code } = refusals;
    if (code === null) {
      this.#pending.keep(message);
      this.#reverted({ reason, isTakenBack: false });
      return false;
    }
    this.#reverting ??= new code.Reverting(this.#doc, this.#pending, this.#clock, MAX_NESTING, {
      refused: (isLeft) => {
        const next = unsaved.refused(this.#unsaved);
        this.#track(isLeft ? unsaved.changed(next) : next);
      },
      send: () => {
        if (this.#stateVector !== null) this.#sendStep2AfterRevert(this.#stateVector);
      },
      sendOwed: () => this.#sendOwed(),
      reverted: (rejection) => this.#reverted(rejection),
      isComplete: () => this.#isComplete,
      ask: () => {
        this.#isComplete = false;
        this.#sendStep1();
      },
      hold: (work) => this.#listener.hold(work),
    });
    return this.#reverting.refuse(message, reason, isUrgent);
  }

  #reverted(rejection: Rejection): void {
    const { reason, isTakenBack } = rejection;
    this.#track(unsaved.reportedRejected(this.#unsaved, reason, isTakenBack));
    this.#listener.rejected(rejection);
  }

  #setAccess(access: Access): void {
    this.#isAccessTold = true;
    this.#access = access;
    this.#listener.changed();
  }
}

/** Whether a server may soon have answered, or has. */
function isAsking(state: connection.ConnectionState): boolean {
  return state.kind === 'connecting' || connection.isOpen(state);
}
