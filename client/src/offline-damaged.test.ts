import { IDBFactory, IDBIndex, IDBObjectStore } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { fillDisk, holdDatabase, written } from '../test/copies.js';
import { all, answer, type Damage, damage, database, type Row } from '../test/damage.js';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  type Parts,
  save,
  setUpPages,
  textAt,
  textOf,
  type,
} from '../test/pages.js';
import { clearOfflineCopies } from './offline.js';
import type { CowriteProvider } from './provider.js';

let clock: Parts['clock'];
let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ clock, network, open } = setUpPages({ offline: true, tabs: false }));
});

afterEach(closePages);

const LETTERS = 'abcdefgh';

/** A page without a server writes letters, each at the end and under a key of its own. */
async function write(letters = LETTERS): Promise<void> {
  const page = open({ connect: false });
  await page.whenLoaded();
  for (const letter of letters) {
    page.doc.transact(() => {
      type(page, letter);
      page.doc.getMap(letter).set('is', 'here');
    });
  }
  await written();
  page.destroy();
}

/** A document is opened again, without a server. */
async function reopen() {
  const page = open({ connect: false });
  // As an editor does.
  page.doc.getText('t');
  const told: string[] = [];
  page.on('connection-error', ({ error }) => told.push(error.message));
  await page.whenLoaded();
  await written();
  return { page, told };
}

const keysOf = ({ doc }: CowriteProvider) =>
  [...LETTERS].filter((letter) => doc.getMap(letter).has('is')).join('');

/** What a server has after all that was sent on the last socket. */
function atServer(): Y.Doc {
  const doc = new Y.Doc();
  for (const message of documentsOf(network.last)) {
    if ('update' in message) Y.applyUpdate(doc, message.update);
  }
  return doc;
}

const DAMAGES: readonly (readonly [how: string, change: Damage])[] = [
  ['random bytes', (row) => ({ ...row, update: Uint8Array.from([9, 3, 200, 17, 4, 0, 1, 2]) })],
  ['one other bit', (row) => ({ ...row, update: row.update.map((b, i) => (i === 9 ? b ^ 1 : b)) })],
  ['cut', (row) => ({ ...row, update: row.update.slice(0, -3) })],
  ['longer', (row) => ({ ...row, update: Uint8Array.from([...row.update, 0]) })],
  ['empty', (row) => ({ ...row, update: new Uint8Array(0) })],
  ['an update of something else', (row) => ({ ...row, update: Y.encodeStateAsUpdate(docOf('?')) })],
  ['null', (row) => ({ ...row, update: null })],
  ['a text', (row) => ({ ...row, update: 'update' })],
  ['an array buffer', (row) => ({ ...row, update: row.update.buffer })],
  ['without a sum', ({ sum: _, ...row }) => row],
  ['with other names', (row) => ({ l: row.life, u: row.update })],
  ['of another version', () => ({ version: 3, data: new Uint8Array(9) })],
  ['no record', () => null],
  ['a number', () => 7],
  ['of a copy with another kind of name', (row) => ({ ...row, key: 7 })],
  ['of no copy', ({ key: _, ...row }) => row],
  ['of another copy', (row) => ({ ...row, key: `${row.key}?` })],
  ['of another life', (row) => ({ ...row, life: `${row.life}?` })],
];

