/** A storage adapter from its address. */
import { LmdbStorage, type Salvage } from './lmdb.js';
import { MemoryStorage } from './memory.js';
import type { Storage } from './storage.js';

type OnSalvage = (salvage: Salvage) => void;

const OPENERS: Record<string, (address: string, onSalvage: OnSalvage) => Promise<Storage>> = {
  lmdb: (folder, onSalvage) => LmdbStorage.open(folder, onSalvage),
  memory: async () => new MemoryStorage(),
};

export const STORAGE_URL_FORMS = 'lmdb:<folder> or memory:';

/** Whether {@link openStorage} knows this kind of address. */
export function isStorageUrl(url: string): boolean {
  const [scheme, address] = split(url);
  return Object.hasOwn(OPENERS, scheme) && (scheme !== 'lmdb' || address !== '');
}

/**
 * @param url `lmdb:<folder>` or `memory:`
 * @param onSalvage hears when what was there is damaged, and what could be kept of it
 */
export async function openStorage(url: string, onSalvage: OnSalvage): Promise<Storage> {
  if (!isStorageUrl(url)) throw new TypeError(`storage is ${STORAGE_URL_FORMS}, not ${url}`);
  const [scheme, address] = split(url);
  return await OPENERS[scheme]!(address, onSalvage);
}

function split(url: string): [scheme: string, address: string] {
  const colon = url.indexOf(':');
  return colon < 0 ? [url, ''] : [url.slice(0, colon), url.slice(colon + 1)];
}
