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
 *
 * A commit in a file: `CWJ1`, CRC-32 (little-endian) of all that follows, four
 * bytes of length of the records, six bytes of the file's generation, and the records
 * (record.ts) of its entries, those of a room together. A commit that was
 * interrupted does not match its checksum, and counts for nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Run } from './chunks.js';
import { KIND, longestRecord, writeRecord } from './record.js';
import type { Append } from './storage.js';

/** Bytes of a file. Twice as many are kept in memory at most, and read at the start after a crash. */
export const FILE_BYTES = 4 * 1024 * 1024;
/** A commit that takes more than this part of a file is a document, not typing: it goes into the tree at once. */
const LARGEST_PART = 8;

const MAGIC = Buffer.from('CWJ1', 'latin1');
const CRC_AT = 4;
const LENGTH_AT = 8;
const GENERATION_AT = 12;
const HEAD = 18;

/** Its records are a view: copy what has to outlive this turn of the event loop. */
export interface KeptRun extends Run {
  readonly last: number;
}

class JournalFile {
  readonly bytes: Buffer;
  readonly #handle: FileHandle;
  readonly #rooms = new Map<string, number[]>();
  generation = 0;
  used = 0;

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.bytes = Buffer.alloc(size);
  }

  /** Makes it, with all its blocks, where it is not there. */
  static async open(path: string, size: number): Promise<JournalFile> {
    if (existsSync(path)) {
      const handle = await open(path, 'r+');
      if ((await handle.stat()).size === size) return new JournalFile(handle, size);
      await handle.close();
    }
    const handle = await open(path, 'w+');
    await writeAll(handle, Buffer.alloc(size), 0);
    await handle.sync();
    await syncFolder(dirname(path));
    return new JournalFile(handle, size);
  }

  get rooms(): Iterable<string> {
    return this.#rooms.keys();
  }

  begin(generation: number): void {
    this.generation = generation;
    this.used = 0;
    this.#rooms.clear();
  }

  /** Nothing is noted before it is on disk: what fails is written over by the next. */
  async append(appends: readonly Append[], seqs: readonly number[]): Promise<void> {
    const { bytes, used } = this;
    let at = used + HEAD;
    const runs: number[] = [];
    for (const [i, { room, entries }] of appends.entries()) {
      const from = at;
      let seq = seqs[i]!;
      for (const { author, update } of entries) {
        at = writeRecord(bytes, at, { kind: KIND.update, room, seq: seq++ }, [author, update]);
      }
      runs.push(seqs[i]!, seq - 1, from, at);
    }
    MAGIC.copy(bytes, used);
    bytes.writeUInt32LE(at - used - HEAD, used + LENGTH_AT);
    bytes.writeUIntLE(this.generation, used + GENERATION_AT, 6);
    bytes.writeUInt32LE(crc32(bytes.subarray(used + LENGTH_AT, at)), used + CRC_AT);
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
  await handle.sync();
  await handle.close();
}

export class Journal {
  readonly #folder: string;
  readonly #fileBytes: number;
  readonly #files: (JournalFile | undefined)[] = [undefined, undefined];
  #current = 0;
  #generation: number;

  /** Writes and turns of the files go one after the other. */
  #busy: Promise<unknown> = Promise.resolve();

