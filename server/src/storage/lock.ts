/**
 * One process at a time in a folder, and it knows whether it still is the one.
 *
 * Two files say whose a folder is. The kernel's lock on `lock` excludes every other process of
 * this machine, in whatever container, and ends with its process however that ends. The record
 * in `owner` (owner.ts) is seen where that lock is not: on another machine that has the same
 * folder, and by a process that finds another file in the lock's place. Neither is ever anywhere
 * but in the folder.
 *
 * Invariant: a write is called done only if {@link FolderLock.check} passed after it. A process
 * whose lock or record was replaced never passes again: the store is another's. While the folder
 * is not where it was, nothing passes; once it is back, writing goes on.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  write,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { type FileSystem, FolderUnusable, fileSystemOf } from './file-system.js';
import { PRIVATE_FILE } from './folder.js';
import { isSame, lockFile, OPEN, type TryLock } from './kernel-lock.js';
import { nameOf, newOwner, type Owner, ownerIn, recordOf } from './owner.js';

/** Another process has the store open. */
export class StorageInUse extends Error {
  override readonly name = 'StorageInUse';
}

/** The folder is not this process's any more, or not where it was. Nothing that was not saved before will be. */
export class StorageLost extends Error {
  override readonly name = 'StorageLost';
}

export interface LockOptions {
  /** Whether a file system is good enough on which other machines may have the folder, or without locks. */
  readonly allowNetwork?: boolean;
  /** Hears, in one line, what an operator has to know. */
  readonly onWarning?: ((line: string) => void) | undefined;
  /** Hears once that the folder is another's for good. */
  readonly onLost?: ((error: StorageLost) => void) | undefined;
  /** For tests. */
  readonly clock?: Clock;
  readonly fileSystem?: FileSystem;
  readonly tryLock?: TryLock;
}

const LOCK_FILE = 'lock';
const OWNER_FILE = 'owner';
/** The owner changes its record so often. */
export const BEAT_MS = 2_000;
/** An owner is dead whose record has not changed for so long, by the clock of the one that looks. */
export const STALE_MS = 10_000;
const LOOK_MS = 1_000;
/** What a check has found holds so long, for the next write to begin. */
const FRESH_MS = 100;
/** A timer's longest. */
const LONG_MS = 2 ** 31 - 1;

const writeAt = promisify(write);
const datasync = promisify(fdatasync);

export class FolderLock {
  readonly #folder: string;
  readonly #lockPath: string;
  readonly #ownerPath: string;
  readonly #options: LockOptions;
  readonly #isNetwork: boolean;
  readonly #lock: number;
  readonly #lockId: BigIntStats;
  readonly #owner: Owner;
  /** The bytes that the record begins with: up to the end of the id. */
  readonly #head: Buffer;
  readonly #seen: Buffer;
  #record: number;
  #recordId: BigIntStats;
  #beat = 0;
  #beating: Promise<void> | undefined;
  #timer: Timer | undefined;
  #lost: StorageLost | undefined;
  #away: StorageLost | undefined;
  #isBeatFailing = false;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #released: Promise<void> | undefined;

