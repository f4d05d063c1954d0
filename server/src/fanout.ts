/**
 * What leaves a room, when, and to whom.
 *
 * Updates and awareness gather and leave together, encoded once per codec, the
 * same bytes to every socket. Invariants: one flush takes at most a quarter of
 * the loop's time; nothing is written to a socket that has more than its high
 * water waiting: it is *behind*, and is sent what it missed, in as few messages as a
 * slow line can carry, when it has drained. So the memory a reader costs is bounded whatever it does.
 */
import { CLOSE } from '@cowrite/client/protocol';
import { type AwarenessEntry, encodeAwareness } from './awareness.js';
import { encodeAwarenessInParts } from './awareness-parts.js';
import type { Clock, Timer } from './clock.js';
import type { Codec, Dialect } from './dialect.js';
import type { Frame } from './frame.js';
import type { FanoutMeasures } from './measures.js';
import { LARGE_MESSAGE } from './update/cut.js';
import type { Tail } from './update/tail.js';

/** Where frames for one peer go. */
export interface Outlet {
  /** Bytes that were sent and that wait for the peer, here or in the kernel. */
  readonly buffered: number;
  /** Whether bytes of the peer arrive: that it has read what was sent, it can only say behind these. */
  readonly isArriving?: boolean;
  send(frame: Frame): void;
  close(code: number, reason: string): void;
}

/** A socket that takes part in a room. */
export interface Receiver {
  readonly connection: Outlet;
  readonly dialect: Dialect;
}

export interface FanoutOptions {
  readonly clock: Clock;
  /** Bytes that may wait for a socket before it counts as behind. */
  readonly highWater: number;
  /** Milliseconds that a socket may stay behind, beside the time its backlog takes at {@link SLOWEST}. */
  readonly patience: number;
  readonly measures: FanoutMeasures;
}

/** The room's awareness, as far as fan-out goes. */
interface States {
  readonly hasChanges: boolean;
  takeChanges(): AwarenessEntry[];
  presentAndGone(): AwarenessEntry[];
}

/** The tail in messages that a slow line can carry. */
interface Pieces {
  behind(position: number): readonly Uint8Array[] | undefined;
  ready(): Promise<void>;
}

interface Frames {
  readonly codec: Codec;
  readonly update: Frame | undefined;
  /** In the place of it, where there is too much for one. */
  readonly pieces: readonly Frame[];
  readonly awareness: Frame | undefined;
  /** The same for this. */
  readonly parts: readonly Frame[];
}

interface Behind {
  /** The last position that was given to the socket. */
  readonly position: number;
  readonly deadline: number;
}

/** Bytes a millisecond: a phone on a bad line loads a large document at this rate and is not cut off. */
const SLOWEST = 64;
/** Milliseconds more for a peer that is sending: what the largest message takes at that rate. */
const SENDING_MS = 2 ** 25 / SLOWEST;

const NOTHING: readonly never[] = [];

/** What is due at the end of this turn of the loop is not called off. */
const THIS_TURN: Timer = { cancel: () => undefined };

/** States that are one part, however large each is. */
const FEW = 4;

/** With this many receivers or fewer a flush is so cheap that it need not wait. */
const SMALL_ROOM = 8;
/** Milliseconds of one flush in one turn of the loop; a keystroke elsewhere waits for a few turns. */
const SLICE_MS = 1;
const DELAY_PER_RECEIVER = 0.55;
const LONGEST_DELAY = 50;

/**
 * Milliseconds from the end of one flush to the next, at least. Three times what
 * the last one took keeps a room's share of the loop at a quarter; in larger
 * rooms a little waiting puts several edits or cursors into one frame.
 */
export function flushDelay(receivers: number, lastCost: number): number {
  const gather =
    receivers <= SMALL_ROOM ? 0 : Math.min(LONGEST_DELAY, receivers * DELAY_PER_RECEIVER);
  return Math.max(3 * lastCost, gather);
}

