/**
 * Storage in this process's memory: for tests, and for rooms that nobody needs to keep.
 * "Durable" here means: for as long as the process lives.
 */
import { drawGeneration } from './generation.js';
import { byBytes, listPages, type Page } from './listing.js';
import {
  type Batch,
  type Compaction,
  emptySnapshot,
  type Head,
  type Heartbeat,
  type Listing,
  type LogEntry,
  type MergeNote,
  type Quarantined,
  type Replacement,
  type RoomSummary,
  type Snapshot,
  type SnapshotMeta,
  type Storage,
  type StoredRoom,
} from './storage.js';

interface Room {
  lastSeq: number;
  life: number;
  generation: number;
  isDeleted: boolean;
  snapshot: (Snapshot & { readonly writtenAt: number }) | undefined;
  entries: Map<number, LogEntry>;
  quarantined: Map<number, Quarantined>;
  mergeNote: MergeNote | undefined;
}

export class MemoryStorage implements Storage {
  readonly name = 'memory';
  readonly isShared: boolean;
  readonly #rooms: Map<string, Room>;
  readonly #heartbeats: Map<string, Heartbeat & { readonly until: number }>;
  #batch: { readonly number: number; readonly seqs: readonly number[] } | undefined;

  /** @param of shares the rooms of this one, as processes share a database: for tests of several servers in one process */
  constructor(of?: MemoryStorage) {
    this.isShared = of !== undefined;
    this.#rooms = of === undefined ? new Map() : of.#rooms;
    this.#heartbeats = of === undefined ? new Map() : of.#heartbeats;
  }

  async load(name: string): Promise<StoredRoom> {
    const room = this.#rooms.get(name);
    if (room === undefined) return NOTHING;
    const { lastSeq, isDeleted } = room;
    const snapshot = metaOf(room);
    return { snapshot, tail: sorted(room, snapshot?.seq ?? 0), damaged: [], lastSeq, isDeleted };
  }

  async readSnapshot(name: string, seq: number): Promise<Uint8Array | undefined> {
    const snapshot = this.#rooms.get(name)?.snapshot;
    return snapshot?.seq === seq ? snapshot.update.slice() : undefined;
  }

