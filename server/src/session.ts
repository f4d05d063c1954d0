/**
 * One socket in one room: what its messages mean, what it may do, what it is told.
 *
 * Invariants: a session that may not write changes nothing, whatever it sends, and
 * neither does one whose identity has ended; it is told "saved" for a message only when all that the message brought is on
 * disk; what is kept for it while something is missing is bounded.
 */
import { CLOSE, MalformedMessage, type Message } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import { Acknowledgements } from './acknowledgements.js';
import { MAX_TOKEN } from './auth/credentials.js';
import { AuthRefused, type Identity, type User } from './auth/identity.js';
import { type AwarenessEntry, readAwareness } from './awareness.js';
import type { Clock, Timer } from './clock.js';
import type { Dialect } from './dialect.js';
import { Parking } from './parking.js';
import { type Member, type Room, StoreFull } from './room.js';
import type { Connection, ConnectionEvents } from './transport.js';
import { parseUpdate, UpdateParser } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { UpdateRefused } from './update/refused.js';

/** What sessions have in common. */
export interface SessionRules {
  /** Who a token is of, and what they may do in this room. @throws {AuthRefused} */
  identify(room: string, token: string): Promise<Identity>;
  /** Whether those who may only read are shown to others. */
  readonly areReadersPresent: boolean;
}

export interface SessionOptions {
  readonly connection: Connection;
  readonly dialect: Dialect;
  readonly rules: SessionRules;
  /** Its access is not `none`. */
  readonly identity: Identity;
  /** Who writes, as the log keeps it. */
  readonly author: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'in'; readonly room: Room }
  | { readonly kind: 'closed' };

/** Bytes of a message that are read in one go; it takes some milliseconds. */
const LARGE_MESSAGE = 128 * 1024;
const SLICE_MS = 4;
const SLICE_STRUCTS = 1_000;
const MAX_AWARENESS_MESSAGE = 1024 * 1024;
/** A state vector beyond this is not looked at: its sender is sent everything. */
const MAX_STATE_VECTOR = 1024 * 1024;
const MAX_SAID = 1024 * 1024;
/** Messages that may wait for something missing, kept or not, before the session has to start again. */
const MAX_OPEN = 1_000;
/** Client ids that a session is known to write with; a client has one, and a new one now and then. */
const MAX_WRITTEN = 64;
const MAX_CLAIMS = 8;
/** How long a live client may take to answer a ping when another claims its id. */
const PROBE_MS = 3_000;
const FIRST_ASK_MS = 500;
const LAST_ASK_MS = 30_000;
/** Clients of y-websocket close a socket that brings no data for 30 s; pings do not count. */
const KEEP_ALIVE_MS = 10_000;
/** Milliseconds: a longer `setTimeout` rings at once. */
const MAX_TIMER = 2 ** 31 - 1;
/** RFC 6455: a control frame has at most 125 bytes, two of them for the code. */
const MAX_REASON = 123;

export class Session implements Member, ConnectionEvents {
  readonly connection: Connection;
  readonly dialect: Dialect;
  readonly author: string;
  readonly #rules: SessionRules;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #identity: Identity;
  /** Rings when the identity ends. */
  #expiry: Timer | undefined;
  /** The newest token that has not been looked at. */
  #token: string | undefined;
  #isRenewing = false;
  readonly #acknowledgements = new Acknowledgements();
  #state: State = { kind: 'waiting' };
  /** Undefined before the first time that something is missing. */
  #parking: Parking | undefined;
  /** Set while the client has been asked for what is missing: when it may be asked again. */
  #ask: { delay: number; timer: Timer } | undefined;
  /** The newest states this session sent for client ids that belong to another. */
  #claims: Map<number, AwarenessEntry> | undefined;
  #probe: Timer | undefined;
  /** The newest step 1 that is not answered yet. */
  #question: Uint8Array | undefined;
  #isAnswering = false;
  /** Bytes said to this session alone since its socket was last empty. */
  #said = 0;
  /** Messages that arrived while a large one is read in slices. */
  #inbox: Uint8Array[] | undefined;
  /** Client ids that this session has written to by updates of its own. */
  #written: Set<number> | undefined;

