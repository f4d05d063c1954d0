import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { contents, copies, nextTurn, watchTransactions, written } from '../test/copies.js';
import type { FakeSocket } from '../test/fake-socket.js';
import {
  accept,
  closePages,
  docOf,
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
import type { CowriteProvider } from './provider.js';

const MANY_EDITS = 450;

let clock: Parts['clock'];
let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ clock, network, open } = setUpPages({ offline: true, tabs: false }));
});

afterEach(closePages);

/** A page that is gone when what it had is written, and the next one. */
async function close(provider: CowriteProvider): Promise<void> {
  await written();
  provider.destroy();
}

async function reopen(options: Partial<CowriteProviderOptions> = {}): Promise<CowriteProvider> {
  const provider = open(options);
  await provider.whenLoaded();
  return provider;
}

describe('[CLI-27] an offline copy', () => {
  test('is there before the network, and what was written without it is sent', async () => {
    const first = open();
    expect([first.loaded, first.status, network.sockets.length]).toEqual([false, 'connecting', 0]);
    await first.whenLoaded();
    type(first, 'written ');
    type(first, 'offline');
    await close(first);

    const second = open();
    await second.whenLoaded();
    expect([textOf(second), second.unsaved, second.status]).toEqual([
      ...['written offline', true, 'connecting'],
    ]);
    accept(network.last);
    const step2 = network.last.sent.find((message) => message.type === 'step2');
    expect(textIn(step2?.type === 'step2' ? [step2.update] : [])).toBe('written offline');
    save(network.last);
    expect(second.unsaved).toBe(false);
  });

  test('is a document to show unless it is empty', async () => {
    const first = await reopen();
    expect(first.ready).toBe(false);
    accept(network.last);
    await first.whenReady();
    network.last.drop();
    expect(first.ready).toBe(true);
    type(first, 'x');
    await close(first);
    const second = open();
    await second.whenReady();
    expect([second.ready, second.synced]).toEqual([true, false]);
  });

  test('is loaded as well when the provider is disconnected meanwhile', async () => {
    const first = await reopen();
    type(first, 'x');
    await close(first);
    const second = open();
    second.disconnect();
    await second.whenLoaded();
    expect([textOf(second), second.status, network.sockets.length]).toEqual(['x', 'offline', 1]);
    second.connect();
    expect(network.sockets.length).toBe(2);
  });

  test('says that all is saved when it was, and what came from the server is in it', async () => {
    const first = await reopen();
    accept(network.last);
    type(first, 'mine ');
    const remote = new Y.Doc();
    Y.applyUpdate(remote, Y.encodeStateAsUpdate(first.doc));
    remote.getText('t').insert(5, 'theirs');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(remote) });
    save(network.last);
    await close(first);
    const second = await reopen();
    expect([textOf(second), second.unsaved]).toEqual(['mine theirs', false]);
  });

  test('keeps what is written after disconnect()', async () => {
    const first = await reopen();
    first.disconnect();
    type(first, 'x');
    await close(first);
    expect(textOf(await reopen())).toBe('x');
  });

  test('keeps what is written without connect()', async () => {
    const first = await reopen();
    type(first, 'kept ');
    await close(first);
    const second = await reopen({ connect: false });
    expect([second.status, textOf(second)]).toEqual(['offline', 'kept ']);
    type(second, 'typed');
    await close(second);
    expect(textOf(await reopen())).toBe('kept typed');
  });

  test('gets what an observer writes while it is applied', async () => {
    const first = await reopen();
    type(first, 'seed ');
    await close(first);
    const doc = new Y.Doc();
    const meta = doc.getMap('meta');
    doc.getText('t').observe(() => meta.has('version') || meta.set('version', 2));
    const second = await reopen({ doc });
    type(second, 'typed');
    await close(second);
    const third = await reopen();
    expect([textOf(third), third.unsaved]).toEqual(['seed typed', true]);
    expect(third.doc.getMap('meta').get('version')).toBe(2);
  });

  test('leaves a document alone whose provider was destroyed while it was read', async () => {
    const first = await reopen();
    type(first, 'x');
    await close(first);
    for (let turns = 0; ; turns++) {
      const provider = open();
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      if (textOf(provider) !== '') break;
      provider.destroy();
      await written();
      expect(textOf(provider)).toBe('');
    }
  });

  test('that was being read when its page ended is whole, and unsaved as before', async () => {
    const half = 150;
    const [one, other] = [await reopen(), await reopen()];
    for (let edit = 0; edit < half; edit++) {
      type(one, 'a');
      type(other, 'b');
    }
    await vi.waitFor(async () => {
      expect((await copies()).room?.updates.length).toBe(2 * half);
    });
    await close(one);
    await close(other);
    for (let turns = 0; ; turns++) {
      const page = open();
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      if (textOf(page) !== '') break;
      page.destroy();
      await written();
      const { room } = await copies();
      expect(room?.isUnsaved).toBe(true);
      expect(textIn(room?.updates ?? []).length).toBe(2 * half);
    }
  });

  test('of another room, server or user is another', async () => {
    const first = await reopen({ user: 'ada' });
    type(first, 'secret');
    await close(first);
    for (const options of [{ user: 'bob' }, { room: 'other', user: 'ada' }, { url: 'ws://b/ws' }]) {
      expect(textOf(await reopen(options))).toBe('');
    }
    expect(textOf(await reopen({ user: 'ada' }))).toBe('secret');
  });

  test('takes what the document held before, and merges with it', async () => {
    const doc = docOf('brought');
    const first = await reopen({ doc });
    await close(first);
    const { room } = await copies();
    expect([textIn(room?.updates ?? []), room?.isUnsaved]).toEqual(['brought', true]);
    await close(await reopen({ doc }));
    expect((await copies()).room?.updates.length).toBeLessThanOrEqual(2);
  });

  test('is written anew as one update now and then', async () => {
    const first = await reopen();
    accept(network.last);
    for (let edit = 0; edit < MANY_EDITS; edit++) {
      type(first, 'x');
      if (edit % 2 === 0) await nextTurn();
    }
    await vi.waitFor(async () => {
      expect((await copies()).room?.updates.length).toBeLessThanOrEqual(201);
    });
    expect(textIn((await copies()).room?.updates ?? [])).toBe('x'.repeat(MANY_EDITS));
  });

  test('that is written by two pages loses nothing of either', async () => {
    const [one, other] = [await reopen(), await reopen()];
    for (let edit = 0; edit < MANY_EDITS; edit++) {
      type(one, 'a');
      type(other, 'b');
      if (edit % 2 === 0) await nextTurn();
    }
    await vi.waitFor(async () => {
      expect((await copies()).room?.updates.length).toBeLessThanOrEqual(402);
    });
    await close(one);
    await close(other);
    const letters = [...textOf(await reopen())].sort().join('');
    expect(letters).toBe('a'.repeat(MANY_EDITS) + 'b'.repeat(MANY_EDITS));
  });

  test('is not called saved by a page that does not have all of it', async () => {
    const [one, other] = [await reopen(), await reopen()];
    type(one, 'only here');
    accept(network.last);
    type(other, 'x');
    save(network.last);
    expect([one.unsaved, other.unsaved]).toEqual([true, false]);
    await written();
    type(other, 'y');
    save(network.last);
    await written();
    expect((await copies()).room?.isUnsaved).toBe(true);
  });

  test('is not called saved by a page that has as many updates, but others', async () => {
    const half = 150;
    const areThere = (count: number) =>
      vi.waitFor(async () => expect((await copies()).room?.updates.length).toBe(count));
    const seed = await reopen();
    accept(network.last);
    for (let edit = 0; edit < half; edit++) type(seed, 's');
    save(network.last);
    await areThere(half);
    await close(seed);
    const here = await reopen();
    accept(network.last);
    const away = await reopen();
    // More than 200 are put together. Then as many follow as the other page knows.
    for (let edit = half; edit <= 200; edit++) type(away, 'a');
    await areThere(1);
    for (let edit = 1; edit < half; edit++) type(away, 'a');
    await areThere(half);
    type(here, 'h');
    save(network.sockets[1] as FakeSocket);
    expect(here.unsaved).toBe(false);
    expect((await copies()).room?.isUnsaved).toBe(true);
  });

  test('has a change whose page ends in the next moment: it waits for nothing', async () => {
    const page = await reopen();
    type(page, 'x');
    await written();
    const asked = watchTransactions();
    for (const letter of 'offline') {
      type(page, letter);
      await nextTurn();
    }
    await written();
    expect(asked.filter((stores) => stores.includes('updates'))).toEqual(
      Array.from('offline', () => ['updates']),
    );
    expect(asked.length).toBeGreaterThan('offline'.length);
  });

  test('is called saved also when that came while it was being tidied', async () => {
    const page = await reopen();
    accept(network.last);
    const remote = new Y.Doc();
    remote.on('update', (update) => network.last.say({ type: 'update', update }));
    for (let turns = 0; turns < 30; turns++) {
      remote.getText('t').insert(0, 'theirs');
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      type(page, 'mine');
      await nextTurn();
      save(network.last);
      expect((await copies()).room?.isUnsaved).toBe(false);
    }
  });

  test('needs to know whose it is', () => {
    expect(() => open({ token: () => 'x' })).toThrow('pass the option user');
    expect(() => open({ offline: { maxBytes: 0 } })).toThrow('maxBytes');
  });
});

