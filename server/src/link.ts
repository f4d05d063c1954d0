/**
 * One room's connection with the same room on other instances.
 *
 * What it hears through the relay is a hint: entries are applied in the order of
 * their seqs, and whenever some are missing (a hole, a gap in the relay, a head
 * check that says so) it asks the store. What it says is sent after the store has
 * it. People of other instances are held by a {@link Peer} each, and leave with it.
 */
import type { Logger } from 'pino';
import {
  type AwarenessEntry,
  encodeAwareness,
  isNull,
  NULL_STATE,
  readAwareness,
} from './awareness.js';
import type { Clock, Timer } from './clock.js';
import type { Workers } from './compact/workers.js';
import type { PresenceKeeper } from './presence/keeper.js';
import type { PresentPerson } from './presence/presence.js';
import { type Content, decodeEnvelope, type Envelope } from './relay/envelope.js';
import type { Subscription } from './relay/relay.js';
import type { Snapshots } from './snapshots.js';
import type { Head, LogEntry, SnapshotMeta, Storage } from './storage/storage.js';
import { parseUpdate } from './update/parse.js';

/** The room, as far as its link goes. */
export interface LinkedRoom {
  readonly name: string;
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
  /** @returns the clients that sessions here hold, so that they were not taken over */
  remoteStates(peer: Peer, entries: readonly AwarenessEntry[]): number[];
  /** Clients that the peer holds. */
  heldBy(peer: Peer): ReadonlySet<number>;
  /** The peer is gone, with everybody it holds. */
  peerLeft(peer: Peer): void;
  /** Asks the session that holds this client for a sign of life. @returns whether one does */
  probe(client: number): boolean;
  /** The states of all whom sessions here hold are told once more. */
  tellAllHere(): void;
  /** The states of all whom sessions here hold. */
  here(): AwarenessEntry[];
  /** States that sessions here have changed since the last call. */
  takeChangesHere(): AwarenessEntry[];
}

/** What a link needs of the instance that it is on. */
export interface LinkOptions {
  /** This instance. */
  readonly instance: string;
  readonly subscribe: (listener: (message: Uint8Array) => void) => Subscription;
  readonly publish: (content: Content) => void;
  readonly listPresent: () => Promise<readonly PresentPerson[]>;
  readonly keeper: PresenceKeeper;
  readonly storage: Storage;
  readonly snapshots: Snapshots;
  readonly workers: Workers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another instance was heard of. */
  readonly onHeard: (envelope: Envelope) => void;
  /** People of another instance are here, perhaps as the presence store remembers them. */
  readonly onPeer: (instance: string) => void;
  readonly onClose: () => void;
}

/** Another instance in this room: who holds the people that it says it holds. */
export class Peer {
  readonly instance: string;
  readonly #probe: (client: number) => void;
  readonly #written = new Set<number>();

  constructor(instance: string, probe: (client: number) => void) {
    this.instance = instance;
    this.#probe = probe;
  }

  /** Whether updates that it relayed have structs of this client. */
  hasWritten(client: number): boolean {
    return this.#written.has(client);
  }

  wrote(client: number): void {
    if (this.#written.size < MAX_WRITTEN) this.#written.add(client);
  }

  /** Makes sure that it still holds this client: somebody here claims it. */
  probe(client: number): void {
    this.#probe(client);
  }
}

const MAX_WRITTEN = 10_000;
/** Milliseconds that entries may be missing before the store is asked: time for an answer to an own commit. */
const HOLE_MS = 100;
/** Milliseconds that the relay and the presence store may take before a room is opened without them. */
const READY_MS = 1_000;
/** Milliseconds between two messages about moving people. */
const STATES_EVERY_MS = 10;
/** Milliseconds that another instance has to say that it still holds a client. */
const PROBE_MS = 3_000;
/** Messages kept while the room is loaded; what is beyond is found in the store. */
const MAX_BUFFERED = 1_000;
const SLICE_MS = 5;
const MAX_TYPED_BYTES = 4_096;
/** Bytes of one message; a Redis cuts off subscribers for whom megabytes wait. */
const MAX_RELAYED_BYTES = 256 * 1024;

export class Link {
  readonly name: string;
  readonly #options: LinkOptions;
  readonly #subscription: Subscription;
  readonly #peers = new Map<string, Peer>();
  /** Until the room is loaded: what has arrived. */
  #buffered: Uint8Array[] | undefined = [];
  #room: LinkedRoom | undefined;
  #isClosed = false;
  /** A seq that the log is known to reach. */
  #expected = 0;
  #holeTimer: Timer | undefined;
  #isRepairing = false;
  #statesTimer: Timer | undefined;
  #lastStates = Number.NEGATIVE_INFINITY;
  readonly #probes = new Map<number, { readonly instance: string; readonly timer: Timer }>();
  /** While lists of who is present are asked for: who has left since, whom they may still hold. */
  readonly #leftSince = new Set<string>();
  #listing = 0;
  /** Clients that were not in the last list of who is present. */
  #absent = new Set<number>();

