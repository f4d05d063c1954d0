/**
 * One room's connection with the same room on other instances: the log, and the
 * way to the people (people.ts).
 *
 * What it hears through the relay is a hint: entries are applied in the order of
 * their seqs, and whenever some are missing (a hole, a gap in the relay, a head
 * check that says so) it asks the store. What it says is sent after the store has
 * it.
 */
import type { Timer } from './clock.js';
import type { Workers } from './compact/workers.js';
import type { RelayMeasures } from './measures.js';
import { People, type PeopledRoom, type PeopleOptions } from './people.js';
import { decodeEnvelope, type Envelope } from './relay/envelope.js';
import type { Subscription } from './relay/relay.js';
import type { Snapshots } from './snapshots.js';
import type { Head, LogEntry, SnapshotMeta, Storage } from './storage/storage.js';

/** The room, as far as its link goes. */
export interface LinkedRoom extends PeopledRoom {
  readonly name: string;
  /** The life of the room that it was loaded from, as the store counts it. */
  readonly life: number;
  /** Which of the documents of its name it is. */
  readonly generation: number;
  /** Every entry of the log up to this seq has been applied. */
  readonly head: number;
  /** The seq of the snapshot that joins are answered with, 0 for none. */
  readonly snapshotSeq: number;
  /** Whether entries behind the head have arrived that wait for others. */
  readonly hasHole: boolean;
  /** As Yjs encodes it; not to be written into. */
  readonly stateVector: Uint8Array;
  /** Entries of the log, in any order; what is known is dropped. */
  arrived(first: number, updates: readonly Uint8Array[]): void;
  /** Entries up to `seq` that are not known will never come. */
  skipTo(seq: number): void;
  /** An update that holds all that was missing up to `seq`. */
  merge(seq: number, update: Uint8Array): void;
  /** The store has a newer snapshot, which reaches the head at most. */
  adopt(snapshot: SnapshotMeta): void;
  /** The store holds less than it did. What its clients have brings it back. */
  lost(): void;
  /** The room was removed, and perhaps revived since: what is here is not it any more. */
  deleted(): void;
}

/** What a link needs of the instance that it is on. */
export interface LinkOptions extends PeopleOptions {
  readonly subscribe: (listener: (message: Uint8Array) => void) => Subscription;
  readonly storage: Storage;
  readonly snapshots: Snapshots;
  readonly workers: Workers;
  readonly measures: RelayMeasures;
  /** Another instance was heard of. */
  readonly onHeard: (envelope: Envelope) => void;
  readonly onClose: () => void;
}

/** Milliseconds that entries may be missing before the store is asked: time for an answer to an own commit. */
const HOLE_MS = 100;
/** Milliseconds that the relay and the presence store may take before a room is opened without them. */
const READY_MS = 1_000;
/** Messages kept while the room is loaded; what is beyond is found in the store. */
const MAX_BUFFERED = 1_000;
const SLICE_MS = 5;
/** Bytes of one message; a Redis cuts off subscribers for whom megabytes wait. */
const MAX_RELAYED_BYTES = 256 * 1024;

export class Link {
  readonly name: string;
  readonly people: People;
  readonly #options: LinkOptions;
  readonly #subscription: Subscription;
  /** Until the room is loaded: what has arrived. */
  #buffered: Uint8Array[] | undefined = [];
  #room: LinkedRoom | undefined;
  #isClosed = false;
  /** A seq that the log is known to reach. */
  #expected = 0;
  #holeTimer: Timer | undefined;
  #isRepairing = false;

  constructor(name: string, options: LinkOptions) {
    this.name = name;
    this.people = new People(name, options);
    this.#options = options;
    this.#subscription = options.subscribe((message) => this.#receive(message));
  }

  /** Resolves once messages are delivered, or when the relay does not answer in time. */
  async ready(): Promise<void> {
    await this.#within(READY_MS, this.#subscription.ready);
  }

