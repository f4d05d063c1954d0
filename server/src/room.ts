/**
 * One document with its awareness, while somebody is in it.
 *
 * Owns what is held of the document (contents.ts) and the way from an admitted
 * update to the peers, to the log and to other instances. Invariant: everybody in
 * the room has been sent everything up to their place in the tail. Never
 * integrates: what needs a document runs in a worker.
 */
import { CLOSE, type Message } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import type { Guest, User } from './auth/identity.js';
import {
  Awareness,
  type AwarenessEntry,
  type AwarenessLimits,
  type Claim,
  encodeAwareness,
  isNull,
  NULL_STATE,
} from './awareness.js';
import { encodeAwarenessInParts } from './awareness-parts.js';
import type { Clock } from './clock.js';
import type { CompareTask } from './compact/compare.js';
import type { Workers } from './compact/workers.js';
import { type CompactedRoom, Compactor } from './compactor.js';
import { Contents } from './contents.js';
import { Fanout, type FanoutOptions, type Receiver } from './fanout.js';
import type { Instances } from './instances.js';
import { type JoinedRoom, Joining } from './joining.js';
import type { Link, LinkedRoom } from './link.js';
import { type LoadedRoom, loadRoom } from './load.js';
import type { Log, LogRoom } from './log.js';
import type { CompactionMeasures } from './measures.js';
import type { Merges } from './merges.js';
import { Peer } from './people.js';
import type { Snapshots } from './snapshots.js';
import type { NewEntry, Quarantined, SnapshotMeta, Storage } from './storage/storage.js';
import { Stretches } from './stretches.js';
import type { Change, Missing, Sender } from './update/admit.js';
import type { Contradiction } from './update/known.js';
import { parseUpdate } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { ClientIdConflict } from './update/refused.js';
import { type Waiter, Waiting } from './waiting.js';

function reportUnusable(
  room: string,
  unusable: readonly Quarantined[],
  { logger, onQuarantine }: RoomDependencies,
): void {
  const lost = unusable.map(({ seq, author, reason, update }) => ({
    seq,
    author,
    reason,
    bytes: update.length,
  }));
  logger.error({ room, lost }, 'entries of the log cannot be used; the rest is served');
  onQuarantine(room, unusable);
}

/** As those are told who are in a room that is deleted, and those who come afterwards. */
export const DELETED = 'this document was deleted';

/** As those are told who are in a room in which another document takes the place of theirs. */
export const REPLACED = 'another document has taken the place of this one';

/** The store takes no more for now; the client keeps its edits and comes back. */
export class StoreFull extends Error {
  override readonly name = 'StoreFull';
}

/** The document takes nothing more, until something of it is deleted. */
export class DocumentFull extends Error {
  override readonly name = 'DocumentFull';

  constructor() {
    super('the document has reached its largest size');
  }
}

/** Who holds awareness client ids: a session, or another instance. */
type Holder = Member | Peer;

/** A session as the room sees it. */
export interface Member extends Receiver, Waiter, Sender {
  /** Who writes, as the log keeps it. */
  readonly author: string;
  /** As whom presence shows it; undefined where nobody was asked. */
  readonly shownAs: User | Guest | undefined;
  /** When what it writes now was received, by the clock. */
  readonly receivedAt: number;
  /** Whether it has written new structs of this client by updates of its own. */
  hasWritten(client: number): boolean;
  send(message: Message): void;
  close(code: number, reason: string): void;
  /** All that was written is on disk up to this position. @returns whether nothing of it waits for more */
  saved(durable: number): boolean;
  /** Makes sure that its peer is alive: another claims what it holds. */
  probe(client: number): void;
  /** Tries again what waits. @param isFreed somebody has left, so that their client ids are free */
  retry(room: Room, isFreed: boolean): void;
  /** Runs something on its behalf; what that throws closes this member and no other. */
  guard(action: () => void): void;
}

export interface RoomDependencies {
  readonly storage: Storage;
  readonly log: Log;
  readonly workers: Workers;
  readonly merges: Merges;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fanout: FanoutOptions;
  readonly compactions: CompactionMeasures;
  readonly awareness: AwarenessLimits;
  /** Bytes of a document; what would make it larger is not taken. */
  readonly maxDocumentBytes: number;
  /** The other instances; undefined for a server that is alone. */
  readonly instances: Instances | undefined;
  /** Entries of the room's log were set aside. */
  readonly onQuarantine: (room: string, entries: readonly Quarantined[]) => void;
  /** Entries up to `seq` are on disk. */
  readonly onSaved: ((room: string, seq: number) => void) | undefined;
}

