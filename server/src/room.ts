/**
 * One document with its awareness, while somebody is in it.
 *
 * Owns the frontier, the tail and the way from an admitted update to the peers
 * and to the log. Invariants: the log stays causally closed; seqs have no hole;
 * the tail reaches back to the snapshot; everybody in the room has been sent
 * everything up to their place in the tail. Never integrates: what needs a
 * document runs in a worker.
 */
import { CLOSE, type Message } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import {
  Awareness,
  type AwarenessEntry,
  type AwarenessLimits,
  encodeAwareness,
} from './awareness.js';
import type { Clock } from './clock.js';
import { compactRoom } from './compact/compaction.js';
import { isDue, isDueWhenIdle } from './compact/policy.js';
import type { Workers } from './compact/workers.js';
import type { Codec } from './dialect.js';
import { Fanout, type FanoutOptions, type Receiver } from './fanout.js';
import type { Frame } from './frame.js';
import { type LoadedRoom, loadRoom } from './load.js';
import type { Log, LogRoom } from './log.js';
import type { Snapshots } from './snapshots.js';
import type { Quarantined, SnapshotMeta, Storage } from './storage/storage.js';
import { admit, type MayWrite, type Missing } from './update/admit.js';
import { EMPTY_UPDATE } from './update/assemble.js';
import type { Frontier } from './update/frontier.js';
import { parseUpdate } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { RangeSet } from './update/ranges.js';
import { covers, decodeStateVector, meets, type StateVector } from './update/state-vector.js';
import type { Tail } from './update/tail.js';
import { type Waiter, Waiting } from './waiting.js';

/** The store takes no more for now; the client keeps its edits and comes back. */
export class StoreFull extends Error {
  override readonly name = 'StoreFull';
}

/** A session as the room sees it. */
export interface Member extends Receiver, Waiter {
  /** Who writes, as the log keeps it. */
  readonly author: string;
  readonly mayWrite: MayWrite;
  /** Whether it has written new structs of this client by updates of its own. */
  hasWritten(client: number): boolean;
  send(message: Message): void;
  close(code: number, reason: string): void;
  /** The room's log is on disk up to `seq`. */
  saved(seq: number): void;
  /** Makes sure that its peer is alive: another claims what it holds. */
  probe(): void;
  /** Tries again what waits. @param isFreed somebody has left, so that their client ids are free */
  retry(room: Room, isFreed: boolean): void;
  /** Runs something on its behalf; what that throws closes this member and no other. */
  guard(action: () => void): void;
}

export interface RoomDependencies {
  readonly storage: Storage;
  readonly log: Log;
  readonly workers: Workers;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fanout: FanoutOptions;
  readonly awareness: AwarenessLimits;
  /** Entries of the room's log were set aside. */
  readonly onQuarantine: (room: string, entries: readonly Quarantined[]) => void;
  /** Entries up to `seq` are on disk. */
  readonly onSaved: (room: string, seq: number) => void;
}

export class Room implements LogRoom {
  readonly name: string;
  readonly awareness: Awareness<Member>;
  readonly fanout: Fanout<Member>;
  /** Sessions with something that waits for others' edits or for a client id. */
  readonly waiting: Waiting<Member>;
  readonly #deps: RoomDependencies;
  readonly #frontier: Frontier;
  readonly #tail: Tail;
  readonly #sessions = new Set<Member>();
  #snapshot: SnapshotMeta | undefined;
  /** The snapshot's state vector, decoded at the first question. */
  #snapshotVector: StateVector | undefined;
  /** Entries that were found unusable, until a compaction has moved them to the quarantine. */
  #unusable: readonly Quarantined[];
  #durableSeq: number;
  /** Bytes of the tail that the snapshot holds too. */
  #compactedBytes = 0;
  #compacting = false;
  #isClosed = false;
  /** A compaction that failed is not tried again before the tail has this many bytes. */
  #compactFrom = 0;
  /** Called when nobody is left, and again whenever something has ended that kept the room open. */
  onIdle: (() => void) | undefined;

  private constructor(name: string, deps: RoomDependencies, loaded: LoadedRoom) {
    const { frontier, tail, snapshot, unusable } = loaded;
    this.name = name;
    this.#deps = deps;
    this.#frontier = frontier;
    this.#tail = tail;
    this.#snapshot = snapshot;
    this.#unusable = unusable;
    this.#durableSeq = tail.lastSeq;
    this.awareness = new Awareness(deps.awareness);
    this.fanout = new Fanout(deps.fanout, tail, this.awareness);
    this.waiting = new Waiting(deps.clock, (session, isFreed) =>
      session.guard(() => session.retry(this, isFreed)),
    );
  }

  /** Reads the room from the store. Writes nothing, whatever it finds. */
  static async open(name: string, deps: RoomDependencies): Promise<Room> {
    const loaded = await loadRoom(name, deps.storage, deps.clock);
    const { unusable } = loaded;
    if (unusable.length > 0) {
      const lost = unusable.map(({ seq, author, reason, update }) => ({
        seq,
        author,
        reason,
        bytes: update.length,
      }));
      const message = 'entries of the log cannot be used; the rest is served';
      deps.logger.error({ room: name, lost }, message);
      deps.onQuarantine(name, unusable);
    }
    return new Room(name, deps, loaded);
  }

