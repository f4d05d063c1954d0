/**
 * Storage in a Postgres database, which any number of instances may share.
 *
 * "Durable" here means: committed with at least `synchronous_commit = on`, so the
 * updates survive a SIGKILL of this process and of Postgres, and the loss of power as
 * far as the server's disk keeps what it was told to flush. A server that flushes
 * nothing (`fsync = off`) is complained about when it is opened.
 *
 * A batch is one statement, which is a transaction of its own. That transaction also
 * writes the batch's number into this object's row of `writers`, so a batch whose fate
 * is unknown is tried again without being written twice, even while the first attempt
 * is still running on the server. Tables and functions: postgres-schema.ts.
 *
 * Names, authors and reasons are text; of what text in Postgres cannot hold, NUL and
 * halves of surrogate pairs, U+FFFD takes the place.
 */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../clock.js';
import { POSTGRES_FORM, readPostgresUrl, type ServiceAddress } from '../service-url.js';
import { drawGeneration } from './generation.js';
import { checkLimit } from './listing.js';
import { parsedNote } from './merge-note.js';
import type { Connection, Row, Run } from './postgres-connection.js';
import { HEARTBEAT, toHeartbeat } from './postgres-instances.js';
import { Pool } from './postgres-pool.js';
import { FailedOver } from './postgres-primary.js';
import { migrate, riskySettings, WRITER_DAYS } from './postgres-schema.js';
import { Servers } from './postgres-servers.js';
import { getSnapshot, putSnapshot } from './postgres-snapshots.js';
import { intArray, textArray, type Value } from './postgres-statement.js';
import { tlsProblem } from './postgres-tls.js';
import {
  type Batch,
  type Compaction,
  emptySnapshot,
  type Head,
  type Heartbeat,
  type Listing,
  type LogEntry,
  type MergeNote,
  type Primary,
  type Quarantined,
  type Replacement,
  type RoomSummary,
  type Snapshot,
  type SnapshotMeta,
  type Storage,
  type StoredRoom,
} from './storage.js';

export interface PostgresOptions {
  /** Milliseconds until a call that got no answer rejects: 10,000 unless told otherwise. */
  readonly deadlineMs?: number;
  /** At most so many connections, one of them for appends: 4 unless told otherwise. */
  readonly connections?: number;
  /** Hears in one line what about the server breaks the promise of this file's header. */
  readonly onWarning?: (warning: string) => void;
}

/** A batch between its first attempt and its success. */
interface Attempt {
  readonly number: number;
  readonly since: number;
}

export class PostgresStorage implements Storage {
  readonly name = 'postgres';
  readonly isShared = true;
  readonly #writer = randomUUID();
  readonly #servers: Servers;
  /** One, so that appends wait for nobody and come one after the other. */
  readonly #writing: Pool;
  readonly #reading: Pool;
  #attempt: Attempt | undefined;
  /** Whoever does not hear of failovers must not go on after one. */
  #failure: Error | undefined;

