import { afterEach, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { written } from '../test/copies.js';
import { LoneTab } from '../test/lone-tab.js';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  reject,
  save,
  setUpPages,
  textAt,
  textOf,
  twoPages,
  type,
  watchClosing,
} from '../test/pages.js';

afterEach(closePages);

/** A tab whose peers are the test. */
async function lone() {
  const { open } = setUpPages();
  const isAsking = watchClosing();
  const peers = new LoneTab();
  const tab = open({ browser: peers });
  await written();
  return { peers, tab, isAsking };
}

describe('[CLI-25] unsaved', () => {
  test('is true in every tab that has the edit, until the server has it on disk', async () => {
    const { browser, network, one, other } = await twoPages();
    const heard: string[] = [];
    for (const [name, provider] of Object.entries({ one, other })) {
      provider.on('unsaved', (unsaved) => heard.push(`${name} ${unsaved}`));
      provider.on('saved', () => heard.push(`${name} saved`));
    }
    type(other, 'x');
    expect(other.unsaved).toBe(true);
    await browser.settle();
    expect([one.unsaved, other.unsaved]).toEqual([true, true]);
    save(network.last);
    await browser.settle();
    expect(heard).toEqual([
      ...['other true', 'one true', 'one false', 'one saved'],
      ...['other false', 'other saved'],
    ]);
  });

  test('is not ended by a report that was made before the edit arrived', async () => {
    const { browser, network, one, other } = await twoPages();
    type(one, 'a');
    await browser.settle();
    save(network.last);
    type(other, 'b');
    await browser.settle();
    expect(other.unsaved).toBe(true);
    save(network.last);
    await browser.settle();
    expect(other.unsaved).toBe(false);
  });

  test('what is refused is taken back in every tab, and all are told', async () => {
    const { browser, network, one, other } = await twoPages();
    const told: unknown[] = [];
    for (const provider of [one, other]) provider.on('rejected', (why) => told.push(why));
    type(one, 'kept ');
    type(other, 'refused');
    await browser.settle();
    network.last.say({ type: 'saved', count: documentsOf(network.last).length - 1 });
    network.last.say({
      type: 'rejected',
      count: documentsOf(network.last).length,
      reason: 'read-only',
    });
    save(network.last);
    await browser.settle();
    expect([textOf(one), textOf(other)]).toEqual(['kept ', 'kept ']);
    expect(told).toEqual(Array(2).fill({ reason: 'read-only', isTakenBack: true }));
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('whenSaved() rejects in the tab whose change was refused, whoever has the socket', async () => {
    const { browser, network, other } = await twoPages();
    type(other, 'refused');
    const reasons: unknown[] = [];
    other.on('rejected', () => reasons.push(other.rejection));
    const waiting = other.whenSaved().catch(String);
    await browser.settle();
    reject(network.last);
    save(network.last);
    await browser.settle();
    const error = 'Error: the server refused: read-only';
    expect([await waiting, reasons]).toEqual([error, ['read-only']]);
    expect([other.unsaved, other.rejection]).toEqual([false, null]);
    await other.whenSaved();
  });

  test('a tab that was opened with content of its own brings it in', async () => {
    const { browser, network, one, open } = await twoPages();
    const third = open({ doc: docOf('brought') });
    expect(third.unsaved).toBe(true);
    await browser.settle();
    expect(textOf(one)).toBe('brought');
    expect(textAt(network.last)).toBe('brought');
    expect([one.unsaved, third.unsaved]).toEqual([true, true]);
    save(network.last);
    await browser.settle();
    expect([one.unsaved, third.unsaved]).toEqual([false, false]);
  });

  test('is told to a tab that is opened, of what it gets and the next holder may refuse', async () => {
    const { browser, kill, network, open } = setUpPages();
    const one = open();
    await browser.settle();
    type(one, 'u');
    const other = open();
    type(other, 'e');
    await browser.settle();
    expect([textOf(other).length, other.unsaved]).toEqual([2, true]);
    const told: unknown[] = [];
    other.on('rejected', (why) => told.push(why));
    kill(one);
    await browser.settle();
    accept(network.last);
    reject(network.last);
    save(network.last);
    expect(told).toEqual([{ reason: 'read-only', isTakenBack: true }]);
    expect([textOf(other), other.unsaved]).toEqual(['', false]);
  });

  test('of what a tab has deleted is told to one that is opened: it may have to come back there', async () => {
    const server = docOf('kept');
    const { browser, kill, network, open } = setUpPages();
    const one = open();
    await browser.settle();
    accept(network.last, server);
    save(network.last);
    network.last.drop();
    one.doc.getText('t').delete(0, 4);
    type(one, 'refused');
    const other = open();
    await browser.settle();
    expect(textOf(other)).toBe('refused');
    kill(one);
    await browser.settle();
    accept(network.last, server);
    reject(network.last);
    save(network.last);
    expect([textOf(other), other.unsaved]).toEqual(['kept', false]);
  });

  test('of what a document held before is told as that, and stays', async () => {
    const { browser, kill, network, open } = setUpPages();
    const one = open({ doc: docOf('before') });
    await browser.settle();
    const other = open();
    await browser.settle();
    kill(one);
    await browser.settle();
    const told: unknown[] = [];
    other.on('rejected', (why) => told.push(why));
    accept(network.last);
    reject(network.last);
    save(network.last);
    expect(told).toEqual([{ reason: 'read-only', isTakenBack: false }]);
    expect([textOf(other), other.unsaved]).toEqual(['before', true]);
  });

  test('what was refused and taken back is not taken back again by the next holder', async () => {
    const server = docOf('X');
    const { browser, kill, network, open } = setUpPages();
    const one = open();
    await browser.settle();
    accept(network.last, server);
    save(network.last);
    const other = open();
    await browser.settle();
    other.doc.getText('t').delete(0, 1);
    await browser.settle();
    reject(network.last);
    await browser.settle();
    expect([textOf(one), textOf(other)]).toEqual(['X', 'X']);
    kill(one);
    await browser.settle();
    accept(network.last, server);
    reject(network.last);
    save(network.last);
    expect(textOf(other)).toBe('X');
  });

  test('what stays of a tab when another change is refused may be refused by the next', async () => {
    const { browser, kill, network, one, other } = await twoPages();
    type(other, 'stays ');
    await browser.settle();
    type(other, 'refused');
    await browser.settle();
    reject(network.last);
    await browser.settle();
    expect([textOf(other), other.unsaved]).toEqual(['stays ', true]);
    kill(one);
    await browser.settle();
    accept(network.last);
    reject(network.last);
    save(network.last);
    expect([textOf(other), other.unsaved]).toEqual(['', false]);
  });
});

describe('[CLI-25] what a holder says', () => {
  test('is believed: something that it has is not on disk', async () => {
    const { peers, tab } = await lone();
    peers.welcome('A');
    expect(tab.unsaved).toBe(false);
    peers.state('A', { unsaved: true });
    expect(tab.unsaved).toBe(true);
    peers.state('A');
    expect(tab.unsaved).toBe(false);
  });

  test('when it has left is said of nothing that came after', async () => {
    const { peers, tab } = await lone();
    peers.welcome('A');
    // E is known to A only, which has had an edit of it.
    peers.state('A', {}, { E: 1 });
    peers.say('A', { type: 'bye' });
    type(tab, 'mine');
    const update = Y.encodeStateAsUpdate(docOf('x'));
    peers.say('E', { type: 'edit', number: 1, update });
    expect([tab.unsaved, tab.status]).toEqual([true, 'connecting']);
  });

  test('late, when there is another, is not heard', async () => {
    const { peers, tab } = await lone();
    peers.welcome('A');
    peers.say('C', { type: 'holding', client: 67 });
    peers.welcome('C', { unsaved: true });
    const refusal = { reason: 'token', code: 4401, message: '' } as const;
    peers.state('A', { status: 'refused', refusal });
    expect([tab.status, tab.unsaved]).toEqual(['online', true]);
    peers.state('C', {}, { [peers.id]: 1 });
    expect(tab.unsaved).toBe(false);
  });

  test('is waited for again when it is heard after its death', async () => {
    const { peers, tab } = await lone();
    peers.welcome('A');
    peers.die('A');
    await written();
    expect(tab.status).toBe('connecting');
    peers.say('A', { type: 'holding', client: 65 });
    expect(peers.wanted.some((name) => name.endsWith(' A'))).toBe(true);
  });
});

describe('[CLI-18] a page that is kept by another tab', () => {
  test('asks before it is closed while that one has not heard all, or is gone', async () => {
    const { peers, tab, isAsking } = await lone();
    peers.welcome('A', { isKept: true });
    type(tab, 'x');
    expect([tab.unsaved, isAsking()]).toEqual([true, true]);
    peers.state('A', { isKept: true, unsaved: true }, { [peers.id]: 1 });
    expect([tab.unsaved, isAsking()]).toEqual([true, false]);
    peers.say('A', { type: 'bye' });
    expect([tab.unsaved, isAsking()]).toEqual([true, true]);
  });
});