  /**
   * New structs of a client id come from the session that holds the id, once it
   * has written to it. Whoever has written to an id itself may go on: nobody is
   * kept from writing by another's claim, only from writing in another's name.
   */
  mayWrite(client: number): boolean {
    if (this.#state.kind !== 'in') return false;
    const owner = this.#state.room.awareness.ownerOf(client);
    return (
      owner === undefined ||
      owner === this ||
      this.#written?.has(client) ||
      !owner.hasWritten(client)
    );
  }

  hasWritten(client: number): boolean {
    return this.#written?.has(client) ?? false;
  }

  constructor(options: SessionOptions) {
    const { connection } = options;
    this.connection = connection;
    this.dialect = options.dialect;
    this.author = options.author;
    this.#rules = options.rules;
    this.#identity = options.identity;
    this.#clock = options.clock;
    this.#logger = options.logger;
    connection.pause();
    connection.events = this;
    this.#watchExpiry();
  }

  get user(): User | undefined {
    return this.#identity.user;
  }

  get #hasExpired(): boolean {
    const { expiresAt } = this.#identity;
    return expiresAt !== undefined && expiresAt.getTime() <= this.#clock.date();
  }

  #watchExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const { expiresAt } = this.#identity;
    if (expiresAt === undefined) return;
    const left = expiresAt.getTime() - this.#clock.date();
    if (left <= 0) this.close(CLOSE.unauthenticated, 'the token has expired');
    else this.#expiry = this.#clock.after(Math.min(left, MAX_TIMER), () => this.#watchExpiry());
  }

  get #room(): Room | undefined {
    return this.#state.kind === 'in' ? this.#state.room : undefined;
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  /** The room is loaded: from now on messages are read. */
  enter(room: Room): void {
    this.#state = { kind: 'in', room };
    room.enter(this);
    if (this.#identity.access === 'read') this.#tellAccess();
    this.connection.resume();
  }

  /** For what is said to this session alone; a peer that makes it say much and reads nothing is cut off. */
  send(message: Message): void {
    const frame = this.dialect.codec.encode(message);
    this.#said += frame.size;
    if (this.#said > MAX_SAID && this.connection.buffered > MAX_SAID) this.connection.terminate();
    else this.connection.send(frame);
  }

  onDrain(): void {
    this.#said = 0;
    const room = this.#room;
    if (room === undefined) return;
    room.fanout.drained(this);
    this.#answerNext(room);
  }

  close(code: number, reason: string): void {
    this.connection.close(code, shortened(reason));
    // What still arrives on a socket that is closing is not the room's any more.
    this.onClose();
  }

  onClose(): void {
    const room = this.#room;
    this.#state = { kind: 'closed' };
    this.#expiry?.cancel();
    this.#ask?.timer.cancel();
    this.#probe?.cancel();
    this.#parking?.clear();
    this.#claims = undefined;
    room?.leave(this);
  }

  onHeartbeat(): void {
    const room = this.#room;
    if (room === undefined) return;
    room.fanout.checkPatience(this);
    if (this.connection.quiet >= KEEP_ALIVE_MS && this.connection.buffered === 0) {
      this.send({ type: 'awareness', update: NO_STATES });
    }
  }

  onText(): void {
    this.close(CLOSE.malformed, 'text frames mean nothing here');
  }

  onMessage(bytes: Uint8Array): void {
    const room = this.#room;
    if (room === undefined) return;
    // A busy loop may be late for its timers.
    if (this.#hasExpired) {
      this.#watchExpiry();
      return;
    }
    // While a large message is read, those behind it wait: a socket is paused, but not in the middle of what it just read.
    if (this.#inbox !== undefined) this.#inbox.push(bytes);
    else this.guard(() => this.#handle(room, this.dialect.codec.decode(bytes)));
  }

  /** Runs what a client's bytes ask for; whatever it throws closes this session and no other. */
  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof MalformedMessage || error instanceof UpdateRefused) {
        this.#logger.info({ author: this.author, reason: error.message }, 'refused');
        this.close(CLOSE.malformed, error.message);
      } else if (error instanceof StoreFull) {
        this.close(CLOSE.tryAgainLater, error.message);
      } else {
        this.#logger.error({ err: error, author: this.author }, 'a session failed');
        this.close(CLOSE.internal, 'internal error');
      }
    }
  }

  #handle(room: Room, message: Message): void {
    switch (message.type) {
      case 'step1':
        // A copy: the answer may have to wait, and the frame lies in a buffer that ws shares.
        this.#question =
          message.stateVector.length <= MAX_STATE_VECTOR
            ? message.stateVector.slice()
            : NOTHING_KNOWN;
        this.#answerNext(room);
        break;
      case 'step2':
        this.#write(room, message.update, true);
        break;
      case 'update':
        this.#write(room, message.update, false);
        break;
      case 'awareness':
        // The only honest message of this size is the echo of a very full room, which means nothing.
        if (message.update.length <= MAX_AWARENESS_MESSAGE) this.#present(room, message.update);
        break;
      case 'queryAwareness':
        if (this.connection.buffered <= MAX_SAID) room.sendAwareness(this);
        break;
      case 'token':
        if (message.token.length > MAX_TOKEN)
          throw new MalformedMessage('a token that is too long');
        this.#token = message.token;
        this.#renew(room);
        break;
      case 'auth':
      case 'saved':
      case 'rejected':
      case 'access':
        throw new MalformedMessage(`a client does not send ${message.type}`);
    }
  }

  /** One token at a time: who sends more of them is asked about the newest. */
  #renew(room: Room): void {
    const token = this.#token;
    if (token === undefined || this.#isRenewing) return;
    this.#token = undefined;
    this.#isRenewing = true;
    this.#rules.identify(room.name, token).then(
      (identity) => {
        this.#isRenewing = false;
        if (this.isClosed) return;
        this.#goOnAs(identity);
        if (!this.isClosed) this.#renew(room);
      },
      (error: unknown) => {
        this.#isRenewing = false;
        if (this.isClosed) return;
        if (!(error instanceof AuthRefused))
          return this.guard(() => {
            throw error;
          });
        // As long as nobody says anything else, what was said before holds.
        if (error.kind === 'unavailable') return this.#renew(room);
        this.close(
          error.kind === 'forbidden' ? CLOSE.forbidden : CLOSE.unauthenticated,
          error.message,
        );
      },
    );
  }

  #goOnAs(identity: Identity): void {
    if (identity.user?.id !== this.user?.id) {
      this.close(CLOSE.unauthenticated, 'the new token is of another user');
    } else if (identity.access === 'none') {
      this.close(CLOSE.forbidden, 'this room is not open to you any more');
    } else {
      const isOther = identity.access !== this.#identity.access;
      this.#identity = identity;
      this.#watchExpiry();
      if (isOther && !this.isClosed) this.#tellAccess();
    }
  }

  #tellAccess(): void {
    const { access } = this.#identity;
    if (this.dialect.acknowledges && access !== 'none') this.send({ type: 'access', access });
  }

  /** One answer at a time, and none while the last is not read: who asks faster is answered for its newest question. */
  #answerNext(room: Room): void {
    const question = this.#question;
    if (question === undefined || this.#isAnswering || this.connection.buffered > MAX_SAID) return;
    this.#question = undefined;
    this.#isAnswering = true;
    room.joining.answer(this, question).then(
      () => {
        this.#isAnswering = false;
        if (!this.isClosed) this.#answerNext(room);
      },
      (error: unknown) =>
        this.guard(() => {
          throw error;
        }),
    );
  }

  #write(room: Room, bytes: Uint8Array, isWhole: boolean): void {
    const count = this.#acknowledgements.received();
    if (bytes.length <= LARGE_MESSAGE) this.#take(room, count, parseUpdate(bytes), isWhole);
    else
      this.#readInSlices(new UpdateParser(bytes), (update) =>
        this.#take(room, count, update, isWhole),
      );
  }

  /** Other sockets are served in between; this one's next messages wait. */
  #readInSlices(parser: UpdateParser, then: (update: Parsed) => void): void {
    this.#inbox = [];
    this.connection.pause();
    const slice = (): void => {
      if (this.isClosed) return;
      this.guard(() => {
        const end = this.#clock.now() + SLICE_MS;
        let isRead = false;
        while (!isRead && this.#clock.now() <= end) isRead = parser.step(SLICE_STRUCTS);
        if (!isRead) {
          this.#clock.soon(slice);
          return;
        }
        then(parser.result());
        const waiting = this.#inbox ?? [];
        this.#inbox = undefined;
        this.connection.resume();
        for (const bytes of waiting) this.onMessage(bytes);
      });
    };
    slice();
  }

  #take(room: Room, count: number, update: Parsed, isWhole: boolean): void {
    if (this.#identity.access !== 'write') {
      if (room.hasNews(update)) this.#reject(count);
      this.#acknowledgements.settle(count, room.last);
      room.tellSaved(this);
      return;
    }
    const missing = room.write(this, update);
    // The log may have had more than it holds, and told everybody so.
    if (this.isClosed) return;
    if (!isWhole) this.#noteWritten(update);
    if (missing !== undefined) {
      if (this.#acknowledgements.openCount >= MAX_OPEN) {
        this.close(CLOSE.tryAgainLater, 'too much waits for what is missing');
        return;
      }
      this.#acknowledgements.open(count);
      this.#parking ??= new Parking();
      if (this.#parking.add(count, update, missing)) room.mustWait(this);
      this.#askAgain(room);
    } else if (isWhole) {
      this.#parking?.clear();
      this.#ask?.timer.cancel();
      this.#ask = undefined;
      this.#acknowledgements.settleAllUpTo(count, room.last);
    } else {
      this.#acknowledgements.settle(count, room.last);
    }
    room.tellSaved(this);
  }

  /** A step 2 holds everybody's structs; an update of a keystroke holds its author's. */
  #noteWritten({ blocks }: Parsed): void {
    for (const { client } of blocks) {
      this.#written ??= new Set();
      if (this.#written.size < MAX_WRITTEN && this.mayWrite(client)) this.#written.add(client);
    }
  }

  #reject(count: number): void {
    if (this.dialect.acknowledges) this.send({ type: 'rejected', count, reason: 'read-only' });
  }

  /** Step 1 again, at growing intervals, until a step 2 leaves nothing missing. */
  #askAgain(room: Room): void {
    if (this.#ask !== undefined) return;
    const ask = (delay: number): void => {
      this.send({ type: 'step1', stateVector: room.stateVector });
      const timer = this.#clock.after(delay, () => {
        this.#ask = undefined;
        if (this.#acknowledgements.openCount > 0) ask(Math.min(LAST_ASK_MS, delay * 2));
      });
      this.#ask = { delay, timer };
    };
    ask(FIRST_ASK_MS);
  }

  /**
   * Tries again what waits for others: what is parked, and states for client ids
   * that were another's.
   *
   * @param isFreed a session has left, so that its client ids are free
   */
  retry(room: Room, isFreed: boolean): void {
    this.#parking?.retry(
      ({ client, clock }) => isFreed || room.clock(client) > clock,
      (update) => room.write(this, update),
      (count) => this.#acknowledgements.settle(count, room.last),
    );
    if (isFreed && this.#claims !== undefined) {
      const entries = [...this.#claims.values()];
      const refused = room.present(this, entries).map((entry) => [entry.client, entry] as const);
      this.#claims = refused.length === 0 ? undefined : new Map(refused);
    }
    room.tellSaved(this);
  }

  get isWaiting(): boolean {
    return this.#parking?.isEmpty === false || this.#claims !== undefined;
  }

  saved(durable: number): boolean {
    // Also for a dialect that says nothing of it: what is settled is forgotten here.
    const count = this.#acknowledgements.saved(durable);
    if (count !== undefined && this.dialect.acknowledges) this.send({ type: 'saved', count });
    return !this.#acknowledgements.isWaiting;
  }

  /**
   * A newer state for an id that another session holds comes from somebody who
   * pretends, or from a client that is back before its old socket is known to be
   * dead. Whether the old one lives is asked of it.
   */
  #present(room: Room, update: Uint8Array): void {
    if (this.#identity.access === 'read' && !this.#rules.areReadersPresent) return;
    for (const entry of room.present(this, readAwareness(update))) {
      this.#claims ??= new Map();
      if (this.#claims.size >= MAX_CLAIMS && !this.#claims.has(entry.client)) continue;
      this.#claims.set(entry.client, { ...entry, state: entry.state.slice() });
      room.mustWait(this);
    }
  }

  /** Asks the client for a sign of life, and cuts it off when none comes. */
  probe(_client: number): void {
    if (this.#probe !== undefined) return;
    const asked = this.#clock.now();
    this.connection.ping();
    this.#probe = this.#clock.after(PROBE_MS, () => {
      this.#probe = undefined;
      if (this.connection.silence >= this.#clock.now() - asked) this.connection.terminate();
    });
  }
}

/** A reason may quote the client. Cut inside a character it would grow again, and `ws` throws on one too long. */
function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON) return reason;
  let end = MAX_REASON;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}

/** The state vector of an empty document. */
const NOTHING_KNOWN = Uint8Array.of(0);

/** An awareness message that fires no event in any client. */
const NO_STATES = Uint8Array.of(0);
