/** What is loaded when it is needed, and cannot be had: the page is offline, or what was deployed is another version. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
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
  textIn,
  textOf,
  type,
} from '../test/pages.js';

vi.mock('./refusals.js', () => {
  throw new Error('not to be had');
});
vi.mock('./others.js', () => {
  throw new Error('not to be had');
});
vi.mock('./awareness-guard.js', () => {
  throw new Error('not to be had');
});

const NOT_LOADED = 'a part of this package could not be loaded';

let parts: Parts;

beforeEach(() => {
  parts = setUpPages();
});

afterEach(closePages);

function errorsOf(page: Page): string[] {
  const errors: string[] = [];
  page.on('connection-error', ({ error }) => errors.push(error.message));
  return errors;
}

test('[CLI-45] a refused change stays in the document, unsaved, and is sent once more with the next socket', async () => {
  const page = parts.open({ tabs: false });
  const errors = errorsOf(page);
  const told: unknown[] = [];
  page.on('rejected', (why) => told.push(why));
  accept(parts.network.last);
  type(page, 'kept');
  save(parts.network.last);
  type(page, ' refused');
  reject(parts.network.last);
  save(parts.network.last);
  const sent = documentsOf(parts.network.last).length;
  await vi.waitFor(() => expect(told).toEqual([{ reason: 'read-only', isTakenBack: false }]));
  await vi.dynamicImportSettled();
  expect(errors).toEqual([NOT_LOADED]);
  save(parts.network.last);
  expect([textOf(page), page.unsaved, page.rejection]).toEqual(['kept refused', true, 'read-only']);
  expect(documentsOf(parts.network.last).length).toBe(sent);

  parts.network.last.drop();
  page.connect();
  const server = new Y.Doc();
  accept(parts.network.last, server);
  expect(textAt(parts.network.last)).toBe('kept refused');
  save(parts.network.last);
  expect(page.unsaved).toBe(false);
});

test('[CLI-45] a refused change that stays is known to be unsaved', async () => {
  const page = parts.open({ tabs: false });
  accept(parts.network.last);
  type(page, 'kept');
  save(parts.network.last);
  type(page, ' refused');
  reject(parts.network.last);
  save(parts.network.last);
  await vi.waitFor(() => expect(page.rejection).toBe('read-only'));
  parts.network.last.drop(4404, 'deleted');
  const [copy] = await page.recover();
  const texts = [copy?.update, copy?.before].map((update) => textIn(update ? [update] : []));
  expect(texts).toEqual(['kept refused', 'kept']);
});

test('[CLI-45] tabs have a socket each, and what is written in either reaches the server', async () => {
  const one = parts.open();
  const errors = errorsOf(one);
  await parts.settle();
  accept(parts.network.last);
  type(one, 'one');
  const other = parts.open();
  type(other, 'other');
  await vi.waitFor(async () => {
    await parts.settle();
    expect(parts.network.sockets.length).toBe(2);
  });
  accept(parts.network.last);
  expect([one.status, other.status]).toEqual(['online', 'online']);
  expect(parts.network.sockets.map((socket) => textAt(socket))).toEqual(['one', 'other']);
  expect([one.unsaved, other.unsaved]).toEqual([true, true]);
  for (const socket of parts.network.sockets) save(socket);
  expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  expect(errors).toEqual(['this tab goes on without the others']);
});

test('[CLI-45] others are shown by their names, and each of them is a reason to try again', async () => {
  const page = parts.open({ tabs: false });
  const errors = errorsOf(page);
  accept(parts.network.last);
  const other = new Awareness(new Y.Doc());
  const show = (state: Record<string, unknown>) => {
    other.setLocalState(state);
    const update = encodeAwarenessUpdate(other, [other.clientID]);
    parts.network.last.say({ type: 'awareness', update });
  };
  show({ user: { name: 'Ada', color: 'red' }, cursor: { anchor: {}, head: {} } });
  await vi.waitFor(() => expect(errors).toEqual([NOT_LOADED]));
  show({ user: { name: 'Bob', color: 'red' }, cursor: null });
  expect(page.awareness.getStates().get(other.clientID)).toEqual({ user: { name: 'Bob' } });
  await vi.dynamicImportSettled();
  expect(errors.length).toBe(1);
  other.destroy();
});
