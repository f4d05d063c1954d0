/**
 * The storage port: where a room's log and snapshot are kept.
 *
 * The law: `append` resolves only when the updates survive the loss of the
 * process and of the machine's power, as far as the adapter's header promises.
 * "Saved" is said on its word and on nothing else.
 *
 * Rooms are named by any non-empty string up to 256 UTF-8 bytes without control
 * characters; an adapter encodes names so that no room can reach another.
 *
 * A room that is removed stays removed: it is an empty snapshot from then on, marked as
 * deleted, until it is revived, as an empty one. Both take a seq, so that seqs never begin
 * anew: whatever is left of before (an append on its way, a compaction, another process that
 * has the room open, a message between two of them) lies below, or names another life, and
 * is known by that.
 *
 * Byte arrays handed to an adapter are not changed afterwards, and those that it
 * returns belong to the caller.
 */
/** An update on its way into a room's log. */
export interface NewEntry {
  /** A V1 update of exactly what was new. */
  readonly update: Uint8Array;
  /** Who sent it, at most 256 characters; kept for the quarantine and for audits. */
  readonly author: string;
}

/** One entry of a room's log. */
export interface LogEntry extends NewEntry {
  /** Its place in the room's log: 1, 2, 3, without holes. Given by the store. */
  readonly seq: number;
}

/** A room's state up to a seq. */
export interface Snapshot {
  readonly seq: number;
  readonly update: Uint8Array;
  /** And behind it how deep its deep items lie: update/reach.ts. */
  readonly stateVector: Uint8Array;
  /** An update without structs that holds the whole delete set. */
  readonly deletes: Uint8Array;
}

/** A snapshot without its bytes, which may be large. */
export interface SnapshotMeta extends Omit<Snapshot, 'update'> {
  /** Length of the update in bytes. */
  readonly size: number;
  /** The room's life that it belongs to: the seq of the last removal, revival or replacement, 0 where there was none. */
  readonly life: number;
  /**
   * Which of the documents of the room's name it is of, as clients know it: 0 for the first, then a
   * number that no other store gives (generation.ts). A document that is copied to another store keeps it.
   */
  readonly generation: number;
  /** When it was written there, in milliseconds since 1970; undefined where no store had that yet. */
  readonly writtenAt: number | undefined;
}

/** An entry that could not be part of the document: set aside, never thrown away. */
export interface Quarantined {
  readonly seq: number;
  readonly reason: string;
  readonly author: string;
  /** As it was found; may be damaged. */
  readonly update: Uint8Array;
}

export interface StoredRoom {
  readonly snapshot: SnapshotMeta | undefined;
  /** The entries behind the snapshot, ascending, as far as they can be read. */
  readonly tail: readonly LogEntry[];
  /** Entries behind the snapshot that cannot be read: their seq may lie among the tail's or behind it. */
  readonly damaged: readonly Quarantined[];
  /** The highest seq that is taken, readable or not; 0 for a room that was never written. */
  readonly lastSeq: number;
  /** Whether it was removed: nothing is in it, and nothing can be written. */
  readonly isDeleted: boolean;
}

/** Updates to append to one room. */
export interface Append {
  readonly room: string;
  /** The life of the room that they were admitted to, 0 unless told otherwise. In a later one they are not written. */
  readonly life?: number;
  /** In their order, at least one. */
  readonly entries: readonly NewEntry[];
}

/** What one commit writes: updates of many rooms, each room once. */
export interface Batch {
  /** Counts the batches of this storage object: 1, 2, 3. The same number again is the same batch tried again. */
  readonly number: number;
  readonly appends: readonly Append[];
}

/** How far a room's log goes. */
export interface Head {
  readonly lastSeq: number;
  /** 0 for no snapshot. */
  readonly snapshotSeq: number;
  /** As in {@link SnapshotMeta}: whoever knows the room by a lower one knows what was removed. */
  readonly life: number;
  /** As in {@link SnapshotMeta}: who knows the room by another one knows another store's document. */
  readonly generation: number;
}

/** Which rooms to list. */
export interface Listing {
  /** Only names that begin with this. */
  readonly prefix?: string;
  /** Only names behind this one: the last of the page before. */
  readonly after?: string;
  /** At most so many: 1 to {@link MAX_LISTED}. */
  readonly limit: number;
  /** Also rooms that were removed. */
  readonly withDeleted?: boolean;
}

/** What a store can tell of a room without reading it. */
export interface RoomSummary {
  readonly name: string;
  /** 0 where what describes the room is lost. */
  readonly lastSeq: number;
  /** 0 for no snapshot, and for one whose description is damaged. */
  readonly snapshotSeq: number;
  readonly snapshotBytes: number;
  readonly isDeleted: boolean;
}

export interface Compaction {
  /** The seq of the snapshot that was merged, 0 for none. */
  readonly base: number;
  readonly snapshot: Snapshot;
  /** Which document it is of, where that comes from another store; as before if left out. */
  readonly generation?: number;
  readonly quarantined: readonly Quarantined[];
}

/** A document that has taken the place of another. */
export interface Replacement {
  /** Which is its life. */
  readonly seq: number;
  readonly generation: number;
}

/** What an instance notes of itself in a store that it shares with others. */
export interface Heartbeat {
  readonly instance: string;
  /** How often it has noted this: one more each time. One that stands still may be dead. */
  readonly count: number;
  /** Whether it can say something through the relay, as far as it knows. */
  readonly isRelayed: boolean;
}

/** The server that a store is at. */
export interface Primary {
  /** The same for all who share the store, as long as they are at the same server: a whole number below 2^32. */
  readonly id: number;
}

