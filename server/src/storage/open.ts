/** A storage adapter from its address. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  POSTGRES_FORM,
  REDIS_FORM,
  readPostgresUrl,
  readRedisUrl,
  shownUrl,
} from '../service-url.js';
import { FolderUnusable } from './file-system.js';
import type { Salvage } from './lmdb-salvage.js';
import { StorageInUse, type StorageLost } from './lock.js';
import { MemoryStorage } from './memory.js';
import { tlsProblem } from './postgres-tls.js';
import type { Storage } from './storage.js';

/** What an adapter has to say while it opens and runs. */
export interface StorageEvents {
  /** The data was damaged, and so much of it could be kept. */
  onSalvage(salvage: Salvage): void;
  /** One line: a setting of the store is weaker than "saved" promises, or it is away, or back. */
  onWarning(line: string): void;
  /** The store is another process's from now on: nothing more is saved, or read, here. */
  onLost?(error: StorageLost): void;
}

export interface StorageOptions extends StorageEvents {
  /** Whether a folder may be on a network file system, or one without locks. */
  readonly allowNetworkFolder?: boolean | undefined;
}

interface Kind {
  readonly isShared: boolean;
  /** What the address begins with. */
  readonly form: RegExp;
  /** What the whole of it has to be, where it is not. */
  problem?(url: string): string | undefined;
  open(url: string, options: StorageOptions): Promise<Storage>;
}

const LMDB_FORM =
  'lmdb:<folder>, such as lmdb:./data or lmdb:/var/lib/cowrite; nothing replaces ~ or $ in it, and // would lead to the root';

/** One of such a name would be made, somewhere. */
function isFolder(text: string): boolean {
  return !/^~|^["']|["']$|\$|^\/\/[^/]/.test(text);
}

const KINDS: readonly Kind[] = [
  {
    isShared: false,
    form: /^lmdb:./,
    problem: (url) => (isFolder(url.slice('lmdb:'.length)) ? undefined : LMDB_FORM),
    async open(url, { allowNetworkFolder = false, ...events }) {
      const { LmdbStorage } = await import('./lmdb.js');
      return await LmdbStorage.open(url.slice('lmdb:'.length), {
        onSalvage: (salvage) => events.onSalvage(salvage),
        onWarning: (line) => events.onWarning(line),
        onLost: (error) => events.onLost?.(error),
        allowNetwork: allowNetworkFolder,
      });
    },
  },
  {
    isShared: true,
    form: /^postgres(ql)?:\/\/./,
    problem(url) {
      const address = readPostgresUrl(url);
      return address === undefined ? POSTGRES_FORM : tlsProblem(address);
    },
    // Only who uses a database has its driver in memory.
    async open(url, { onWarning }) {
      const { PostgresStorage } = await import('./postgres.js');
      return await PostgresStorage.open(url, { onWarning });
    },
  },
  {
    isShared: true,
    form: /^rediss?:\/\/./,
    problem: (url) => (readRedisUrl(url) === undefined ? REDIS_FORM : undefined),
    async open(url, { onWarning }) {
      const { RedisStorage } = await import('./redis.js');
      return await RedisStorage.open(url, { onWarning });
    },
  },
  { isShared: false, form: /^memory:/, open: async () => new MemoryStorage() },
];

export const STORAGE_URL_FORMS =
  'lmdb:<folder>, postgres://<host>/<database>, redis://<host>:<port> or memory:';

/** @returns what an address has to be, where this one is none that {@link openStorage} takes */
export function storageUrlProblem(url: string): string | undefined {
  const kind = kindOf(url);
  return kind === undefined ? STORAGE_URL_FORMS : kind.problem?.(url);
}

/** Whether several instances may use what is at this address. */
export function isSharedStorageUrl(url: string): boolean {
  return kindOf(url)?.isShared === true;
}

/** Whether something is there already; of a store elsewhere only opening it tells. */
export function isStoreThere(url: string): boolean {
  const [, folder] = /^lmdb:(.+)$/.exec(url) ?? [];
  return folder === undefined || existsSync(join(folder, 'data.mdb'));
}

/** The store is not there, or does not let us in. The message says which, without the password. */
export class StorageUnavailable extends Error {
  override readonly name = 'StorageUnavailable';
}

/**
 * @param url one of {@link STORAGE_URL_FORMS}
 * @throws {TypeError} for no such address, {@link StorageUnavailable} when it cannot be opened,
 *   {@link StorageInUse}, or what the adapter throws
 */
export async function openStorage(url: string, options: StorageOptions): Promise<Storage> {
  const problem = storageUrlProblem(url);
  if (problem !== undefined) throw new TypeError(`storage must be ${problem}`);
  const kind = kindOf(url)!;
  try {
    return await kind.open(url, options);
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof StorageInUse) throw cause;
    // What a folder's files are wrong in is for the stack to say, if it is not that they cannot be opened.
    const isTold = isOfSystem(cause) || cause instanceof FolderUnusable;
    if (!kind.isShared && !isTold) throw cause;
    throw new StorageUnavailable(`the store at ${shownUrl(url)} cannot be used: ${cause.message}`, {
      cause,
    });
  }
}

/** A call to the system has failed: no rights, no such folder, no space. LMDB gives its number as the code. */
function isOfSystem(error: NodeJS.ErrnoException): boolean {
  return error.syscall !== undefined || typeof error.code === 'number';
}

function kindOf(url: string): Kind | undefined {
  return KINDS.find(({ form }) => form.test(url));
}
