/**
 * The newest commits, one behind the other in a file that is already there: what
 * makes "saved" cheap. A commit into a tree writes a page for every room; here it
 * is one short write into blocks that the file has, and one `fdatasync`.
 *
 * Two files take turns. While one is written, what the other holds is moved into
 * the tree by the owner ({@link Journal.full}, {@link Journal.release}); until then it
 * is read from here. Invariants: a commit is on disk when `append` resolves; a file
 * is written again only once all of it is in the tree, and the tree knows that
 * (its *generation*), so that nothing old is taken for new after a crash.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Run } from './chunks.js';
import { PRIVATE_FILE } from './folder.js';
import {
  COMMIT_HEAD,
  FILE_HEAD,
  fileHead,
  pathOf,
  sealCommit,
  TAG_BYTES,
} from './journal-format.js';
import type { Left } from './journal-left.js';
import { KIND, longestRecord, writeRecord } from './record.js';
import type { Append } from './storage.js';

/** A commit that takes more than this part of a file is a document, not typing: it goes into the tree at once. */
const LARGEST_PART = 8;

/** Its records are a view: copy what has to outlive this turn of the event loop. */
export interface KeptRun extends Run {
  readonly last: number;
}

class JournalFile {
  readonly bytes: Buffer;
  readonly #handle: FileHandle;
  readonly #tag: Buffer;
  readonly #rooms = new Map<string, number[]>();
  generation = 0;
  used = FILE_HEAD;
  /** Whether anything of this generation may be on disk: also what failed. */
  isTouched = false;

  private constructor(handle: FileHandle, size: number, tag: Buffer) {
    this.#handle = handle;
    this.#tag = tag;
    this.bytes = Buffer.alloc(size);
  }

  /** Makes it, with all its blocks, where it is not there or is not of this size and tag. */
  static async open(path: string, size: number, tag: Buffer): Promise<JournalFile> {
    const head = fileHead(tag);
    const isThere = existsSync(path);
    const handle = await open(path, isThere ? 'r+' : 'w+', PRIVATE_FILE);
    try {
      const found = Buffer.alloc(FILE_HEAD);
      await handle.read(found, 0, FILE_HEAD, 0);
      if ((await handle.stat()).size !== size || !found.equals(head)) {
        await handle.truncate(0);
        await writeAll(handle, Buffer.concat([head, Buffer.alloc(size - FILE_HEAD)]), 0);
        await handle.sync();
      }
      await syncFolder(dirname(path));
      return new JournalFile(handle, size, tag);
    } catch (error) {
      await handle.close();
      // Half a file would take the place that the tree needs.
      if (!isThere) await rm(path, { force: true });
      throw error;
    }
  }

  get rooms(): Iterable<string> {
    return this.#rooms.keys();
  }

  begin(generation: number): void {
    this.generation = generation;
    this.used = FILE_HEAD;
    this.isTouched = false;
    this.#rooms.clear();
  }

