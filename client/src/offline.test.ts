import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { FakeNetwork, type FakeSocket } from '../test/fake-socket.js';
import { FakeBrowser } from '../test/fake-tabs.js';
import { ManualClock } from '../test/manual-clock.js';
import { clearOfflineCopies } from './offline.js';
import type { CowriteProviderOptions } from './options.js';
import { CowriteProvider } from './provider.js';

const EMPTY = Uint8Array.of(0);
const NOTHING = Uint8Array.of(0, 0);
const MANY_EDITS = 450;

const providers: CowriteProvider[] = [];
let clock: ManualClock;
let network: FakeNetwork;

beforeEach(() => {
  clock = new ManualClock();
  network = new FakeNetwork();
  vi.stubGlobal('indexedDB', new IDBFactory());
});

afterEach(() => {
  for (const provider of providers.splice(0)) provider.destroy();
  vi.unstubAllGlobals();
});

function open(options: Partial<CowriteProviderOptions> = {}): CowriteProvider {
  const provider = new CowriteProvider({
    url: 'ws://host/ws',
    room: 'room',
    offline: true,
    clock,
    random: () => 0.5,
    WebSocket: network.WebSocket,
    fetch: () => Promise.reject(new Error('no network')),
    ...options,
  });
  providers.push(provider);
  return provider;
}

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

/** Whatever was handed to the database is in it. */
async function written(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve));
}

interface Row {
  life: string;
  update: Uint8Array;
  isUnsaved: boolean;
}

/** What is in the database. */
async function contents() {
  await written();
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('cowrite');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const all = <T>(store: string, get: 'getAll' | 'getAllKeys' = 'getAll') =>
    new Promise<T[]>((resolve, reject) => {
      const request = database.transaction(store).objectStore(store)[get]();
      request.onsuccess = () => resolve(request.result as T[]);
      request.onerror = () => reject(request.error);
    });
  const rows = await all<Row>('updates');
  const numbers = await all<number>('updates', 'getAllKeys');
  const found = await all<{ life: string; room: string; savedUpTo: number }>('copies');
  database.close();
  return { rows, numbers, found };
}

/** The copies in it, by room. */
async function copies(): Promise<Record<string, { updates: Uint8Array[]; isUnsaved: boolean }>> {
  const { rows, numbers, found } = await contents();
  return Object.fromEntries(
    found.map(({ life, room, savedUpTo }) => {
      const isLater = (at: number) => (numbers[at] as number) > savedUpTo;
      const own = rows.filter((row) => row.life === life).map(({ update }) => update);
      const isUnsaved = rows.some((row, at) => row.life === life && row.isUnsaved && isLater(at));
      return [room, { updates: own, isUnsaved }];
    }),
  );
}

function sync(socket: FakeSocket): void {
  socket.accept();
  socket.say({ type: 'step1', stateVector: EMPTY });
  socket.say({ type: 'step2', update: NOTHING });
}

const isDocument = ({ type }: { type: string }) => type === 'update' || type === 'step2';

function save(socket: FakeSocket): void {
  socket.say({ type: 'saved', count: socket.sent.filter(isDocument).length });
}

const type = ({ doc }: CowriteProvider, text: string) =>
  doc.getText('t').insert(doc.getText('t').length, text);
