/**
 * What can be done with a room from outside a session: described, read, written, copied, compacted.
 *
 * Reads what the store has, so the answer is the same on every instance, wherever the
 * room is open; writes through the room, opened here where it is not. Documents are
 * built in a worker.
 */
import type { ServerResponse } from 'node:http';
import { CLOSE } from '@cowrite/client/protocol';
import type { Clock } from '../clock.js';
import { ProcessEnded } from '../compact/apart.js';
import { SnapshotReplaced } from '../compact/compaction.js';
import type { Form, Kind } from '../compact/forms.js';
import { OverBudget, TooLargeToMerge } from '../compact/over-budget.js';
import { unpack } from '../compact/packed.js';
import type { Workers } from '../compact/workers.js';
import { documentAddress } from '../document-url.js';
import { RoomDeleted } from '../load.js';
import type { Presence } from '../presence/presence.js';
import { DocumentFull, StoreFull } from '../room.js';
import { LoadFailed, type Rooms } from '../rooms.js';
import type { Snapshots } from '../snapshots.js';
import { writeBackup } from '../storage/backup-file.js';
import { everyRoom } from '../storage/copy.js';
import {
  DamagedSnapshot,
  type MergeNote,
  type Replacement,
  type Storage,
} from '../storage/storage.js';
import type { Turns } from '../turns.js';
import type { Missing } from '../update/admit.js';
import { TooDeep, UpdateRefused, UpdateTooLarge } from '../update/refused.js';
import { within } from '../within.js';
import { ApiError, stored } from './errors.js';
import { type Listing, listRooms, openHere } from './listing.js';
import { presentIn } from './people.js';
import { replacementOf } from './replacement.js';
import type { DescribedRoom, Page, PresentPerson } from './shapes.js';
import { Incomplete, isWritten, RoomEnded, RoomExists, Visit } from './visit.js';
import { Watcher } from './watcher.js';

export interface DocumentsOptions {
  readonly storage: Storage;
  readonly rooms: Rooms;
  readonly workers: Workers;
  readonly snapshots: Snapshots;
  readonly turns: Turns;
  /** Bytes of a document. */
  readonly maxDocumentBytes: number;
  readonly clock: Clock;
  /** Whom other instances hold; undefined for one that is alone. */
  readonly presence: Presence | undefined;
  /** Whether anybody is asked who they are. */
  readonly areUsersKnown: boolean;
  /** Where the application shows a document, with `{room}` in it. */
  readonly documentUrl: string | undefined;
}

/** Milliseconds within which what was written has to be on disk. */
const SAVE_MS = 20_000;
/** A snapshot may be replaced while it is read; not again and again. */
const MAX_READS = 5;

export class Documents {
  readonly #options: DocumentsOptions;
  readonly #watchers = new Set<Watcher>();

  constructor(options: DocumentsOptions) {
    this.#options = options;
  }

