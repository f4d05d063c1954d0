/**
 * One room's people, here and on other instances.
 *
 * Whom sessions here hold is told to the others and kept present; whom another
 * instance holds belongs to its {@link Peer}, and leaves with it. Invariant: who
 * has left does not come back by a list of the present that is older than that.
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
import type { PresenceKeeper } from './presence/keeper.js';
import type { PresentPerson } from './presence/presence.js';
import type { Content } from './relay/envelope.js';
import { parseUpdate, UNBOUNDED } from './update/parse.js';

/** The room, as far as its people go. */
export interface PeopledRoom {
  /** @returns the clients that sessions here hold, so that they were not taken over */
  remoteStates(peer: Peer, entries: readonly AwarenessEntry[]): number[];
  /** Clients that the peer holds. */
  heldBy(peer: Peer): ReadonlySet<number>;
  /** The peer is gone, with everybody it holds. */
  peerLeft(peer: Peer): void;
  /** Who was said to be held elsewhere may be taken by whoever brings them. */
  freed(): void;
  /** Asks the session that holds this client for a sign of life. @returns whether one does */
  probe(client: number): boolean;
  /** The states of all whom sessions here hold. */
  here(): AwarenessEntry[];
  /** States that sessions here have changed since the last call. */
  takeChangesHere(): AwarenessEntry[];
}

/** What a room's people need of the instance that they are on. */
export interface PeopleOptions {
  /** This instance. */
  readonly instance: string;
  readonly publish: (content: Content) => void;
  readonly listPresent: () => Promise<readonly PresentPerson[]>;
  readonly keeper: PresenceKeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether this instance is ending, so that those who leave it are elsewhere in a moment. */
  readonly isLeaving: () => boolean;
  /** People of another instance are here, perhaps as the presence store remembers them. */
  readonly onPeer: (instance: string) => void;
}

/** What instances say to each other about people. */
export type AboutPeople = Extract<
  Content,
  { readonly kind: 'awareness' | 'everybody' | 'who' | 'probe' | 'held' | 'moving' | 'gone' }
>;

/** Another instance in this room: who holds the people that it says it holds. */
export class Peer {
  readonly instance: string;
  readonly #probe: (client: number) => void;
  readonly #written = new Set<number>();
  readonly #moving = new Set<number>();

  constructor(instance: string, probe: (client: number) => void) {
    this.instance = instance;
    this.#probe = probe;
  }

  /** Whether updates that it relayed have structs of this client, which it holds. */
  hasWritten(client: number): boolean {
    return this.#written.has(client) && !this.#moving.has(client);
  }

  /** These have left it for another instance, most likely. */
  letGo(clients: Iterable<number>): void {
    for (const client of clients) this.#moving.add(client);
  }