/** Who keeps rooms, and lets them go. */
export interface RoomOwner {
  entered(): void;
  /** Nobody is left, or something has ended that kept the empty room open. */
  atRest(room: Room): void;
  /** It is not the room of its name any more: whoever comes next has the name loaded anew. */
  ended(room: Room): void;
}

function isSession(holder: Holder): boolean {
  return !(holder instanceof Peer);
}

function hasLetGo(holder: Holder, client: number): boolean {
  return holder instanceof Peer && holder.hasLetGo(client);
}

export class Room implements LogRoom, LinkedRoom, CompactedRoom, JoinedRoom<Member> {
  readonly name: string;
  readonly awareness: Awareness<Holder>;
  readonly fanout: Fanout<Member>;
  /** Answers those who ask for the document; only then do they take part. */
  readonly joining: Joining<Member>;
  readonly #deps: RoomDependencies;
  readonly #contents: Contents;
  readonly #compactor: Compactor;
  readonly #stretches: Stretches;
  readonly #link: Link | undefined;
  readonly #sessions = new Set<Member>();
  /** Those with something that is not on disk: the others need not be told at every commit. Undefined before the first. */
  #unsaved: Set<Member> | undefined;
  #waiting: Waiting<Member> | undefined;
  #owner: RoomOwner | undefined;
  #isClosed = false;

