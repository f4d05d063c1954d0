/** A step 2 that is larger than the server takes in one message: it closes the socket with 1009. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  type Page,
  type Parts,
  save,
  setUpPages,
  textOf,
} from '../test/pages.js';

/** Half of what the client takes for small. */
const BLOCK = 'x'.repeat(32 * 1024);

let network: Parts['network'];
let open: Parts['open'];
let clock: Parts['clock'];

beforeEach(() => {
  ({ network, open, clock } = setUpPages({ tabs: false }));
});

afterEach(closePages);

/** A page that was connected, and what it is told. */
function visit(doc = new Y.Doc()): { page: Page; told: unknown[] } {
  const page = open({ doc });
  const told: unknown[] = [];
  page.on('rejected', (why) => told.push(why));
  return { page, told };
}

/** Offline it has written this, each part behind an empty line. */
function writeOffline({ doc }: Page, ...parts: string[]): void {
  for (const part of parts) {
    doc.getText('t').insert(0, part);
    doc.getMap('m').set('n', part.length);
  }
}

/** The server ends the connection, and the client comes back. */
async function dropAndReturn(page: Page, server?: Y.Doc): Promise<void> {
  network.last.drop(1009, 'too large');
  // The code for it is loaded.
  await vi.dynamicImportSettled();
  expect(page.status).toBe('retrying');
  page.connect();
  accept(network.last, server);
}

/** Gives a server those of the messages that it takes. */
function take(server: Y.Doc, maxBytes: number): void {
  for (const message of documentsOf(network.last)) {
    if ('update' in message && message.update.length < maxBytes) {
      Y.applyUpdate(server, message.update);
    }
  }
}

/** The server's answer when it is asked what it has. */
function answer(server: Y.Doc): void {
  expect(network.last.sent.at(-1)?.type).toBe('step1');
  network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(server) });
}

const sizes = () =>
  documentsOf(network.last).map((message) => ('update' in message ? message.update.length : 0));

describe('[CLI-17] what is too large altogether', () => {
  test('is sent in pieces, and is saved', async () => {
    const server = docOf('there ');
    const { page, told } = visit();
    accept(network.last, server);
    save(network.last);
    network.last.drop();
    writeOffline(page, BLOCK, BLOCK, BLOCK);
    page.doc.getText('t').delete(10, 20);
    page.connect();
    accept(network.last, server);
    expect(sizes()).toEqual([expect.toSatisfy((size) => size > 3 * BLOCK.length)]);
    await dropAndReturn(page, server);
    expect(sizes().length).toBe(4);
    expect(Math.max(...sizes())).toBeLessThan(64 * 1024);
    expect(documentsOf(network.last).at(-1)?.type).toBe('step2');
    take(server, 64 * 1024);
    expect(server.getText('t').toString()).toBe(textOf(page));
    expect(page.unsaved).toBe(true);
    save(network.last);
    expect([page.unsaved, told]).toEqual([false, []]);
  });

  test('is sent without the change that is too large alone, which is taken back', async () => {
    const server = new Y.Doc();
    const { page, told } = visit();
    accept(network.last, server);
    network.last.drop();
    writeOffline(page, 'before ', BLOCK.repeat(4), 'behind ');
    page.connect();
    accept(network.last, server);
    await dropAndReturn(page, server);
    take(server, 64 * 1024);
    expect(server.getText('t').toString()).toBe('before ');
    network.last.drop(1009, 'too large');
    expect(told).toEqual([{ reason: 'message-too-large', isTakenBack: true }]);
    expect(textOf(page)).toBe('behind before ');
    page.connect();
    accept(network.last, server);
    expect(Math.max(...sizes())).toBeLessThan(1_000);
    take(server, 1_000);
    save(network.last);
    expect([server.getText('t').toString(), page.unsaved]).toEqual(['behind before ', false]);
    expect(told.length).toBe(1);
  });

  test('is cut smaller for a server that takes less', async () => {
    const server = new Y.Doc();
    const { page, told } = visit();
    accept(network.last, server);
    network.last.drop();
    const parts = Array.from({ length: 20 }, () => 'y'.repeat(1_000));
    writeOffline(page, ...parts);
    page.connect();
    accept(network.last, server);
    let tries = 0;
    for (; Math.max(...sizes()) > 2_000; tries++) {
      take(server, 2_000);
      await dropAndReturn(page, server);
    }
    expect(tries).toBeLessThan(6);
    take(server, 2_000);
    save(network.last);
    expect([textOf(page), page.unsaved, told]).toEqual([parts.join(''), false, []]);
    expect(server.getText('t').toString()).toBe(textOf(page));
  });

  test('is taken back piece by piece where somebody may only read', async () => {
    const server = docOf('there');
    const { page, told } = visit();
    accept(network.last, server);
    save(network.last);
    network.last.drop();
    writeOffline(page, BLOCK, BLOCK);
    page.doc.getText('t').delete(page.doc.getText('t').length - 5, 5);
    page.connect();
    accept(network.last, server);
    await dropAndReturn(page, server);
    const { length } = sizes();
    for (let count = 1; count <= length; count++) {
      network.last.say({ type: 'rejected', count, reason: 'read-only' });
    }
    answer(server);
    save(network.last);
    clock.advance(500);
    expect([textOf(page), page.doc.getMap('m').toJSON(), page.unsaved]).toEqual([
      ...['there', {}, false],
    ]);
    // The first piece, and all that followed it soon.
    expect(told).toHaveLength(2);
    for (const one of told) expect(one).toEqual({ reason: 'read-only', isTakenBack: true });
  });

  test('keeps what the server took before it refused the rest', async () => {
    const server = new Y.Doc();
    const { page } = visit();
    accept(network.last, server);
    network.last.drop();
    writeOffline(page, 'first', BLOCK, BLOCK, BLOCK);
    page.connect();
    accept(network.last, server);
    await dropAndReturn(page, server);
    const { length } = sizes();
    // It may only read from the second on.
    for (let count = 2; count <= length; count++) {
      network.last.say({ type: 'rejected', count, reason: 'read-only' });
    }
    const [first] = documentsOf(network.last);
    if (first !== undefined && 'update' in first) Y.applyUpdate(server, first.update);
    answer(server);
    save(network.last);
    clock.advance(500);
    expect([textOf(page), page.unsaved]).toEqual([server.getText('t').toString(), false]);
    expect(textOf(page)).toContain('first');
  });

  test('is taken back also where there was something in the document before the provider', async () => {
    const { page, told } = visit(docOf('before'));
    writeOffline(page, BLOCK.repeat(4));
    accept(network.last);
    await dropAndReturn(page);
    network.last.drop(1009, 'too large');
    expect(told).toEqual([{ reason: 'message-too-large', isTakenBack: true }]);
    expect([page.status, textOf(page)]).toEqual(['retrying', 'before']);
  });

  test('and was in the document before the provider stays, and is not sent for ever', async () => {
    const { page, told } = visit(docOf('z'.repeat(100 * 1024)));
    accept(network.last);
    await dropAndReturn(page);
    network.last.drop(1009, 'too large');
    expect(page.refusal).toEqual({ reason: 'too-large', code: 1009, message: 'too large' });
    expect([textOf(page).length, page.unsaved]).toEqual([100 * 1024, true]);
    expect(told).toEqual([{ reason: 'message-too-large', isTakenBack: false }]);
  });
});
