/** Records that are as they were written, and are none; and what is said beside an update. */
import { IDBObjectStore } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { written } from '../test/copies.js';
import { all, answer, type Damage, damage, database, type Row } from '../test/damage.js';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  type Parts,
  save,
  setUpPages,
  textOf,
  type,
} from '../test/pages.js';
import { keyOf } from './offline-database.js';
import { sumOf } from './offline-records.js';
import { recoverable } from './offline-recoverable.js';
import type { CowriteProvider } from './provider.js';

let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ network, open } = setUpPages({ offline: true, tabs: false }));
});

afterEach(closePages);

const LETTERS = 'abcdefgh';

/** A page without a server writes letters, each at the end and under a key of its own. */
async function write(room = 'room'): Promise<void> {
  const page = open({ connect: false, room });
  await page.whenLoaded();
  for (const letter of LETTERS) {
    page.doc.transact(() => {
      type(page, letter);
      page.doc.getMap(letter).set('is', 'here');
    });
  }
  await written();
  page.destroy();
}

/** A document is opened again, without a server. @param typed before the copy is there */
async function reopen(typed = '') {
  const page = open({ connect: false });
  page.doc.getText('t').insert(0, typed);
  const told: string[] = [];
  page.on('connection-error', ({ error }) => told.push(error.message));
  await page.whenLoaded();
  await written();
  return { page, told };
}

/** In any order: what was lost stands in one place or the other beside what was typed since. */
const lettersIn = (page: CowriteProvider) => [...textOf(page)].sort().join('');

/** What a server has after all that was sent on the last socket. */
function atServer(): Y.Doc {
  const doc = new Y.Doc();
  for (const message of documentsOf(network.last)) {
    if ('update' in message) Y.applyUpdate(doc, message.update);
  }
  return doc;
}

const summed = (row: Row, update: Uint8Array) => ({
  ...row,
  update,
  sum: sumOf({ ...row, update }),
});

const bytesLike = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 97 + 13) % 256);

const QUARANTINED = 'damaged records of the offline copy were quarantined: 1';
const MISSING = 'records of the offline copy are missing';

const UNUSABLE: readonly (readonly [how: string, told: string, change: Damage])[] = [
  ['random bytes', QUARANTINED, (row) => summed(row, Uint8Array.of(9, 3, 200, 17, 4, 0, 1, 2))],
  ['other random bytes', QUARANTINED, (row) => summed(row, bytesLike(40))],
  ['cut inside a struct', QUARANTINED, (row) => summed(row, row.update.slice(0, -9))],
  ['empty', QUARANTINED, (row) => summed(row, new Uint8Array(0))],
  ['of which Yjs throws', QUARANTINED, (row) => summed(row, SELF_ORIGIN)],
  ['of the other format', MISSING, (row) => summed(row, Y.convertUpdateFormatV1ToV2(row.update))],
  ['that is not there any more', MISSING, () => undefined],
];

/** An item whose origin is in its own future. */
const SELF_ORIGIN = Uint8Array.of(1, 1, 5, 0, 0x84, 5, 3, 1, 0x61, 0);

describe('[CLI-50] a record that cannot be part of the document', () => {
  describe.each(UNUSABLE)('%s', (_, message, change) => {
    test.each([0, 3])('number %i: the rest is there, unsaved, and sent', async (at) => {
      await write();
      await damage(change, at);
      const rest = LETTERS.replace(LETTERS[at]!, '');
      const { page, told } = await reopen();
      expect([textOf(page), page.unsaved, told]).toEqual([rest, true, [message]]);
      page.connect();
      accept(network.last);
      const server = atServer();
      expect(server.getText('t').toString()).toBe(rest);
      for (const letter of rest) expect(server.getMap(letter).get('is')).toBe('here');
      expect([server.store.pendingStructs, page.unsaved]).toEqual([null, true]);
      save(network.last);
      expect(page.unsaved).toBe(false);
      type(page, '!');
      save(network.last);
      await written();
      page.destroy();
      const again = await reopen();
      expect([textOf(again.page), again.page.unsaved, again.told]).toEqual([`${rest}!`, false, []]);
    });

    test('what was typed before the copy was read is kept as well', async () => {
      await write();
      await damage(change, 3);
      const { page, told } = await reopen('+');
      expect([lettersIn(page), told]).toEqual(['+abcefgh', [message]]);
      page.destroy();
      const again = await reopen();
      expect([lettersIn(again.page), again.page.unsaved, again.told]).toEqual([
        '+abcefgh',
        true,
        [],
      ]);
    });
  });

  test('cut behind the last struct: what could be read of it is kept', async () => {
    await write();
    await damage((row) => summed(row, row.update.slice(0, -1)), 3);
    const { page, told } = await reopen();
    expect([textOf(page), told]).toEqual([LETTERS, [QUARANTINED]]);
    page.destroy();
    expect(textOf((await reopen()).page)).toBe(LETTERS);
  });

  test('that a server has: it comes from there, and nothing is made up', async () => {
    const page = open();
    await page.whenLoaded();
    accept(network.last);
    for (const letter of 'abc') type(page, letter);
    save(network.last);
    await written();
    const server = atServer();
    page.disconnect();
    for (const letter of 'def') type(page, letter);
    await written();
    page.destroy();
    await damage(() => undefined, 1);
    const again = await reopen();
    expect([textOf(again.page), again.page.unsaved, again.told]).toEqual(['a', true, [MISSING]]);
    again.page.connect();
    accept(network.last, server);
    expect(textOf(again.page)).toBe('abcdef');
    Y.applyUpdate(server, Y.encodeStateAsUpdate(atServer()));
    expect(server.getText('t').toString()).toBe('abcdef');
  });

  test('a document of the application that waits for something is none of these', async () => {
    await write();
    const doc = docOf('known');
    const before = Y.encodeStateVector(doc);
    doc.getText('t').insert(0, 'more');
    const torn = new Y.Doc();
    Y.applyUpdate(torn, Y.encodeStateAsUpdate(doc, before));
    const page = open({ connect: false, doc: torn });
    const told: string[] = [];
    page.on('connection-error', ({ error }) => told.push(error.message));
    await page.whenLoaded();
    await written();
    expect([textOf(page), told]).toEqual([LETTERS, []]);
  });
});