export class Fanout<R extends Receiver> {
  readonly #options: FanoutOptions;
  readonly #tail: Tail;
  readonly #pieces: Pieces;
  readonly #awareness: States;
  readonly #receivers = new Map<R, Behind | undefined>();
  #flushed: number;
  /** Who wrote what is not flushed yet; undefined for nobody, or for more than one. */
  #author: R | undefined;
  #single: Uint8Array | undefined;
  /** When the oldest of what is not flushed yet arrived; undefined for nothing. */
  #arrivedAt: number | undefined;
  #timer: Timer | undefined;
  #nextFlush = 0;
  /** What a flush costs, as far as believed: one that was interrupted by something else does not count in full. */
  #cost = 0;
  #isClosed = false;

  constructor(options: FanoutOptions, tail: Tail, pieces: Pieces, awareness: States) {
    this.#options = options;
    this.#tail = tail;
    this.#pieces = pieces;
    this.#awareness = awareness;
    this.#flushed = tail.last;
  }

  get receivers(): ReadonlyMap<R, unknown> {
    return this.#receivers;
  }

  /** From now on the receiver gets what changes; it has been sent everything up to the tail's end. */
  add(receiver: R): void {
    const waiting = receiver.connection.buffered;
    this.#receivers.set(receiver, undefined);
    if (waiting > this.#options.highWater) this.#fallsBehind(receiver, this.#tail.last, waiting);
  }

  has(receiver: R): boolean {
    return this.#receivers.has(receiver);
  }

  remove(receiver: R): void {
    if (this.#receivers.get(receiver) !== undefined) this.#options.measures.behind--;
    this.#receivers.delete(receiver);
    if (this.#author === receiver) this.#author = undefined;
  }

  /**
   * @param update what the tail was just appended, as it stands in the log
   * @param arrivedAt when it was received, by the clock
   */
  updated(author: R | undefined, update: Uint8Array, arrivedAt: number): void {
    const isFirst = this.#tail.last === this.#flushed + 1;
    this.#author = isFirst || this.#author === author ? author : undefined;
    this.#single = isFirst ? update : undefined;
    this.#arrivedAt ??= arrivedAt;
    this.schedule();
  }

  schedule(): void {
    if (this.#timer !== undefined) return;
    const { clock } = this.#options;
    const wait = this.#nextFlush - clock.now();
    if (wait > 0) {
      this.#timer = clock.after(wait, () => this.#flush());
    } else {
      this.#timer = THIS_TURN;
      clock.soon(() => this.#flush());
    }
  }

  #flush(): void {
    const { measures } = this.#options;
    const from = this.#flushed;
    const position = this.#tail.last;
    const update = position > from ? (this.#single ?? this.#tail.since(from)) : undefined;
    const isLarge = update !== undefined && update.length > LARGE_MESSAGE;
    const pieces = isLarge ? this.#pieces.behind(from) : NOTHING;
    if (pieces === undefined) {
      // What comes meanwhile leaves behind it.
      this.#whenCut(() => {
        this.#timer = undefined;
        this.schedule();
      });
      return;
    }
    const changes = this.#awareness.takeChanges();
    const areMany = changes.length >= FEW;
    const author = this.#author;
    const arrivedAt = this.#arrivedAt;
    this.#flushed = position;
    this.#author = undefined;
    this.#single = undefined;
    this.#arrivedAt = undefined;
    if (position > from) measures.batches.add(position - from);
    const frames: Frames[] = [];
    const framesFor = (codec: Codec): Frames => {
      let known = frames.find((each) => each.codec === codec);
      if (known === undefined) {
        known = {
          codec,
          update:
            isLarge || update === undefined ? undefined : codec.encode({ type: 'update', update }),
          pieces: framesOf(codec, 'update', pieces),
          awareness:
            changes.length === 0 || areMany
              ? undefined
              : codec.encode({ type: 'awareness', update: encodeAwareness(changes) }),
          parts: areMany ? framesOf(codec, 'awareness', encodeAwarenessInParts(changes)) : NOTHING,
        };
        frames.push(known);
      }
      return known;
    };
    let isDelivered = false;
    const send = (receiver: R): void => {
      const { buffered } = receiver.connection;
      if (buffered > this.#options.highWater) {
        this.#fallsBehind(receiver, from, buffered);
        measures.skipped++;
        return;
      }
      const frame = framesFor(receiver.dialect.codec);
      if (receiver !== author) {
        if (frame.update !== undefined) receiver.connection.send(frame.update);
        for (const piece of frame.pieces) receiver.connection.send(piece);
        isDelivered ||= update !== undefined;
      }
      if (frame.awareness !== undefined) receiver.connection.send(frame.awareness);
      for (const part of frame.parts) receiver.connection.send(part);
    };
    this.#write([...this.#receivers.keys()], 0, 0, send, (end) => {
      if (isDelivered && arrivedAt !== undefined) measures.lag.add(end - arrivedAt);
    });
  }

  #whenCut(call: () => void): void {
    void this.#pieces.ready().then(() => {
      if (!this.#isClosed) call();
    });
  }

  /**
   * One flush, in slices of the loop's time: a thousand sockets take longer than
   * other rooms should wait. What comes meanwhile is the next flush's.
   */
  #write(
    receivers: readonly R[],
    first: number,
    spent: number,
    send: (receiver: R) => void,
    written: (now: number) => void,
  ): void {
    const { clock, measures } = this.#options;
    const start = clock.now();
    let next = first;
    while (next < receivers.length && clock.now() - start <= SLICE_MS) {
      const receiver = receivers[next++]!;
      // Not to those who have left meanwhile, nor to those who are behind.
      if (this.#receivers.get(receiver) !== undefined) measures.skipped++;
      else if (this.#receivers.has(receiver)) send(receiver);
    }
    const end = clock.now();
    const cost = spent + end - start;
    if (next < receivers.length) {
      clock.soon(() => this.#write(receivers, next, cost, send, written));
      return;
    }
    written(end);
    this.#timer = undefined;
    this.#cost = Math.min(cost, 2 * this.#cost + SLICE_MS);
    this.#nextFlush = end + flushDelay(this.#receivers.size, this.#cost);
    if (this.#tail.last > this.#flushed || this.#awareness.hasChanges) this.schedule();
  }

  /** @param receiver one that is not behind yet */
  #fallsBehind(receiver: R, position: number, waiting: number): void {
    const { clock, patience, measures } = this.#options;
    const deadline = clock.now() + patience + waiting / SLOWEST;
    this.#receivers.set(receiver, { position, deadline });
    measures.behind++;
  }

  /** The receiver's socket has taken all that waited: sends what it missed meanwhile. */
  drained(receiver: R): void {
    const behind = this.#receivers.get(receiver);
    if (behind === undefined) return;
    const { connection, dialect } = receiver;
    // Also what waits for the next flush, which may then send it a second time: that is harmless.
    const missed = this.#pieces.behind(behind.position);
    if (missed === undefined) {
      this.#whenCut(() => this.drained(receiver));
      return;
    }
    this.#receivers.set(receiver, undefined);
    this.#options.measures.behind--;
    const states = encodeAwarenessInParts(this.#awareness.presentAndGone());
    const { codec } = dialect;
    for (const frame of framesOf(codec, 'update', missed)) connection.send(frame);
    for (const frame of framesOf(codec, 'awareness', states)) connection.send(frame);
    const { buffered } = connection;
    if (buffered > this.#options.highWater) {
      this.#fallsBehind(receiver, this.#tail.last, buffered);
    }
  }

  /** Closes the receiver when it has been behind for too long. */
  checkPatience(receiver: R): void {
    const behind = this.#receivers.get(receiver);
    if (behind === undefined) return;
    const late = this.#options.clock.now() - behind.deadline;
    if (late > (receiver.connection.isArriving === true ? SENDING_MS : 0)) {
      this.#options.measures.evicted++;
      receiver.connection.close(CLOSE.tryAgainLater, 'too far behind');
    }
  }

  /** The tail must keep everything behind this position: somebody is still to be sent it. */
  get oldestNeeded(): number {
    let oldest = this.#flushed;
    for (const behind of this.#receivers.values()) {
      if (behind !== undefined) oldest = Math.min(oldest, behind.position);
    }
    return oldest;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const receiver of [...this.#receivers.keys()]) this.remove(receiver);
  }
}

function framesOf(
  codec: Codec,
  type: 'update' | 'awareness',
  updates: readonly Uint8Array[],
): readonly Frame[] {
  if (updates.length === 0) return NOTHING;
  return updates.map((update) => codec.encode({ type, update }));
}
