/** What is loaded when it is needed first, and what waits for it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  documentsOf,
  type Page,
  type Parts,
  reject,
  save,
  setUpPages,
  textAt,
  textOf,
  type,
} from '../test/pages.js';
import { guards, Part, refusals, tabParts } from './part.js';

let parts: Parts;

beforeEach(() => {
  for (const part of [guards, refusals, tabParts]) part.code = null;
  parts = setUpPages();
});

afterEach(closePages);

const loaded = () => vi.dynamicImportSettled();

/** A page that has typed this, all of it saved, and no other tab. */
async function online(text = ''): Promise<Page> {
  const page = parts.open({ tabs: false });
  accept(parts.network.last);
  if (text !== '') type(page, text);
  save(parts.network.last);
  await loaded();
  return page;
}

test('[CLI-44] a part is loaded once for all of the page, and again where that failed', async () => {
  let asked = 0;
  const part = new Part(() =>
    ++asked === 1 ? Promise.reject(new Error('gone')) : Promise.resolve(7),
  );
  await expect(part.load()).rejects.toMatchObject({
    message: 'a part of this package could not be loaded',
    cause: new Error('gone'),
  });
  expect(part.code).toBe(null);
  expect([await part.load(), await part.load(), part.code, asked]).toEqual([7, 7, 7, 2]);
});

test('[CLI-44] a page that is alone, and is refused nothing, loads none of it', async () => {
  const page = parts.open();
  await parts.settle();
  accept(parts.network.last);
  type(page, 'typed');
  save(parts.network.last);
  await parts.settle();
  await loaded();
  expect([page.status, page.unsaved]).toEqual(['online', false]);
  expect([guards.code, refusals.code, tabParts.code]).toEqual([null, null, null]);
});

describe('[CLI-44] a refusal waits for the code that reverts', () => {
  test('and is unsaved until then, with all that is reported behind it', async () => {
    const page = await online('kept');
    const told: unknown[] = [];
    page.on('rejected', (why) => told.push(why));
    type(page, ' refused');
    reject(parts.network.last);
    save(parts.network.last);
    expect([textOf(page), page.unsaved, told.length]).toEqual(['kept refused', true, 0]);
    await loaded();
    expect([textOf(page), page.unsaved]).toEqual(['kept', false]);
    expect(told).toEqual([{ reason: 'read-only', isTakenBack: true }]);
  });

  test('what is typed meanwhile is sent behind the revert, and stays', async () => {
    const page = await online('kept');
    page.doc.getText('t').insert(0, 'refused ');
    reject(parts.network.last);
    const before = documentsOf(parts.network.last).length;
    type(page, ' typed');
    expect(documentsOf(parts.network.last).length).toBe(before);
    await loaded();
    expect(textOf(page)).toBe('kept typed');
    expect(documentsOf(parts.network.last).length).toBe(before + 1);
    expect(textAt(parts.network.last)).toBe('kept typed');
    expect(page.unsaved).toBe(true);
    save(parts.network.last);
    expect(page.unsaved).toBe(false);
  });

  test('a connection that is lost meanwhile brings it once more, and it is refused again', async () => {
    const page = await online('kept');
    type(page, ' refused');
    reject(parts.network.last);
    parts.network.last.drop();
    await loaded();
    expect([textOf(page), page.unsaved]).toEqual(['kept refused', true]);
    page.connect();
    const server = new Y.Doc();
    server.getText('t').insert(0, 'there ');
    accept(parts.network.last, server);
    expect(textAt(parts.network.last)).toContain('refused');
    reject(parts.network.last);
    expect([textOf(page).includes('refused'), page.rejection]).toEqual([false, 'read-only']);
    save(parts.network.last);
    expect(page.unsaved).toBe(false);
  });

  test('so does a message that is larger than the server takes', async () => {
    const page = await online();
    type(page, 'much');
    parts.network.last.drop(1009, 'too large');
    expect([page.status, textOf(page)]).toEqual(['retrying', 'much']);
    await loaded();
    expect([page.status, textOf(page)]).toEqual(['retrying', '']);
    expect(page.rejection).toBe('message-too-large');
  });

  test('and is sent no more, also where the next socket is open before that', async () => {
    const page = await online('kept');
    const server = new Y.Doc();
    Y.applyUpdate(server, Y.encodeStateAsUpdate(page.doc));
    type(page, ' much');
    parts.network.last.drop(1009, 'too large');
    page.connect();
    accept(parts.network.last, server);
    type(page, ' more');
    expect(documentsOf(parts.network.last)).toEqual([]);
    await loaded();
    for (const message of documentsOf(parts.network.last)) {
      if ('update' in message) Y.applyUpdate(server, message.update);
    }
    expect([textOf(page), server.getText('t').toString()]).toEqual(['kept more', 'kept more']);
    expect(page.rejection).toBe('message-too-large');
    save(parts.network.last);
    expect(page.unsaved).toBe(false);
  });

  test('a report that makes no sense ends the connection all the same', async () => {
    const page = await online();
    parts.network.last.say({ type: 'rejected', count: 9, reason: 'read-only' });
    await loaded();
    expect(page.status).toBe('retrying');
  });
});

