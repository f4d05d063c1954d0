import { afterEach, describe, expect, test } from 'vitest';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  documentsOf,
  type Page,
  save,
  setUpPages,
  textAt,
  textOf,
  twoPages,
  type,
} from '../test/pages.js';

afterEach(closePages);

const peopleOf = ({ awareness }: Page) =>
  [...awareness.getStates().values()].map(({ name }) => name).sort();

describe('[CLI-23] one socket', () => {
  test('serves all tabs, and all say how it is', async () => {
    const { network, one, other } = await twoPages();
    expect(network.sockets.length).toBe(1);
    expect([one.status, other.status]).toEqual(['online', 'online']);
    expect([one.unsaved, other.unsaved]).toEqual([false, false]);
  });

  test('an edit of either is sent once, and heard by the other before any server', async () => {
    const { browser, network, one, other } = await twoPages();
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
    const { browser, network, one, other } = await twoPages();
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
    const { browser, network, open } = setUpPages();
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
    const { browser, one, open } = await twoPages();
    type(one, 'long');
    const third = open();
    const seen: [boolean, string][] = [];
    third.on('synced', (synced) => seen.push([synced, textOf(third)]));
    await browser.settle();
    expect(seen).toEqual([[true, 'long']]);
  });

  test('without the server they go on together, and all is sent when it is back', async () => {
    const { browser, clock, network, one, other } = await twoPages();
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
    const { browser, network, open } = setUpPages();
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
    const { browser, network, open } = setUpPages();
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

  test('those with an offline copy and those without share nothing', async () => {
    const { network, open, settle } = setUpPages();
    const [kept, other] = [open({ offline: true }), open()];
    await settle();
    expect(network.sockets.length).toBe(2);
    type(kept, 'x');
    await settle();
    expect(textOf(other)).toBe('');
  });
});

describe('[CLI-24] the tab with the socket goes', () => {
  test.each(['destroy', 'disconnect'] as const)('by %s: another takes over', async (way) => {
    const { browser, network, one, other } = await twoPages();
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
    const { browser, kill, network, one, open, other } = await twoPages();
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
    const { browser, network, one, other, page } = await twoPages();
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

  test('what may be done with the document is not in doubt meanwhile', async () => {
    const { browser, network, one, other } = await twoPages();
    network.last.say({ type: 'access', access: 'read' });
    await browser.settle();
    const told: string[] = [];
    other.on('access', (access) => told.push(access));
    one.destroy();
    await browser.settle();
    expect([other.access, told]).toEqual(['read', []]);
    accept(network.last);
    expect([other.access, told]).toEqual(['write', ['write']]);
  });
});

describe('[CLI-24] the server refuses', () => {
  test('a tab that is refused lets the next one try, each once', async () => {
    const { browser, network, one, open, other } = await twoPages();
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

  test('a token: whose was refused tries again when the tab after it is gone', async () => {
    for (const way of ['destroy', 'kill'] as const) {
      const { browser, kill, network, one, other } = await twoPages();
      network.last.drop(4401, 'ended');
      await browser.settle();
      network.last.drop();
      await browser.settle();
      expect([one.status, other.status]).toEqual(['retrying', 'retrying']);
      const attempts = network.sockets.length;
      if (way === 'kill') kill(other);
      else other.destroy();
      await browser.settle();
      expect(network.sockets.length).toBe(attempts + 1);
      accept(network.last);
      expect(one.status).toBe('online');
    }
  });

  test('a token of both: neither tries again because the other is gone', async () => {
    const { browser, network, one, other } = await twoPages();
    network.last.drop(4401, 'ended');
    await browser.settle();
    network.last.drop(4401, 'ended');
    await browser.settle();
    const attempts = network.sockets.length;
    other.destroy();
    await browser.settle();
    expect([one.status, network.sockets.length]).toEqual(['refused', attempts]);
  });

  test.each([
    [4400, 'protocol'],
    [4403, 'forbidden'],
  ])('with %i, which is for all of them: all are told, and none tries', async (code, reason) => {
    const { browser, clock, network, one, other, page } = await twoPages();
    const told: string[] = [];
    for (const each of [one, other]) each.on('refused', (why) => told.push(why.reason));
    network.last.drop(code, 'no');
    await browser.settle();
    expect(told).toEqual([reason, reason]);
    page.dispatchEvent(new Event('visibilitychange'));
    clock.advance(3_600_000);
    await browser.settle();
    expect([one.status, other.status]).toEqual(['refused', 'refused']);
    expect([one.refusal, other.refusal]).toEqual(Array(2).fill({ reason, code, message: 'no' }));
    expect(network.sockets.length).toBe(1);
  });

  test('all of them, and each that is opened, until one is told to connect', async () => {
    const { browser, network, one, open, other } = await twoPages();
    network.last.drop(4403, 'no');
    await browser.settle();
    const third = open();
    await browser.settle();
    expect([third.status, network.sockets.length]).toEqual(['refused', 1]);
    other.connect();
    await browser.settle();
    accept(network.last);
    await browser.settle();
    expect([one, other, third].map(({ status }) => status)).toEqual(Array(3).fill('online'));
  });
});

describe('[CLI-26] people', () => {
  test('of all tabs are seen by all, once each, with and without the server', async () => {
    const { browser, clock, network, one, other } = await twoPages();
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
    const { browser, clock, network, one, open, other } = await twoPages();
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
    const { browser, clock, network, one, other } = await twoPages();
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
    const { browser, network, one, open, other } = await twoPages();
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
  const { browser, clock, one, other } = await twoPages();
  one.destroy();
  other.destroy();
  await browser.settle();
  expect(browser.held).toEqual([]);
  expect(clock.pending).toBe(0);
});
