/**
 * One process at a time in a folder.
 *
 * The lock is a listening socket, because the kernel lets go of it however the
 * process ends; a file with a process id would outlive SIGKILL, and in a
 * container every process has the same id.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Unlock = () => Promise<void>;

/** Another process has the store open. */
export class StorageInUse extends Error {
  override readonly name = 'StorageInUse';
}

/** @throws {StorageInUse} */
export async function lockFolder(folder: string): Promise<Unlock> {
  const address = lockAddress(realpathSync(folder));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // A pipe of Windows goes with its process, and leaves nothing to remove.
    const unlock = await (process.platform === 'win32' ? listen(address) : listenAlone(address));
    if (unlock !== undefined) return unlock;
    if (await answers(address)) break;
  }
  throw new StorageInUse(`another process has the store in ${folder} open`);
}

const ATTEMPTS = 40;

/** @returns undefined when the address is taken, by a process that lives or by one that was killed */
async function listen(address: string): Promise<Unlock | undefined> {
  const server = createServer((socket) => socket.destroy());
  const isListening = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(address, () => resolve(true));
  });
  if (!isListening) return undefined;
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/**
 * Listens, also in the place of a process that was killed. One process at a time
 * looks, removes and listens: between an owner's `bind` and its `listen` its socket
 * is there and nobody answers, and another would take it for one left behind.
 */
async function listenAlone(address: string): Promise<Unlock | undefined> {
  const turnstile = `${address}.turn`;
  try {
    mkdirSync(turnstile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Another is in there. One that was killed in there is not waited for.
    await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200));
    if (isOlderThan(turnstile, 5_000)) rmSync(turnstile, { recursive: true, force: true });
    return undefined;
  }
  try {
    if (await answers(address)) return undefined;
    rmSync(address, { force: true });
    return await listen(address);
  } finally {
    rmSync(turnstile, { recursive: true, force: true });
  }
}

function isOlderThan(path: string, ms: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > ms;
}

/** The owner of a socket file that nobody answers at was killed. */
function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A socket's path may have about 100 bytes, so a long folder's lock lies in the temporary folder. */
function lockAddress(folder: string): string {
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\cowrite-${digest}`;
  const inside = join(folder, 'lock.sock');
  return Buffer.byteLength(inside) <= 100 ? inside : join(tmpdir(), `cowrite-${digest}.sock`);
}
