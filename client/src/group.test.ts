import { afterEach, describe, expect, test, vi } from 'vitest';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { FakeNetwork, type FakeSocket } from '../test/fake-socket.js';
import { FakeBrowser, type FakeTab } from '../test/fake-tabs.js';
import { ManualClock } from '../test/manual-clock.js';
import type { CowriteProviderOptions } from './options.js';
import { CowriteProvider } from './provider.js';

const EMPTY = Uint8Array.of(0);
const NOTHING = Uint8Array.of(0, 0);

const providers: CowriteProvider[] = [];

afterEach(() => {
  for (const provider of providers.splice(0)) provider.destroy();
  vi.unstubAllGlobals();
});

function setUp() {
  const page = new EventTarget();
  vi.stubGlobal('document', page);
  const browser = new FakeBrowser();
  const clock = new ManualClock();
  const network = new FakeNetwork();
  const open = (options: Partial<CowriteProviderOptions> = {}) => {
    const tab = browser.tab();
    const provider = new CowriteProvider({
      url: 'ws://host/ws',
      room: 'room',
      clock,
      random: () => 0.5,
      WebSocket: network.WebSocket,
      fetch: () => Promise.reject(new Error('no network')),
      browser: tab,
      ...options,
    });
    providers.push(provider);
    return Object.assign(provider, { tab });
  };
  /** Its process dies, and with it its socket. */
  const kill = (provider: CowriteProvider & { tab: FakeTab }) => {
    browser.kill(provider.tab);
    providers.splice(providers.indexOf(provider), 1);
    for (const socket of network.live) socket.readyState = 3;
  };
  return { browser, clock, network, open, kill, page };
}

/** What a server with one document does on a socket: it takes and relays nothing by itself. */
function accept(socket: FakeSocket): void {
  socket.accept();
  socket.say({ type: 'step1', stateVector: EMPTY });
  socket.say({ type: 'step2', update: NOTHING });
}

const isDocument = ({ type }: { type: string }) => type === 'update' || type === 'step2';
const documentsOf = (socket: FakeSocket) => socket.sent.filter(isDocument);

/** Reports all that was sent on it saved. */
function save(socket: FakeSocket): void {
  socket.say({ type: 'saved', count: documentsOf(socket).length });
}

/** The document that a server has after all that was sent to it. */
function textAt(...sockets: FakeSocket[]): string {
  const doc = new Y.Doc();
  for (const message of sockets.flatMap(documentsOf)) {
    if ('update' in message) Y.applyUpdate(doc, message.update);
  }
  return doc.getText('t').toString();
}

const type = ({ doc }: CowriteProvider, text: string) =>
  doc.getText('t').insert(doc.getText('t').length, text);
const textOf = ({ doc }: CowriteProvider) => doc.getText('t').toString();
const peopleOf = ({ awareness }: CowriteProvider) =>
  [...awareness.getStates().values()].map(({ name }) => name).sort();

/** Two tabs of which the first has the socket, and both have all. */
async function two() {
  const parts = setUp();
  const one = parts.open();
  await parts.browser.settle();
  accept(parts.network.last);
  save(parts.network.last);
  const other = parts.open();
  await parts.browser.settle();
  return { ...parts, one, other };
}

