/** The store that a command works on, opened and closed around it. */
import type { Config } from '../config.js';
import { shownUrl } from '../service-url.js';
import {
  isStoreThere,
  openStorage,
  STORAGE_URL_FORMS,
  storageUrlProblem,
} from '../storage/open.js';
import type { Storage } from '../storage/storage.js';
import { Failure, UsageError } from './command.js';
import { complain } from './output.js';

export const STORAGE_OPTION = {
  storage: {
    type: 'string',
    value: 'url',
    help: `${STORAGE_URL_FORMS.replace(' or memory:', '')}; as the server's if left out`,
  },
} as const;

/** @throws {UsageError} when it is no address of a store, or of one that ends with this process */
export function storageUrl(given: string | undefined, config: Config): string {
  const url = given ?? config.storageUrl;
  const problem = url.startsWith('memory:') ? STORAGE_URL_FORMS : storageUrlProblem(url);
  if (problem === undefined) return url;
  throw new UsageError(`a store is ${problem.replace(' or memory:', '')}`);
}

/** @param use hears, too, whether the store was damaged when it was opened */
export async function withStore<T>(
  url: string,
  { allowNetworkFolder }: Pick<Config, 'allowNetworkFolder'>,
  use: (store: Storage, wasSalvaged: boolean) => Promise<T>,
): Promise<T> {
  let wasSalvaged = false;
  const store = await openStorage(url, {
    onSalvage: ({ damage, aside, records }) => {
      wasSalvaged = true;
      complain(
        `the store was damaged (${damage}): it lies in ${aside}, ${records} records were kept`,
      );
    },
    onWarning: complain,
    allowNetworkFolder,
  });
  try {
    return await use(store, wasSalvaged);
  } finally {
    await store.close();
  }
}

/** Not one that would be made by looking at it: a name that was typed wrong is no empty store. */
export async function withExistingStore<T>(
  url: string,
  config: Pick<Config, 'allowNetworkFolder'>,
  use: (store: Storage, wasSalvaged: boolean) => Promise<T>,
): Promise<T> {
  if (!isStoreThere(url)) throw new Failure(`there is no store at ${shownUrl(url)}`);
  return await withStore(url, config, use);
}