const RANGES = { clients: new Map([[1, 'x']]) };

describe('[CLI-51] what is said beside an update', () => {
  test.each<[what: string, change: Damage]>([
    ['that it is saved', (row) => ({ ...row, isUnsaved: false })],
    ['that a server sent it', (row) => ({ ...row, isUnsaved: false, from: 'server' })],
    ['a change that is none', (row) => ({ ...row, from: { insertions: RANGES, deletions: 7 } })],
    ['traces that are none', (row) => ({ ...row, from: { ...NO_CHANGE, traces: 5 } })],
    ['another document', (row) => ({ ...row, generation: 77 })],
  ])('damaged, it says %s: the update is loaded, unsaved, and sent', async (_, change) => {
    await write();
    for (let at = 0; at < LETTERS.length; at++) await damage(change, at);
    const { page, told } = await reopen();
    expect([textOf(page), page.unsaved, page.generation, told]).toEqual([LETTERS, true, null, []]);
    page.connect();
    accept(network.last, new Y.Doc(), 5);
    expect([page.status, atServer().getText('t').toString()]).toEqual(['online', LETTERS]);
  });

  test.each<[what: string, change: Damage]>([
    ['another life', (entry) => ({ ...entry, life: 'other' })],
    ['that all is saved', (entry) => ({ ...entry, savedUpTo: 1_000_000 })],
    ['another document', (entry) => ({ ...entry, generation: 77 })],
  ])('a damaged entry says %s: all of it is there, unsaved, and sent', async (_, change) => {
    await write();
    await damage(change, 0, 'copies');
    // One that was opened meanwhile takes nothing of it for what is left of a removed copy.
    await write('other');
    const { page, told } = await reopen();
    expect([textOf(page), page.unsaved, told]).toEqual([LETTERS, true, [QUARANTINED]]);
    page.connect();
    accept(network.last, new Y.Doc(), 5);
    expect([page.status, atServer().getText('t').toString()]).toEqual(['online', LETTERS]);
  });
});

const NO_CHANGE = { insertions: { clients: new Map() }, deletions: { clients: new Map() } };

describe('[CLI-51] what the browser does not give', () => {
  /** From now on it does not give a record of a store, and so not all of them at once. */
  function lose(store: string, lost: IDBValidKey): void {
    const { getAll, get } = IDBObjectStore.prototype;
    const failing = () => {
      const request: Partial<IDBRequest> = { error: new DOMException('', 'UnknownError') };
      queueMicrotask(() => request.onerror?.call(request as IDBRequest, new Event('error')));
      return request as IDBRequest;
    };
    vi.spyOn(IDBObjectStore.prototype, 'get').mockImplementation(function (
      this: IDBObjectStore,
      key,
    ) {
      return this.name === store && key === lost ? failing() : get.call(this, key as IDBValidKey);
    } as typeof get);
    vi.spyOn(IDBObjectStore.prototype, 'getAll').mockImplementation(function (
      this: IDBObjectStore,
    ) {
      return this.name === store ? failing() : getAll.call(this);
    } as typeof getAll);
  }

  test('of another copy ends no copy', async () => {
    await write();
    await write('other');
    const entries = (await all('copies')) as { room: string; key: string }[];
    lose('copies', entries.find(({ room }) => room === 'other')!.key);
    const { page, told } = await reopen();
    type(page, '!');
    await written();
    expect([textOf(page), told]).toEqual([`${LETTERS}!`, []]);
    page.destroy();
    vi.restoreAllMocks();
    expect(textOf((await reopen()).page)).toBe(`${LETTERS}!`);
  });

  test('of what is preserved hides nothing else that is', async () => {
    await write();
    const of = { url: 'ws://host/ws', room: 'room', user: '' };
    const opened = await database();
    const store = opened.transaction('recoverable', 'readwrite').objectStore('recoverable');
    for (const at of [1, 2]) await answer(store.add({ key: keyOf(of), at }));
    opened.close();
    lose('recoverable', 1);
    expect((await recoverable(of, null, new Date())).map(({ at }) => at.getTime())).toEqual([2]);
  });
});
