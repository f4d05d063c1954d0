/**
 * One socket in one room: what its messages mean, what it may do, what it is told.
 *
 * Invariants: a session that may not write changes nothing, whatever it sends, and
 * neither does one whose identity has ended; it is told "saved" for a message only when all that the message brought is on
 * disk; what is kept for it while something is missing is bounded.
 */
import { randomBytes } from 'node:crypto';
import { CLOSE, MalformedMessage, type Message, type ToldReason } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import { Acknowledgements } from './acknowledgements.js';
import { Allowance, type SessionRates } from './allowance.js';
import { type Access, GUEST, type Guest, type Identity, type User } from './auth/identity.js';
import { type Claim, readAwareness } from './awareness.js';
import type { Clock, Timer } from './clock.js';
import type { Dialect } from './dialect.js';
import type { Departing } from './drain.js';
import { HEAVY_MS, Intake, type IntakeListener } from './intake.js';
import { LARGE_UPDATE, takeLargeUpdate } from './large-update.js';
import type { LimitName } from './limits.js';
import type { SocketMeasures } from './measures.js';
import { Parking } from './parking.js';
import { DocumentFull, type Member, type Room, StoreFull } from './room.js';
import { type Credentials, Standing, type StandingListener } from './standing.js';
import { type Connection, type ConnectionEvents, RESTARTING } from './transport.js';
import type { Turns } from './turns.js';
import { parseUpdate } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { ClientIdConflict, TooDeep, UpdateRefused, UpdateTooLarge } from './update/refused.js';

/** What sessions have in common. */
export interface SessionRules {
  /** Who brings this, and what they may do in this room. @throws {AuthRefused} */
  identify(room: string, brought: Credentials): Promise<Identity>;
  /** Whether anybody is asked who they are. */
  readonly areUsersKnown: boolean;
  /** Whether those who may only read are shown to others. */
  readonly areReadersPresent: boolean;
  readonly rates: SessionRates;
  /** Milliseconds for {@link identify}. */
  readonly patience: number;
  /** Where those who send much stand in line. */
  readonly turns: Turns;
  readonly onLimit: (limit: LimitName) => void;
  readonly measures: SocketMeasures;
  /** A client that takes no code for final is closed, and will come back at once. */
  readonly onClosed: (session: Session, code: number, reason: string) => void;
  /** Its socket is gone. Called once. */
  readonly onGone: (session: Session) => void;
}

export interface SessionOptions {
  /** The name of its room. */
  readonly roomName: string;
  /** What the log calls it: a number, of which each process begins with 1. */
  readonly id: number;
  /** What a proxy calls its upgrade. */
  readonly proxyId: string | undefined;
  /** Where it comes from, as far as that is known. */
  readonly address: string;
  /** What its client is called in a cooldown. */
  readonly clientKey: string | undefined;
  readonly connection: Connection;
  readonly dialect: Dialect;
  readonly rules: SessionRules;
  /** Its access is not `none`. */
  readonly identity: Identity;
  /** Milliseconds for which it is not read: what it owes from before. */
  readonly debt: number;
  /** What it came with, where asking again with the same makes sense. */
  readonly brought: Credentials | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'in'; readonly room: Room }
  | { readonly kind: 'closed' };

const MAX_AWARENESS_MESSAGE = 1024 * 1024;
/** A state vector beyond this is not looked at: its sender is sent everything. */
const MAX_STATE_VECTOR = 1024 * 1024;
const MAX_SAID = 1024 * 1024;
/** Messages that may wait for something missing, kept or not, before the session has to start again. */
const MAX_OPEN = 1_000;
/** Client ids that a session is known to write with; a client has one, and a new one now and then. */
const MAX_WRITTEN = 64;
const MAX_CLAIMS = 8;
/** What takes so many milliseconds of the loop is waited for so many times as long. */
const HEAVY_WAIT = 9;
/** How long a live client may take to answer a ping when another claims its id. */
const PROBE_MS = 3_000;
/** How long a client waits that may be back on another socket, or may send back what it was told of another. */
const CLAIM_MS = 2 * PROBE_MS + 1_000;
/** How long a client that is sent away may take to close its side. */
const AWAY_PATIENCE_MS = 1_000;
const FIRST_ASK_MS = 500;
const LAST_ASK_MS = 30_000;
/**
 * Clients of y-websocket close a socket that brings no data for 30 s, pings do not count; those of
 * `cowrite.v1` one that brings none for 20 s while they wait for a `saved`.
 */