  private constructor(
    name: string,
    deps: RoomDependencies,
    loaded: LoadedRoom,
    link: Link | undefined,
  ) {
    this.name = name;
    this.#deps = deps;
    this.#link = link;
    this.#contents = new Contents(loaded);
    this.#compactor = new Compactor(deps, this, this.#contents, loaded.unusable);
    this.awareness = new Awareness(deps.awareness, link && isSession, hasLetGo);
    const { tail } = this.#contents;
    this.#stretches = new Stretches(deps, tail);
    this.fanout = new Fanout(deps.fanout, tail, this.#stretches, this.awareness);
    this.joining = new Joining(deps, this, this.#contents, this.#stretches);
  }

  /** Reads the room from the store. Writes nothing, whatever it finds. */
  static async open(name: string, deps: RoomDependencies): Promise<Room> {
    const link = deps.instances?.link(name);
    try {
      // Listens before it reads: what is committed in between is in one or the other.
      await link?.ready();
      const loaded = await loadRoom(name, deps.storage, deps.clock);
      if (loaded.unusable.length > 0) reportUnusable(name, loaded.unusable, deps);
      const room = new Room(name, deps, loaded, link);
      await link?.attach(room);
      return room;
    } catch (error) {
      link?.close();
      throw error;
    }
  }

  /** The room is the one of its name now, and may write. */
  start(owner: RoomOwner): void {
    this.#owner = owner;
    this.#admitStranded();
    this.#compactor.consider();
    this.#considerRest();
  }

  #considerRest(): void {
    if (this.isAtRest) this.#owner?.atRest(this);
  }

  get sessions(): ReadonlySet<Member> {
    return this.#sessions;
  }

  /** The position of the newest update. */
  get last(): number {
    return this.#contents.last;
  }

  get life(): number {
    return this.#contents.life;
  }

  /** Which of the documents of its name it is, as clients know it. */
  get generation(): number {
    return this.#contents.snapshot?.generation ?? 0;
  }

  /** All updates up to this position are on disk. */
  get durable(): number {
    return this.#contents.durable;
  }

  /** The room's state vector as Yjs encodes it; do not write into it. */
  get stateVector(): Uint8Array {
    return this.#contents.stateVector;
  }

  /** How many units of this client's clock are in the log. */
  clock(client: number): number {
    return this.#contents.clock(client);
  }

  enter(session: Member): void {
    this.#sessions.add(session);
    this.#owner?.entered();
    session.send({ type: 'step1', stateVector: this.stateVector });
  }

  /** @param maySoonBeElsewhere its client connects anew, as far as can be known */
  leave(session: Member, maySoonBeElsewhere = false): void {
    if (!this.#sessions.delete(session)) return;
    this.#unsaved?.delete(session);
    this.fanout.remove(session);
    this.#waiting?.remove(session);
    const heir = maySoonBeElsewhere
      ? this.#link?.people.heirOf(this.awareness.heldBy(session))
      : undefined;
    if (heir === undefined) this.awareness.leave(session);
    else this.awareness.pass(session, heir);
    this.#awarenessChanged();
    this.#waiting?.changed(true);
    this.#considerRest();
  }

  /** Something of the session waits for others' edits or for a client id. */
  mustWait(session: Member): void {
    this.#waiting ??= new Waiting(this.#deps.clock, (member, isFreed) =>
      member.guard(() => member.retry(this, isFreed)),
    );
    this.#waiting.add(session);
  }

  /** Alone, too: a compaction may have been carried out whose answer was lost. */
  async refresh(): Promise<void> {
    if (this.#link !== undefined) return await this.#link.refresh(this);
    const snapshot = await this.#deps.storage.snapshot(this.name);
    if (snapshot === undefined) return;
    if (snapshot.life > this.life) this.deleted();
    else if (snapshot.generation !== this.generation) this.lost();
    else this.adopt(snapshot);
  }

  isHere(session: Member): boolean {
    return this.#sessions.has(session);
  }

  joined(session: Member): void {
    this.sendAwareness(session);
    if (!this.fanout.has(session)) this.fanout.add(session);
  }

  compacted(snapshot: SnapshotMeta): void {
    this.adopt(snapshot);
    this.#link?.compacted(snapshot.seq);
  }

  compactionEnded(): void {
    this.#considerRest();
  }

  sendAwareness(session: Member): void {
    for (const update of encodeAwarenessInParts(this.awareness.present())) {
      session.send({ type: 'awareness', update });
    }
  }

  /** Whether an update holds anything that the log does not. */
  hasNews(update: Parsed): boolean {
    return this.#contents.isNews(update);
  }

  /** Whether it would make the document larger than it may be. Deletions are always taken. */
  hasNoRoomFor(update: Parsed): boolean {
    const isOver = this.#contents.size + update.bytes.length > this.#deps.maxDocumentBytes;
    if (!isOver || update.blocks.length === 0 || !this.#contents.isNews(update)) return false;
    // Deletions are a few bytes, and what they freed is known only to a compaction.
    this.#compactor.considerWhenFull();
    return true;
  }

  /** Whether a document of so many bytes more would be larger than it may be. */
  isTooSmallFor(bytes: number): boolean {
    return this.#contents.size + bytes > this.#deps.maxDocumentBytes;
  }

  /**
   * An update as it may be written: what of it lies too deep and is deleted has nothing in it.
   *
   * @returns undefined when it nests too deep
   */
  vet(update: Parsed): Parsed | undefined {
    return this.#contents.vet(update);
  }

  /** Whether {@link compare} has something to compare. */
  mustCompare(update: Parsed): boolean {
    return this.#contents.comparison(update) !== undefined;
  }

  /**
   * Whether what an update says of known clocks is what is stored, where {@link write} does not find out.
   *
   * @returns undefined where there is nothing of the kind; rejects with {@link ClientIdConflict}
   */
  compare(update: Parsed): Promise<void> | undefined {
    return this.mustCompare(update) ? this.#compare(update) : undefined;
  }

  async #compare(update: Parsed): Promise<void> {
    const { workers, logger } = this.#deps;
    let found: Contradiction | undefined;
    try {
      // What a compaction takes from the tail meanwhile is in another snapshot then.
      for (let compared: SnapshotMeta | undefined; ; ) {
        found = await workers.compare(async () => {
          compared = this.#contents.snapshot;
          return await this.#comparable(update);
        });
        if (found !== undefined || this.#isClosed) break;
        if (compared === this.#contents.snapshot || !this.mustCompare(update)) return;
      }
    } catch (error) {
      logger.warn({ err: error, room: this.name }, 'known clocks could not be compared');
      return;
    }
    if (found !== undefined) throw new ClientIdConflict(found.client, found.clock);
  }

  async #comparable(update: Parsed): Promise<CompareTask | undefined> {
    const { snapshot, tail } = this.#contents;
    const comparison = this.#contents.comparison(update);
    if (comparison === undefined) return undefined;
    const stored = comparison.withTail ? [tail.since(tail.base)] : [];
    if (comparison.withSnapshot && snapshot !== undefined) {
      const bytes = await this.#deps.snapshots.bytes(this.name, snapshot);
      // Another instance has compacted; its snapshot is compared with next.
      if (bytes === undefined) return await this.refresh().then(() => undefined);
      stored.push(bytes);
    }
    return { update: update.bytes, stored };
  }

  /**
   * Admits what can be admitted of a {@link vet}ted update, sends it on and hands it to the log.
   *
   * @returns what kept a part of it out
   * @throws {UpdateRefused}
   * @throws {StoreFull}
   */
  write(session: Member, update: Parsed): Missing | undefined {
    if (this.#deps.log.full) throw new StoreFull('the store is not taking writes');
    const { change, missing } = this.#contents.admit(update, session);
    if (missing !== undefined) this.awareness.ownerOf(missing.client)?.probe(missing.client);
    if (change !== undefined) this.#take(change, session.author, session);
    return missing;
  }

  /** On its way to the log and to the peers. */
  #take(change: Change, author: string, session?: Member): void {
    // A copy: the log holds it until it is committed, and the frame lies in a larger buffer of the
    // socket. Node keeps small ones in one piece of memory; an array of its own costs three times as much.
    const bytes = Buffer.from(change.update);
    this.#deps.log.append(this, { update: bytes, author });
    this.fanout.updated(session, bytes, session?.receivedAt ?? this.#deps.clock.now());
    this.#waiting?.changed(false);
  }

  /** What the room that had this name admitted, and a store that failed over did not take. */
  #admitStranded(): void {
    const { log, logger } = this.#deps;
    const stranded = log.claim(this.name, this.generation);
    const lost = stranded.filter(({ update, author }) => {
      const { change, missing } = this.#contents.admit(parseUpdate(update));
      if (change !== undefined) this.#take(change, author);
      return missing !== undefined;
    });
    if (lost.length === 0) return;
    logger.warn(
      { room: this.name, updates: lost.length },
      'edits need others that the store has lost; who wrote them brings both',
    );
  }

  /**
   * @param mayReturn whether it may be a client that is back and does not know that it is still held
   * @returns the states of clients that belong to others, to be tried again when those leave
   */
  present(session: Member, entries: readonly AwarenessEntry[], mayReturn = false): Claim[] {
    const onBehind = (client: number, clock: number): void => {
      // Told that it has gone, at this clock, y-protocols says at once that it has not, at the next.
      const update = encodeAwareness([{ client, clock, state: NULL_STATE }]);
      session.send({ type: 'awareness', update });
    };
    const foreign = this.awareness.apply(session, entries, session.shownAs, mayReturn, onBehind);
    this.#awarenessChanged();
    for (const { client } of foreign) this.awareness.ownerOf(client)?.probe(client);
    return foreign;
  }

  /** Others are not shown this session's people any more. */
  hide(session: Member): void {
    this.awareness.leave(session);
    this.#awarenessChanged();
    // Its client ids are free.
    this.#waiting?.changed(true);
  }

  committed(firstSeq: number, entries: readonly NewEntry[]): void {
    // Of a room that was lost: another has its name, and finds them in the store.
    if (this.#isClosed) return;
    if (!this.#contents.committed(firstSeq, entries.length)) {
      this.#link?.lost();
      this.lost();
      return;
    }
    this.#applyArrived();
    for (const session of this.#unsaved ?? []) this.tellSaved(session);
    this.#link?.committed(
      firstSeq,
      entries.map(({ update }) => update),
    );
    this.#deps.onSaved?.(this.name, firstSeq + entries.length - 1);
    if (this.#contents.isTrimmable) this.#trim();
    this.#compactor.consider();
    this.#considerRest();
  }

  /** Tells it what is on disk, now and whenever there is more, as long as something of it waits for that. */
  tellSaved(session: Member): void {
    if (session.saved(this.durable)) this.#unsaved?.delete(session);
    else if (this.#sessions.has(session)) {
      this.#unsaved ??= new Set();
      this.#unsaved.add(session);
    }
  }

  #awarenessChanged(): void {
    if (!this.awareness.hasChanges) return;
    this.fanout.schedule();
    this.#link?.people.statesChanged();
  }

  overflowed(): void {
    for (const session of [...this.#sessions]) {
      session.close(CLOSE.tryAgainLater, 'the store is not taking writes');
    }
  }

  /** Whether the room may be forgotten: nobody is in it, all is on disk, nothing runs. */
  get isAtRest(): boolean {
    return this.#sessions.size === 0 && this.durable === this.last && !this.#compactor.isRunning;
  }

  /** Merges a tail that was too small for it while people edited. @returns whether it has begun */
  compactWhenIdle(): boolean {
    return this.isAtRest && this.#compactor.considerWhenIdle();
  }

  /** Merges the tail because somebody says so. @returns whether all that was in the log is in the snapshot */
  async compactNow(): Promise<boolean> {
    return await this.#compactor.now();
  }

  close(): void {
    this.#isClosed = true;
    const { snapshot } = this.#contents;
    if (snapshot !== undefined) this.#deps.snapshots.drop(this.name, snapshot);
    this.#compactor.close();
    this.#link?.close();
    this.fanout.close();
  }

  adopt(snapshot: SnapshotMeta): void {
    const before = this.#contents.snapshot;
    if (!this.#contents.adopt(snapshot)) return;
    if (before !== undefined) this.#deps.snapshots.drop(this.name, before);
    this.#trim();
  }

  #trim(): void {
    this.#contents.trim(this.fanout.oldestNeeded);
    this.#stretches.trimmed();
  }

  get head(): number {
    return this.#contents.head;
  }

  get snapshotSeq(): number {
    return this.#contents.snapshot?.seq ?? 0;
  }

  get snapshotBytes(): number {
    return this.#contents.snapshot?.size ?? 0;
  }

  get hasHole(): boolean {
    return this.#contents.hasHole;
  }

  arrived(first: number, updates: readonly Uint8Array[]): void {
    for (const [i, update] of updates.entries()) this.#contents.arrived(first + i, update);
    this.#applyArrived();
  }

  skipTo(seq: number): void {
    this.#contents.skipTo(seq);
  }

  merge(seq: number, update: Uint8Array): void {
    this.#apply(seq, update);
    this.#contents.skipTo(seq);
    this.#applyArrived();
  }

  #applyArrived(): void {
    for (let next = this.#contents.next(); next !== undefined; next = this.#contents.next()) {
      this.#apply(next.seq, next.update);
    }
  }

  /** What another instance has admitted and the store has. Some of it may be known from here. */
  #apply(seq: number, update: Uint8Array): void {
    try {
      const { change, missing } = this.#contents.apply(seq, update);
      if (missing !== undefined) {
        this.#deps.logger.error(
          { room: this.name, seq, missing },
          'an entry needs what is not in the log',
        );
      }
      if (change === undefined) return;
      this.fanout.updated(undefined, change.update.slice(), this.#deps.clock.now());
      this.#waiting?.changed(false);
    } catch (error) {
      if (error instanceof ClientIdConflict) {
        this.#contradicted(error);
        return;
      }
      // The worker will set it aside; here it is as if it were not there.
      this.#deps.logger.error({ err: error, room: this.name, seq }, 'an entry cannot be used');
    }
  }

  /**
   * Another instance's entry says something else under clocks that were taken here meanwhile. The
   * log has that one, and what everybody here has will never be the same.
   */
  #contradicted({ message }: ClientIdConflict): void {
    if (this.#isClosed) return;
    this.#deps.logger.error({ room: this.name, reason: message }, 'two clients have one id');
    this.#end(CLOSE.conflict, message);
  }

  lost(): void {
    if (this.#isClosed) return;
    this.#deps.logger.error({ room: this.name, head: this.head }, 'the store has lost entries');
    this.#end(CLOSE.restarting, 'the store has lost entries');
  }

  /** Another server answers for the store: what is here is not known to be what it has. */
  reload(): void {
    if (!this.#isClosed) this.#end(CLOSE.restarting, 'the store has failed over');
  }

  /** What is on its way to the store is not written, and of none of it anybody is told that it is saved. */
  deleted(reason = DELETED): void {
    if (!this.#isClosed) this.#end(CLOSE.deleted, reason);
  }

  #end(code: number, reason: string): void {
    // It is not the room of its name any more: its idle timer must not close the one that is.
    const owner = this.#owner;
    this.#owner = undefined;
    const { snapshot } = this.#contents;
    if (snapshot !== undefined) this.#deps.snapshots.drop(this.name, snapshot);
    // Before the link is closed, so that everybody is told that these people are gone.
    for (const session of [...this.#sessions]) session.close(code, reason);
    owner?.ended(this);
  }

  remoteStates(peer: Peer, entries: readonly AwarenessEntry[]): number[] {
    const held = this.awareness.applyRemote(peer, entries);
    if (this.awareness.hasChanges) this.fanout.schedule();
    if (entries.some(({ state }) => isNull(state))) this.#waiting?.changed(true);
    return held;
  }

  heldBy(peer: Peer): ReadonlySet<number> {
    return this.awareness.heldBy(peer);
  }

  peerLeft(peer: Peer): void {
    this.awareness.leave(peer);
    if (this.awareness.hasChanges) this.fanout.schedule();
    this.#waiting?.changed(true);
  }

  freed(): void {
    this.#waiting?.changed(true);
  }

  probe(client: number): boolean {
    const holder = this.awareness.ownerOf(client);
    if (holder === undefined || holder instanceof Peer) return false;
    holder.probe(client);
    return true;
  }

  here(): AwarenessEntry[] {
    return this.awareness.here();
  }

  takeChangesHere(): AwarenessEntry[] {
    return this.awareness.takeChangesHere();
  }
}