describe('[CLI-28] the bound', () => {
  const fill = async (room: string, isSaved: boolean, bytes = 100_000) => {
    const provider = await reopen({ room, offline: { maxBytes: 250_000 } });
    if (isSaved) accept(network.last);
    type(provider, 'x'.repeat(bytes));
    if (isSaved) save(network.last);
    await close(provider);
    clock.advance(1_000);
  };

  test('lets the copies go that were not used for longest', async () => {
    for (const room of ['a', 'b', 'c']) await fill(room, true);
    expect(Object.keys(await copies()).sort()).toEqual(['b', 'c']);
    await fill('b', true, 1);
    await fill('d', true);
    expect(Object.keys(await copies()).sort()).toEqual(['b', 'd']);
  });

  test('keeps the one that is open, also where the page’s clock was set back', async () => {
    clock.error = 3_600_000;
    for (const room of ['a', 'b']) await fill(room, true);
    clock.error = 0;
    await fill('c', true);
    expect(Object.keys(await copies()).sort()).toEqual(['b', 'c']);
  });

  test('lets none go that holds something unsaved', async () => {
    for (const room of ['a', 'b', 'c']) await fill(room, room === 'b');
    expect(Object.keys(await copies()).sort()).toEqual(['a', 'c']);
  });

  test('a document that is too large has no copy once it is saved, and that is told', async () => {
    const provider = await reopen({ offline: { maxBytes: 1_000 } });
    const errors: Error[] = [];
    provider.on('connection-error', ({ error }) => errors.push(error));
    accept(network.last);
    type(provider, 'x'.repeat(2_000));
    expect(Object.keys(await copies())).toEqual(['room']);
    expect(errors).toEqual([]);
    save(network.last);
    expect(await copies()).toEqual({});
    expect(String(errors[0]?.cause)).toContain('1000 bytes');
    expect(provider.status).toBe('online');
  });
});