const textOf = ({ doc }: CowriteProvider) => doc.getText('t').toString();
const textIn = (updates: readonly Uint8Array[]) => {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc.getText('t').toString();
};

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
    sync(network.last);
    const step2 = network.last.sent.find((message) => message.type === 'step2');
    expect(textIn(step2?.type === 'step2' ? [step2.update] : [])).toBe('written offline');
    save(network.last);
    expect(second.unsaved).toBe(false);
  });

  test('is a document to show unless it is empty', async () => {
    const first = await reopen();
    expect(first.ready).toBe(false);
    sync(network.last);
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
    sync(network.last);
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
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'brought');
    const first = await reopen({ doc });
    await close(first);
    const { room } = await copies();
    expect([textIn(room?.updates ?? []), room?.isUnsaved]).toEqual(['brought', true]);
    await close(await reopen({ doc }));
    expect((await copies()).room?.updates.length).toBeLessThanOrEqual(2);
  });

  test('is written anew as one update now and then', async () => {
    const first = await reopen();
    sync(network.last);
    for (let edit = 0; edit < MANY_EDITS; edit++) {
      type(first, 'x');
      if (edit % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
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
      if (edit % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
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
    sync(network.last);
    type(other, 'x');
    save(network.last);
    expect([one.unsaved, other.unsaved]).toEqual([true, false]);
    await written();
    type(other, 'y');
    save(network.last);
    await written();
    expect((await copies()).room?.isUnsaved).toBe(true);
  });

  test('needs to know whose it is', () => {
    expect(() => open({ token: () => 'x' })).toThrow('pass the option user');
    expect(() => open({ offline: { maxBytes: 0 } })).toThrow('maxBytes');
  });

  test('that cannot be had is told, and the network does not wait for it', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const provider = open();
    const errors: string[] = [];
    provider.on('connection-error', ({ error }) => errors.push(error.message));
    await provider.whenLoaded();
    sync(network.last);
    expect(provider.status).toBe('online');
    expect(errors).toEqual(['there is no offline copy of this document']);
  });

  test('that does not come in 3 s is not waited for, and merged when it comes', async () => {
    const first = await reopen();
    type(first, 'late');
    await close(first);
    const { open: openIt } = IDBFactory.prototype;
    const late: (() => void)[] = [];
    vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(function (this: IDBFactory, ...args) {
      const request = { result: undefined as unknown, error: null } as Record<string, unknown>;
      late.push(() => {
        const real = openIt.apply(this as never, args) as unknown as IDBOpenDBRequest;
        real.onsuccess = () => {
          request.result = real.result;
          (request.onsuccess as () => void)();
        };
      });
      return request as never;
    });
    const second = open();
    clock.advance(3_000);
    expect([second.loaded, network.sockets.length]).toEqual([true, 2]);
    sync(network.last);
    vi.restoreAllMocks();
    for (const go of late) go();
    await vi.waitFor(() => expect(textOf(second)).toBe('late'));
    expect(second.unsaved).toBe(true);
  });
});

describe('[CLI-28] the bound', () => {
  const fill = async (room: string, isSaved: boolean, bytes = 100_000) => {
    const provider = await reopen({ room, offline: { maxBytes: 250_000 } });
    if (isSaved) sync(network.last);
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

  test('lets none go that holds something unsaved', async () => {
    for (const room of ['a', 'b', 'c']) await fill(room, room === 'b');
    expect(Object.keys(await copies()).sort()).toEqual(['a', 'c']);
  });

  test('a document that is too large has no copy once it is saved, and that is told', async () => {
    const provider = await reopen({ offline: { maxBytes: 1_000 } });
    const errors: Error[] = [];
    provider.on('connection-error', ({ error }) => errors.push(error));
    sync(network.last);
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
    const asked = () => {
      const event = new Event('beforeunload', { cancelable: true });
      globals.dispatchEvent(event);
      return event.defaultPrevented;
    };
    const globals = new EventTarget();
    vi.stubGlobal('addEventListener', globals.addEventListener.bind(globals));
    vi.stubGlobal('removeEventListener', globals.removeEventListener.bind(globals));
    const provider = await reopen();
    type(provider, 'x');
    expect(asked()).toBe(true);
    await written();
    expect([provider.unsaved, asked()]).toEqual([true, false]);
    await provider.clearOffline();
    expect(asked()).toBe(true);
  });
});

describe('[CLI-27] with tabs', () => {
  test('the one that holds the socket keeps the copy, and the next goes on with it', async () => {
    vi.stubGlobal('document', new EventTarget());
    const browser = new FakeBrowser();
    const settle = async () => {
      for (let turn = 0; turn < 5; turn++) {
        await browser.settle();
        await written();
      }
    };
    const tabs = [browser.tab(), browser.tab()] as const;
    const one = open({ browser: tabs[0] });
    await settle();
    const other = open({ browser: tabs[1] });
    await settle();
    expect([one.loaded, other.loaded]).toEqual([true, true]);
    type(other, 'a');
    await settle();
    browser.kill(tabs[0]);
    type(other, 'b');
    await settle();
    expect(textIn((await copies()).room?.updates ?? [])).toBe('ab');
    expect(network.sockets.length).toBe(2);
  });
});