describe('[CLI-44] tabs', () => {
  test('hear each other in order once the code for that is there', async () => {
    const one = parts.open();
    await parts.settle();
    accept(parts.network.last);
    type(one, 'a');
    const other = parts.open();
    type(other, 'b');
    await vi.waitFor(async () => {
      await parts.settle();
      expect([textOf(one).length, textOf(one)]).toEqual([2, textOf(other)]);
    });
    type(one, 'c');
    type(other, 'd');
    await parts.settle();
    expect([textOf(one).length, textOf(other).length]).toEqual([4, 4]);
    expect(parts.network.sockets.length).toBe(1);
    expect(textAt(parts.network.last).length).toBe(4);
    expect([one.unsaved, other.unsaved]).toEqual([true, true]);
    save(parts.network.last);
    await parts.settle();
    expect([one.unsaved, other.unsaved, other.status]).toEqual([false, false, 'online']);
  });

  test('one that has left before it was there hears nothing of what waited', async () => {
    const one = parts.open();
    await parts.settle();
    const two = parts.open();
    await vi.waitFor(async () => {
      await parts.settle();
      type(one, 'a');
      await parts.settle();
      expect(textOf(two)).toBe(textOf(one));
    });
    const code = await tabParts.load();
    tabParts.code = null;
    let come = (_: typeof code): void => undefined;
    const coming = new Promise<typeof code>((resolve) => {
      come = resolve;
    });
    const load = vi.spyOn(tabParts, 'load').mockReturnValue(coming);
    const three = parts.open();
    await parts.settle();
    expect(load).toHaveBeenCalledOnce();
    three.disconnect();
    tabParts.code = code;
    come(code);
    await parts.settle();
    expect([textOf(three), three.status]).toEqual(['', 'offline']);
    three.connect();
    await parts.settle();
    expect(textOf(three)).toBe(textOf(one));
  });
});

describe('[CLI-44] of somebody else is shown', () => {
  const HOSTILE = { anchor: { tname: {} }, head: 5 };

  /** Somebody who says this is seen. */
  function show(state: Record<string, unknown>): number {
    const other = new Awareness(new Y.Doc());
    other.setLocalState(state);
    const update = encodeAwarenessUpdate(other, [other.clientID]);
    other.destroy();
    parts.network.last.say({ type: 'awareness', update });
    return other.clientID;
  }

  test('the name alone, until the rest has passed the guard', async () => {
    const page = await online();
    const changes: unknown[] = [];
    page.awareness.on('change', (change: { updated: number[] }, origin: unknown) =>
      changes.push([change.updated, origin]),
    );
    const user = { name: 'Ada', color: '#30bced' };
    const id = show({ user, cursor: HOSTILE, pointer: 7 });
    const seen = () => page.awareness.getStates().get(id);
    expect(seen()).toEqual({ user: { name: 'Ada' } });
    await loaded();
    expect(seen()).toEqual({ user, pointer: 7 });
    expect(changes.at(-1)).toEqual([[id], 'guard']);
  });

  test.each([
    ['a name that is no text', { user: { name: { toString: 1 } } }],
    ['no user', { cursor: HOSTILE }],
    ['a user that is nobody', { user: null }],
  ])('nothing of %s', async (_, state) => {
    const page = await online();
    const id = show(state);
    expect(page.awareness.getStates().get(id)).toEqual({});
  });

  test('nobody who has left before', async () => {
    const page = await online();
    const id = show({ user: { name: 'Ada' } });
    parts.network.last.drop();
    await loaded();
    expect(page.awareness.getStates().has(id)).toBe(false);
  });

  test('and of the own state all, but not what a server says that it is', async () => {
    const page = await online();
    const own = { user: { name: 'Me' }, cursor: { anything: true } };
    page.awareness.setLocalState(own);
    expect(page.awareness.getLocalState()).toBe(own);
    const forged = new Awareness(new Y.Doc());
    forged.clientID = page.awareness.clientID;
    forged.meta.set(forged.clientID, { clock: 50, lastUpdated: 0 });
    forged.states.set(forged.clientID, { user: { name: 'Not me' }, cursor: HOSTILE });
    const update = encodeAwarenessUpdate(forged, [forged.clientID]);
    forged.destroy();
    parts.network.last.say({ type: 'awareness', update });
    expect(page.awareness.getLocalState()).not.toHaveProperty('cursor');
    await loaded();
    expect(page.awareness.getLocalState()).not.toHaveProperty('cursor');
    page.awareness.setLocalState(own);
    expect(page.awareness.getLocalState()).toBe(own);
  });
});