describe('[CLI-33] an offline copy with a damaged record', () => {
  describe.each(DAMAGES)('%s', (_, change) => {
    test.each([0, 3, 7])('number %i: the rest is there, unsaved, and sent', async (at) => {
      await write();
      await damage(change, at);
      const rest = LETTERS.replace(LETTERS[at]!, '');
      const { page, told } = await reopen();
      expect([keysOf(page), page.unsaved, page.loaded]).toEqual([rest, true, true]);
      expect(textOf(page)).toBe(rest);
      expect(told).toEqual(['damaged records of the offline copy were quarantined: 1']);
      page.connect();
      accept(network.last);
      const server = atServer();
      expect(server.getText('t').toString()).toBe(rest);
      expect(server.store.pendingStructs).toBeNull();
      expect(page.unsaved).toBe(true);
      save(network.last);
      expect(page.unsaved).toBe(false);
      type(page, '!');
      save(network.last);
      await written();
      page.destroy();

      expect(await all('damaged')).toHaveLength(1);
      const again = await reopen();
      expect([textOf(again.page), again.page.unsaved, again.told]).toEqual([`${rest}!`, false, []]);
      again.page.connect();
      accept(network.last, server);
      expect(again.told).toEqual([]);
    });
  });

  test('and then more of them', async () => {
    await write();
    for (const at of [1, 2, 5]) await damage(DAMAGES[0]![1], at);
    const { page, told } = await reopen();
    expect([textOf(page), keysOf(page), told.length]).toEqual(['adegh', 'adegh', 1]);
    page.connect();
    accept(network.last);
    expect(textAt(network.last)).toBe('adegh');
  });

  test('all of them', async () => {
    await write();
    for (let at = 0; at < LETTERS.length; at++) await damage(DAMAGES[0]![1], at);
    const { page } = await reopen();
    expect([textOf(page), page.unsaved]).toEqual(['', true]);
    page.connect();
    accept(network.last);
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('of which something was deleted later', async () => {
    const page = open({ connect: false });
    await page.whenLoaded();
    type(page, 'x');
    page.doc.getText('t').delete(0, 1);
    await written();
    page.destroy();
    await damage(DAMAGES[0]![1], 0);
    const again = await reopen();
    again.page.connect();
    accept(network.last);
    expect(atServer().store.pendingDs).toBeNull();
  });

  test('a type that others are in: they are gone with it, and nothing waits for it', async () => {
    const page = open({ connect: false });
    await page.whenLoaded();
    page.doc.getMap('m').set('inner', new Y.Map());
    (page.doc.getMap('m').get('inner') as Y.Map<number>).set('k', 1);
    page.doc.getMap('m').set('other', 2);
    await written();
    page.destroy();
    await damage(DAMAGES[0]![1], 0);
    const again = await reopen();
    expect(again.page.doc.getMap('m').toJSON()).toEqual({ other: 2 });
    again.page.connect();
    accept(network.last);
    expect(atServer().getMap('m').toJSON()).toEqual({ other: 2 });
    expect(atServer().store.pendingStructs).toBeNull();
  });

  test('the browser does not give it: it stays where it is', async () => {
    await write();
    const unreadable = vi.spyOn(IDBIndex.prototype, 'getAll').mockImplementation(function (
      this: IDBIndex,
    ) {
      return failing(this.objectStore);
    } as never);
    const { get } = IDBObjectStore.prototype;
    const opened = await database();
    const keys = await answer(opened.transaction('updates').objectStore('updates').getAllKeys());
    opened.close();
    vi.spyOn(IDBObjectStore.prototype, 'get').mockImplementation(function (
      this: IDBObjectStore,
      key: unknown,
    ) {
      return key === keys[3] ? failing(this) : get.call(this, key as IDBValidKey);
    } as never);
    const { page, told } = await reopen();
    expect([keysOf(page), textOf(page), page.unsaved]).toEqual(['abcefgh', 'abcefgh', true]);
    expect(told).toHaveLength(1);
    expect(unreadable).toHaveBeenCalled();
    page.destroy();
    vi.restoreAllMocks();
    expect(await all('damaged')).toEqual([]);
    expect((await all('updates')).length).toBeGreaterThanOrEqual(LETTERS.length);
  });

  test('that the server has: it comes from there, and nothing is made up', async () => {
    await write('abc');
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    save(network.last);
    await written();
    const server = atServer();
    page.disconnect();
    for (const letter of 'def') type(page, letter);
    await written();
    page.destroy();
    await damage(DAMAGES[0]![1], 1);
    const again = await reopen();
    expect([textOf(again.page), again.page.unsaved, again.page.ready]).toEqual(['a', true, true]);
    again.page.connect();
    accept(network.last, server);
    expect(textOf(again.page)).toBe('abcdef');
    Y.applyUpdate(server, Y.encodeStateAsUpdate(atServer()));
    expect(server.getText('t').toString()).toBe('abcdef');
    save(network.last);
    expect(again.page.unsaved).toBe(false);
    expect(again.told).toHaveLength(1);
  });

  test('that the server has, and nothing is to be shown without it: there is no document yet', async () => {
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    type(page, 'a');
    save(network.last);
    await written();
    const server = atServer();
    page.disconnect();
    type(page, 'b');
    await written();
    page.destroy();
    await damage(DAMAGES[0]![1], 0);
    const again = await reopen();
    expect([textOf(again.page), again.page.loaded, again.page.ready]).toEqual(['', true, false]);
    again.page.connect();
    accept(network.last, server);
    expect([textOf(again.page), again.page.ready]).toEqual(['ab', true]);
  });

  test('the server does not answer: then what is there is shown', async () => {
    await write();
    await damage(DAMAGES[0]![1], 3);
    const page = open();
    await page.whenLoaded();
    expect(textOf(page)).toBe('abc');
    network.last.drop();
    expect([textOf(page), page.unsaved]).toEqual(['abcefgh', true]);
  });

  test('that the server has, and nobody knew: that is told, and the copy goes once all is saved', async () => {
    await write('abc');
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    const server = atServer();
    // Its "saved" is lost with the page.
    page.destroy();
    await damage(DAMAGES[0]![1], 1);
    for (const round of [1, 2]) {
      const { page: again, told } = await reopen();
      expect(textOf(again)).toBe('ac');
      if (round === 1) {
        again.destroy();
        continue;
      }
      again.connect();
      accept(network.last, server);
      expect(told.at(-1)).toMatch('open the document again');
      save(network.last);
      await written();
      expect(await all('copies')).toEqual([]);
    }
    const last = await reopen();
    last.page.connect();
    accept(network.last, server);
    expect([textOf(last.page), last.told]).toEqual(['abc', []]);
  });
});

function failing(store: IDBObjectStore): IDBRequest {
  // A key that no store has: its request fails, as one does whose value cannot be read.
  const request = store.add({ key: 'x', what: 'x' }, store.keyPath === null ? 1 : undefined);
  return request;
}

describe('[CLI-33] an offline copy whose entry is damaged', () => {
  test.each<[how: string, change: (entry: Row) => unknown]>([
    ['without a life', ({ life: _, ...entry }) => entry],
    ['with a number for a life', (entry) => ({ ...entry, life: 7 })],
    ['without a number that says what is saved', (entry) => ({ ...entry, savedUpTo: 'all' })],
    ['of which nothing is left', ({ key }) => ({ key })],
    ['of another version', ({ key }) => ({ key, version: 3 })],
  ])('%s: all of it is there, unsaved, and sent', async (_, change) => {
    await write();
    await damage(change, 0, 'copies');
    const { page, told } = await reopen();
    expect([textOf(page), page.unsaved, told.length]).toEqual([LETTERS, true, 1]);
    page.connect();
    accept(network.last);
    expect(textAt(network.last)).toBe(LETTERS);
    save(network.last);
    await written();
    page.destroy();
    const again = await reopen();
    expect([textOf(again.page), again.page.unsaved, again.told]).toEqual([LETTERS, false, []]);
  });

  test('while it is open', async () => {
    await write('abc');
    const { page, told } = await reopen();
    await damage(({ key }) => ({ key }), 0, 'copies');
    type(page, 'd');
    await written();
    page.destroy();
    const again = await reopen();
    expect([textOf(again.page), again.page.unsaved, told]).toEqual(['abcd', true, []]);
  });

  test('goes with all others of its user', async () => {
    await write('abc');
    await damage(({ key }) => ({ key }), 0, 'copies');
    await damage(DAMAGES[0]![1], 0);
    const { page } = await reopen();
    page.destroy();
    await damage(({ key }) => ({ key }), 0, 'copies');
    await clearOfflineCopies();
    for (const store of ['copies', 'updates', 'damaged']) expect(await all(store)).toEqual([]);
  });
});

describe('[CLI-34] nothing is called saved while an offline copy cannot be read', () => {
  const failures: [how: string, fail: () => void][] = [
    [
      'the browser forbids it',
      () => {
        vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
          throw new DOMException('forbidden', 'SecurityError');
        });
      },
    ],
    [
      'a newer version has changed it',
      () => {
        const { open: opens } = IDBFactory.prototype;
        vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(function (
          this: IDBFactory,
          name,
        ) {
          return opens.call(this, name, 1);
        });
      },
    ],
    [
      'its disk fails',
      () => {
        vi.spyOn(IDBIndex.prototype, 'getAllKeys').mockImplementation(() => {
          throw new DOMException('internal error', 'UnknownError');
        });
      },
    ],
  ];

  test.each(failures)('%s', async (_, fail) => {
    await write('abc');
    fail();
    const page = open();
    const errors: string[] = [];
    page.on('connection-error', ({ error }) => errors.push(error.message));
    await page.whenLoaded();
    accept(network.last);
    expect([page.status, page.unsaved]).toEqual(['online', true]);
    type(page, 'x');
    save(network.last);
    await written();
    expect([page.unsaved, page.lastSavedAt]).toEqual([true, null]);
    expect(errors).toEqual(['there is no offline copy of this document']);
    page.destroy();
    vi.restoreAllMocks();
    // It is still there.
    expect(textOf((await reopen()).page)).toBe('abc');
  });

  test('nor where the page does not connect, and its database is blocked by another page', async () => {
    await write('abc');
    const release = holdDatabase();
    const page = open({ connect: false });
    clock.advance(3_000);
    expect([page.loaded, page.unsaved]).toEqual([true, true]);
    release();
    await vi.waitFor(() => expect(textOf(page)).toBe('abc'));
    expect(page.unsaved).toBe(true);
  });

  test('until it is removed', async () => {
    await write('abc');
    const release = holdDatabase();
    const page = open();
    clock.advance(3_000);
    accept(network.last);
    expect(page.unsaved).toBe(true);
    release();
    await page.clearOffline();
    expect(page.unsaved).toBe(false);
  });

  test('a full disk is none of these: what was kept is read', async () => {
    await write('abc');
    fillDisk();
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    expect(textAt(network.last)).toBe('abc');
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('where there is no database there is no copy either', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    expect(page.unsaved).toBe(false);
  });
});
