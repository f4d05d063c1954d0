/** What leaves slowly, or not at all: pieces of what is large, and who is asked whether the line lives. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  documentsOf,
  EMPTY,
  type Page,
  type Parts,
  save,
  setUpPages,
  textOf,
} from '../test/pages.js';
import { ACKNOWLEDGEMENT_TIMEOUT, PROBE_TIMEOUT, SILENCE_TIMEOUT } from './connection.js';
import { refusals } from './part.js';

const PICTURE = 'p'.repeat(40_000);
/** A few messages more than are sent in pieces. */
const PICTURES = 40;

let network: Parts['network'];
let open: Parts['open'];
let clock: Parts['clock'];

beforeEach(() => {
  // Nobody has needed it yet.
  refusals.code = null;
  ({ network, open, clock } = setUpPages({ tabs: false }));
});

afterEach(closePages);

const kinds = () => documentsOf(network.last).map(({ type }) => type);

const sizes = () =>
  documentsOf(network.last).map((message) => ('update' in message ? message.update.length : 0));

/** What a server has that was sent all that was sent on the last socket, from the n-th document message on. */
function received(server = new Y.Doc(), from = 0): Y.Doc {
  for (const message of documentsOf(network.last).slice(from)) {
    if ('update' in message) Y.applyUpdate(server, message.update);
    expect(server.store.pendingStructs).toBeNull();
  }
  return server;
}

function fill({ doc }: Page, count = PICTURES): void {
  for (let i = 0; i < count; i++) doc.getMap('pictures').set(`${i}`, PICTURE);
}

/** The code for pieces is loaded. */
const loaded = () => vi.dynamicImportSettled();

