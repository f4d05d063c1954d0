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
let clock: Parts['clock'];

/** Milliseconds after which what is refused soon after something else is reverted. */
const SPACING = 500;

beforeEach(() => {
  ({ network, open, clock } = setUpPages({ offline: true, tabs: false }));
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

  test('is forgotten with its socket', async () => {
    const { page, told } = await visit();
    network.last.accept();
    network.last.say({ type: 'step1', stateVector: Y.encodeStateVector(new Y.Doc()) });
    type(page, 'kept');
    reject(network.last);
    network.last.drop();
    page.connect();
    accept(network.last);
    save(network.last);
    expect([textOf(page), page.unsaved, told]).toEqual(['kept', false, []]);
  });
});

describe('[CLI-17] what has come back', () => {
  /** Somebody else on the same document. */
  function other(server: Y.Doc): Y.Doc {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(server));
    // The one that Yjs puts last.
    doc.clientID = 1;
    doc.on('update', (update: Uint8Array) => {
      Y.applyUpdate(server, update);
      network.last.say({ type: 'update', update });
    });
    return doc;
  }

  /** The server refuses what was sent last, and says what it has, as it is asked. */
  async function refuse(server: Y.Doc): Promise<void> {
    reject(network.last);
    save(network.last);
    network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(server) });
    clock.advance(SPACING);
    await written();
  }

  test.each([
    ['at once', false],
    ['after a reload', true],
  ])('follows what others do to it, %s', async (_, isReloaded) => {
    const server = docOf('one two three');
    server.getMap('m').set('key', 'old');
    const bob = other(server);
    let { page } = await visit();
    accept(network.last, server);
    save(network.last);
    page.doc.getText('t').delete(0, 13);
    page.doc.getMap('m').set('key', 'refused');
    network.last.say({ type: 'rejected', count: 2, reason: 'read-only' });
    await refuse(server);
    const shown = ({ doc }: Page) => [doc.getText('t').toString(), doc.getMap('m').get('key')];
    expect([shown(page), page.unsaved]).toEqual([['one two three', 'old'], false]);
    if (isReloaded) {
      await leave(page);
      ({ page } = await visit());
      expect([shown(page), page.unsaved]).toEqual([['one two three', 'old'], false]);
      accept(network.last, server);
      await refuse(server);
    }
    bob.getText('t').delete(4, 4);
    expect(shown(page)).toEqual(['one three', 'old']);
    bob.getText('t').insert(4, 'and ');
    expect(shown(page)).toEqual(['one and three', 'old']);
    bob.getMap('m').set('key', 'new');
    expect(shown(page)).toEqual(['one and three', 'new']);
    bob.getMap('m').delete('key');
    expect(shown(page)).toEqual(['one and three', undefined]);
  });

  test('stands where the original stands, also where others wrote in its place without knowing of it', async () => {
    const server = docOf('');
    const eve = new Y.Doc();
    eve.clientID = 1;
    eve.getText('t').insert(0, 'eve ');
    const bob = new Y.Doc();
    bob.clientID = 2;
    bob.getText('t').insert(0, 'bob ');
    Y.applyUpdate(server, Y.encodeStateAsUpdate(bob));
    const { page } = await visit();
    accept(network.last, server);
    save(network.last);
    type(page, 'refused');
    page.doc.getText('t').delete(0, 11);
    network.last.say({ type: 'rejected', count: 2, reason: 'read-only' });
    await refuse(server);
    expect(textOf(page)).toBe('bob ');
    const update = Y.encodeStateAsUpdate(eve);
    network.last.say({ type: 'update', update });
    Y.applyUpdate(server, update);
    expect(textOf(page)).toBe(server.getText('t').toString());
  });

  test('costs nothing after a reload: what was refused is not sent again', async () => {
    const server = docOf('one two');
    const first = await visit();
    accept(network.last, server);
    save(network.last);
    type(first.page, 'x'.repeat(10_000));
    await refuse(server);
    await leave(first.page);
    const { page } = await visit();
    accept(network.last, server);
    const sent = documentsOf(network.last).at(-1);
    expect(sent !== undefined && 'update' in sent && sent.update.length).toBeLessThan(100);
    expect(textOf(page)).toBe('one two');
  });

  test('is left alone by others who write elsewhere, and costs nothing then', async () => {
    const server = docOf('one two three');
    const bob = other(server);
    const { page } = await visit();
    accept(network.last, server);
    save(network.last);
    page.doc.getText('t').delete(0, 3);
    await refuse(server);
    const updates: unknown[] = [];
    page.doc.on('update', (_update, origin) => updates.push(origin));
    bob.getText('t').insert(13, ' four');
    expect(textOf(page)).toBe('one two three four');
    expect(updates).toEqual([page]);
  });

  test('is as the others see it once the server has taken it', async () => {
    const server = docOf('one two');
    const bob = other(server);
    const { page } = await visit();
    accept(network.last, server);
    save(network.last);
    page.doc.getText('t').delete(0, 3);
    await refuse(server);
    network.last.say({ type: 'access', access: 'write' });
    network.last.say({ type: 'step1', stateVector: Y.encodeStateVector(server) });
    const sent = documentsOf(network.last).at(-1);
    expect(sent?.type).toBe('step2');
    if (sent !== undefined && 'update' in sent) {
      Y.applyUpdate(server, sent.update);
      Y.applyUpdate(bob, sent.update);
    }
    save(network.last);
    expect([textOf(page), bob.getText('t').toString()]).toEqual(['one two', 'one two']);
    bob.getText('t').delete(0, 4);
    expect(textOf(page)).toBe('two');
    await leave(page);
    const { page: next } = await visit();
    expect(textOf(next)).toBe('two');
  });
});
