/** What a browser has kept, and the server refuses when it comes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { copies, written } from '../test/copies.js';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  type Page,
  type Parts,
  reject,
  save,
  setUpPages,
  textOf,
  type,
} from '../test/pages.js';

/** More than a copy has updates before it is written anew. */
const MANY_EDITS = 450;

let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ network, open } = setUpPages({ offline: true, tabs: false }));
});

afterEach(closePages);

/** A page that has what the browser has kept, and what it was told of refusals. */
async function visit(): Promise<{ page: Page; told: unknown[] }> {
  const page = open();
  const told: unknown[] = [];
  page.on('rejected', (why) => told.push(why));
  await page.whenLoaded();
  return { page, told };
}

/** It is gone when what it had is written. */
async function leave(page: Page): Promise<void> {
  await written();
  page.destroy();
}

const TAKEN_BACK = [{ reason: 'read-only', isTakenBack: true }];

describe('[CLI-17] what was written offline, and is refused after a reload', () => {
  test.each([
    ['a few edits', 1],
    ['so many that the copy was written anew', MANY_EDITS],
  ])('is taken back, what it deleted comes back: %s', async (_, count) => {
    const server = docOf('kept');
    const first = await visit();
    accept(network.last, server);
    save(network.last);
    network.last.drop();
    first.page.doc.getText('t').delete(1, 2);
    for (let n = 0; n < count; n++) type(first.page, `${n} `);
    await leave(first.page);

    const second = await visit();
    type(second.page, 'more');
    expect([textOf(second.page).slice(0, 2), second.page.unsaved]).toEqual(['kt', true]);
    await leave(second.page);

    const third = await visit();
    accept(network.last, server);
    reject(network.last);
    save(network.last);
    expect([textOf(third.page), third.page.unsaved, third.told]).toEqual([
      ...['kept', false],
      TAKEN_BACK,
    ]);
    await leave(third.page);

    const last = await visit();
    expect([textOf(last.page), last.page.unsaved]).toEqual(['kept', false]);
    accept(network.last, server);
    save(network.last);
    expect([textOf(last.page), last.told]).toEqual(['kept', []]);
    expect((await copies()).room?.isUnsaved).toBe(false);
  });

  test('stays where the server has it: nobody had said so', async () => {
    const server = docOf('deleted kept');
    const first = await visit();
    accept(network.last, server);
    save(network.last);
    type(first.page, ' reached it');
    first.page.doc.getText('t').delete(0, 8);
    for (const message of documentsOf(network.last)) {
      if ('update' in message) Y.applyUpdate(server, message.update);
    }
    network.last.drop();
    type(first.page, ' refused');
    await leave(first.page);

    const { page, told } = await visit();
    accept(network.last, server);
    reject(network.last);
    expect([textOf(page), told]).toEqual(['kept reached it', TAKEN_BACK]);
  });

  test('is taken back once, also where the page ends before anybody hears that this is saved', async () => {
    const server = docOf('kept');
    const first = await visit();
    accept(network.last, server);
    save(network.last);
    network.last.drop();
    first.page.doc.getText('t').delete(0, 4);
    type(first.page, 'refused');
    await leave(first.page);

    const second = await visit();
    accept(network.last, server);
    reject(network.last);
    expect([textOf(second.page), second.page.unsaved]).toEqual(['kept', true]);
    await leave(second.page);

    const { page, told } = await visit();
    accept(network.last, server);
    reject(network.last);
    save(network.last);
    expect([textOf(page), page.unsaved, told]).toEqual(['kept', false, []]);
  });

  test('leaves what others have written, also where the server has lost it', async () => {
    const first = await visit();
    accept(network.last);
    save(network.last);
    type(first.page, 'refused');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(docOf('of another')) });
    await leave(first.page);

    const { page, told } = await visit();
    accept(network.last);
    reject(network.last);
    expect([textOf(page), told]).toEqual(['of another', TAKEN_BACK]);
  });

  test('and was in the document before the copy was opened stays, and is said to', async () => {
    const first = open({ doc: docOf('before') });
    await first.whenLoaded();
    await leave(first);
    const { page, told } = await visit();
    accept(network.last);
    reject(network.last);
    save(network.last);
    expect([textOf(page), page.unsaved]).toEqual(['before', true]);
    expect(told).toEqual([{ reason: 'read-only', isTakenBack: false }]);
  });
});

describe('[CLI-17] a refusal that is heard before the document is', () => {
  test('waits for it: only then is it known what the server has', async () => {
    const server = docOf('kept');
    const first = await visit();
    accept(network.last, server);
    save(network.last);
    first.page.doc.getText('t').delete(0, 2);
    for (const message of documentsOf(network.last)) {
      if ('update' in message) Y.applyUpdate(server, message.update);
    }
    network.last.drop();
    type(first.page, 'refused');
    first.page.connect();
    network.last.accept();
    network.last.say({ type: 'step1', stateVector: Y.encodeStateVector(server) });
    reject(network.last);
    save(network.last);
    expect([textOf(first.page), first.page.unsaved]).toEqual(['ptrefused', true]);
    network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(server) });
    expect([textOf(first.page), first.page.unsaved, first.told]).toEqual([
      ...['pt', false],
      TAKEN_BACK,
    ]);
  });
});