describe('[CLI-29] a copy is removed', () => {
  test('by clearOffline(), and not begun again', async () => {
    const provider = await reopen();
    type(provider, 'x');
    await written();
    await provider.clearOffline();
    type(provider, 'y');
    expect(await copies()).toEqual({});
    expect(textOf(provider)).toBe('xy');
  });

  test('by clearOfflineCopies(), of one user or all, also under a page that has it open', async () => {
    const ada = await reopen({ user: 'ada' });
    const bob = await reopen({ user: 'bob', room: 'of bob' });
    for (const provider of [ada, bob]) type(provider, 'x');
    await written();
    await clearOfflineCopies({ user: 'ada' });
    expect(Object.keys(await copies())).toEqual(['of bob']);
    type(ada, 'y');
    expect(Object.keys(await copies())).toEqual(['of bob']);
    await clearOfflineCopies();
    expect(await copies()).toEqual({});
  });

  test('when the server says that the document was deleted', async () => {
    const provider = await reopen();
    type(provider, 'x');
    await written();
    network.last.drop(4404, 'deleted');
    expect(provider.refusal?.reason).toBe('deleted');
    expect(await copies()).toEqual({});
  });

  test('and what a page with it open has written since is gone with the next copy', async () => {
    const provider = await reopen();
    await written();
    await clearOfflineCopies();
    type(provider, 'left over');
    await written();
    await reopen({ room: 'other' });
    expect((await contents()).rows).toEqual([]);
  });
});

describe('[CLI-18] a page with a complete copy', () => {
  test('is closed without a question, and asks until the copy is complete', async () => {
    const isAsking = watchClosing();
    const provider = await reopen();
    type(provider, 'x');
    expect(isAsking()).toBe(true);
    await written();
    expect([provider.unsaved, isAsking()]).toEqual([true, false]);
    await provider.clearOffline();
    expect(isAsking()).toBe(true);
  });
});