  /** The room is the one of its name now, and may write. */
  start(): void {
    this.#considerCompaction();
  }

  get sessions(): ReadonlySet<Member> {
    return this.#sessions;
  }

  get lastSeq(): number {
    return this.#tail.lastSeq;
  }

  get durableSeq(): number {
    return this.#durableSeq;
  }

  /** The room's state vector as Yjs encodes it; do not write into it. */
  get stateVector(): Uint8Array {
    return this.#frontier.encodedVector();
  }

  /** How many units of this client's clock are in the log. */
  clock(client: number): number {
    return this.#frontier.clock(client);
  }

  enter(session: Member): void {
    this.#sessions.add(session);
    session.send({ type: 'step1', stateVector: this.stateVector });
  }

  leave(session: Member): void {
    if (!this.#sessions.delete(session)) return;
    this.fanout.remove(session);
    this.waiting.remove(session);
    this.awareness.leave(session);
    if (this.awareness.hasChanges) this.fanout.schedule();
    this.waiting.changed(true);
    if (this.#sessions.size === 0) this.onIdle?.();
  }

  /**
   * Answers a step 1: first the tail, then, as step 2, what the snapshot has for
   * this client, so that a client that calls itself synced has all of it. Then
   * who is here. Only now does the session take part.
   *
   * @param encoded the client's state vector; must not change until this resolves
   * @throws {UpdateRefused}
   */
  async answer(session: Member, encoded: Uint8Array): Promise<void> {
    const vector = decodeStateVector(encoded);
    const snapshot = this.#snapshot;
    if (snapshot === undefined) {
      this.#join(session, vector, undefined);
      return;
    }
    this.#snapshotVector ??= decodeStateVector(snapshot.stateVector);
    const { codec } = session.dialect;
    if (covers(vector, this.#snapshotVector)) {
      this.#join(session, vector, codec.encode({ type: 'step2', update: snapshot.deletes }));
      return;
    }
    try {
      await this.#answerLater(session, vector, encoded, codec);
    } catch (error) {
      this.#deps.logger.error({ err: error, room: this.name }, 'a snapshot could not be read');
      session.close(CLOSE.internal, 'the document could not be read');
    }
  }

  async #answerLater(
    session: Member,
    vector: StateVector,
    encoded: Uint8Array,
    codec: Codec,
  ): Promise<void> {
    const { snapshots } = this.#deps;
    for (;;) {
      const snapshot = this.#snapshot!;
      this.#snapshotVector ??= decodeStateVector(snapshot.stateVector);
      const step2 = meets(vector, this.#snapshotVector)
        ? await snapshots.difference(this.name, snapshot, encoded, codec)
        : await snapshots.whole(this.name, snapshot, codec);
      if (!this.#sessions.has(session)) return;
      // A compaction may have trimmed the tail meanwhile; then the answer starts from the new snapshot.
      if (step2 !== undefined && snapshot.seq >= this.#tail.base) {
        this.#join(session, vector, step2, snapshot.seq);
        return;
      }
      if (step2 === undefined && snapshot === this.#snapshot) {
        throw new Error(`the snapshot at ${snapshot.seq} is not in the store`);
      }
    }
  }

  #join(
    session: Member,
    vector: StateVector,
    step2: Frame | undefined,
    since = this.#snapshot?.seq ?? 0,
  ): void {
    const { connection, dialect } = session;
    const tail = this.#tail.since(since, vector);
    if (step2 === undefined) {
      connection.send(dialect.codec.encode({ type: 'step2', update: tail }));
    } else {
      if (tail !== EMPTY_UPDATE) {
        connection.send(dialect.codec.encode({ type: 'update', update: tail }));
      }
      connection.send(step2);
    }
    this.sendAwareness(session);
    if (!this.fanout.has(session)) this.fanout.add(session);
  }

  sendAwareness(session: Member): void {
    const present = this.awareness.present();
    if (present.length > 0) session.send({ type: 'awareness', update: encodeAwareness(present) });
  }

  /** Whether an update holds anything that the log does not. */
  hasNews(update: Parsed): boolean {
    if (update.blocks.some(({ client, end }) => end > this.#frontier.clock(client))) return true;
    for (const [client, ranges] of update.deletes) {
      for (let i = 0; i < ranges.length; i += 2) {
        const fresh: number[] = [];
        this.#frontier.deletes.subtractFrom(client, ranges[i]!, ranges[i + 1]!, fresh);
        if (fresh.length > 0) return true;
      }
    }
    return false;
  }

  /**
   * Admits what can be admitted, sends it on and hands it to the log.
   *
   * @returns what kept a part of it out
   * @throws {UpdateRefused}
   * @throws {StoreFull}
   */
  write(session: Member, update: Parsed): Missing | undefined {
    if (this.#deps.log.full) throw new StoreFull('the store is not taking writes');
    const { change, missing } = admit(this.#frontier, update, session.mayWrite);
    if (missing !== undefined) this.awareness.ownerOf(missing.client)?.probe();
    if (change === undefined) return missing;
    const seq = this.#tail.lastSeq + 1;
    this.#tail.append(seq, change);
    // A copy: the log holds it until it is committed, and the frame lies in a larger buffer of the socket.
    const bytes = change.update.slice();
    this.#deps.log.append(this, { seq, update: bytes, author: session.author });
    this.fanout.updated(session, bytes);
    this.waiting.changed(false);
    return missing;
  }

  /** @returns the states of clients that belong to others and are newer than known */
  present(session: Member, entries: readonly AwarenessEntry[]): AwarenessEntry[] {
    const foreign = this.awareness.apply(session, entries);
    if (this.awareness.hasChanges) this.fanout.schedule();
    for (const { client } of foreign) this.awareness.ownerOf(client)?.probe();
    return foreign;
  }

  saved(seq: number): void {
    this.#durableSeq = seq;
    for (const session of this.#sessions) session.saved(seq);
    this.#deps.onSaved(this.name, seq);
    this.#considerCompaction();
    if (this.#sessions.size === 0) this.onIdle?.();
  }

  overflowed(): void {
    for (const session of [...this.#sessions]) {
      session.close(CLOSE.tryAgainLater, 'the store is not taking writes');
    }
  }

  /** Whether the room may be forgotten: nobody is in it, all is on disk, nothing runs. */
  get isAtRest(): boolean {
    return this.#sessions.size === 0 && this.#durableSeq === this.lastSeq && !this.#compacting;
  }

  /** Merges a tail that was too small for it while people edited. @returns whether it has begun */
  compactWhenIdle(): boolean {
    if (!this.isAtRest || !isDueWhenIdle(this.#size) || this.#tail.size < this.#compactFrom)
      return false;
    void this.#compact();
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.fanout.close();
  }

  /** Of the tail only what no snapshot holds: the rest is kept for somebody who is behind. */
  get #size() {
    const { size, lastSeq } = this.#tail;
    return {
      bytes: size - this.#compactedBytes,
      updates: lastSeq - (this.#snapshot?.seq ?? 0),
      snapshotBytes: this.#snapshot?.size ?? 0,
    };
  }

  #considerCompaction(): void {
    const compacted = this.#snapshot?.seq ?? 0;
    if (this.#tail.base < compacted) this.#trim();
    if (this.#compacting || this.#durableSeq <= compacted) return;
    if (this.#tail.size < this.#compactFrom) return;
    if (isDue(this.#size) || this.#unusable.length > 0) void this.#compact();
  }

  /** Never rejects: a room whose compaction fails is served from its tail. */
  async #compact(): Promise<void> {
    const { storage, workers, snapshots, logger, onQuarantine } = this.#deps;
    this.#compacting = true;
    const before = this.#snapshot;
    const unusable = this.#unusable;
    try {
      const done = await compactRoom({
        storage,
        workers,
        snapshots,
        room: this.name,
        base: before,
        upTo: this.#durableSeq,
        unusable,
      });
      this.#compactFrom = 0;
      this.#snapshot = done.snapshot;
      this.#snapshotVector = undefined;
      this.#unusable = [];
      // Anew, because what a poisoned entry deleted is not deleted.
      this.#frontier.deletes = new RangeSet();
      this.#frontier.addDeletes(parseUpdate(done.snapshot.deletes).deletes);
      const behind = parseUpdate(this.#tail.since(done.snapshot.seq));
      this.#frontier.addDeletes(behind.deletes);
      for (const { block, start, end } of behind.bornDeleted) {
        this.#frontier.deletes.add(behind.blocks[block]!.client, start, end);
      }
      if (before !== undefined) snapshots.drop(this.name, before);
      this.#trim();
      if (!done.isFaithful) {
        const message = 'a document reads differently once reloaded; its log was kept aside';
        logger.warn({ room: this.name }, message);
      }
      if (done.poisoned.length > 0) {
        const found = done.poisoned.map(({ seq, author, reason }) => ({ seq, author, reason }));
        logger.error({ room: this.name, found }, 'entries of the log were set aside');
        onQuarantine(this.name, done.poisoned);
      }
    } catch (error) {
      // Closing kills the worker; the next one to open the room begins again.
      if (this.#isClosed) return;
      this.#compactFrom = Math.max(1, this.#tail.size * 2);
      logger.error(
        { err: error, room: this.name },
        'a compaction failed; the room goes on without',
      );
    } finally {
      this.#compacting = false;
      if (this.#sessions.size === 0) this.onIdle?.();
    }
  }

  /** Somebody who is behind may still need what the snapshot already holds. */
  #trim(): void {
    const seq = this.#snapshot?.seq ?? 0;
    this.#tail.trim(Math.min(seq, this.fanout.oldestNeeded));
    this.#compactedBytes = this.#tail.size - this.#tail.sizeBehind(seq);
  }
}