  /** Whether whoever brings this client may have it. */
  hasLetGo(client: number): boolean {
    return this.#moving.has(client);
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
/** Milliseconds between two messages about moving people. */
const STATES_EVERY_MS = 10;
/** Milliseconds that another instance has to say that it still holds a client. */
const PROBE_MS = 3_000;
/** Milliseconds in which a client that left an instance that ends should be elsewhere. */
const MOVE_MS = 3_000;
const MAX_TYPED_BYTES = 4_096;
/** Bytes of states in one message. */
const MAX_RELAYED_BYTES = 256 * 1024;
/** Milliseconds that somebody has to be in no list before they are gone: their key may not be written yet. */
const ABSENT_MS = 3_000;

export class People {
  readonly #name: string;
  readonly #options: PeopleOptions;
  readonly #peers = new Map<string, Peer>();
  #room: PeopledRoom | undefined;
  #isClosed = false;
  #statesTimer: Timer | undefined;
  #lastStates = Number.NEGATIVE_INFINITY;
  readonly #probes = new Map<number, { readonly instance: string; readonly timer: Timer }>();
  /** While lists of who is present are asked for: who has left since, whom they may still hold. */
  readonly #leftSince = new Set<string>();
  #listing = 0;
  /** In the place of sessions that left while this instance ends: hold what those held, until others do. */
  readonly #heirs = new Map<Peer, Timer>();
  /** By client and instance: since when they have been in no list of who is present. */
  #absent = new Map<string, number>();

  /** @param name the room's */
  constructor(name: string, options: PeopleOptions) {
    this.#name = name;
    this.#options = options;
  }

  /** The room is loaded. */
  attach(room: PeopledRoom): void {
    this.#room = room;
  }

  /** Tells what has changed until now, and nothing more. */
  close(): void {
    if (this.#isClosed) return;
    this.#tellStates();
    this.#isClosed = true;
    this.#statesTimer?.cancel();
    for (const { timer } of this.#probes.values()) timer.cancel();
    for (const timer of this.#heirs.values()) timer.cancel();
    this.#heirs.clear();
  }

  /**
   * A session here leaves that holds these clients.
   *
   * @returns who is to hold them until another instance does, so that nobody sees them leave
   *   and come back; undefined where they are just gone
   */
  heirOf(clients: ReadonlySet<number>): Peer | undefined {
    const { instance, clock, publish, isLeaving } = this.#options;
    if (clients.size === 0 || this.#isClosed || !isLeaving()) return undefined;
    // What they did last, which is told by their holder alone.
    this.#tellStates();
    const heir = new Peer(instance, () => undefined);
    heir.letGo(clients);
    publish({ kind: 'moving', clients: [...clients] });
    this.#heirs.set(
      heir,
      clock.after(MOVE_MS, () => this.#didNotMove(heir)),
    );
    return heir;
  }

  /** Whether somebody who left is on the way to another instance. */
  get areMoving(): boolean {
    for (const heir of this.#heirs.keys()) if (this.#room?.heldBy(heir).size !== 0) return true;
    return false;
  }

  #didNotMove(heir: Peer): void {
    this.#heirs.delete(heir);
    const clients = [...(this.#room?.heldBy(heir) ?? [])];
    if (clients.length === 0) return;
    const entries = clients.map((client) => ({ client, clock: 0, state: NULL_STATE }));
    this.#keep(entries);
    this.#publishStates(entries);
    this.#room?.peerLeft(heir);
  }

  #isOnTheWay(room: PeopledRoom, client: number): boolean {
    return [...this.#heirs.keys()].some((heir) => room.heldBy(heir).has(client));
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
    this.#lastStates = this.#options.clock.now();
    this.#keep(entries);
    this.#publishStates(entries);
  }

  #keep(entries: readonly AwarenessEntry[]): void {
    const { keeper } = this.#options;
    for (const { client, clock, state } of entries) {
      if (isNull(state)) keeper.remove(this.#name, client);
      else keeper.set({ room: this.#name, client, clock, state });
    }
  }

  /** What another instance says. @throws {UpdateRefused} */
  hear(origin: string, content: AboutPeople): void {
    const room = this.#room;
    if (room === undefined) return;
    switch (content.kind) {
      case 'awareness': {
        const entries = readAwareness(content.update);
        for (const { client, state } of entries) {
          this.#answered(client, origin);
          if (isNull(state)) this.#noteLeft(`${client}\n${origin}`);
        }
        this.#taken(room, this.#peer(origin), entries);
        break;
      }
      case 'everybody': {
        const entries = readAwareness(content.update);
        const peer = this.#peer(origin);
        const there = new Set(entries.map(({ client }) => client));
        const gone = [...room.heldBy(peer)].filter((client) => !there.has(client));
        for (const client of there) this.#answered(client, origin);
        for (const client of gone) this.#noteLeft(`${client}\n${origin}`);
        const left = gone.map((client) => ({ client, clock: 0, state: NULL_STATE }));
        this.#taken(room, peer, [...left, ...entries]);
        break;
      }
      case 'who':
        this.#tellEverybody(room);
        break;
      case 'probe':
        if (content.instance !== this.#options.instance) break;
        if (room.probe(content.client)) {
          this.#options.publish({ kind: 'held', client: content.client });
        } else if (this.#isOnTheWay(room, content.client)) {
          this.#options.publish({ kind: 'moving', clients: [content.client] });
        } else {
          const entry = { client: content.client, clock: 0, state: NULL_STATE };
          this.#options.publish({ kind: 'awareness', update: encodeAwareness([entry]) });
        }
        break;
      case 'held':
        this.#answered(content.client, origin);
        break;
      case 'moving': {
        const peer = this.#peer(origin);
        const held = room.heldBy(peer);
        peer.letGo(content.clients.filter((client) => held.has(client)));
        for (const client of content.clients) this.#answered(client, origin);
        room.freed();
        break;
      }
      case 'gone':
        this.peerLeft(origin);
        break;
    }
  }

  /** Whom the peer holds now is not kept as one of those here any more; whom a session here holds is asked. */
  #taken(room: PeopledRoom, peer: Peer, entries: readonly AwarenessEntry[]): void {
    const held = room.remoteStates(peer, entries);
    for (const client of held) room.probe(client);
    for (const { client, state } of entries) {
      if (!isNull(state) && !held.includes(client)) this.#options.keeper.remove(this.#name, client);
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
      if (probe.instance === instance) this.#answered(client, instance);
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

  /** Only by the one that was asked: what others say of the client may be older. */
  #answered(client: number, instance: string): void {
    const probe = this.#probes.get(client);
    if (probe?.instance !== instance) return;
    probe.timer.cancel();
    this.#probes.delete(client);
  }

  /** Messages may have been missed, also by others. */
  async gap(): Promise<void> {
    const room = this.#room;
    if (room === undefined || this.#isClosed) return;
    this.#tellEverybody(room);
    // What the relay forgot, the presence store may have forgotten, too.
    this.#keep(room.here());
    this.#options.publish({ kind: 'who' });
    await this.reconcile();
  }

  /** Also those who heard nothing of a leave are right then. */
  #tellEverybody(room: PeopledRoom): void {
    // What has changed meanwhile would be older than this.
    this.#tellStates();
    const update = encodeAwareness(room.here());
    if (update.length <= MAX_RELAYED_BYTES) this.#options.publish({ kind: 'everybody', update });
    else this.#publishStates(room.here());
  }

  /** Some at a time: Redis cuts off subscribers for whom megabytes wait. */
  #publishStates(entries: readonly AwarenessEntry[]): void {
    let part: AwarenessEntry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (part.length > 0 && bytes + entry.state.length > MAX_RELAYED_BYTES) {
        this.#options.publish({ kind: 'awareness', update: encodeAwareness(part) });
        part = [];
        bytes = 0;
      }
      part.push(entry);
      bytes += entry.state.length;
    }
    this.#options.publish({ kind: 'awareness', update: encodeAwareness(part) });
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
      logger.debug({ err: error, room: this.#name }, 'who is present could not be asked');
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
    const now = this.#options.clock.now();
    const absent = new Map<string, number>();
    for (const [instance, peer] of this.#peers) {
      const listed = new Set(byInstance.get(instance)?.map(({ client }) => client));
      const entries: AwarenessEntry[] = [];
      for (const client of room.heldBy(peer)) {
        if (listed.has(client)) continue;
        const key = `${client}\n${instance}`;
        const since = this.#absent.get(key) ?? now;
        if (now - since >= ABSENT_MS) entries.push({ client, clock: 0, state: NULL_STATE });
        else absent.set(key, since);
      }
      if (entries.length > 0) room.remoteStates(peer, entries);
    }
    this.#absent = absent;
  }

  /** Updates have come from there. @throws {UpdateRefused} */
  wrote(origin: string, updates: readonly Uint8Array[]): void {
    const peer = this.#peer(origin);
    for (const update of updates) {
      // What people type is small; in what is large, structs of many authors may come together.
      if (update.length > MAX_TYPED_BYTES) continue;
      for (const { client } of parseUpdate(update, UNBOUNDED).blocks) peer.wrote(client);
    }
  }
}
