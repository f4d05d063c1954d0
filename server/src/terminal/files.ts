/** Files that commands read and write; `-` is stdin or stdout. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from './command.js';

export function readFrom(path: string): AsyncIterable<Uint8Array> {
  return path === '-' ? process.stdin : createReadStream(path);
}

/** 0 for what nobody knows the size of. */
export async function sizeOf(path: string): Promise<number> {
  return path === '-' ? 0 : (await stat(path)).size;
}

/** A file is there once it is whole and on disk, and not before. */
export async function writeTo(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  if (path === '-') {
    await pipeline(Readable.from(bytes), process.stdout, { end: false });
    return;
  }
  const partial = `${path}.partial`;
  try {
    await pipeline(Readable.from(bytes), createWriteStream(partial, { mode: 0o600, flush: true }));
    await rename(partial, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
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
