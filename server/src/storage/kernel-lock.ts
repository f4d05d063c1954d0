/**
 * A lock that the kernel holds on a file, for as long as the file is open: so it ends with its
 * process, and excludes every other file that is opened at this path, in this process too.
 *
 * It is an OFD lock on Linux, flock(2) on macOS and LockFileEx on Windows. A POSIX lock would end
 * when the process closes any other file that it has opened at this path.
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { FolderUnusable } from './file-system.js';
import { PRIVATE_FILE } from './folder.js';

/** @returns false where another open file holds it. @throws where there are no locks */
export type TryLock = (fd: number) => boolean;

export const OPEN = constants.O_RDWR | constants.O_CREAT;
/** Its end would be one of the whole process: the linker finds `uv_get_osfhandle` nowhere. */
const NO_LOCKS_IN_DENO =
  'under Deno nothing keeps a second server out of the folder: run the server with Node, or keep documents in postgres:// or redis://';
/** How often another file may stand at the path once the one that was there is locked. */
const ATTEMPTS = 10;

/**
 * Locks the file at a path, which is made where it is not there.
 *
 * @returns the file, undefined where another has it locked; and what is wrong with the lock where
 *   it excludes nobody
 */
export async function lockFile(
  path: string,
  tryLock?: TryLock,
): Promise<{ fd: number | undefined; problem?: string | undefined }> {
  let attempt = tryLock;
  if (attempt === undefined) {
    if (process.versions.deno !== undefined) throw new FolderUnusable(NO_LOCKS_IN_DENO);
    try {
      attempt = (await import('fs-native-extensions')).tryLock;
    } catch (error) {
      return { fd: openSync(path, OPEN, PRIVATE_FILE), problem: (error as Error).message };
    }
  }
  for (let i = 0; i < ATTEMPTS; i++) {
    const fd = openSync(path, OPEN, PRIVATE_FILE);
    try {
      const result = isLocked(fd, attempt);
      if (result === false) {
        closeSync(fd);
        return { fd: undefined };
      }
      if (typeof result === 'string') return { fd, problem: result };
      const there = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (there !== undefined && isSame(there, fstatSync(fd, { bigint: true }))) {
        return { fd, problem: doesExclude(path, attempt) ? undefined : 'a lock excludes nobody' };
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
  throw new FolderUnusable(`another file takes the place of ${path} again and again`);
}

/** @returns why there are no locks, where there are none */
function isLocked(fd: number, tryLock: TryLock): boolean | string {
  try {
    return tryLock(fd);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // What Windows says of one that is locked.
    return code === 'EBUSY' ? false : message;
  }
}

/** Some file systems say yes to everybody. */
function doesExclude(path: string, tryLock: TryLock): boolean {
  const second = openSync(path, constants.O_RDWR);
  try {
    return isLocked(second, tryLock) === false;
  } finally {
    closeSync(second);
  }
}

export function isSame(one: BigIntStats, two: BigIntStats): boolean {
  return one.ino === two.ino && one.dev === two.dev;
}