  async list(listing: Listing): Promise<Page> {
    return await listRooms(listing, this.#options.rooms, this.#options.storage);
  }

  /** All of the store, as `cowrite restore` reads it. */
  backup(): AsyncIterable<Uint8Array> {
    const { storage } = this.#options;
    return writeBackup(storage, everyRoom(storage), new Date());
  }

  async describe(name: string): Promise<DescribedRoom> {
    const { rooms, storage, documentUrl } = this.#options;
    const room = rooms.at(name);
    const { snapshot, tail, lastSeq, isDeleted } = await storage.load(name);
    if (lastSeq === 0 && room === undefined) throw neverWritten();
    return {
      room: name,
      address: documentUrl === undefined || isDeleted ? null : documentAddress(documentUrl, name),
      isDeleted,
      seq: lastSeq,
      life: snapshot?.life ?? 0,
      generation: snapshot?.generation ?? 0,
      snapshot:
        snapshot === undefined || isDeleted
          ? null
          : {
              seq: snapshot.seq,
              bytes: snapshot.size,
              ...(snapshot.writtenAt !== undefined && {
                writtenAt: new Date(snapshot.writtenAt).toISOString(),
              }),
            },
      tail: {
        updates: tail.length,
        bytes: tail.reduce((sum, { update }) => sum + update.length, 0),
      },
      quarantined: (await storage.quarantined(name)).length,
      merge: mergeOf(await storage.mergeNote(name), snapshot?.life ?? 0),
      ...openHere(room),
    };
  }

  /** Everybody, on all instances. @throws {ApiError} */
  async present(name: string): Promise<{ people: PresentPerson[]; total: number }> {
    const { rooms, presence, areUsersKnown, clock } = this.#options;
    return await presentIn(name, { room: rooms.at(name), presence, areUsersKnown, clock });
  }

  /**
   * The document as the store has it.
   *
   * @throws {ApiError}
   */
  async read(name: string, form: Form, type?: string, as?: Kind): Promise<Uint8Array> {
    const { workers, storage, snapshots } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const shown = await workers.view(async () => {
          const log = await stored(() => storage.load(name));
          const { snapshot: meta, tail, lastSeq, isDeleted } = log;
          if (isDeleted) throw new RoomDeleted();
          if (lastSeq === 0) throw neverWritten();
          const snapshot = meta && (await snapshots.own(name, meta));
          if (meta !== undefined && snapshot === undefined) throw new SnapshotReplaced();
          return { snapshot, updates: tail.map(({ update }) => update), form, type, as };
        });
        if (shown !== undefined) return shown;
        throw new ApiError('not-found', `the document has no type called ${type}`);
      } catch (error) {
        if (!(error instanceof SnapshotReplaced) || attempt === MAX_READS) throw asApiError(error);
      }
    }
  }

  /** Makes a room of an update that holds a whole document. @returns the seq up to which the log goes */
  async create(name: string, update: Uint8Array): Promise<number> {
    return await this.#visit(name, async (visit) => {
      const { room } = visit;
      if (isWritten(room)) throw new RoomExists();
      await this.#write(visit, update, true);
      if (!isWritten(room)) throw new ApiError('refused', 'there is nothing in this update');
      return room.head;
    });
  }

  /** Puts a whole document in the place of all that is in the room. */
  async replace(name: string, update: Uint8Array): Promise<Replacement> {
    try {
      const document = await replacementOf(update, this.#options);
      const replaced = await stored(() => this.#options.storage.replace(name, document));
      if (replaced === undefined) throw new RoomDeleted();
      return replaced;
    } catch (error) {
      throw asApiError(error);
    }
  }

  /** @returns the seq up to which the log goes with it */
  async append(name: string, update: Uint8Array): Promise<number> {
    return await this.#visit(name, async (visit) => {
      await this.#write(visit, update, false);
      return visit.room.head;
    });
  }

  async copy(from: string, to: string): Promise<number> {
    return await this.create(to, await this.read(from, 'update'));
  }

  /** @returns whether the snapshot holds all that was in the log */
  async compact(name: string): Promise<boolean> {
    return await this.#visit(name, async ({ room }) => {
      if (room.last === 0) throw neverWritten();
      return await room.compactNow();
    });
  }

  /** From now on somebody watches, until their response is closed. */
  async watch(name: string, response: ServerResponse, every: number): Promise<void> {
    const { rooms, clock } = this.#options;
    try {
      const room = await rooms.open(name);
      // Whoever left meanwhile is not heard of again.
      if (response.destroyed) return;
      const watcher = new Watcher(room, response, clock, every);
      this.#watchers.add(watcher);
      response.once('close', () => this.#watchers.delete(watcher));
      watcher.start();
    } catch (error) {
      throw asApiError(error);
    }
  }

  /** They may watch at another instance. */
  closeWatchers(): void {
    for (const watcher of [...this.#watchers]) {
      watcher.close(CLOSE.restarting, 'this server is restarting');
    }
  }

  async #visit<T>(name: string, act: (visit: Visit) => Promise<T>): Promise<T> {
    try {
      const { rooms, clock } = this.#options;
      return await Visit.to(rooms, name, clock.now(), act);
    } catch (error) {
      throw asApiError(error);
    }
  }

  async #writeAtOnce(
    visit: Visit,
    update: Uint8Array,
    makes: boolean,
  ): Promise<Missing | undefined> {
    const { turns, clock } = this.#options;
    const writing = visit.write(update, turns, makes).then((missing) => ({ missing }));
    const written = await within(SAVE_MS, clock, writing);
    if (written !== undefined) return written.missing;
    throw new ApiError('not-saved', 'the store has not taken it yet: it may, or may not');
  }

  /**
   * What many people wrote may have more references than are admitted in one go. What is to make
   * a room is whole, and has its place, before anything of it is written.
   */
  async #writeInPieces(
    visit: Visit,
    update: Uint8Array,
    makes: boolean,
  ): Promise<Missing | undefined> {
    const cut = await this.#options.workers.cut({ update, isWhole: makes });
    if ('isTooDeep' in cut) throw new TooDeep();
    if ('refusal' in cut) throw new UpdateRefused(cut.refusal);
    if ('missing' in cut) throw new Incomplete(cut.missing);
    if (makes && visit.room.isTooSmallFor(update.length)) throw new DocumentFull();
    let missing: Missing | undefined;
    for (const [i, piece] of unpack(cut.pieces).entries()) {
      missing ??= await this.#writeAtOnce(visit, piece, makes && i === 0);
    }
    return missing;
  }

  async #write(visit: Visit, update: Uint8Array, makes: boolean): Promise<void> {
    const missing = await this.#writeAtOnce(visit, update, makes).catch((error: unknown) => {
      if (error instanceof UpdateTooLarge) return this.#writeInPieces(visit, update, makes);
      throw error;
    });
    if (missing === undefined) return;
    const { client, clock: at } = missing;
    throw new ApiError(
      'incomplete',
      `some of it needs what client ${client} writes at ${at}: that is not here, or for the session that holds this client to say. The rest was taken`,
    );
  }
}

/** @param life of the room: what was found out of an earlier one says nothing */
function mergeOf(note: MergeNote | undefined, life: number): DescribedRoom['merge'] {
  if (note === undefined || note.life !== life || note.state === 'begun') return null;
  return { problem: note.state, needsBytes: note.needs || null, memoryBytes: note.memory };
}

function neverWritten(): ApiError {
  return new ApiError('not-found', 'nothing was ever written to this room');
}

/** @returns what is none of theirs as it was */
function asApiError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message } = error;
  if (error instanceof RoomDeleted) return new ApiError('deleted', message);
  if (error instanceof UpdateRefused) return new ApiError('refused', message);
  if (error instanceof RoomExists) return new ApiError('exists', message);
  if (error instanceof Incomplete) return new ApiError('incomplete', message);
  if (error instanceof DocumentFull) return new ApiError('document-too-large', message);
  if (error instanceof OverBudget || error instanceof TooLargeToMerge) {
    return new ApiError('over-budget', message);
  }
  if (error instanceof ProcessEnded) {
    const text = `the process that was at the document ended (${error.how}): try again`;
    // The log has what it said.
    return new ApiError('unavailable', text, {}, { cause: error });
  }
  if (
    error instanceof StoreFull ||
    error instanceof LoadFailed ||
    error instanceof RoomEnded ||
    error instanceof SnapshotReplaced ||
    error instanceof DamagedSnapshot
  ) {
    return new ApiError('unavailable', message);
  }
  return error;
}