  private constructor(
    address: ServiceAddress,
    { deadlineMs = 10_000, connections = 4 }: PostgresOptions,
  ) {
    this.#servers = new Servers({ address, deadlineMs, prepare: migrate });
    this.#servers.onFailover(() => {
      this.#failure = new FailedOver();
    });
    this.#writing = new Pool(this.#servers, deadlineMs, 1);
    this.#reading = new Pool(this.#servers, deadlineMs, Math.max(1, connections - 1));
  }

  /**
   * Makes its tables where there are none yet.
   *
   * @param url `postgres://user:password@host:port/database`, of several hosts the one that is the
   *   primary; with what postgres.js knows as parameters
   */
  static async open(url: string, options: PostgresOptions = {}): Promise<PostgresStorage> {
    const { onWarning = () => undefined } = options;
    const address = readPostgresUrl(url);
    const problem = address === undefined ? POSTGRES_FORM : tlsProblem(address);
    if (problem !== undefined) throw new TypeError(`storage must be ${problem}`);
    const storage = new PostgresStorage(address!, options);
    try {
      await storage.#read(
        `DELETE FROM cowrite.writers WHERE seen_at < now() - interval '${WRITER_DAYS} days'`,
      );
      const settings = await storage.#reading.use(riskySettings);
      if (settings.length > 0) {
        onWarning(
          `Postgres runs with ${settings.join(' and ')} off: what is saved may not survive a loss of power`,
        );
      }
    } catch (cause) {
      await storage.close();
      throw cause;
    }
    return storage;
  }

  get primary(): Primary {
    return this.#servers.primary;
  }

  onFailover(listener: () => void): void {
    this.#servers.onFailover(listener);
  }

  checkPrimary(): void {
    void this.#servers.look();
  }

  async load(room: string): Promise<StoredRoom> {
    // One statement is one view. Its first row is the room's, the others are the tail's.
    const rows = await this.#read(
      `SELECT r.last_seq, r.life, r.generation, r.is_deleted, s.seq AS snapshot_seq, s.size, s.state_vector, s.deletes, s.written_at,
         NULL::bigint AS seq, NULL AS author, NULL::bytea AS update
       FROM cowrite.rooms r LEFT JOIN cowrite.snapshots s ON s.room = r.name
       WHERE r.name = $1
       UNION ALL
       SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, u.seq, u.author, u.update
       FROM cowrite.rooms r JOIN cowrite.updates u ON u.room = r.name AND u.seq > r.snapshot_seq
       WHERE r.name = $1
       ORDER BY seq NULLS FIRST`,
      [room],
    );
    const [head, ...tail] = rows;
    const snapshot = head?.snapshot_seq == null ? undefined : toMeta(head);
    const { last_seq: lastSeq = 0, is_deleted: isDeleted = false } = head ?? {};
    return { snapshot, tail: tail.map(toEntry), damaged: [], lastSeq, isDeleted };
  }

  async readSnapshot(room: string, seq: number): Promise<Uint8Array | undefined> {
    return await this.#use(this.#reading, (connection) => getSnapshot(connection, room, seq));
  }

  async append({ number, appends }: Batch): Promise<readonly number[]> {
    if (this.#attempt?.number !== number) this.#attempt = { number, since: systemClock.now() };
    const entries = appends.flatMap(({ entries }) => entries);
    let end = 0;
    const parameters = [
      this.#writer,
      number,
      textArray(appends.map(({ room }) => room)),
      intArray(appends.map(({ entries }) => entries.length)),
      intArray(appends.flatMap(({ entries }, i) => entries.map(() => i + 1))),
      intArray(entries.map(({ update }) => (end += update.length))),
      textArray(entries.map(({ author }) => author)),
      Buffer.concat(entries.map(({ update }) => update)),
      intArray(appends.map(({ life = 0 }) => life)),
    ];
    return await this.#use(this.#writing, async (connection) => {
      for (;;) {
        const [row] = await connection.one(
          'SELECT cowrite.append($1, $2, $3, $4, $5, $6, $7, $8, $9)::text AS seqs',
          parameters,
        );
        if (row!.seqs !== null) return JSON.parse(`[${row!.seqs.slice(1, -1)}]`) as number[];
        await connection.one(...this.#registration(this.#attempt!));
      }
    });
  }

  /**
   * The server does not know this writer: it never wrote, or not for so long that it was
   * forgotten. An attempt that is as old may have been forgotten together with it.
   */
  #registration({ number, since }: Attempt): [sql: string, values: readonly Value[]] {
    if (systemClock.now() - since > (WRITER_DAYS / 2) * DAY_MS) {
      throw new Error(`whether batch ${number} was written cannot be known any more`);
    }
    const sql = `INSERT INTO cowrite.writers (id, batch, seqs) VALUES ($1, $2, '{}')
                 ON CONFLICT (id) DO NOTHING`;
    return [sql, [this.#writer, number - 1]];
  }

  async since(room: string, seq: number): Promise<readonly LogEntry[] | undefined> {
    const rows = await this.#read(
      `SELECT r.snapshot_seq, u.seq, u.author, u.update
       FROM cowrite.rooms r
       LEFT JOIN cowrite.updates u ON u.room = r.name AND u.seq > $2 AND r.snapshot_seq <= $2
       WHERE r.name = $1 ORDER BY u.seq`,
      [room, seq],
    );
    if (rows[0]?.snapshot_seq > seq) return undefined;
    return rows.filter((row) => row.seq !== null).map(toEntry);
  }

  async heads(rooms: readonly string[]): Promise<readonly Head[]> {
    const rows = await this.#read(
      `SELECT coalesce(r.last_seq, 0) AS last_seq, coalesce(r.snapshot_seq, 0) AS snapshot_seq,
         coalesce(r.life, 0) AS life, coalesce(r.generation, 0) AS generation
       FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place)
       LEFT JOIN cowrite.rooms r ON r.name = w.name ORDER BY w.place`,
      [textArray(rooms)],
    );
    return rows.map(({ last_seq: lastSeq, snapshot_seq: snapshotSeq, life, generation }) => ({
      lastSeq,
      snapshotSeq,
      life,
      generation,
    }));
  }

  async rooms(listing: Listing): Promise<readonly RoomSummary[]> {
    const { prefix = '', after = '', limit, withDeleted = false } = listing;
    checkLimit(limit);
    const rows = await this.#read(
      `SELECT r.name, r.last_seq, r.snapshot_seq, coalesce(s.size, 0) AS size, r.is_deleted
       FROM cowrite.rooms r LEFT JOIN cowrite.snapshots s ON s.room = r.name
       WHERE r.name >= $1 AND r.name <= $2 AND r.name > $3 AND (NOT r.is_deleted OR $4)
       ORDER BY r.name LIMIT $5`,
      [prefix, prefix + LAST_OF_NAMES, after, withDeleted, limit],
    );
    return rows.map((row) => ({
      name: row.name,
      lastSeq: row.last_seq,
      snapshotSeq: row.snapshot_seq,
      snapshotBytes: row.size,
      isDeleted: row.is_deleted,
    }));
  }

  async snapshot(room: string): Promise<SnapshotMeta | undefined> {
    const [row] = await this.#read(
      `SELECT r.life, r.generation, s.seq AS snapshot_seq, s.size, s.state_vector, s.deletes, s.written_at
       FROM cowrite.snapshots s JOIN cowrite.rooms r ON r.name = s.room WHERE s.room = $1`,
      [room],
    );
    return row && toMeta(row);
  }

  async compact(room: string, compaction: Compaction): Promise<boolean> {
    const { base, snapshot, generation, quarantined } = compaction;
    return await this.#use(this.#reading, (connection) =>
      connection.transaction(async (run) => {
        const isWritten = await putSnapshot(run, room, base, snapshot);
        if (!isWritten) return false;
        if (generation !== undefined) {
          const own = 'UPDATE cowrite.rooms SET generation = $2 WHERE name = $1';
          await run(own, [room, generation]);
        }
        for (const entry of quarantined) {
          await run(
            `INSERT INTO cowrite.quarantine (room, seq, reason, author, update)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (room, seq) DO UPDATE SET reason = excluded.reason,
               author = excluded.author, update = excluded.update`,
            [room, entry.seq, entry.reason, entry.author, entry.update],
          );
        }
        return true;
      }),
    );
  }

  async mergeNote(room: string): Promise<MergeNote | undefined> {
    const [row] = await this.#read('SELECT note FROM cowrite.merges WHERE room = $1', [room]);
    return row && parsedNote(row.note);
  }

  async noteMerge(room: string, note: MergeNote | undefined): Promise<void> {
    if (note === undefined) {
      await this.#read('DELETE FROM cowrite.merges WHERE room = $1', [room]);
      return;
    }
    await this.#read(
      `INSERT INTO cowrite.merges (room, note) VALUES ($1, $2)
       ON CONFLICT (room) DO UPDATE SET note = excluded.note`,
      [room, JSON.stringify(note)],
    );
  }

  async quarantined(room: string): Promise<readonly Quarantined[]> {
    return (await this.#read(
      'SELECT seq, reason, author, update FROM cowrite.quarantine WHERE room = $1 ORDER BY seq',
      [room],
    )) as readonly Quarantined[];
  }

  async remove(room: string, generation = drawGeneration()): Promise<void> {
    await this.#renew(room, generation, true);
  }

  async revive(room: string, generation = drawGeneration()): Promise<boolean> {
    return await this.#renew(room, generation, false);
  }

  async replace(
    room: string,
    document: Omit<Snapshot, 'seq'>,
    generation = drawGeneration(),
  ): Promise<Replacement | undefined> {
    let replaced: Replacement | undefined;
    await this.#use(this.#reading, (connection) =>
      connection.transaction(async (run) => {
        replaced = undefined;
        // Of others each waits for the row, which is locked until all of it is done.
        if (!(await renew(run, room, generation, true))) return false;
        await renew(run, room, generation, false);
        const [row] = await run('SELECT life FROM cowrite.rooms WHERE name = $1', [room]);
        const seq = row!.life as number;
        replaced = { seq, generation };
        return await putSnapshot(run, room, seq, { ...document, seq });
      }),
    );
    return replaced;
  }

  async #renew(room: string, generation: number, isRemoved: boolean): Promise<boolean> {
    const run: Run = (sql, parameters = []) => this.#read(sql, parameters);
    return await renew(run, room, generation, isRemoved);
  }

  async heartbeat(own: Heartbeat, ttl: number): Promise<readonly Heartbeat[]> {
    const { instance, count, isRelayed } = own;
    return (await this.#read(HEARTBEAT, [instance, count, isRelayed, ttl])).map(toHeartbeat);
  }

  async close(): Promise<void> {
    this.#servers.close();
    await Promise.all([this.#writing.close(), this.#reading.close()]);
  }

  async #read(sql: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    return await this.#use(this.#reading, (connection) => connection.one(sql, values));
  }

  async #use<T>(pool: Pool, call: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    return await pool.use(call);
  }
}

/** Comes behind whatever a name of 256 bytes can go on with. */
const LAST_OF_NAMES = '\u{10ffff}'.repeat(64);
const DAY_MS = 24 * 60 * 60 * 1000;
/** In another life from now on, without anything in it. @returns false where that would change nothing */
async function renew(
  run: Run,
  room: string,
  generation: number,
  isRemoved: boolean,
): Promise<boolean> {
  const { update, stateVector, deletes } = emptySnapshot(0);
  const [row] = await run('SELECT cowrite.renew($1, $2, $3, $4, $5, $6, $7) AS has_changed', [
    ...[room, isRemoved, randomUUID(), update, stateVector, deletes, generation],
  ]);
  return row!.has_changed as boolean;
}

function toMeta(row: Row): SnapshotMeta {
  const { snapshot_seq: seq, size, life, generation, state_vector: stateVector, deletes } = row;
  const writtenAt = (row.written_at as Date | null)?.getTime();
  return { seq, size, life, generation, writtenAt, stateVector, deletes };
}

function toEntry({ seq, author, update }: Row): LogEntry {
  return { seq, author, update };
}
