/** Moments at which a copy may be less, or more, than a page takes it for. Found by a hostile reviewer. */
import { IDBDatabase } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { contents, copies, forbidWriting, nextTurn, written } from '../test/copies.js';
import {
  accept,
  closePages,
  type Parts,
  save,
  setUpPages,
  textIn,
  textOf,
  type,
  watchClosing,
} from '../test/pages.js';
import { clearOfflineCopies } from './offline.js';
import type { CowriteProviderOptions } from './options.js';

let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ network, open } = setUpPages({ offline: true, tabs: false, user: 'ada' }));
});

afterEach(closePages);

async function reopen(options: Partial<CowriteProviderOptions> = {}) {
  const provider = open(options);
  await provider.whenLoaded();
  return provider;
}

/** As many rounds as many small updates may take. */
async function allWritten(): Promise<void> {
  for (let round = 0; round < 12; round++) await written();
}

/** What the copy of the room says of its size, and what it is. */
async function sizes() {
  const { rows, found } = await contents();
  const [copy] = found as unknown as { life: string; bytes: number }[];
  const own = rows.filter(({ life }) => life === copy?.life);
  return { says: copy?.bytes, has: own.reduce((sum, { update }) => sum + update.length, 0) };
}

function typeOften(page: Parameters<typeof type>[0], count: number, text: string): void {
  for (let edit = 0; edit < count; edit++) type(page, text);
}

describe('[CLI-18] the question of a page whose copy was removed by another', () => {
  test('is asked at once, also where nobody types any more', async () => {
    const isAsking = watchClosing();
    const page = await reopen();
    type(page, 'only here');
    await written();
    expect(isAsking()).toBe(false);
    await clearOfflineCopies();
    await vi.waitFor(() => expect([page.unsaved, isAsking()]).toEqual([true, true]));
    expect(await copies()).toEqual({});
  });

  test('is asked without a moment between, where pages cannot tell each other', async () => {
    vi.stubGlobal('BroadcastChannel', undefined);
    const isAsking = watchClosing();
    const page = await reopen();
    accept(network.last);
    type(page, 'a');
    save(network.last);
    await written();
    await clearOfflineCopies();
    await written();
    type(page, 'b');
    for (let turn = 0; turn < 40; turn++) {
      expect(isAsking()).toBe(true);
      await nextTurn();
    }
  });
});

describe('[CLI-28] the size of a copy', () => {
  test('is right when two pages have put the same updates together', async () => {
    const seed = await reopen();
    typeOften(seed, 100, 'x'.repeat(1_000));
    await allWritten();
    seed.destroy();
    for (const page of [await reopen(), await reopen()]) {
      typeOften(page, 120, 'y');
      await allWritten();
      const { says, has } = await sizes();
      expect(says).toBe(has);
    }
  });

  test('is right when a page ended before it had counted', async () => {
    const page = await reopen();
    accept(network.last);
    await written();
    type(page, 'x'.repeat(50_000));
    // From here on the page does nothing more.
    const gone = vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(() => {
      throw new Error('gone');
    });
    await written();
    gone.mockRestore();
    page.destroy();
    await reopen();
    await written();
    const { says, has } = await sizes();
    expect(says).toBe(has);
    expect(has).toBeGreaterThan(50_000);
  });
});

describe('[CLI-27] an offline copy', () => {
  test('gets what another document writes by a mirror while it is loaded', async () => {
    const first = await reopen();
    type(first, 'seed');
    await written();
    first.destroy();
    const [doc, mirror] = [new Y.Doc(), new Y.Doc()];
    doc.on('update', (update, origin) => origin !== mirror && Y.applyUpdate(mirror, update, doc));
    mirror.on('update', (update, origin) => origin !== doc && Y.applyUpdate(doc, update, mirror));
    const meta = mirror.getMap('meta');
    mirror.getText('t').observe(() => meta.has('version') || meta.set('version', 2));
    const second = await reopen({ doc });
    await written();
    expect(doc.getMap('meta').get('version')).toBe(2);
    second.destroy();
    await written();
    const third = await reopen();
    expect(third.doc.getMap('meta').get('version')).toBe(2);
  });

  test('in which nothing is unsaved says so also where nobody may write', async () => {
    const first = await reopen();
    await written();
    first.destroy();
    forbidWriting();
    const page = await reopen();
    expect([textOf(page), page.unsaved]).toEqual(['', false]);
  });

  test('has nothing that was written after the end of its provider', async () => {
    const page = await reopen();
    accept(network.last);
    typeOften(page, 201, 'x');
    save(network.last);
    await nextTurn();
    page.destroy();
    type(page, 'after');
    await allWritten();
    const { room } = await copies();
    expect(textIn(room?.updates ?? [])).toBe('x'.repeat(201));
  });

  test('that is empty is a document to show once a server has said that it is', async () => {
    const first = await reopen();
    await written();
    first.destroy();
    const second = await reopen();
    expect(second.ready).toBe(false);
    accept(network.last);
    await written();
    second.destroy();
    const third = open();
    await third.whenReady();
    expect([third.synced, textOf(third)]).toEqual([false, '']);
  });
});