  /** Nothing is noted before it is on disk: what fails is written over by the next. */
  async append(appends: readonly Append[], seqs: readonly number[]): Promise<void> {
    const { bytes, used } = this;
    let at = used + COMMIT_HEAD;
    const runs: number[] = [];
    for (const [i, { room, entries }] of appends.entries()) {
      const from = at;
      let seq = seqs[i]!;
      for (const { author, update } of entries) {
        at = writeRecord(bytes, at, { kind: KIND.update, room, seq: seq++ }, [author, update]);
      }
      runs.push(seqs[i]!, seq - 1, from, at);
    }
    sealCommit(bytes, used, at, { generation: this.generation, tag: this.#tag });
    this.isTouched = true;
    await writeAll(this.#handle, bytes.subarray(used, at), used);
    await this.#handle.datasync();
    this.used = at;
    for (const [i, { room }] of appends.entries()) {
      const known = this.#rooms.get(room);
      const run = runs.slice(i * RUN, (i + 1) * RUN);
      if (known === undefined) this.#rooms.set(room, run);
      else known.push(...run);
    }
  }

  runs(room: string): KeptRun[] {
    const runs = this.#rooms.get(room) ?? [];
    const kept: KeptRun[] = [];
    for (let i = 0; i < runs.length; i += RUN) {
      const records = this.bytes.subarray(runs[i + 2], runs[i + 3]);
      kept.push({ first: runs[i]!, last: runs[i + 1]!, records });
    }
    return kept;
  }

  forget(room: string, seq: number): void {
    const runs = this.#rooms.get(room);
    if (runs === undefined) return;
    let gone = 0;
    while (gone < runs.length && runs[gone + 1]! <= seq) gone += RUN;
    if (gone === runs.length) this.#rooms.delete(room);
    else runs.splice(0, gone);
  }

  lastSeq(room: string): number {
    return this.#rooms.get(room)?.at(LAST) ?? 0;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Numbers of a run: its first seq, its last, where its records begin, where they end. */
const RUN = 4;
const LAST = -3;

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

/** So that a new file is there after a power cut. Windows does that by itself, and opens no folders. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export class Journal {
  readonly #folder: string;
  readonly #fileBytes: number;
  readonly #tag: Buffer;
  readonly #onWarning: (line: string) => void;
  readonly #files: (JournalFile | undefined)[] = [undefined, undefined];
  #current = 0;
  #generation: number;
  /** Writes and turns of the files go one after the other. */
  #busy: Promise<unknown> = Promise.resolve();
  /** Set when a file cannot be made, and when it is closed: then the tree takes everything. */
  #isOff = false;

  /**
   * @param left what the files held; its commits are in the tree by now
   * @param onWarning hears when no file can be made
   */
  constructor(
    folder: string,
    { generation, tag }: Pick<Left, 'generation' | 'tag'>,
    fileBytes: number,
    onWarning: (line: string) => void,
  ) {
    this.#folder = folder;
    this.#generation = generation;
    this.#tag = tag ?? randomBytes(TAG_BYTES);
    this.#fileBytes = fileBytes;
    this.#onWarning = onWarning;
  }

  /**
   * Resolves once the entries are on disk.
   *
   * @returns false, and nothing was written, when they are too many for it or it is full
   */
  async append(appends: readonly Append[], seqs: readonly number[]): Promise<boolean> {
    const most = Math.floor(this.#fileBytes / LARGEST_PART);
    const length = longestCommit(appends, seqs, most);
    if (length > most) return false;
    return await this.#alone(async () => {
      let file = this.#files[this.#current];
      if (this.#isOff) return false;
      if (file === undefined || file.used + length > this.#fileBytes) {
        if (this.full !== undefined) return false;
        file = await this.#turn();
        if (file === undefined) return false;
      }
      await file.append(appends, seqs);
      return true;
    });
  }

  /** @returns undefined when no file can be made */
  async #turn(): Promise<JournalFile | undefined> {
    const next = this.#files[this.#current] === undefined ? this.#current : 1 - this.#current;
    const path = pathOf(this.#folder, next);
    try {
      this.#files[next] ??= await JournalFile.open(path, this.#fileBytes, this.#tag);
    } catch (error) {
      this.#isOff = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.#onWarning(`the journal cannot be used, commits cost more: ${reason}`);
      // Nothing is written to the other one any more: it is full.
      if (this.#files[this.#current] !== undefined) this.#current = next;
      return undefined;
    }
    const file = this.#files[next];
    file.begin(++this.#generation);
    this.#current = next;
    return file;
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(task);
    // The caller hears of a failure; the next in line must run all the same.
    this.#busy = done.catch((error: unknown) => error);
    return await done;
  }

  /** The file that is to be moved into the tree; undefined for none. */
  get full(): Full | undefined {
    const file = this.#files[1 - this.#current];
    return file?.isTouched ? file : undefined;
  }

  /** Also what is being written to is to be moved, once what is full has been. @returns {@link full} */
  async turn(): Promise<Full | undefined> {
    return await this.#alone(async () => {
      const isWritten = this.#files[this.#current]?.isTouched === true;
      if (this.full === undefined && isWritten) await this.#turn();
      return this.full;
    });
  }

  /** All of the full file is in the tree, which knows its generation. */
  release(): void {
    this.#files[1 - this.#current]?.begin(0);
  }

  /** What is here of a room above a seq, ascending. */
  runs(room: string, above: number): KeptRun[] {
    const older = this.#files[1 - this.#current]?.runs(room) ?? [];
    const newer = this.#files[this.#current]?.runs(room) ?? [];
    return [...older, ...newer].filter(({ last }) => last > above);
  }

  rooms(): string[] {
    return this.#files.flatMap((file) => [...(file?.rooms ?? [])]);
  }

  /** Of a room, 0 for none that is here. */
  lastSeq(room: string): number {
    return Math.max(...this.#files.map((file) => file?.lastSeq(room) ?? 0));
  }

  /** A snapshot has taken the place of what the room has here up to this seq. */
  forget(room: string, seq: number): void {
    for (const file of this.#files) file?.forget(room, seq);
  }

  async close(): Promise<void> {
    await this.#alone(async () => {
      this.#isOff = true;
      for (const file of this.#files) await file?.close();
    });
  }
}

/** A file that is not written any more. */
export interface Full {
  readonly generation: number;
  readonly rooms: Iterable<string>;
  runs(room: string): readonly KeptRun[];
}

/** @returns bytes, at most; no more is looked at once they pass `most` */
function longestCommit(appends: readonly Append[], seqs: readonly number[], most: number): number {
  let length = COMMIT_HEAD;
  for (const [i, { room, entries }] of appends.entries()) {
    for (const { author, update } of entries) {
      length += longestRecord({ kind: KIND.update, room, seq: seqs[i]! }, [author, update]);
      if (length > most) return length;
    }
  }
  return length;
}