describe('[CLI-40] more than a megabyte leaves in pieces', () => {
  test('of what was written before there was a socket; small things do not wait for it', async () => {
    const page = open();
    fill(page);
    page.doc.getText('t').insert(0, 'before ');
    accept(network.last);
    expect(kinds()).toEqual([]);
    // What is typed while the code is loaded follows, and needs what is before it.
    page.doc.getText('t').insert(7, 'meanwhile');
    await loaded();
    expect(kinds().length).toBeGreaterThan(PICTURES / 2);
    expect(kinds().at(-1)).toBe('step2');
    expect(Math.max(...sizes())).toBeLessThan(80_000);
    page.doc.getText('t').insert(0, 'then ');
    expect(kinds().at(-1)).toBe('update');
    const server = received();
    expect(server.getText('t').toString()).toBe('then before meanwhile');
    expect(server.getMap('pictures').size).toBe(PICTURES);
    expect(page.unsaved).toBe(true);
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('of one change while it is open, and of that only', async () => {
    const page = open();
    const server = new Y.Doc();
    accept(network.last, server);
    page.doc.getText('t').insert(0, 'typed before');
    save(network.last);
    received(server);
    const from = documentsOf(network.last).length;
    page.doc.transact(() => {
      page.doc.getText('t').delete(5, 7);
      fill(page);
    });
    expect(documentsOf(network.last).length).toBe(from);
    expect(page.unsaved).toBe(true);
    await loaded();
    const sent = sizes().slice(from);
    expect(Math.max(...sent)).toBeLessThan(80_000);
    expect(sent.reduce((sum, size) => sum + size, 0)).toBeLessThan((PICTURES + 1) * 40_100);
    received(server, from);
    expect(server.getText('t').toString()).toBe('typed');
    expect(server.getMap('pictures').toJSON()).toEqual(page.doc.getMap('pictures').toJSON());
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('while something else is under way, everything that was not known to be there goes along', async () => {
    const page = open();
    const server = new Y.Doc();
    accept(network.last, server);
    page.doc.getText('t').insert(0, 'not saved yet');
    fill(page, 2);
    page.doc.transact(() => fill(page));
    await loaded();
    received(server);
    expect(server.getText('t').toString()).toBe('not saved yet');
    expect(Y.encodeStateVector(server)).toEqual(Y.encodeStateVector(page.doc));
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('and again on the next socket, when the first was lost on the way', async () => {
    const page = open();
    fill(page);
    accept(network.last);
    network.last.drop();
    await loaded();
    page.connect();
    const server = new Y.Doc();
    accept(network.last, server);
    await loaded();
    received(server);
    expect(server.getMap('pictures').size).toBe(PICTURES);
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('what a page may not write is refused piece by piece, and taken back', async () => {
    const page = open();
    const told: unknown[] = [];
    page.on('rejected', (why) => told.push(why));
    accept(network.last);
    page.doc.transact(() => fill(page));
    await loaded();
    const { length } = sizes();
    for (let count = 1; count <= length; count++) {
      network.last.say({ type: 'rejected', count, reason: 'read-only' });
    }
    network.last.say({ type: 'step2', update: Y.encodeStateAsUpdate(new Y.Doc()) });
    save(network.last);
    clock.advance(500);
    expect([page.doc.getMap('pictures').size, page.unsaved]).toEqual([0, false]);
    // The first, and all that followed it soon.
    expect(told).toHaveLength(2);
  });

  test('a server that asks again while the answer waits here is not answered twice', async () => {
    const page = open();
    fill(page);
    accept(network.last);
    await loaded();
    const { length } = kinds();
    network.last.bufferedAmount = 1_500_000;
    network.last.say({ type: 'step1', stateVector: EMPTY });
    expect(kinds().length).toBe(length);
    network.last.bufferedAmount = 10_000;
    network.last.say({ type: 'step1', stateVector: EMPTY });
    expect(kinds().length).toBeGreaterThan(length);
    expect(textOf(page)).toBe('');
  });
});

/** Milliseconds from now on until it gives its socket up, in which nothing is heard. */
function untilGivenUp(page: Page, step: () => void = () => undefined): number {
  const start = clock.now();
  while (page.status === 'online' && clock.now() - start < 300_000) {
    step();
    clock.advance(500);
  }
  return clock.now() - start;
}

const probes = () => network.last.sent.filter(({ type }) => type === 'probe').length;

describe('[CLI-41] a dead line is noticed', () => {
  test('20 s after the last word where something is not saved, 45 s where all is', () => {
    const page = open();
    accept(network.last);
    page.doc.getText('t').insert(0, 'x');
    expect(untilGivenUp(page)).toBe(ACKNOWLEDGEMENT_TIMEOUT + PROBE_TIMEOUT);
    expect(probes()).toBe(1);
    page.connect();
    accept(network.last);
    save(network.last);
    expect(untilGivenUp(page)).toBe(SILENCE_TIMEOUT);
    expect(probes()).toBe(0);
  });

  test('a store that takes its time is no dead line', () => {
    const page = open();
    accept(network.last);
    page.doc.getText('t').insert(0, 'x');
    const { last } = network;
    for (let minute = 0; minute < 10; minute++) {
      for (let i = 0; i < 6; i++) {
        clock.advance(10_000);
        last.say({ type: 'awareness', update: EMPTY });
      }
    }
    expect([page.status, page.unsaved, network.sockets.length]).toEqual(['online', true, 1]);
    // One at the end of each 10 s, and no more.
    expect(probes()).toBeGreaterThan(50);
    expect(probes()).toBeLessThan(62);
    save(last);
    expect(page.unsaved).toBe(false);
    const before = probes();
    clock.advance(40_000);
    expect(probes()).toBe(before);
  });

  test('with a server that reports nothing, nothing is asked', () => {
    const page = open();
    network.last.accept('');
    network.last.say({ type: 'step1', stateVector: EMPTY });
    network.last.say({ type: 'step2', update: Uint8Array.of(0, 0) });
    page.doc.getText('t').insert(0, 'x');
    const { length } = network.last.sent;
    expect(untilGivenUp(page)).toBe(SILENCE_TIMEOUT);
    expect(network.last.sent.length).toBe(length);
  });
});

describe('[CLI-42] a client that sends much on a slow line', () => {
  test('does not take it for dead while bytes leave, though nothing is heard', async () => {
    const page = open();
    fill(page);
    accept(network.last);
    await loaded();
    network.last.bufferedAmount = 1_600_000;
    const { last } = network;
    const left = untilGivenUp(page, () => {
      last.bufferedAmount = Math.max(0, last.bufferedAmount - 8_000);
    });
    // 100 s until all has left, and then as long as ever.
    expect(left).toBeGreaterThan(100_000);
    expect(left).toBeLessThan(100_000 + 2 * ACKNOWLEDGEMENT_TIMEOUT + PROBE_TIMEOUT);
  });

  test('does once they do not', async () => {
    const page = open();
    fill(page);
    accept(network.last);
    await loaded();
    network.last.bufferedAmount = 1_600_000;
    expect(untilGivenUp(page)).toBeLessThan(2 * ACKNOWLEDGEMENT_TIMEOUT + PROBE_TIMEOUT + 1);
  });
});