  constructor(name: string, options: LinkOptions) {
    this.name = name;
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
    const buffered = this.#buffered ?? [];
    this.#buffered = undefined;
    for (const message of buffered) this.#receive(message);
    await this.#within(READY_MS, this.reconcile());
  }

  close(): void {
    if (this.#isClosed) return;
    this.#tellStates();
    this.#isClosed = true;
    this.#subscription.close();
    this.#holeTimer?.cancel();
    this.#statesTimer?.cancel();
    for (const { timer } of this.#probes.values()) timer.cancel();
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

  /** States of people who are here have changed. */
  statesChanged(): void {
    if (this.#statesTimer !== undefined || this.#isClosed) return;
    const { clock } = this.#options;
    const wait = this.#lastStates + STATES_EVERY_MS - clock.now();
    if (wait > 0) {
      this.#statesTimer = clock.after(wait, () => this.#tellStates());
    } else {
      this.#statesTimer = { cancel: () => undefined };
      clock.soon(() => this.#tellStates());
    }
  }

  #tellStates(): void {
    this.#statesTimer?.cancel();
    this.#statesTimer = undefined;
    const entries = this.#room?.takeChangesHere() ?? [];
    if (this.#isClosed || entries.length === 0) return;
    const { keeper, publish, clock } = this.#options;
    this.#lastStates = clock.now();
    for (const { client, clock: at, state } of entries) {
      if (isNull(state)) keeper.remove(this.name, client);
      else keeper.set({ room: this.name, client, clock: at, state });
    }
    publish({ kind: 'awareness', update: encodeAwareness(entries) });
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
    try {
      this.#handle(room, envelope);
    } catch (error) {
      // As good as lost: what it was about is in the store.
      const { logger } = this.#options;
      logger.warn({ err: error, room: this.name }, 'a relayed message could not be used');
    }
  }

  #handle(room: LinkedRoom, { origin, content }: Envelope): void {
    switch (content.kind) {
      case 'updates':
        this.#noteWritten(origin, content.updates);
        room.arrived(content.first, content.updates);
        this.#expect(content.first + content.updates.length - 1);
        break;
      case 'head':
        this.#expected = Math.max(this.#expected, content.seq);
        if (room.head < content.seq) void this.#repair(room);
        break;
      case 'awareness': {
        const entries = readAwareness(content.update);
        for (const { client, state } of entries) {
          this.#answered(client);
          if (isNull(state)) this.#noteLeft(`${client}\n${origin}`);
        }
        for (const client of room.remoteStates(this.#peer(origin), entries)) room.probe(client);
        break;
      }
      case 'everybody': {
        const entries = readAwareness(content.update);
        const peer = this.#peer(origin);
        const there = new Set(entries.map(({ client }) => client));
        const gone = [...room.heldBy(peer)].filter((client) => !there.has(client));
        for (const client of there) this.#answered(client);
        for (const client of gone) this.#noteLeft(`${client}\n${origin}`);
        const left = gone.map((client) => ({ client, clock: 0, state: NULL_STATE }));
        for (const client of room.remoteStates(peer, [...left, ...entries])) room.probe(client);
        break;
      }
      case 'who':
        this.#tellEverybody(room);
        break;
      case 'lost':
        room.lost();
        break;
      case 'snapshot':
        this.#expect(content.seq);
        void this.refreshed(room);
        break;
      case 'probe':
        if (content.instance !== this.#options.instance) break;
        if (room.probe(content.client)) {
          this.#options.publish({ kind: 'held', client: content.client });
        } else {
          const entry = { client: content.client, clock: 0, state: NULL_STATE };
          this.#options.publish({ kind: 'awareness', update: encodeAwareness([entry]) });
        }
        break;
      case 'held':
        this.#answered(content.client);
        break;
      case 'gone':
        this.peerLeft(origin);
        break;
      case 'here':
        break;
    }
  }

  #peer(instance: string): Peer {
    let peer = this.#peers.get(instance);
    if (peer === undefined) {
      peer = new Peer(instance, (client) => this.#probe(instance, client));
      this.#peers.set(instance, peer);
      this.#options.onPeer(instance);
    }
    return peer;
  }

  /** That instance is gone, or says so. */
  peerLeft(instance: string): void {
    this.#noteLeft(instance);
    const peer = this.#peers.get(instance);
    if (peer === undefined) return;
    this.#peers.delete(instance);
    // What it held is free: there is nobody to be asked any more.
    for (const [client, probe] of this.#probes) {
      if (probe.instance === instance) this.#answered(client);
    }
    this.#room?.peerLeft(peer);
  }

  #noteLeft(who: string): void {
    if (this.#listing > 0) this.#leftSince.add(who);
  }

  /** Asks whether that instance still holds the client; without an answer it does not. */
  #probe(instance: string, client: number): void {
    if (this.#probes.has(client)) return;
    this.#options.publish({ kind: 'probe', instance, client });
    const timer = this.#options.clock.after(PROBE_MS, () => {
      this.#probes.delete(client);
      const entry = { client, clock: 0, state: NULL_STATE };
      this.#room?.remoteStates(this.#peer(instance), [entry]);
    });
    this.#probes.set(client, { instance, timer });
  }

  #answered(client: number): void {
    this.#probes.get(client)?.timer.cancel();
    this.#probes.delete(client);
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
      else void this.#repair(room);
    });
  }

  /** The seq that the room has reached; 0 while it is loaded. */
  get head(): number {
    return this.#room?.head ?? 0;
  }

  /** @param asked the head of the room when the store was asked */
  checkHead({ lastSeq, snapshotSeq }: Head, asked: number): void {
    const room = this.#room;
    if (room === undefined) return;
    if (lastSeq < asked) {
      room.lost();
      return;
    }
    this.#expect(lastSeq);
    if (snapshotSeq > room.snapshotSeq) void this.refreshed(room);
  }

  /** Messages may have been missed, also by others. */
  async gap(): Promise<void> {
    const room = this.#room;
    if (room === undefined || this.#isClosed) return;
    room.tellAllHere();
    this.#tellEverybody(room);
    this.#options.publish({ kind: 'who' });
    await this.reconcile();
  }

  /** Also those who heard nothing of a leave are right then. */
  #tellEverybody(room: LinkedRoom): void {
    // What has changed meanwhile would be older than this.
    this.#tellStates();
    this.#options.publish({ kind: 'everybody', update: encodeAwareness(room.here()) });
  }

  /** Never rejects. What fails is tried again at the next head check. */
  async #repair(room: LinkedRoom): Promise<void> {
    if (this.#isRepairing) return;
    this.#isRepairing = true;
    const { storage, logger } = this.#options;
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
    const meta = await storage.snapshot(this.name);
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
    const meta = await this.#options.storage.snapshot(this.name);
    if (meta === undefined || this.#isClosed) return;
    if (meta.seq <= room.head) room.adopt(meta);
    else await this.#repair(room);
  }

  /** Compares the people of other instances with who is present. Never rejects. */
  async reconcile(): Promise<void> {
    const room = this.#room;
    if (room === undefined) return;
    let present: readonly PresentPerson[];
    this.#listing++;
    try {
      const listed = await this.#options.listPresent();
      // It may be older than what the relay has told since it was asked for.
      present = listed.filter(
        ({ client, instance }) =>
          !this.#leftSince.has(instance) && !this.#leftSince.has(`${client}\n${instance}`),
      );
    } catch (error) {
      const { logger } = this.#options;
      logger.debug({ err: error, room: this.name }, 'who is present could not be asked');
      return;
    } finally {
      if (--this.#listing === 0) this.#leftSince.clear();
    }
    if (this.#isClosed) return;
    const byInstance = new Map<string, PresentPerson[]>();
    for (const person of present) {
      const people = byInstance.get(person.instance);
      if (people === undefined) byInstance.set(person.instance, [person]);
      else people.push(person);
    }
    for (const [instance, people] of byInstance) {
      if (instance !== this.#options.instance) room.remoteStates(this.#peer(instance), people);
    }
    // Whoever has just come may not be written yet: only who is missing twice is gone.
    const absent = new Set<number>();
    for (const [instance, peer] of this.#peers) {
      const listed = new Set(byInstance.get(instance)?.map(({ client }) => client));
      const gone = [...room.heldBy(peer)].filter((client) => !listed.has(client));
      const entries = gone
        .filter((client) => this.#absent.has(client))
        .map((client) => ({ client, clock: 0, state: NULL_STATE }));
      if (entries.length > 0) room.remoteStates(peer, entries);
      for (const client of gone) absent.add(client);
    }
    this.#absent = absent;
  }

  #noteWritten(origin: string, updates: readonly Uint8Array[]): void {
    const peer = this.#peer(origin);
    for (const update of updates) {
      // What people type is small; in what is large, structs of many authors may come together.
      if (update.length > MAX_TYPED_BYTES) continue;
      for (const { client } of parseUpdate(update).blocks) peer.wrote(client);
    }
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
