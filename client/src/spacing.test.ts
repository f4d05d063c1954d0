/** An editor that answers each change of the document, a revert too, with one of its own. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  documentsOf,
  type Page,
  type Parts,
  save,
  setUpPages,
  textOf,
  twoPages,
  type,
  watchClosing,
} from '../test/pages.js';
import type { Message } from './protocol/index.js';
import { Spacing } from './spacing.js';

afterEach(closePages);

/** Ends the document with a line, as some editors do, whatever changes it. */
function mend({ doc }: Page): { readonly count: number } {
  const mended = { count: 0 };
  const text = doc.getText('t');
  const look = () => {
    if (text.toString().endsWith('\n')) return;
    mended.count++;
    text.insert(text.length, '\n');
  };
  // After the transaction, as an editor does once it has drawn.
  doc.on('afterAllTransactions', look);
  look();
  return mended;
}

/** A server that refuses whatever is sent, from now on; to be called again. */
function refuseAll({ network }: Pick<Parts, 'network'>, from: number): number {
  let next = from;
  for (; next < documentsOf(network.last).length; next++) {
    network.last.say({ type: 'rejected', count: next + 1, reason: 'read-only' });
  }
  save(network.last);
  return next;
}

/** For a minute. @returns what the page was told */
function run(parts: Parts, page: Page, server: Y.Doc): unknown[] {
  const told: unknown[] = [];
  page.on('rejected', (why) => told.push(why));
  let refused = documentsOf(parts.network.last).length;
  let answered = 0;
  mend(page);
  for (let ms = 0; ms < 60_000; ms += 50) {
    refused = refuseAll(parts, refused);
    const asked = parts.network.last.sent.filter((message) => message.type === 'step1').length;
    for (; answered < asked; answered++) {
      parts.network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(server) });
    }
    parts.clock.advance(50);
  }
  return told;
}

describe('[CLI-38] reverts are spaced', () => {
  test('the first comes at once, those that follow wait twice as long each, and after a quiet time it begins again', () => {
    const spacing = new Spacing();
    const at: number[] = [];
    let now = 0;
    for (let i = 0; i < 10; i++) {
      now = spacing.next(now);
      at.push(now);
      spacing.reverted(now);
      now += 10;
    }
    const waits = at.slice(1).map((each, i) => each - at[i]!);
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(spacing.next(now + 60_001)).toBe(now + 60_001);
  });

  test('an editor that mends what it may not write comes to rest, and is told once a burst', () => {
    const parts = setUpPages({ tabs: false });
    const server = new Y.Doc();
    server.getText('t').insert(0, 'no newline');
    const page = parts.open();
    accept(parts.network.last, server);
    save(parts.network.last);
    const told = run(parts, page, server);
    expect(told.length).toBeLessThan(9);
    expect(told.length).toBeGreaterThan(4);
    expect(told[0]).toEqual({ reason: 'read-only', isTakenBack: true });
  });

  test('what follows soon is reverted as one, with what it had deleted', () => {
    const parts = setUpPages({ tabs: false });
    const { network, clock } = parts;
    const server = new Y.Doc();
    server.getText('t').insert(0, 'as it was');
    const page = parts.open();
    const mayClose = watchClosing();
    accept(network.last, server);
    save(network.last);
    const told: unknown[] = [];
    page.on('rejected', (why) => told.push(why));
    let refused = documentsOf(network.last).length;
    type(page, ' or not');
    refused = refuseAll(parts, refused);
    network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(server) });
    expect([textOf(page), told.length]).toEqual(['as it was', 1]);
    for (const letter of 'quick') type(page, letter);
    page.doc.getText('t').delete(0, 3);
    refuseAll(parts, refused);
    expect([textOf(page), page.unsaved, told.length]).toEqual(['it wasquick', true, 1]);
    // There is nothing that could be kept.
    expect(mayClose()).toBe(false);
    clock.advance(500);
    expect([textOf(page), page.unsaved, told.length]).toEqual(['as it was', false, 2]);
  });

  test('what waits to be reverted is before all is sent once more, and when the socket is lost', () => {
    const parts = setUpPages({ tabs: false });
    const { network, clock } = parts;
    const page = parts.open();
    accept(network.last);
    save(network.last);
    let refused = documentsOf(network.last).length;
    for (const letter of 'ab') {
      type(page, letter);
      refused = refuseAll(parts, refused);
      network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(new Y.Doc()) });
    }
    expect(textOf(page)).toBe('b');
    // Not sooner because of a question: an editor can make a server ask as fast as it writes.
    const sent = documentsOf(network.last).length;
    for (let i = 0; i < 3; i++) {
      network.last.say({ type: 'step1', stateVector: Uint8Array.of(0) });
      clock.advance(100);
    }
    expect([textOf(page), documentsOf(network.last).length]).toEqual(['b', sent]);
    clock.advance(500);
    expect(textOf(page)).toBe('');
    const answers = documentsOf(network.last).slice(sent);
    expect(answers.map(({ type: each }) => each)).toEqual(['step2']);
    refused = documentsOf(network.last).length;
    type(page, 'c');
    refuseAll(parts, refused);
    expect(textOf(page)).toBe('c');
    network.last.drop();
    expect([textOf(page), page.unsaved]).toEqual(['', false]);
  });

  test('a page that answers each refusal with a message that is too large connects as rarely', async () => {
    const { network, clock, open } = setUpPages({ tabs: false });
    const page = open();
    accept(network.last);
    save(network.last);
    const picture = () => page.doc.getMap('m').set('picture', new Uint8Array(100_000));
    let told = 0;
    page.on('rejected', () => {
      told++;
      picture();
    });
    picture();
    const isTooLarge = (message: Message) => 'update' in message && message.update.length > 64_000;
    for (let ms = 0; ms < 60_000; ms += 100) {
      const socket = network.last;
      if (socket.readyState === 0) accept(socket);
      if (socket.isLive && socket.sent.some(isTooLarge)) socket.drop(1009, 'too large');
      await vi.dynamicImportSettled();
      clock.advance(100);
    }
    expect(told).toBeLessThan(20);
    expect(told).toBeGreaterThan(4);
    expect(network.sockets.length).toBeLessThan(20);
  });

  test('in tabs, too: all of them see one revert a burst', async () => {
    const parts = await twoPages();
    const { network, clock, one, other, settle } = parts;
    const told = { one: 0, other: 0 };
    one.on('rejected', () => told.one++);
    other.on('rejected', () => told.other++);
    let refused = documentsOf(network.last).length;
    for (const letter of 'abcde') {
      type(other, letter);
      await settle();
      refused = refuseAll(parts, refused);
      network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(new Y.Doc()) });
      await settle();
    }
    clock.advance(500);
    await settle();
    expect([textOf(one), textOf(other)]).toEqual(['', '']);
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
    expect(told).toEqual({ one: 2, other: 2 });
  });
});