  private constructor(folder: string, lock: number, isNetwork: boolean, options: LockOptions) {
    this.#folder = folder;
    this.#lockPath = join(folder, LOCK_FILE);
    this.#ownerPath = join(folder, OWNER_FILE);
    this.#options = options;
    this.#isNetwork = isNetwork;
    this.#lock = lock;
    this.#lockId = fstatSync(lock, { bigint: true });
    this.#owner = newOwner(this.#lockId);
    const record = recordOf(this.#owner, 0);
    this.#head = record.subarray(0, record.indexOf(this.#owner.id) + this.#owner.id.length);
    this.#seen = Buffer.alloc(this.#head.length);
    this.#record = openSync(this.#ownerPath, OPEN, PRIVATE_FILE);
    this.#recordId = fstatSync(this.#record, { bigint: true });
    writeSync(this.#record, record, 0, record.length, 0);
    // Whatever an earlier owner wrote, it may have been longer.
    ftruncateSync(this.#record, record.length);
  }

  /**
   * @param folder is there
   * @throws {StorageInUse} where another process has it
   * @throws {FolderUnusable} where nothing would keep two apart
   */
  static async take(path: string, options: LockOptions = {}): Promise<FolderLock> {
    const folder = resolve(path);
    const { fileSystem = fileSystemOf(folder), allowNetwork = false } = options;
    if (fileSystem.isNetwork && !allowNetwork) throw onNetwork(folder, fileSystem);
    const { fd, problem } = await lockFile(join(folder, LOCK_FILE), options.tryLock);
    if (fd === undefined) throw inUse(folder);
    const hasLocks = problem === undefined;
    let lock: FolderLock | undefined;
    try {
      if (!hasLocks && !allowNetwork) throw withoutLocks(folder, problem);
      await settle(folder, fd, hasLocks, options);
      lock = new FolderLock(folder, fd, fileSystem.isNetwork, options);
      if (fileSystem.isNetwork || !hasLocks) await lock.#confirm();
      lock.#startBeats();
      return lock;
    } catch (error) {
      if (lock === undefined) closeSync(fd);
      else await lock.release();
      throw error;
    }
  }

  get #clock(): Clock {
    return this.#options.clock ?? systemClock;
  }

  /** @throws {StorageLost} as far as is known, without asking the system */
  assume(): void {
    const problem = this.#lost ?? this.#away;
    if (problem !== undefined) throw problem;
  }

  /**
   * Before a write. Asks the system unless it was asked just now. By the time of day: the other
   * clock stands still while the machine sleeps, and another may have the folder when it wakes.
   *
   * @throws {StorageLost}
   */
  checkBefore(): void {
    const age = this.#clock.date() - this.#checkedAt;
    if (this.#away !== undefined || age < 0 || age > FRESH_MS) this.check();
    else this.assume();
  }

  /**
   * Asks the system, which takes some microseconds. After a write, and before it is called done.
   *
   * @throws {StorageLost}
   */
  check(): void {
    if (this.#lost !== undefined) throw this.#lost;
    this.#checkedAt = this.#clock.date();
    let by: string | undefined;
    try {
      by = this.#replacedBy();
    } catch (cause) {
      throw this.#isAway(cause as Error);
    }
    if (by !== undefined) throw this.#lose(by);
    if (this.#away === undefined) return;
    this.#away = undefined;
    this.#options.onWarning?.(`the folder ${this.#folder} is back: writing goes on`);
  }

  /** @returns what has taken the place of what is this process's, or undefined */
  #replacedBy(): string | undefined {
    const lock = statSync(this.#lockPath, { bigint: true });
    if (this.#isNetwork) this.#openAgain();
    else {
      const record = statSync(this.#ownerPath, { bigint: true });
      if (!isSame(lock, this.#lockId)) return `another file is in the place of ${this.#lockPath}`;
      if (!isSame(record, this.#recordId)) return 'another file is in the place of its record';
    }
    const length = readSync(this.#record, this.#seen, 0, this.#seen.length, 0);
    if (length === this.#head.length && this.#seen.equals(this.#head)) return undefined;
    return nameOf(readFileSync(this.#ownerPath));
  }

  /** A network's file system promises what others wrote only to who opens a file after that. */
  #openAgain(): void {
    const record = openSync(this.#ownerPath, constants.O_RDWR);
    closeSync(this.#record);
    this.#record = record;
  }

  #isAway({ message }: Error): StorageLost {
    const isNew = this.#away === undefined;
    this.#away = new StorageLost(
      `the folder ${this.#folder} is not where it was (${message}): put it back, or start the server again`,
    );
    if (isNew) this.#options.onWarning?.(`nothing is saved: ${this.#away.message}`);
    return this.#away;
  }

  #lose(by: string): StorageLost {
    this.#timer?.cancel();
    this.#lost = new StorageLost(
      `the store in ${this.#folder} has been taken from this process: ${by}`,
    );
    this.#options.onLost?.(this.#lost);
    return this.#lost;
  }

  #startBeats(): void {
    this.#timer = this.#clock.every(BEAT_MS, () => void this.beat());
  }

  /** Changes the record, so that others see that its owner lives. Resolves once it is changed; never rejects. */
  beat(): Promise<void> {
    if (this.#released !== undefined) return this.#released;
    this.#beating ??= this.#beatOnce()
      .catch((error: Error) => {
        // What the check found, it has told.
        if (error instanceof StorageLost || this.#isBeatFailing) return;
        this.#isBeatFailing = true;
        this.#options.onWarning?.(
          `other machines cannot see that ${this.#folder} is in use: ${error.message}`,
        );
      })
      .finally(() => {
        this.#beating = undefined;
      });
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    this.check();
    const record = recordOf(this.#owner, ++this.#beat);
    await writeAt(this.#record, record, 0, record.length, 0);
    // The kernel of this machine needs no disk to know it.
    if (this.#isNetwork) await datasync(this.#record);
    this.#isBeatFailing = false;
  }

  /** Where no lock decides, of two that wrote their records in one moment the later one has it. */
  async #confirm(): Promise<void> {
    await sleep(this.#clock, BEAT_MS);
    if (this.#replacedBy() !== undefined) throw inUse(this.#folder);
  }

  /** Closes what it has open; the record goes only where it is still its own. Again: the same promise. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    this.#timer?.cancel();
    await this.#beating;
    const isOwn = this.#lost === undefined && this.#isStillOwn();
    closeSync(this.#record);
    if (isOwn) rmSync(this.#ownerPath, { force: true });
    closeSync(this.#lock);
  }

  #isStillOwn(): boolean {
    try {
      return this.#replacedBy() === undefined;
    } catch (error) {
      // Nothing of it is where it was: there is nothing to remove.
      if ((error as NodeJS.ErrnoException).syscall !== undefined) return false;
      throw error;
    }
  }
}

function onNetwork(folder: string, { name }: FileSystem): FolderUnusable {
  return new FolderUnusable(
    `${folder} is on a file system of a network, or one that may be (${name}): what was saved can be lost there; use a disk ` +
      'of this machine, or Postgres or Redis as the store; ALLOW_NETWORK_FOLDER=on takes it all the same',
  );
}

function withoutLocks(folder: string, problem: string): FolderUnusable {
  return new FolderUnusable(
    `files in ${folder} cannot be locked (${problem}), so a second server could write there: use another ` +
      'file system, or Postgres or Redis as the store; ALLOW_NETWORK_FOLDER=on takes it all the same',
  );
}

/**
 * Waits until nobody else can be writing here. The owner's record is gone once it has closed the
 * store. Of one that was killed it is left; it is dead where this kernel would know of its lock.
 * Otherwise, such as where it ran on another machine, it is dead once its record stands still.
 *
 * @throws {StorageInUse}
 */
async function settle(
  folder: string,
  fd: number,
  isLocked: boolean,
  { clock = systemClock, onWarning }: LockOptions,
): Promise<void> {
  const path = join(folder, OWNER_FILE);
  const found = readRecord(path);
  if (found === undefined) return;
  const before = ownerIn(found);
  const own = newOwner(fstatSync(fd, { bigint: true }));
  // The same folder may be mounted twice, by file systems that do not see each other's locks.
  const isOfLock = before?.inode === own.inode && before.device === own.device;
  if (isLocked && before?.boot === own.boot && isOfLock) return;
  const name = nameOf(found);
  onWarning?.(
    `${name} has not closed the store in ${folder}: looking for ${STALE_MS / 1_000} s whether it still writes there`,
  );
  const end = clock.now() + STALE_MS;
  while (clock.now() < end) {
    await sleep(clock, LOOK_MS);
    const now = readRecord(path);
    if (now === undefined) return;
    if (!now.equals(found)) throw inUse(folder);
  }
  onWarning?.(`${name} is not heard of any more: the store in ${folder} is taken over`);
}

function inUse(folder: string): StorageInUse {
  const name = nameOf(readRecord(join(folder, OWNER_FILE)));
  return new StorageInUse(
    `another process has the store in ${folder} open (${name}): stop it first`,
  );
}

function readRecord(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Keeps the process: a command that waits here must not end by itself. */
async function sleep(clock: Clock, ms: number): Promise<void> {
  const hold = setInterval(() => undefined, LONG_MS);
  await new Promise<void>((resolve) => clock.after(ms, resolve));
  clearInterval(hold);
}
