import { IDBDatabase as FakeDatabase } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { contents, copies, written } from '../test/copies.js';
import {
  accept,
  closePages,
  type Page,
  type Parts,
  reject,
  save,
  setUpPages,
  textAt,
  textIn,
  textOf,
  type,
} from '../test/pages.js';
import { clearOfflineCopies } from './offline.js';

let network: Parts['network'];
let open: () => Page;
let kill: (page: Page) => void;
let globals: EventTarget;
let transactions: IDBTransaction[];

beforeEach(() => {
  globals = new EventTarget();
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    vi.stubGlobal(name, globals[name].bind(globals));
  }
  vi.stubGlobal('localStorage', fakeStorage());
  const parts = setUpPages({ offline: true, user: 'ada', tabs: false });
  ({ network, open, kill } = parts);
  const { transaction } = FakeDatabase.prototype;
  transactions = [];
  vi.spyOn(FakeDatabase.prototype, 'transaction').mockImplementation(function (
    this: IDBDatabase,
    ...args
  ) {
    const asked = transaction.apply(this, args);
    transactions.push(asked);
    // A browser aborts what waits, committed or not; this one only what is not.
    return Object.assign(asked, { commit: undefined });
  });
});

afterEach(closePages);

/** As browsers have it: what is in it are properties of its own. */
function fakeStorage(): Storage {
  const methods = {
    getItem: (name: string) => (storage[name] as string | undefined) ?? null,
    setItem: (name: string, value: string) => Object.assign(storage, { [name]: value }),
    removeItem: (name: string) => Reflect.deleteProperty(storage, name),
  };
  const storage = Object.create(methods) as Storage;
  return storage;
}

/** A page that has a copy with `before` in it, all saved, and a server that knows it. */
async function begun(): Promise<Page> {
  const page = open();
  await page.whenLoaded();
  accept(network.last);
  type(page, 'before');
  save(network.last);
  await written();
  network.last.drop();
  return page;
}

/** The page ends, and with it what it has asked of the database. */
async function end(page: Page): Promise<void> {
  globals.dispatchEvent(new Event('pagehide'));
  for (const transaction of transactions) {
    try {
      transaction.abort();
    } catch {
      // It is over.
    }
  }
  kill(page);
  page.destroy();
  await written();
}

describe('[CLI-27] a page that ends while the database is busy', () => {
  test('leaves what waits where the next one finds it: it is there, unsaved, and sent', async () => {
    const page = await begun();
    for (const letter of ' after') type(page, letter);
    await end(page);
    expect(textIn((await copies()).room!.updates)).toBe('before');
    expect(Object.keys(localStorage)).toHaveLength(1);

    const next = open();
    await next.whenLoaded();
    expect([textOf(next), next.unsaved]).toEqual(['before after', true]);
    expect(Object.keys(localStorage)).toEqual([]);
    await written();
    expect(textIn((await copies()).room!.updates)).toBe('before after');
    accept(network.last);
    expect(textAt(network.last)).toBe('before after');
  });

  test('leaves nothing where all is in the database', async () => {
    const page = await begun();
    type(page, ' after');
    await written();
    await end(page);
    expect(Object.keys(localStorage)).toEqual([]);
    const next = open();
    await next.whenLoaded();
    expect(textOf(next)).toBe('before after');
  });

  test('leaves what a refusal took back, with whose it was', async () => {
    const page = await begun();
    type(page, ' refused');
    await written();
    page.connect();
    accept(network.last);
    reject(network.last);
    save(network.last);
    await vi.waitFor(() => expect(textOf(page)).toBe('before'), 60_000);
    await end(page);
    expect(Object.keys(localStorage)).toHaveLength(1);
    const next = open();
    await next.whenLoaded();
    expect(textOf(next)).toBe('before');
    await written();
    const { rows } = await contents();
    expect(rows.every(({ update }) => update instanceof Uint8Array)).toBe(true);
  });

  test('and is removed with its copy', async () => {
    const page = await begun();
    type(page, ' after');
    await end(page);
    await clearOfflineCopies();
    expect(Object.keys(localStorage)).toEqual([]);
    const next = open();
    await next.whenLoaded();
    expect(textOf(next)).toBe('');
  });

  test('is not brought back by what another page has removed meanwhile', async () => {
    const page = await begun();
    type(page, ' after');
    await end(page);
    const [name, left] = Object.entries(localStorage)[0] as [string, string];
    await clearOfflineCopies();
    localStorage.setItem(name, left);
    const next = open();
    await next.whenLoaded();
    expect(textOf(next)).toBe('');
  });

  test.each([
    [
      'is full',
      {
        setItem: () => {
          throw new DOMException('full', 'QuotaExceededError');
        },
      },
    ],
    ['holds something else', { 'cowrite offline x': '{"key"' }],
  ])('ends as it would where the place %s', async (_, storage) => {
    vi.stubGlobal('localStorage', Object.assign(fakeStorage(), storage));
    const page = await begun();
    type(page, ' after');
    await end(page);
    const next = open();
    await next.whenLoaded();
    expect(textOf(next)).toContain('before');
  });
});
