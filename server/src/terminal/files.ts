/** Files that commands read and write; `-` is stdin or stdout. */
import { createWriteStream } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from './command.js';
import { useStdout } from './output.js';

/** Opened once: what is read may be a pipe. @throws when it is not there, or is a folder */
export async function readFrom(path: string): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return process.stdin;
  const file = await open(path);
  if ((await file.stat()).isDirectory()) {
    await file.close();
    throw new Failure(`${path} is a folder`);
  }
  return file.createReadStream();
}

/** 0 for what nobody knows the size of. */
export async function sizeOf(path: string): Promise<number> {
  return path === '-' ? 0 : (await stat(path)).size;
}

/** Whether what is written there can be read again: it is not stdout, nor a device or pipe. */
export async function canBeReadAgain(path: string): Promise<boolean> {
  return path !== '-' && ((await statOf(path))?.isFile() ?? true);
}

/** For nobody else to read. */
const PRIVATE = 0o600;

/** @throws {Failure} where a file is there; a device or a pipe is none */
export async function refuseExisting(path: string): Promise<void> {
  if (path === '-' || (await statOf(path))?.isFile() !== true) return;
  throw new Failure(`${path} is there already: give another name, or --force to replace it`);
}

interface Writing {
  /** Of a new file; one that is replaced never becomes readable for more than it was. */
  readonly mode?: number;
  /** Whether it takes the place of a file that is there. */
  readonly isReplaced?: boolean;
}

/** A file is there once it is whole and on disk, and not before. */
export async function writeTo(
  path: string,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { mode = PRIVATE, isReplaced = true }: Writing = {},
): Promise<void> {
  if (path === '-') {
    await writeToStdout(bytes);
    return;
  }
  const before = await statOf(path);
  if (before !== undefined && !before.isFile()) {
    // Such as /dev/null, or a pipe: another file must not take its place.
    await pipeline(Readable.from(bytes), createWriteStream(path));
    return;
  }
  // A link stays one.
  const target = before === undefined ? path : await realpath(path);
  const partial = `${target}.partial`;
  // What was left there, or put there by somebody else, would keep its mode, or lead elsewhere.
  await rm(partial, { force: true });
  const output = createWriteStream(partial, {
    flags: 'wx',
    mode: mode & (before?.mode ?? mode),
    flush: true,
  });
  try {
    await pipeline(Readable.from(bytes), output);
    // Another one may have been made while this one was written.
    if (!isReplaced) await refuseExisting(target);
    await rename(partial, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeToStdout(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  useStdout('document');
  try {
    await pipeline(Readable.from(bytes), process.stdout, { end: false });
  } catch (error) {
    const { code, message, syscall } = error as NodeJS.ErrnoException;
    if (code === 'EPIPE') throw new Failure('stdout was closed before all of it was written');
    if (syscall === 'write') throw new Failure(`stdout: ${message}`);
    throw error;
  }
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** So that the name is there after a power cut. Windows does that by itself, and opens no folders. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** In one line, what about a file did not work; everything else is thrown as it is. */
export async function explained<T>(path: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new Failure(`${path}: ${(error as Error).message}`);
  }
}