const KEEP_ALIVE_MS = 10_000;
/** Who comes back at once, as it is, would be closed with these again; of the others authentication decides. */
const AGAIN: ReadonlySet<number> = new Set([
  CLOSE.malformed,
  CLOSE.deleted,
  CLOSE.conflict,
  CLOSE.tooLarge,
  CLOSE.internal,
  CLOSE.tryAgainLater,
]);
/** RFC 6455: a control frame has at most 125 bytes, two of them for the code. */
const MAX_REASON = 123;

export class Session
  implements Member, ConnectionEvents, IntakeListener, StandingListener, Departing
{
  readonly roomName: string;
  readonly id: number;
  /** What a proxy calls its upgrade. */
  readonly proxyId: string | undefined;
  readonly address: string;
  /** What its client is called in a cooldown; undefined for one that takes a final code for final. */
  readonly clientKey: string | undefined;
  /** When it came in, in milliseconds since 1970. */
  readonly since: number;
  readonly connection: Connection;
  readonly dialect: Dialect;
  /** Of somebody whom nobody knows a name is made when it is needed. */
  #author: string | undefined;
  readonly #rules: SessionRules;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #standing: Standing;
  readonly #allowance: Allowance;
  readonly #intake: Intake;
  readonly #acknowledgements = new Acknowledgements();
  #state: State = { kind: 'waiting' };
  /** Undefined before the first time that something is missing. */
  #parking: Parking | undefined;
  /** Set while the client has been asked for what is missing: when it may be asked again. */
  #ask: { delay: number; timer: Timer } | undefined;
  /** The newest states this session sent for client ids that belong to another. */
  #claims: Map<number, Claim> | undefined;
  /** It has said who it is. */
  #hasPresented = false;
  #probe: Timer | undefined;
  /** Somebody has claimed what it holds while it was asked for a sign of life. */
  #isDoubted = false;
  /** The newest step 1 that is not answered yet. */
  #question: Uint8Array | undefined;
  #hasAsked = false;
  /** It has asked who is here. */
  #wantsPeople = false;
  #isAnswering = false;
  /** Set while it has asked more often than it may. */
  #answerLater: Timer | undefined;
  /** Bytes said to this session alone since its socket was last empty. */
  #said = 0;
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
    const { connection, roomName, rules, clock } = options;
    this.roomName = roomName;
    this.id = options.id;
    this.proxyId = options.proxyId;
    this.address = options.address;
    this.clientKey = options.clientKey;
    this.since = clock.date();
    this.connection = connection;
    this.dialect = options.dialect;
    this.#rules = rules;
    this.#clock = clock;
    this.#logger = options.logger;
    this.#allowance = new Allowance(rules.rates);
    this.#intake = new Intake(connection, rules.turns, clock, this);
    this.#standing = new Standing(
      {
        identity: options.identity,
        brought: options.brought,
        patience: rules.patience,
        clock,
      },
      this,
    );
    connection.events = this;
    this.#intake.hold();
    this.#standing.start();
    // Of whoever left with a debt nothing is read before it is paid.
    if (options.debt > 0) this.#owe(options.debt, 'work-per-session');
  }

  get author(): string {
    this.#author ??= `${this.user?.id ?? randomBytes(12).toString('base64url')}@${this.address}`;
    return this.#author;
  }

  get user(): User | undefined {
    return this.#standing.user;
  }

  /** Whose it is, as the log says it. */
  get #names(): Readonly<Record<string, unknown>> {
    const { id, proxyId, roomName, user, address } = this;
    const { author, dialect } = this;
    return {
      connection: id,
      request: proxyId,
      room: roomName,
      user: user?.id,
      author,
      address,
      dialect: dialect.name,
    };
  }

  get receivedAt(): number {
    return this.#intake.receivedAt;
  }

  get shownAs(): User | Guest | undefined {
    return this.user ?? (this.#rules.areUsersKnown ? GUEST : undefined);
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
    // Before its step 1: a client with another document sends nothing of that.
    if (this.dialect.acknowledges) {
      this.send({ type: 'generation', generation: room.generation });
    }
    room.enter(this);
    if (this.#standing.access === 'read') this.#tellAccess();
    this.#intake.release();
  }

  /** For what is said to this session alone; a peer that makes it say much and reads nothing is cut off. */
  send(message: Message): void {
    const frame = this.dialect.codec.encode(message);
    this.#said += frame.size;
    if (this.#said > MAX_SAID && this.connection.buffered > MAX_SAID) {
      this.connection.terminate('it asks and does not read');
    } else this.connection.send(frame);
  }

  onDrain(): void {
    this.#said = 0;
    const room = this.#room;
    if (room === undefined) return;
    room.fanout.drained(this);
    this.#answerNext(room);
  }

  close(code: number, reason: string): void {
    if (AGAIN.has(code)) this.#rules.onClosed(this, code, reason);
    this.connection.close(code, shortened(reason));
    // What still arrives on a socket that is closing is not the room's any more.
    this.#leave(false);
  }

  /** @returns whether the client will be gone in so many milliseconds by itself */
  askToLeave(delay: number): boolean {
    if (this.dialect.movesWhenTold) this.send({ type: 'drain', delay });
    return this.dialect.movesWhenTold;
  }

  sendAway(): void {
    this.connection.close(CLOSE.restarting, RESTARTING, AWAY_PATIENCE_MS);
    this.#leave(true);
  }

  get isGone(): boolean {
    return this.isClosed;
  }

  onClose(): void {
    this.#rules.onGone(this);
    this.#leave(true);
    this.#logger.info({ ...this.#names, ...this.connection.account }, 'a connection ended');
  }

  /** @param maySoonBeElsewhere its client connects anew, as far as can be known */
  #leave(maySoonBeElsewhere: boolean): void {
    const room = this.#room;
    this.#state = { kind: 'closed' };
    this.#standing.close();
    this.#intake.close();
    this.#answerLater?.cancel();
    this.#ask?.timer.cancel();
    this.#probe?.cancel();
    this.#parking?.clear();
    this.#claims = undefined;
    room?.leave(this, maySoonBeElsewhere);
  }

  onHeartbeat(): void {
    const room = this.#room;
    if (this.isClosed || (room !== undefined && !this.#standing.check())) return;
    room?.fanout.checkPatience(this);
    // Also while its room is loaded, and while nothing of it is read: its client waits for a sign of life.
    // And while pongs tell nothing of what it has read: they may lie behind what it is sending.
    if (this.connection.quiet >= KEEP_ALIVE_MS && this.connection.untaken === 0) {
      this.send({ type: 'awareness', update: NO_STATES });
    }
  }

  /** By an administrator's order. */
  kick(reason: string): void {
    this.#rules.onClosed(this, CLOSE.forbidden, reason);
    this.close(CLOSE.forbidden, reason);
  }

  onTooLarge(): void {
    this.#rules.onClosed(this, CLOSE.messageTooBig, 'a message was too large');
  }

  onText(): void {
    this.close(CLOSE.malformed, 'text frames mean nothing here');
  }

  onPing(): void {
    this.#pay('ping', 0);
  }

  onMessage(bytes: Uint8Array): void {
    // While the socket is closing it is read again, and what comes would be kept for nobody.
    if (!this.isClosed) this.#intake.push(bytes);
  }

  isPrompt(bytes: number): boolean {
    return this.#allowance.isPrompt(bytes, this.#clock.now());
  }

  onTurn(bytes: Uint8Array): void {
    const room = this.#room;
    if (room === undefined || !this.#standing.check()) return;
    this.guard(() => {
      const message = this.dialect.codec.decode(bytes);
      const { received, receivedSizes } = this.#rules.measures;
      received.add(message.type, bytes.length);
      receivedSizes.add(bytes.length);
      this.#pay(message.type, bytes.length);
      this.#handle(room, message);
    });
  }

  /** A session that sends faster than it may is read later. */
  #pay(type: Message['type'] | 'ping', bytes: number): void {
    const wait = this.#allowance.pay(type, bytes, this.#clock.now());
    if (wait > 0) this.#owe(wait, this.#allowance.reached);
  }

  /** Milliseconds for which nothing of it would have been read. */
  get debt(): number {
    return this.#intake.debt;
  }

  /** What it sends may be small and yet dear: its share of the loop is bounded, too. */
  onHeavy(ms: number): void {
    this.#owe(ms * HEAVY_WAIT, 'work-per-session');
  }

  /** @param wait milliseconds from now for which nothing of it is read */
  #owe(wait: number, limit: LimitName): void {
    if (!this.isClosed && this.#intake.owe(wait)) this.#rules.onLimit(limit);
  }

  /** Runs what a client's bytes ask for; whatever it throws closes this session and no other. */
  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof ClientIdConflict) {
        this.#logger.info({ ...this.#names, reason: error.message }, 'two clients have one id');
        this.close(CLOSE.conflict, error.message);
      } else if (error instanceof DocumentFull || error instanceof TooDeep) {
        this.close(CLOSE.tooLarge, error.message);
      } else if (error instanceof UpdateTooLarge) {
        this.close(CLOSE.messageTooBig, error.message);
      } else if (error instanceof MalformedMessage || error instanceof UpdateRefused) {
        this.#logger.info({ ...this.#names, reason: error.message }, 'refused');
        this.close(CLOSE.malformed, error.message);
      } else if (error instanceof StoreFull) {
        this.close(CLOSE.tryAgainLater, error.message);
      } else {
        this.#logger.error({ ...this.#names, err: error }, 'a session failed');
        this.close(CLOSE.internal, 'internal error');
      }
    }
  }

  #handle(room: Room, message: Message): void {
    switch (message.type) {
      case 'step1':
        if (!this.#hasAsked && message.stateVector.length > NOTHING_KNOWN.length) {
          this.#rules.measures.reconnects++;
        }
        this.#hasAsked = true;
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
        this.#wantsPeople = true;
        this.#answerNext(room);
        break;
      case 'token':
        this.#standing.renew(message.token);
        break;
      case 'probe':
        this.send({ type: 'awareness', update: NO_STATES });
        break;
      case 'auth':
      case 'saved':
      case 'rejected':
      case 'access':
      case 'drain':
      case 'generation':
        throw new MalformedMessage(`a client does not send ${message.type}`);
    }
  }

  /** What was said of it may not be true any more: it is asked about again, or has to come back with a new token. */
  recheck(): void {
    this.#standing.recheck();
  }

  async identify(brought: Credentials): Promise<Identity> {
    return await this.#rules.identify(this.roomName, brought);
  }

  onEnd(code: number, reason: string): void {
    this.close(code, reason);
  }

  onError(error: unknown): void {
    this.guard(() => {
      throw error;
    });
  }

  onAccess(access: Access): void {
    const room = this.#room;
    if (access === 'read' && (this.#acknowledgements.openCount > 0 || this.isWaiting)) {
      // What waits would be written later; and of what is not acknowledged nobody could say what became of it.
      this.close(CLOSE.tryAgainLater, 'you may only read from now on');
      return;
    }
    this.#tellAccess();
    if (room === undefined) return;
    if (access === 'write') {
      // What was refused while it could only read may come now.
      this.send({ type: 'step1', stateVector: room.stateVector });
    } else if (!this.#rules.areReadersPresent) {
      room.hide(this);
    }
  }

  #tellAccess(): void {
    const { access } = this.#standing;
    if (this.dialect.acknowledges && access !== 'none') this.send({ type: 'access', access });
  }

  /** One answer at a time, and none while the last is not read: who asks faster is answered for its newest question. */
  #answerNext(room: Room): void {
    const hasAsked = this.#question !== undefined || this.#wantsPeople;
    const isBusy = this.#isAnswering || this.#answerLater !== undefined;
    if (!hasAsked || isBusy || this.connection.buffered > MAX_SAID) return;
    const wait = this.#allowance.answer(this.#clock.now());
    if (wait > 0) {
      this.#rules.onLimit('step1-per-session');
      this.#answerLater = this.#clock.after(wait, () => {
        this.#answerLater = undefined;
        this.#answerNext(room);
      });
      return;
    }
    const question = this.#question;
    if (this.#wantsPeople) room.sendAwareness(this);
    this.#wantsPeople = false;
    this.#question = undefined;
    if (question === undefined) return;
    this.#isAnswering = true;
    room.joining.answer(this, question).then(
      () => {
        this.#isAnswering = false;
        if (!this.isClosed) this.#answerNext(room);
      },
      (error: unknown) => this.onError(error),
    );
  }

  #write(room: Room, bytes: Uint8Array, isWhole: boolean): void {
    const count = this.#acknowledgements.received();
    if (bytes.length <= LARGE_UPDATE) {
      this.#compareAndTake(room, count, parseUpdate(bytes), isWhole);
      return;
    }
    let fits: boolean | undefined;
    let isVetted = false;
    this.#intake.hold();
    takeLargeUpdate(bytes, {
      turns: this.#rules.turns,
      guard: (piece) => {
        if (!this.isClosed) this.guard(piece);
        return !this.isClosed;
      },
      vet: (whole) => {
        const vetted = room.vet(whole);
        isVetted = vetted !== undefined;
        return vetted;
      },
      compare: (whole) => this.#compare(room, whole),
      admitPart: (part, whole) => {
        const mayWrite = this.#standing.check() && this.#standing.access === 'write';
        // Once: its own first parts are not to keep the last ones out.
        fits ??= !room.hasNoRoomFor(whole);
        if (!mayWrite || !fits) return false;
        room.write(this, part);
        return true;
      },
      admit: (whole) => this.#take(room, count, whole, isWhole, isVetted, fits),
      onDone: (ms) => {
        if (ms > HEAVY_MS) this.onHeavy(ms);
        this.#intake.release();
      },
    });
  }

  #compare(room: Room, update: Parsed): Promise<void> | undefined {
    return this.#standing.access === 'write' ? room.compare(update) : undefined;
  }

  /** While known clocks are compared in a worker the session is not read. */
  #compareAndTake(room: Room, count: number, update: Parsed, isWhole: boolean): void {
    const compared = this.#compare(room, update);
    if (compared === undefined) {
      this.#take(room, count, update, isWhole, false);
      return;
    }
    this.#intake.hold();
    // The frame lies in a buffer that ws shares.
    const copy = parseUpdate(update.bytes.slice());
    const done = (act: () => void): void => {
      if (this.isClosed) return;
      this.guard(act);
      this.#intake.release();
    };
    compared.then(
      () => done(() => this.#take(room, count, copy, isWhole, false)),
      (error: unknown) =>
        done(() => {
          throw error;
        }),
    );
  }

  /**
   * @param isVetted whether it does not lie too deep, as far as that is known
   * @param fits whether the document has room for it, where that is known
   */
  #take(
    room: Room,
    count: number,
    update: Parsed,
    isWhole: boolean,
    isVetted: boolean,
    fits?: boolean,
  ): void {
    // A message that was read in slices may have taken longer than there was time.
    if (!this.#standing.check()) return;
    if (this.#standing.access !== 'write') {
      if (room.hasNews(update)) this.#reject(count, 'read-only');
      this.#acknowledgements.settle(count, room.last);
      room.tellSaved(this);
      return;
    }
    const isTooLarge = fits === false || (fits === undefined && room.hasNoRoomFor(update));
    const vetted = isVetted ? update : room.vet(update);
    if (isTooLarge || vetted === undefined) {
      if (isTooLarge) this.#refuseForSize(count);
      else this.#refuseForDepth(count);
      // All that was waiting for it is in it, and would be asked for again and again.
      if (isWhole) this.#nothingIsMissing(count, room);
      else this.#acknowledgements.settle(count, room.last);
      room.tellSaved(this);
      return;
    }
    const missing = room.write(this, vetted);
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
      this.#nothingIsMissing(count, room);
    } else {
      this.#acknowledgements.settle(count, room.last);
    }
    room.tellSaved(this);
  }

  /** A step 2 holds everybody's structs; an update of a keystroke holds its author's. */
  #noteWritten({ blocks }: Parsed): void {
    for (const { client } of blocks) {
      if (this.#written?.size === MAX_WRITTEN) return;
      this.#written ??= new Set();
      if (this.#written.size < MAX_WRITTEN && this.mayWrite(client)) this.#written.add(client);
    }
  }

  #nothingIsMissing(count: number, room: Room): void {
    this.#parking?.clear();
    this.#ask?.timer.cancel();
    this.#ask = undefined;
    this.#acknowledgements.settleAllUpTo(count, room.last);
  }

  /** @throws {DocumentFull} to a client that cannot be told: without a word it would go on as if others had it */
  #refuseForSize(count: number): void {
    this.#rules.onLimit('document-size');
    if (!this.dialect.acknowledges) throw new DocumentFull();
    this.#reject(count, 'document-too-large');
  }

  /** @throws {TooDeep} to a client that cannot be told */
  #refuseForDepth(count: number): void {
    this.#rules.onLimit('depth');
    if (!this.dialect.acknowledges) throw new TooDeep();
    this.#reject(count, 'too-deep');
  }

  #reject(count: number, reason: ToldReason): void {
    if (this.dialect.acknowledges) this.send({ type: 'rejected', count, reason });
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

  /** What is parked has to be compared with what has come: the client's step 2 is, and settles it. */
  #askSoon(room: Room): void {
    if (this.#ask === undefined || this.#ask.delay <= FIRST_ASK_MS) return;
    this.#ask.timer.cancel();
    this.#ask = undefined;
    this.#askAgain(room);
  }

  /**
   * Tries again what waits for others: what is parked, and states for client ids
   * that were another's.
   *
   * @param isFreed a session has left, so that its client ids are free
   */
  retry(room: Room, isFreed: boolean): void {
    if (!this.#standing.check()) return;
    this.#parking?.retry(
      ({ client, clock }) => isFreed || room.clock(client) > clock,
      (update, count, missing) => {
        if (room.mustCompare(update)) {
          this.#askSoon(room);
          return missing;
        }
        const vetted = room.vet(update);
        if (room.hasNoRoomFor(update)) this.#refuseForSize(count);
        else if (vetted === undefined) this.#refuseForDepth(count);
        else return room.write(this, vetted);
        return undefined;
      },
      (count) => this.#acknowledgements.settle(count, room.last),
    );
    if (isFreed && this.#claims !== undefined) {
      const claims = [...this.#claims.values()];
      const entries = claims.filter((claim) => !room.awareness.isRefuted(claim));
      const mayReturn = entries.every(({ isReturn }) => isReturn);
      const refused = room
        .present(this, entries, mayReturn)
        .map((entry) => [entry.client, entry] as const);
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
    if (this.#standing.access === 'read' && !this.#rules.areReadersPresent) return;
    const entries = readAwareness(update);
    // A client says who it is before anything else; what one sends back of others comes later.
    const mayReturn = !this.#hasPresented && entries.length === 1;
    this.#hasPresented ||= entries.length > 0;
    for (const entry of room.present(this, entries, mayReturn)) {
      if (entry.isReturn) this.#forgetClaimLater(entry.client);
      this.#claims ??= new Map();
      if (this.#claims.size >= MAX_CLAIMS && !this.#claims.has(entry.client)) continue;
      this.#claims.set(entry.client, { ...entry, state: entry.state.slice() });
      room.mustWait(this);
    }
  }

  /** Its holder has proved to live by then, or is gone and the client is back. */
  #forgetClaimLater(client: number): void {
    this.#clock.after(CLAIM_MS, () => {
      if (this.#claims?.get(client)?.isReturn !== true) return;
      this.#claims.delete(client);
      if (this.#claims.size === 0) this.#claims = undefined;
    });
  }

  /** Asks the client for a sign of life, and cuts it off when none comes. */
  probe(client: number): void {
    if (this.#probe !== undefined) {
      // What it has answered since then says nothing of now.
      this.#isDoubted = true;
      return;
    }
    const asked = this.#clock.now();
    this.connection.ping();
    this.#probe = this.#clock.after(PROBE_MS, () => {
      this.#probe = undefined;
      if (this.connection.silence >= this.#clock.now() - asked) {
        this.connection.terminate('it did not answer a ping');
      } else if (this.#isDoubted) this.probe(client);
      this.#isDoubted = false;
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