describe('[CLI-23] one socket', () => {
  test('serves all tabs, and all say how it is', async () => {
    const { network, one, other } = await two();
    expect(network.sockets.length).toBe(1);
    expect([one.status, other.status]).toEqual(['online', 'online']);
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('an edit of either is sent once, and heard by the other before any server', async () => {
    const { browser, network, one, other } = await two();
    const before = documentsOf(network.last).length;
    type(other, 'a');
    await browser.settle();
    type(one, 'b');
    await browser.settle();
    expect([textOf(one), textOf(other)]).toEqual(['ab', 'ab']);
    expect(documentsOf(network.last).length - before).toBe(2);
    expect(textAt(network.last)).toBe('ab');
  });

  test('what the server sends reaches both, and goes back from neither', async () => {
    const { browser, network, one, other } = await two();
    const before = documentsOf(network.last).length;
    const remote = new Y.Doc();
    remote.getText('t').insert(0, 'remote');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(remote) });
    await browser.settle();
    expect([textOf(one), textOf(other)]).toEqual(['remote', 'remote']);
    expect(documentsOf(network.last).length).toBe(before);
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('tabs that are opened at once find each other', async () => {
    const { browser, network, open } = setUp();
    const all = [open(), open(), open()];
    for (const provider of all) type(provider, 'x');
    await browser.settle();
    accept(network.last);
    await browser.settle();
    save(network.last);
    await browser.settle();
    expect(network.sockets.length).toBe(1);
    expect(all.map(textOf)).toEqual(['xxx', 'xxx', 'xxx']);
    expect(all.map(({ unsaved }) => unsaved)).toEqual([false, false, false]);
    expect(textAt(network.last)).toBe('xxx');
  });

  test('a tab is not in step before it has what the holder has', async () => {
    const { browser, one, open } = await two();
    type(one, 'long');
    const third = open();
    const seen: [boolean, string][] = [];
    third.on('synced', (synced) => seen.push([synced, textOf(third)]));
    await browser.settle();
    expect(seen).toEqual([[true, 'long']]);
  });

  test('without the server they go on together, and all is sent when it is back', async () => {
    const { browser, clock, network, one, other } = await two();
    network.last.drop();
    await browser.settle();
    expect([one.status, other.status]).toEqual(['retrying', 'retrying']);
    expect(other.nextRetryAt).toEqual(one.nextRetryAt);
    type(other, 'a');
    await browser.settle();
    type(one, 'b');
    await browser.settle();
    expect([textOf(one), textOf(other)]).toEqual(['ab', 'ab']);
    clock.advance(1000);
    accept(network.last);
    save(network.last);
    await browser.settle();
    expect(textAt(network.last)).toBe('ab');
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('other rooms, users and servers have nothing in common', async () => {
    const { browser, network, open } = setUp();
    const claim = (sub: string) => `x.${btoa(JSON.stringify({ sub }))}.x`;
    open();
    open({ room: 'other' });
    open({ user: 'ada' });
    open({ user: 'bob' });
    open({ url: 'ws://other/ws' });
    open({ token: claim('cy') });
    await browser.settle();
    expect(network.sockets.length).toBe(6);
    open({ token: claim('cy') });
    open({ user: 'bob', token: () => 'anything' });
    await browser.settle();
    expect(network.sockets.length).toBe(6);
  });

  test('whose user is not known, or who does not want it, has a socket of their own', async () => {
    const { browser, network, open } = setUp();
    const options = [
      { token: () => 'x' },
      { token: 'opaque' },
      { params: { token: 'x' } },
      { protocols: ['token.x'] },
      { tabs: false },
    ];
    for (const option of [...options, ...options]) open(option);
    await browser.settle();
    expect(network.sockets.length).toBe(10);
  });
});

describe('[CLI-24] the tab with the socket goes', () => {
  test.each(['destroy', 'disconnect'] as const)('by %s: another takes over', async (way) => {
    const { browser, network, one, other } = await two();
    one[way]();
    expect(network.live.length).toBe(0);
    type(other, 'x');
    await browser.settle();
    expect(network.sockets.length).toBe(2);
    accept(network.last);
    expect(other.status).toBe('online');
    expect(textAt(network.last)).toBe('x');
  });

  test('by dying: another takes over, with all that was heard of it and not saved', async () => {
    const { browser, kill, network, one, open, other } = await two();
    const third = open();
    await browser.settle();
    type(one, 'a');
    type(third, 'b');
    await browser.settle();
    kill(one);
    await browser.settle();
    expect([other.unsaved, third.unsaved]).toEqual([true, true]);
    expect([other.status, third.status]).toEqual(['connecting', 'connecting']);
    accept(network.last);
    expect([...textAt(network.last)].sort().join('')).toBe('ab');
    await browser.settle();
    save(network.last);
    await browser.settle();
    expect([other.unsaved, third.unsaved]).toEqual([false, false]);
  });

  test('a page that sleeps gives the socket away, and comes back as one of the others', async () => {
    const { browser, network, one, other, page } = await two();
    page.dispatchEvent(new Event('freeze'));
    expect([one.status, network.live.length]).toEqual(['retrying', 0]);
    // Only one of the two pages slept.
    other.connect();
    await browser.settle();
    accept(network.last);
    type(one, 'asleep ');
    type(other, 'awake');
    page.dispatchEvent(new Event('resume'));
    await browser.settle();
    expect(network.live.length).toBe(1);
    expect(textOf(one)).toBe(textOf(other));
    expect(textAt(network.last)).toBe(textOf(other));
    expect([one.status, one.unsaved]).toEqual(['online', true]);
    save(network.last);
    await browser.settle();
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('a tab that is refused lets the next one try, each once', async () => {
    const { browser, network, one, open, other } = await two();
    const third = open();
    await browser.settle();
    network.last.drop(4401, 'ended');
    await browser.settle();
    network.last.drop(4401, 'ended');
    await browser.settle();
    expect([one, other, third].map(({ status }) => status)).not.toContain('refused');
    accept(network.last);
    await browser.settle();
    expect([one, other, third].map(({ status }) => status)).toEqual(['online', 'online', 'online']);
    network.last.drop(4403, 'no');
    for (let tries = 0; tries < 5; tries++) {
      await browser.settle();
      if (network.live.length > 0) network.last.drop(4403, 'no');
    }
    expect([one, other, third].map(({ status }) => status)).toEqual(Array(3).fill('refused'));
    const attempts = network.sockets.length;
    expect(attempts).toBeLessThanOrEqual(6);
    one.connect();
    await browser.settle();
    accept(network.last);
    await browser.settle();
    expect(network.sockets.length).toBe(attempts + 1);
    expect([one, other, third].map(({ status }) => status)).toEqual(['online', 'online', 'online']);
  });
});

describe('[CLI-25] unsaved', () => {
  test('is true in every tab that has the edit, until the server has it on disk', async () => {
    const { browser, network, one, other } = await two();
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
    const { browser, network, one, other } = await two();
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
    const { browser, network, one, other } = await two();
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

  test('a tab that was opened with content of its own brings it in', async () => {
    const { browser, network, one, open } = await two();
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'brought');
    const third = open({ doc });
    expect(third.unsaved).toBe(true);
    await browser.settle();
    expect(textOf(one)).toBe('brought');
    expect(textAt(network.last)).toBe('brought');
    expect([one.unsaved, third.unsaved]).toEqual([true, true]);
    save(network.last);
    await browser.settle();
    expect([one.unsaved, third.unsaved]).toEqual([false, false]);
  });
});

describe('[CLI-26] people', () => {
  test('of all tabs are seen by all, once each, with and without the server', async () => {
    const { browser, clock, network, one, other } = await two();
    one.awareness.setLocalState({ name: 'one' });
    other.awareness.setLocalState({ name: 'other' });
    clock.advance(50);
    await browser.settle();
    expect([peopleOf(one), peopleOf(other)]).toEqual(Array(2).fill(['one', 'other']));
    network.last.drop();
    await browser.settle();
    expect([peopleOf(one), peopleOf(other)]).toEqual(Array(2).fill(['one', 'other']));
  });

  test('a tab that closes or dies is gone from the others, and for the server', async () => {
    const { browser, clock, network, one, open, other } = await two();
    const dying = open();
    await browser.settle();
    other.awareness.setLocalState({ name: 'other' });
    dying.awareness.setLocalState({ name: 'dying' });
    one.awareness.setLocalState({ name: 'one' });
    clock.advance(50);
    await browser.settle();
    expect(peopleOf(one)).toEqual(['dying', 'one', 'other']);
    browser.kill(dying.tab);
    other.destroy();
    await browser.settle();
    expect(peopleOf(one)).toEqual(['one']);
    const server = new Awareness(new Y.Doc());
    server.setLocalState(null);
    for (const message of network.last.sent) {
      if (message.type === 'awareness') applyAwarenessUpdate(server, message.update, 'test');
    }
    expect([...server.getStates().values()]).toEqual([{ name: 'one' }]);
    server.destroy();
  });

  test('after the loss of a socket everybody is shown with a new clock', async () => {
    const { browser, clock, network, one, other } = await two();
    other.awareness.setLocalState({ name: 'other' });
    await browser.settle();
    const clockOf = () => other.awareness.meta.get(other.awareness.clientID)?.clock ?? 0;
    const before = clockOf();
    network.last.drop();
    await browser.settle();
    clock.advance(1000);
    accept(network.last);
    await browser.settle();
    expect(clockOf()).toBeGreaterThan(before);
    expect(network.last.sent.filter(({ type }) => type === 'awareness').length).toBeGreaterThan(1);
    expect(one.status).toBe('online');
  });

  test('of the other side of the server are gone with the socket', async () => {
    const { browser, network, one, open, other } = await two();
    const far = open({ user: 'far' });
    far.awareness.setLocalState({ name: 'far' });
    const update = encodeAwarenessUpdate(far.awareness, [far.awareness.clientID]);
    network.sockets[0]?.say({ type: 'awareness', update });
    await browser.settle();
    expect(peopleOf(other)).toContain('far');
    network.sockets[0]?.drop();
    await browser.settle();
    expect([peopleOf(one), peopleOf(other)].flat()).not.toContain('far');
  });
});

test('[CLI-11] nothing is left of a tab that was destroyed', async () => {
  const { browser, clock, one, other } = await two();
  one.destroy();
  other.destroy();
  await browser.settle();
  expect(browser.held).toEqual([]);
  expect(clock.pending).toBe(0);
});
