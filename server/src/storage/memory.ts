/**
 * Storage in this process's memory: for tests, and for rooms that nobody needs to keep.
 * "Durable" here means: for as long as the process lives.
 */
import type {
  Append,
  Compaction,
  LogEntry,
  Quarantined,
  Snapshot,
  Storage,
  StoredRoom,
} from './storage.js';

interface Room {
  snapshot: Snapshot | undefined;
  entries: Map<number, LogEntry>;
  quarantined: Map<number, Quarantined>;
}

export class MemoryStorage implements Storage {
  readonly name = 'memory';
  readonly #rooms = new Map<string, Room>();

  async load(name: string): Promise<StoredRoom> {
    const room = this.#rooms.get(name);
    if (room === undefined) return { snapshot: undefined, tail: [], damaged: [], lastSeq: 0 };
    const { snapshot } = room;
    const tail = sorted(room, snapshot?.seq ?? 0);
    return {
      snapshot: snapshot && {
        seq: snapshot.seq,
        size: snapshot.update.length,
        stateVector: snapshot.stateVector.slice(),
        deletes: snapshot.deletes.slice(),
      },
      tail,
      damaged: [],
      lastSeq: tail.at(-1)?.seq ?? snapshot?.seq ?? 0,
    };
  }

  async readSnapshot(name: string, seq: number): Promise<Uint8Array | undefined> {
    const snapshot = this.#rooms.get(name)?.snapshot;
    return snapshot?.seq === seq ? snapshot.update.slice() : undefined;
  }

  async append(batch: readonly Append[]): Promise<void> {
    for (const { room, entries } of batch) {
      const into = this.#room(room);
      for (const entry of entries) {
        if (entry.seq > (into.snapshot?.seq ?? 0)) into.entries.set(entry.seq, copy(entry));
      }
    }
  }

  async since(name: string, seq: number): Promise<readonly LogEntry[]> {
    const room = this.#rooms.get(name);
    return room === undefined ? [] : sorted(room, seq);
  }

  async compact(name: string, { base, snapshot, quarantined }: Compaction): Promise<boolean> {
    const room = this.#room(name);
    if ((room.snapshot?.seq ?? 0) !== base) return false;
    room.snapshot = {
      seq: snapshot.seq,
      update: snapshot.update.slice(),
      stateVector: snapshot.stateVector.slice(),
      deletes: snapshot.deletes.slice(),
    };
    for (const seq of room.entries.keys()) if (seq <= snapshot.seq) room.entries.delete(seq);
    for (const entry of quarantined) room.quarantined.set(entry.seq, copy(entry));
    return true;
  }

  async quarantined(name: string): Promise<readonly Quarantined[]> {
    const room = this.#rooms.get(name);
    if (room === undefined) return [];
    return [...room.quarantined.values()].sort((a, b) => a.seq - b.seq).map(copy);
  }

  async remove(name: string): Promise<void> {
    this.#rooms.delete(name);
  }

  async close(): Promise<void> {
    this.#rooms.clear();
  }

  #room(name: string): Room {
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = { snapshot: undefined, entries: new Map(), quarantined: new Map() };
      this.#rooms.set(name, room);
    }
    return room;
  }
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