  /** The room is loaded: what has arrived meanwhile is applied. Resolves once those who are present are known. */
  async attach(room: LinkedRoom): Promise<void> {
    this.#room = room;
    this.people.attach(room);
    const buffered = this.#buffered ?? [];
    this.#buffered = undefined;
    for (const message of buffered) this.#receive(message);
    await this.#within(READY_MS, this.people.reconcile());
  }

  close(): void {
    if (this.#isClosed) return;
    this.people.close();
    this.#isClosed = true;
    this.#subscription.close();
    this.#holeTimer?.cancel();
    this.#options.onClose();
  }

  /** Own entries are in the store. */
  committed(first: number, updates: readonly Uint8Array[]): void {
    const bytes = updates.reduce((sum, update) => sum + update.length, 0);
    if (bytes <= MAX_RELAYED_BYTES) this.#options.publish({ kind: 'updates', first, updates });
    else this.#options.publish({ kind: 'head', seq: first + updates.length - 1 });
    this.#lookForHole();
  }

  /** The store went back: what it gives seqs to now others may take for what they know. */
  lost(): void {
    this.#options.publish({ kind: 'lost' });
  }

  /** The store has a new snapshot of this instance's making. */
  compacted(seq: number): void {
    this.#options.publish({ kind: 'snapshot', seq });
  }

  #receive(message: Uint8Array): void {
    if (this.#buffered !== undefined) {
      if (this.#buffered.length < MAX_BUFFERED) this.#buffered.push(message);
      return;
    }
    const room = this.#room;
    const envelope = decodeEnvelope(message);
    if (room === undefined || envelope === undefined || this.#isClosed) return;
    if (envelope.origin === this.#options.instance) return;
    this.#options.onHeard(envelope);
    if (isOfStore(envelope) && !this.#isAtSameServer(envelope)) return;
    try {
      this.#handle(room, envelope);
    } catch (error) {
      // As good as lost: what it was about is in the store.
      const { logger } = this.#options;
      logger.warn({ err: error, room: this.name }, 'a relayed message could not be used');
    }
  }

  /** Seqs of another server mean other entries. One of both instances has not noticed yet. */
  #isAtSameServer({ primary }: Envelope): boolean {
    const { storage } = this.#options;
    if (primary === (storage.primary?.id ?? 0)) return true;
    storage.checkPrimary?.();
    return false;
  }

  #handle(room: LinkedRoom, { origin, content }: Envelope): void {
    switch (content.kind) {
      case 'updates':
        this.people.wrote(origin, content.updates);
        room.arrived(content.first, content.updates);
        this.#expect(content.first + content.updates.length - 1);
        break;
      case 'head':
        this.#expected = Math.max(this.#expected, content.seq);
        if (room.head < content.seq) void this.#repair(room);
        break;
      case 'lost':
        room.lost();
        break;
      case 'snapshot':
        this.#expect(content.seq);
        void this.refreshed(room);
        break;
      case 'here':
      case 'ending':
      case 'kick':
      case 'kick-client':
      case 'recheck':
      case 'delete':
      case 'replace':
      case 'undelete':
        // Of an instance, not of a room.
        break;
      default:
        this.people.hear(origin, content);
    }
  }

  /** The log reaches this seq: if the relay does not bring it soon, the store does. */
  #expect(seq: number): void {
    this.#expected = Math.max(this.#expected, seq);
    this.#lookForHole();
  }

  #lookForHole(): void {
    const room = this.#room;
    if (room === undefined || this.#holeTimer !== undefined || this.#isClosed) return;
    if (!room.hasHole && room.head >= this.#expected) return;
    const { head } = room;
    this.#holeTimer = this.#options.clock.after(HOLE_MS, () => {
      this.#holeTimer = undefined;
      const isWhole = !room.hasHole && room.head >= this.#expected;
      if (isWhole || this.#isClosed) return;
      // It moves: what was missing then has come, something else is on its way.
      if (room.head > head) this.#lookForHole();
      else {
        this.#options.measures.holes++;
        void this.#repair(room);
      }
    });
  }

  /** The seq that the room has reached; 0 while it is loaded. */
  get head(): number {
    return this.#room?.head ?? 0;
  }

  /** @param asked the head of the room when the store was asked */
  checkHead({ lastSeq, snapshotSeq, life, generation }: Head, asked: number): void {
    const room = this.#room;
    if (room === undefined) return;
    if (life > room.life) {
      room.deleted();
      return;
    }
    // Another store is in the place of the one that this was read from: what its seqs say is of another document.
    if (lastSeq < asked || generation !== room.generation) {
      room.lost();
      return;
    }
    this.#expect(lastSeq);
    if (snapshotSeq > room.snapshotSeq) void this.refreshed(room);
  }

  /** Never rejects. What fails is tried again at the next head check. */
  async #repair(room: LinkedRoom): Promise<void> {
    if (this.#isRepairing) return;
    this.#isRepairing = true;
    const { storage, logger, measures } = this.#options;
    measures.repairs++;
    const { head } = room;
    const expected = this.#expected;
    try {
      const entries = await storage.since(this.name, head);
      if (this.#isClosed) return;
      if (entries === undefined) await this.#catchUp(room);
      else await this.#apply(room, entries);
      // That was all that the store has: whoever said more speaks of what is lost.
      if (this.#expected === expected) this.#expected = room.head;
    } catch (error) {
      logger.warn(
        { err: error, room: this.name },
        'the store could not be asked for what is missing',
      );
      return;
    } finally {
      this.#isRepairing = false;
    }
    // Where nothing was found, the next head check asks again.
    if (room.head > head) this.#lookForHole();
  }

  async #apply(room: LinkedRoom, entries: readonly LogEntry[]): Promise<void> {
    const { clock } = this.#options;
    let sliceEnd = clock.now() + SLICE_MS;
    for (const { seq, update } of entries) {
      if (this.#isClosed) return;
      room.skipTo(seq - 1);
      room.arrived(seq, [update]);
      if (clock.now() > sliceEnd) {
        await new Promise<void>((resolve) => clock.soon(resolve));
        sliceEnd = clock.now() + SLICE_MS;
      }
    }
  }

  /** Some of what is missing is in a snapshot by now. */
  async #catchUp(room: LinkedRoom): Promise<void> {
    const { storage, snapshots, workers } = this.#options;
    const meta = await this.#newest(room);
    const bytes = meta && (await snapshots.bytes(this.name, meta));
    // Replaced between the two questions: the next repair finds the newer one.
    if (meta === undefined || bytes === undefined) return;
    if (meta.seq > room.head) {
      const stateVector = room.stateVector.slice();
      const update = (await workers.diff({ snapshot: bytes, stateVector })) ?? bytes;
      if (this.#isClosed) return;
      room.merge(meta.seq, update);
    }
    room.adopt(meta);
    const entries = await storage.since(this.name, room.head);
    if (entries !== undefined) await this.#apply(room, entries);
  }

  /** Takes over the store's snapshot, when another instance has made a newer one. Never rejects. */
  async refreshed(room: LinkedRoom): Promise<void> {
    try {
      await this.refresh(room);
    } catch (error) {
      const { logger } = this.#options;
      logger.warn({ err: error, room: this.name }, 'the store could not be asked for its snapshot');
    }
  }

  /** @throws whatever the store throws */
  async refresh(room: LinkedRoom): Promise<void> {
    const meta = await this.#newest(room);
    if (meta === undefined || this.#isClosed) return;
    if (meta.seq <= room.head) room.adopt(meta);
    else await this.#repair(room);
  }

  /** @returns the store's snapshot of the document that is here */
  async #newest(room: LinkedRoom): Promise<SnapshotMeta | undefined> {
    const meta = await this.#options.storage.snapshot(this.name);
    if (meta === undefined) return undefined;
    if (meta.life > room.life) room.deleted();
    else if (meta.generation !== room.generation) room.lost();
    else return meta;
    return undefined;
  }

  async #within(ms: number, promise: Promise<void>): Promise<void> {
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(ms, resolve);
    });
    await Promise.race([promise, late]);
    timer?.cancel();
  }
}

function isOfStore({ content: { kind } }: Envelope): boolean {
  return kind === 'updates' || kind === 'head' || kind === 'snapshot' || kind === 'lost';
}