  async append({ number, appends }: Batch): Promise<readonly number[]> {
    if (number === this.#batch?.number) return this.#batch.seqs;
    const seqs = appends.map(({ room, life = 0, entries }) => {
      const into = this.#room(room);
      if (into.isDeleted || into.life > life) return 0;
      const first = into.lastSeq + 1;
      for (const entry of entries) {
        const seq = ++into.lastSeq;
        into.entries.set(seq, { ...copy(entry), seq });
      }
      return first;
    });
    this.#batch = { number, seqs };
    return seqs;
  }

  async since(name: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    const room = this.#rooms.get(name);
    if (room === undefined) return [];
    return seq < (room.snapshot?.seq ?? 0) ? undefined : sorted(room, seq);
  }

  async heads(names: readonly string[]): Promise<readonly Head[]> {
    return names.map((name) => {
      const room = this.#rooms.get(name);
      const { lastSeq = 0, life = 0, generation = 0 } = room ?? {};
      return { lastSeq, snapshotSeq: room?.snapshot?.seq ?? 0, life, generation };
    });
  }

  async rooms(listing: Listing): Promise<readonly RoomSummary[]> {
    return await listPages(listing, async (page) => this.#page(page));
  }

  #page({ isIn, count }: Page): RoomSummary[] {
    const names = [...this.#rooms.keys()].filter(isIn).sort(byBytes).slice(0, count);
    return names.map((name) => {
      const { lastSeq, snapshot, isDeleted } = this.#rooms.get(name)!;
      const [snapshotSeq, snapshotBytes] = [snapshot?.seq ?? 0, snapshot?.update.length ?? 0];
      return { name, lastSeq, snapshotSeq, snapshotBytes, isDeleted };
    });
  }

  async snapshot(name: string): Promise<SnapshotMeta | undefined> {
    const room = this.#rooms.get(name);
    return room && metaOf(room);
  }

  async compact(name: string, compaction: Compaction): Promise<boolean> {
    const { base, snapshot, quarantined, generation } = compaction;
    const room = this.#room(name);
    if ((room.snapshot?.seq ?? 0) !== base) return false;
    room.generation = generation ?? room.generation;
    room.snapshot = {
      seq: snapshot.seq,
      update: snapshot.update.slice(),
      stateVector: snapshot.stateVector.slice(),
      deletes: snapshot.deletes.slice(),
      writtenAt: Date.now(),
    };
    room.lastSeq = Math.max(room.lastSeq, snapshot.seq);
    for (const seq of room.entries.keys()) if (seq <= snapshot.seq) room.entries.delete(seq);
    for (const entry of quarantined) room.quarantined.set(entry.seq, copy(entry));
    return true;
  }

  async mergeNote(name: string): Promise<MergeNote | undefined> {
    return this.#rooms.get(name)?.mergeNote;
  }

  async noteMerge(name: string, note: MergeNote | undefined): Promise<void> {
    const room = note === undefined ? this.#rooms.get(name) : this.#room(name);
    if (room !== undefined) room.mergeNote = note;
  }

  async quarantined(name: string): Promise<readonly Quarantined[]> {
    const room = this.#rooms.get(name);
    if (room === undefined) return [];
    return [...room.quarantined.values()].sort((a, b) => a.seq - b.seq).map(copy);
  }

  async remove(name: string, generation = drawGeneration()): Promise<void> {
    const room = this.#room(name);
    if (!room.isDeleted) this.#renew(name, room, generation, true);
  }

  async revive(name: string, generation = drawGeneration()): Promise<boolean> {
    const room = this.#rooms.get(name);
    if (!room?.isDeleted) return false;
    this.#renew(name, room, generation, false);
    return true;
  }

  async replace(
    name: string,
    document: Omit<Snapshot, 'seq'>,
    generation = drawGeneration(),
  ): Promise<Replacement | undefined> {
    const room = this.#rooms.get(name) ?? emptyRoom();
    if (room.isDeleted) return undefined;
    const update = document.update.slice();
    return this.#renew(name, room, generation, false, { ...document, update });
  }

  #renew(
    name: string,
    { lastSeq }: Room,
    generation: number,
    isDeleted: boolean,
    document: Omit<Snapshot, 'seq'> = emptySnapshot(0),
  ): Replacement {
    const life = lastSeq + 1;
    const snapshot = { ...document, seq: life, writtenAt: Date.now() };
    const about = { lastSeq: life, life, generation, isDeleted, snapshot };
    this.#rooms.set(name, { ...emptyRoom(), ...about });
    return { seq: life, generation };
  }

  async heartbeat(own: Heartbeat, ttl: number): Promise<readonly Heartbeat[]> {
    const now = Date.now();
    this.#heartbeats.set(own.instance, { ...own, until: now + ttl });
    for (const [instance, { until }] of this.#heartbeats) {
      if (until < now) this.#heartbeats.delete(instance);
    }
    return [...this.#heartbeats.values()]
      .filter(({ instance }) => instance !== own.instance)
      .map(({ until: _, ...heartbeat }) => heartbeat);
  }

  /** As if it had never been: for tests of a store that loses what it had. */
  forget(name: string): void {
    this.#rooms.delete(name);
  }

  async close(): Promise<void> {
    if (!this.isShared) this.#rooms.clear();
  }

  #room(name: string): Room {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = emptyRoom();
      this.#rooms.set(name, room);
    }
    return room;
  }
}

const NOTHING: StoredRoom = {
  snapshot: undefined,
  tail: [],
  damaged: [],
  lastSeq: 0,
  isDeleted: false,
};

function emptyRoom(): Room {
  return {
    lastSeq: 0,
    life: 0,
    generation: 0,
    isDeleted: false,
    snapshot: undefined,
    entries: new Map(),
    quarantined: new Map(),
    mergeNote: undefined,
  };
}

function metaOf({ snapshot, life, generation }: Room): SnapshotMeta | undefined {
  return (
    snapshot && {
      seq: snapshot.seq,
      life,
      generation,
      size: snapshot.update.length,
      stateVector: snapshot.stateVector.slice(),
      deletes: snapshot.deletes.slice(),
      writtenAt: snapshot.writtenAt,
    }
  );
}

function sorted(room: Room, above: number): LogEntry[] {
  return [...room.entries.values()]
    .filter(({ seq }) => seq > above)
    .sort((a, b) => a.seq - b.seq)
    .map(copy);
}

function copy<T extends { update: Uint8Array }>(entry: T): T {
  return { ...entry, update: entry.update.slice() };
}
