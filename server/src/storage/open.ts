/** A storage adapter from its address. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LmdbStorage, type Salvage } from './lmdb.js';
import { StorageInUse } from './lock.js';
import { MemoryStorage } from './memory.js';
import type { Storage } from './storage.js';

/** What an adapter has to say while it opens and runs. */
export interface StorageEvents {
  /** The data was damaged, and so much of it could be kept. */
  onSalvage(salvage: Salvage): void;
  /** One line: a setting of the store is weaker than "saved" promises, or it is away, or back. */
  onWarning(line: string): void;
}

interface Kind {
  readonly isShared: boolean;
  /** What the address looks like; the part behind the colon is checked by the adapter. */
  readonly form: RegExp;
  open(url: string, events: StorageEvents): Promise<Storage>;
}

const KINDS: readonly Kind[] = [
  {
    isShared: false,
    form: /^lmdb:./,
    open: (url, events) => LmdbStorage.open(url.slice('lmdb:'.length), events),
  },
  {
    isShared: true,
    form: /^postgres(ql)?:\/\/./,
    // Only who uses a database has its driver in memory.
    async open(url, { onWarning }) {
      const { PostgresStorage } = await import('./postgres.js');
      return await PostgresStorage.open(url, { onWarning });
    },
  },
  {
    isShared: true,
    form: /^rediss?:\/\/./,
    async open(url, { onWarning }) {
      const { RedisStorage } = await import('./redis.js');
      return await RedisStorage.open(url, { onWarning });
    },
  },
  { isShared: false, form: /^memory:/, open: async () => new MemoryStorage() },
];

export const STORAGE_URL_FORMS =
  'lmdb:<folder>, postgres://<host>/<database>, redis://<host>:<port> or memory:';

/** Whether {@link openStorage} knows this kind of address. */
export function isStorageUrl(url: string): boolean {
  return kindOf(url) !== undefined;
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
 * @throws {StorageUnavailable} when it cannot be opened, {@link StorageInUse}, or what the adapter throws
 */
export async function openStorage(url: string, events: StorageEvents): Promise<Storage> {
  const kind = kindOf(url);
  if (kind === undefined) throw new TypeError(`storage is ${STORAGE_URL_FORMS}`);
  try {
    return await kind.open(url, events);
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof StorageInUse) throw cause;
    // What a folder's files are wrong in is for the stack to say, if it is not that they cannot be opened.
    if (!kind.isShared && !isOfSystem(cause)) throw cause;
    const store = withoutPassword(url);
    throw new StorageUnavailable(`the store at ${store} cannot be used: ${cause.message}`, {
      cause,
    });
  }
}

/** A call to the system has failed: no rights, no such folder, no space. LMDB gives its number as the code. */
function isOfSystem(error: NodeJS.ErrnoException): boolean {
  return error.syscall !== undefined || typeof error.code === 'number';
}

export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@]*@/, '//***@');
}

function kindOf(url: string): Kind | undefined {
  return KINDS.find(({ form }) => form.test(url));
}
