/** A storage adapter from its address. */
import { LmdbStorage, type Salvage } from './lmdb.js';
import { MemoryStorage } from './memory.js';
import { PostgresStorage } from './postgres.js';
import { RedisStorage } from './redis.js';
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
    open: (url, { onSalvage }) => LmdbStorage.open(url.slice('lmdb:'.length), onSalvage),
  },
  {
    isShared: true,
    form: /^postgres(ql)?:\/\/./,
    open: (url, { onWarning }) => PostgresStorage.open(url, { onWarning }),
  },
  {
    isShared: true,
    form: /^rediss?:\/\/./,
    open: (url, { onWarning }) => RedisStorage.open(url, { onWarning }),
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

/** @param url one of {@link STORAGE_URL_FORMS} */
export async function openStorage(url: string, events: StorageEvents): Promise<Storage> {
  const kind = kindOf(url);
  if (kind === undefined) throw new TypeError(`storage is ${STORAGE_URL_FORMS}, not ${url}`);
  return await kind.open(url, events);
}

function kindOf(url: string): Kind | undefined {
  return KINDS.find(({ form }) => form.test(url));
}