  /** @param generation the highest that was ever used; what the files hold has been read */
  constructor(folder: string, generation: number, fileBytes: number) {
    this.#folder = folder;
    this.#generation = generation;
    this.#fileBytes = fileBytes;
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
      if (file === undefined || file.used + length > this.#fileBytes) {
        if (this.full !== undefined) return false;
        file = await this.#turn();
      }
      await file.append(appends, seqs);
      return true;
    });
  }

  async #turn(): Promise<JournalFile> {
    const next = this.#files[this.#current] === undefined ? this.#current : 1 - this.#current;
    this.#files[next] ??= await JournalFile.open(pathOf(this.#folder, next), this.#fileBytes);
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
    return file !== undefined && file.used > 0 ? file : undefined;
  }

  /** Also what is being written to is to be moved, once what is full has been. @returns {@link full} */
  async turn(): Promise<Full | undefined> {
    return await this.#alone(async () => {
      const isWritten = (this.#files[this.#current]?.used ?? 0) > 0;
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

  /** Of a room, 0 for none that is here. */
  lastSeq(room: string): number {
    return Math.max(...this.#files.map((file) => file?.lastSeq(room) ?? 0));
  }

  /** A snapshot has taken the place of what the room has here up to this seq. */
  forget(room: string, seq: number): void {
    for (const file of this.#files) file?.forget(room, seq);
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file?.close();
  }
}

/** A file that is not written any more. */
export interface Full {
  readonly generation: number;
  readonly rooms: Iterable<string>;
  runs(room: string): readonly KeptRun[];
}

function pathOf(folder: string, place: number): string {
  return join(folder, `journal-${place}`);
}

/** @returns bytes, at most; no more is looked at once they pass `most` */
function longestCommit(appends: readonly Append[], seqs: readonly number[], most: number): number {
  let length = HEAD;
  for (const [i, { room, entries }] of appends.entries()) {
    for (const { author, update } of entries) {
      length += longestRecord({ kind: KIND.update, room, seq: seqs[i]! }, [author, update]);
      if (length > most) return length;
    }
  }
  return length;
}

/** What a crash left. */
export interface Left {
  /** The highest generation that is there, `moved` when there is none above it. */
  readonly generation: number;
  /** Records one behind the other, in the order in which they were committed; damaged stretches between them, too. */
  readonly commits: readonly Buffer[];
  /** What was damaged, in words. */
  readonly damage: readonly string[];
}

/** @param moved the generation up to which the tree has everything */
export function readJournal(folder: string, moved: number, fileBytes: number): Left {
  const commits: Buffer[] = [];
  const damage: string[] = [];
  const files = [0, 1]
    .map((place) => pathOf(folder, place))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, ...readFile(readFileSync(path), moved, fileBytes) }))
    .sort((a, b) => a.generation - b.generation);
  for (const file of files) {
    commits.push(...file.commits);
    for (const words of file.damage) damage.push(`${file.path}: ${words}`);
  }
  return { generation: files.at(-1)?.generation ?? moved, commits, damage };
}

function readFile(bytes: Buffer, moved: number, fileBytes: number): Left {
  const commits: Buffer[] = [];
  const damage: string[] = [];
  if (bytes.length < fileBytes) damage.push(`it has ${bytes.length} of ${fileBytes} bytes`);
  let generation: number | undefined;
  let at = 0;
  for (;;) {
    const next = nextCommit(bytes, at, generation, moved);
    if (next === undefined) break;
    if (next.at > at) {
      damage.push(`bytes ${at} to ${next.at} are damaged`);
      commits.push(bytes.subarray(at, next.at));
    }
    commits.push(next.records);
    generation = next.generation;
    at = next.end;
  }
  // Zeros, or what is left of an earlier generation, are what stands behind the last commit.
  if (isOf(bytes, at, generation, moved)) {
    damage.push(`the commit at byte ${at} is not whole: it was interrupted, or is damaged`);
  }
  return { generation: generation ?? moved, commits, damage };
}

/** The next whole commit of a generation, of any above `moved` when it is not known yet. */
function nextCommit(bytes: Buffer, from: number, generation: number | undefined, moved: number) {
  for (let at = from; at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    if (!isOf(bytes, at, generation, moved)) continue;
    const end = at + HEAD + bytes.readUInt32LE(at + LENGTH_AT);
    if (end > bytes.length) continue;
    if (bytes.readUInt32LE(at + CRC_AT) !== crc32(bytes.subarray(at + LENGTH_AT, end))) continue;
    const records = bytes.subarray(at + HEAD, end);
    return { at, end, records, generation: bytes.readUIntLE(at + GENERATION_AT, 6) };
  }
  return undefined;
}

function isOf(bytes: Buffer, at: number, generation: number | undefined, moved: number): boolean {
  if (at + HEAD > bytes.length || !bytes.subarray(at, at + MAGIC.length).equals(MAGIC)) {
    return false;
  }
  const its = bytes.readUIntLE(at + GENERATION_AT, 6);
  return generation === undefined ? its > moved : its === generation;
}
