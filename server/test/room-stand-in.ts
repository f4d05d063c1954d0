/** A room that keeps what its link tells it: for tests of links without documents. */
import { type AwarenessEntry, isNull } from '../src/awareness.js';
import type { LinkedRoom } from '../src/link.js';
import type { Peer } from '../src/people.js';
import { Places } from '../src/places.js';
import type { SnapshotMeta } from '../src/storage/storage.js';

export class RoomStandIn implements LinkedRoom {
  readonly name: string;
  readonly places = new Places(0, 0);
  readonly stateVector = Uint8Array.of(0);
  life = 0;
  generation = 0;
  snapshotSeq = 0;
  did: string[] = [];
  /** Clients that sessions here hold. */
  readonly sessions = new Set<number>();
  readonly peers = new Map<string, Peer>();
  readonly held = new Map<Peer, Set<number>>();
  changes: AwarenessEntry[] = [];

  constructor(name = 'room') {
    this.name = name;
  }

  get head(): number {
    return this.places.head;
  }

  get hasHole(): boolean {
    return this.places.hasHole;
  }

  arrived(first: number, updates: readonly Uint8Array[]): void {
    for (const [i, update] of updates.entries()) this.places.arrived(first + i, update);
    this.#apply();
  }

  #apply(): void {
    for (let next = this.places.next(); next !== undefined; next = this.places.next()) {
      this.places.applied(next.seq);
      this.did.push(`applied ${next.seq}`);
    }
  }

  skipTo(seq: number): void {
    this.places.skipTo(seq);
  }

  merge(seq: number): void {
    this.did.push(`merged ${seq}`);
    this.places.skipTo(seq);
    this.#apply();
  }

  adopt({ seq }: SnapshotMeta): void {
    this.did.push(`adopted ${seq}`);
    this.snapshotSeq = seq;
  }

  lost(): void {
    this.did.push('lost');
  }

  deleted(): void {
    this.did.push('deleted');
  }

  remoteStates(peer: Peer, entries: readonly AwarenessEntry[]): number[] {
    this.peers.set(peer.instance, peer);
    const held = this.held.get(peer) ?? new Set();
    this.held.set(peer, held);
    for (const { client, state } of entries) {
      const isGone = isNull(state);
      this.did.push(`${peer.instance}: ${client}${isGone ? ' gone' : ''}`);
      if (isGone) held.delete(client);
      else if (!this.sessions.has(client)) held.add(client);
    }
    return entries.flatMap(({ client }) => (this.sessions.has(client) ? [client] : []));
  }

  heldBy(peer: Peer): ReadonlySet<number> {
    return this.held.get(peer) ?? new Set();
  }

  peerLeft(peer: Peer): void {
    this.did.push(`${peer.instance} left`);
  }

  freed(): void {
    this.did.push('freed');
  }

  probe(client: number): boolean {
    this.did.push(`probe ${client}`);
    return this.sessions.has(client);
  }

  here(): AwarenessEntry[] {
    const state = new TextEncoder().encode('{}');
    return [...this.sessions].map((client) => ({ client, clock: 1, state }));
  }

  takeChangesHere(): AwarenessEntry[] {
    return this.changes.splice(0);
  }
}
