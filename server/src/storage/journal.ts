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
 * A file: `CWJF`, CRC-32 (little-endian) of the tag, and the *tag*: eight random
 * bytes, the same in both files. Clients choose what is in their entries, so bytes
 * that look like a commit may lie anywhere; only one with the tag is one.
 *
 * A commit in it: `CWJ1`, CRC-32 of all that follows, four bytes of length of the
 * records, six bytes of the file's generation, the tag, and the records (record.ts)
 * of its entries, those of a room together. A commit that was interrupted does not
 * match its checksum, and counts for nothing.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
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
const TAG_AT = 18;
const TAG_BYTES = 8;
const HEAD = TAG_AT + TAG_BYTES;

const FILE_MAGIC = Buffer.from('CWJF', 'latin1');
/** What stands at the beginning of a file. */
const FILE_HEAD = FILE_MAGIC.length + 4 + TAG_BYTES;

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
    const head = headOf(tag);
    const isThere = existsSync(path);
    const handle = await open(path, isThere ? 'r+' : 'w+');
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
    this.#tag.copy(bytes, used + TAG_AT);
    this.isTouched = true;
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
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function headOf(tag: Buffer): Buffer {
  const head = Buffer.alloc(FILE_HEAD);
  FILE_MAGIC.copy(head);
  head.writeUInt32LE(crc32(tag), FILE_MAGIC.length);
  tag.copy(head, FILE_MAGIC.length + 4);
  return head;
}

/** @returns undefined when the file has no whole head */
function tagOf(bytes: Buffer): Buffer | undefined {
  const tag = bytes.subarray(FILE_MAGIC.length + 4, FILE_HEAD);
  return tag.length === TAG_BYTES && headOf(tag).equals(bytes.subarray(0, FILE_HEAD))
    ? tag
    : undefined;
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
  /** The tag of the files; undefined where there is none, or none that is whole. */
  readonly tag: Buffer | undefined;
  /** Records one behind the other, in the order in which they were committed; damaged stretches between them, too. */
  readonly commits: readonly Buffer[];
  /** What was damaged, in words. */
  readonly damage: readonly string[];
}

/** @param moved the generation up to which the tree has everything */
export function readJournal(folder: string, moved: number, fileBytes: number): Left {
  const files = [0, 1]
    .map((place) => pathOf(folder, place))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, bytes: readFileSync(path) }));
  const tag = files.map(({ bytes }) => tagOf(bytes)).find((each) => each !== undefined);
  const read = files
    .map(({ path, bytes }) => ({ path, ...readFile(bytes, tag, moved, fileBytes) }))
    .sort((a, b) => a.generation - b.generation);
  return {
    generation: read.at(-1)?.generation ?? moved,
    tag: tag && Buffer.from(tag),
    commits: read.flatMap(({ commits }) => commits),
    damage: read.flatMap(({ path, damage }) => damage.map((words) => `${path}: ${words}`)),
  };
}

function readFile(bytes: Buffer, tag: Buffer | undefined, moved: number, fileBytes: number) {
  const commits: Buffer[] = [];
  const damage: string[] = [];
  if (bytes.length < fileBytes) damage.push(`it has ${bytes.length} of ${fileBytes} bytes`);
  if (tagOf(bytes) === undefined) damage.push('its head is damaged');
  if (tag === undefined) return { generation: moved, commits, damage };
  let generation: number | undefined;
  let at = FILE_HEAD;
  for (;;) {
    const next = nextCommit(bytes, at, tag, generation, moved);
    if (next === undefined) break;
    if (next.at > at) {
      damage.push(`bytes ${at} to ${next.at} are damaged`);
      commits.push(bytes.subarray(at + HEAD, next.at));
    }
    commits.push(next.records);
    generation = next.generation;
    at = next.end;
  }
  // Zeros, or what is left of an earlier generation, are what stands behind the last commit.
  if (isOf(bytes, at, tag, generation, moved)) {
    damage.push(`the commit at byte ${at} is not whole: it was interrupted, or is damaged`);
  }
  return { generation: generation ?? moved, commits, damage };
}

/** The next whole commit of a generation, of any above `moved` when it is not known yet. */
function nextCommit(
  bytes: Buffer,
  from: number,
  tag: Buffer,
  generation: number | undefined,
  moved: number,
) {
  for (let at = from; at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    if (!isOf(bytes, at, tag, generation, moved)) continue;
    const end = at + HEAD + bytes.readUInt32LE(at + LENGTH_AT);
    if (end > bytes.length) continue;
    if (bytes.readUInt32LE(at + CRC_AT) !== crc32(bytes.subarray(at + LENGTH_AT, end))) continue;
    const records = bytes.subarray(at + HEAD, end);
    return { at, end, records, generation: bytes.readUIntLE(at + GENERATION_AT, 6) };
  }
  return undefined;
}

function isOf(
  bytes: Buffer,
  at: number,
  tag: Buffer,
  generation: number | undefined,
  moved: number,
): boolean {
  if (at + HEAD > bytes.length) return false;
  if (!bytes.subarray(at, at + MAGIC.length).equals(MAGIC)) return false;
  if (!bytes.subarray(at + TAG_AT, at + HEAD).equals(tag)) return false;
  const its = bytes.readUIntLE(at + GENERATION_AT, 6);
  return generation === undefined ? its > moved : its === generation;
}