/**
 * What is remembered of merging a room whose document is large: written before it is tried, so that
 * a process that the kernel ended in the middle is known of, and taken away when it has worked.
 */
export interface MergeNote {
  readonly state: 'begun' | 'too-large' | 'too-slow';
  /** The room's life that it is about. */
  readonly life: number;
  /** Bytes of snapshot and log. */
  readonly size: number;
  /** Bytes of memory that it could have. */
  readonly memory: number;
  /** Bytes of memory that it is thought to need; 0 where only that it is more. */
  readonly needs: number;
  /** How many processes in a row ended while they were at it. */
  readonly deaths: number;
  /** The process that wrote this. */
  readonly by: string;
  /** In milliseconds since 1970: until when that one may be at it, or from when on to try again. */
  readonly until: number;
}

export interface Storage {
  /** For logs and metrics: `lmdb`, `postgres`, `redis`, `memory`. */
  readonly name: string;
  /** Whether several processes may have this store open at once. */
  readonly isShared: boolean;

  /** Only of a store that can fail over: the server that its calls are carried out at. Another object after a failover. */
  readonly primary?: Primary;
  /** Only of a store that can fail over: somebody else is at another server. Looks where this one is to be. */
  checkPrimary?(): void;

  /** The snapshot's description and the entries behind it. A room that was never written is empty. */
  load(room: string): Promise<StoredRoom>;

  /**
   * The bytes of the snapshot at `seq`; `undefined` when another has taken its place.
   * @throws {DamagedSnapshot} when they are not what was written
   */
  readSnapshot(room: string, seq: number): Promise<Uint8Array | undefined>;

  /**
   * Writes updates of many rooms in one commit, all or none, and gives them their
   * seqs: a room's entries follow each other and whatever was committed before,
   * also by other processes. A room's seq order is its commit order: who reads a
   * seq can read all before it.
   *
   * One call at a time. A caller that does not know whether a batch arrived tries
   * it again under its number, however long that takes: it is written once.
   *
   * @returns the seq of the first entry of each append, in their order; 0 for a room that was
   *   removed since its entries were admitted: of those none is written, the others are
   */
  append(batch: Batch): Promise<readonly number[]>;

  /**
   * The readable entries with a seq above `seq`, ascending; `undefined` when a
   * snapshot has taken the place of some of them. Entries that are not there, below
   * the last that is, will never be.
   */
  since(room: string, seq: number): Promise<readonly LogEntry[] | undefined>;

  /** How far each of these rooms goes, in their order. At most 1,000 rooms. */
  heads(rooms: readonly string[]): Promise<readonly Head[]>;

  /**
   * The rooms that were ever written or removed, ascending by their names' bytes.
   * @throws {RangeError} when the limit is none
   */
  rooms(listing: Listing): Promise<readonly RoomSummary[]>;

  /** What the room's snapshot is, as {@link load} would tell. */
  snapshot(room: string): Promise<SnapshotMeta | undefined>;

  /**
   * Puts a snapshot in the place of its base and of every entry up to its seq,
   * and keeps what was quarantined. Changes nothing and resolves to `false` when
   * the room's snapshot is not the base any more.
   */
  compact(room: string, compaction: Compaction): Promise<boolean>;

  /** What was remembered last; undefined for nothing, and for what cannot be read. */
  mergeNote(room: string): Promise<MergeNote | undefined>;

  /** Remembers it in the place of what was before, or nothing. Gone with the room when that is removed. */
  noteMerge(room: string, note: MergeNote | undefined): Promise<void>;

  /** What was set aside in this room, ascending. */
  quarantined(room: string): Promise<readonly Quarantined[]>;

  /**
   * Deletes the room, whether or not it was ever written: its log, its snapshot and its
   * quarantine are gone, and {@link StoredRoom.isDeleted} is true. Once more: what an
   * interrupted removal left is gone, and nothing else changes.
   */
  remove(room: string, generation?: number): Promise<void>;

  /**
   * A deleted room is an empty one from now on, in another life and of another generation.
   * @returns false for one that is not deleted
   */
  revive(room: string, generation?: number): Promise<boolean>;

  /**
   * Puts a whole document in the place of all that is in the room, whether or not it was ever
   * written, in one step, in another life and of another generation: who reads sees either.
   *
   * @param generation is drawn (generation.ts) where it is left out, as above
   * @returns undefined for a room that is deleted
   */
  replace(
    room: string,
    document: Omit<Snapshot, 'seq'>,
    generation?: number,
  ): Promise<Replacement | undefined>;

  /**
   * Notes that an instance is there, for `ttl` milliseconds by the store's clock, and tells which
   * others have noted it of themselves. Only of stores that several processes share.
   */
  heartbeat?(own: Heartbeat, ttl: number): Promise<readonly Heartbeat[]>;

  /**
   * Called when another server answers than before, or one with another history: a failover. It may
   * lack entries that were acknowledged, and what it has under a seq may be something else. What was
   * read before counts for nothing. A store that cannot fail over leaves this out.
   */
  onFailover?(listener: () => void): void;

  /** Resolves once all that was accepted is on disk. Nothing may be called afterwards. */
  close(): Promise<void>;
}

/** Rooms in one answer of {@link Storage.rooms}. */
export const MAX_LISTED = 1_000;

/** Of a document without anything in it: what is left of a room that was removed. */
export function emptySnapshot(seq: number): Snapshot {
  return {
    seq,
    update: Uint8Array.of(0, 0),
    stateVector: Uint8Array.of(0),
    deletes: Uint8Array.of(0, 0),
  };
}

/** A snapshot's bytes are not those that were written. The room cannot be opened until it is restored. */
export class DamagedSnapshot extends Error {
  override readonly name = 'DamagedSnapshot';
}
