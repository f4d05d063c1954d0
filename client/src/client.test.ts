import { afterEach, describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { FakeNetwork, type FakeSocket } from '../test/fake-socket.js';
import { ManualClock } from '../test/manual-clock.js';
import { CowriteClient, type CowriteClientOptions } from './client.js';
import type { CowriteProvider } from './provider.js';

const clients: CowriteClient[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

const IDLE_TIME = 10_000;
const EMPTY = Uint8Array.of(0);
const NOTHING = Uint8Array.of(0, 0);

function setUp(options: Partial<CowriteClientOptions> = {}) {
  const clock = new ManualClock();
  const network = new FakeNetwork();
  const client = new CowriteClient({
    url: 'ws://host/ws',
    WebSocket: network.WebSocket,
    clock,
    random: () => 0.5,
    fetch: () => Promise.reject(new Error('no network')),
    ...options,
  });
  clients.push(client);
  return { client, clock, network };
}

/** The server's part of a handshake with an empty room. */
function sync(socket: FakeSocket): void {
  socket.accept();
  socket.say({ type: 'step1', stateVector: EMPTY });
  socket.say({ type: 'step2', update: NOTHING });
}

/** The server has all that was sent on disk. */
function save(socket: FakeSocket): void {
  const count = socket.sent.filter(({ type }) => type === 'step2' || type === 'update').length;
  socket.say({ type: 'saved', count });
}

const edit = ({ doc }: CowriteProvider) => doc.getText('t').insert(0, 'x');

const isGone = ({ status, doc }: CowriteProvider) => status === 'closed' && doc.isDestroyed;

describe('[CLI-20] rooms are shared', () => {
  test('handles of a room have one provider, those of another room another', () => {
    const { client, network } = setUp({ params: { a: 'b' } });
    const first = client.open('one');
    const second = client.open('one');
    const other = client.open('two');
    expect(second.provider).toBe(first.provider);
    expect(other.provider).not.toBe(first.provider);
    expect(network.sockets.map(({ url }) => url)).toEqual([
      'ws://host/ws/one?a=b',
      'ws://host/ws/two?a=b',
    ]);
    expect(client.rooms).toEqual(['one', 'two']);
  });

  test('the last release starts the idle time, at whose end provider and document go', () => {
    const { client, clock, network } = setUp();
    const first = client.open('room');
    const second = client.open('room');
    sync(network.last);
    first.release();
    first.release();
    clock.advance(IDLE_TIME);
    expect(client.rooms).toEqual(['room']);
    second.release();
    clock.advance(IDLE_TIME - 1);
    expect(isGone(first.provider)).toBe(false);
    clock.advance(1);
    expect(isGone(first.provider)).toBe(true);
    expect(client.rooms).toEqual([]);
    expect(network.live).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(client.open('room').provider).not.toBe(first.provider);
  });

  test('a room that is opened again within the idle time goes on as it was', () => {
    const { client, clock, network } = setUp();
    const first = client.open('room');
    first.release();
    clock.advance(IDLE_TIME - 1);
    const second = client.open('room');
    sync(network.last);
    clock.advance(IDLE_TIME);
    expect(second.provider).toBe(first.provider);
    expect(second.provider.synced).toBe(true);
    second.release();
    clock.advance(IDLE_TIME - 1);
    expect(isGone(second.provider)).toBe(false);
  });

  test('peek makes a provider that stays for the idle time, counted from the last peek', () => {
    const { client, clock } = setUp();
    const provider = client.peek('room');
    clock.advance(IDLE_TIME - 1);
    expect(client.peek('room')).toBe(provider);
    clock.advance(IDLE_TIME - 1);
    expect(isGone(provider)).toBe(false);
    clock.advance(1);
    expect(isGone(provider)).toBe(true);
    expect(client.rooms).toEqual([]);
  });

  test('peek at a room that is open changes nothing', () => {
    const { client, clock } = setUp();
    const { provider } = client.open('room');
    expect(client.peek('room')).toBe(provider);
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(false);
  });

  test('an idle time of 0 ends with the next timer, not before', () => {
    const { client, clock } = setUp({ idleTime: 0 });
    const first = client.open('room');
    first.release();
    const second = client.open('room');
    expect(second.provider).toBe(first.provider);
    second.release();
    clock.advance(0);
    expect(isGone(second.provider)).toBe(true);
  });

  test.each([-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])(
    'no idle time of %d',
    (idleTime) => {
      expect(() => setUp({ idleTime })).toThrow(RangeError);
    },
  );

  test.each([
    ['the provider', (provider: CowriteProvider) => provider.destroy()],
    ['the document', ({ doc }: CowriteProvider) => doc.destroy()],
  ])('after the application destroyed %s, the room is made anew', (_, destroy) => {
    const { client, clock } = setUp();
    const old = client.open('room');
    destroy(old.provider);
    expect(client.rooms).toEqual([]);
    expect(old.provider.doc.isDestroyed).toBe(true);
    const { provider } = client.open('room');
    expect(provider).not.toBe(old.provider);
    old.release();
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(false);
  });

  test('a provider that is being destroyed is not handed out to a listener', () => {
    const { client } = setUp();
    const { provider } = client.open('room');
    const found: CowriteProvider[] = [];
    provider.doc.on('destroy', () => found.push(client.peek('room')));
    provider.doc.destroy();
    expect(found.map(({ status }) => status)).toEqual(['connecting']);
    expect(client.open('room').provider).toBe(found[0]);
  });

  test('a provider that the server refuses stays that of the room while it is used', () => {
    const { client, network } = setUp();
    const { provider } = client.open('room');
    network.last.accept();
    network.last.drop(4403, 'no');
    expect(client.open('room').provider).toBe(provider);
  });

  test('destroy ends all of them, and what is opened later is refused', () => {
    const { client, clock, network } = setUp();
    const used = client.open('used');
    const idle = client.peek('idle');
    edit(used.provider);
    client.destroy();
    client.destroy();
    used.release();
    expect([used.provider, idle].every(isGone)).toBe(true);
    expect(client.rooms).toEqual([]);
    expect(network.live).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(() => client.open('room')).toThrow('this client is destroyed');
    expect(() => client.peek('room')).toThrow('this client is destroyed');
  });
});

describe('[CLI-21] nothing is lost', () => {
  test('a provider with unsaved changes stays until they are saved, and is idle then', () => {
    const { client, clock, network } = setUp();
    const { provider, release } = client.open('room');
    sync(network.last);
    edit(provider);
    release();
    clock.advance(IDLE_TIME);
    network.last.say({ type: 'awareness', update: EMPTY });
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(false);
    save(network.last);
    clock.advance(IDLE_TIME - 1);
    expect(isGone(provider)).toBe(false);
    clock.advance(1);
    expect(isGone(provider)).toBe(true);
  });

  test('also without a connection, which is tried for as long as that takes', () => {
    const { client, clock, network } = setUp();
    const { provider, release } = client.open('room');
    edit(provider);
    release();
    network.last.drop();
    clock.advance(10 * IDLE_TIME);
    expect(isGone(provider)).toBe(false);
    while (!network.last.isLive) clock.advance(1000);
    sync(network.last);
    save(network.last);
    expect(provider.unsaved).toBe(false);
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(true);
  });

  test('a change made while it is idle keeps it as well', () => {
    const { client, clock, network } = setUp();
    const provider = client.peek('room');
    sync(network.last);
    clock.advance(IDLE_TIME - 1);
    edit(provider);
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(false);
    save(network.last);
    clock.advance(IDLE_TIME);
    expect(isGone(provider)).toBe(true);
  });

  test('one that is opened again meanwhile stays after it is saved', () => {
    const { client, clock, network } = setUp();
    const first = client.open('room');
    sync(network.last);
    edit(first.provider);
    first.release();
    clock.advance(IDLE_TIME);
    const second = client.open('room');
    expect(second.provider).toBe(first.provider);
    save(network.last);
    clock.advance(2 * IDLE_TIME);
    expect(isGone(second.provider)).toBe(false);
  });

  test('one whose changes the server will never take goes after the idle time', () => {
    const { client, clock, network } = setUp();
    const { provider, release } = client.open('room');
    sync(network.last);
    edit(provider);
    release();
    clock.advance(IDLE_TIME);
    network.last.drop(4403, 'no');
    clock.advance(IDLE_TIME - 1);
    expect(isGone(provider)).toBe(false);
    clock.advance(1);
    expect(isGone(provider)).toBe(true);
  });

  test('one that the application disconnected with unsaved changes is there when it is opened again', () => {
    const { client, clock, network } = setUp();
    const { provider, release } = client.open('room');
    sync(network.last);
    provider.disconnect();
    edit(provider);
    release();
    clock.advance(2 * IDLE_TIME);
    expect(client.open('room').provider).toBe(provider);
  });
});

describe('[CLI-61] a room is opened with a document of the application', () => {
  test('which is used, shared, and not destroyed', () => {
    const { client, clock } = setUp();
    const doc = new Y.Doc();
    const handle = client.open('one', { doc });
    expect(handle.provider.doc).toBe(doc);
    expect(client.open('one').provider).toBe(handle.provider);
    expect(client.peek('one')).toBe(handle.provider);
    client.destroy();
    clock.advance(IDLE_TIME);
    expect(handle.provider.status).toBe('closed');
    expect(doc.isDestroyed).toBe(false);
  });

  test('such as a subdocument, whose end ends the provider', async () => {
    const { client } = setUp();
    const parent = client.open('parent').provider.doc;
    const sub = new Y.Doc({ guid: 'sub-1' });
    parent.getMap('pages').set('first', sub);
    sub.load();
    const { provider } = client.open(sub.guid, { doc: sub });
    expect(provider.doc).toBe(sub);
    sub.destroy();
    expect(provider.status).toBe('closed');
    const next = parent.getMap('pages').get('first') as Y.Doc;
    expect(client.open(sub.guid, { doc: next }).provider.doc).toBe(next);
  });

  test('and not with another one while it is used, or something of it is unsaved', () => {
    const { client, network } = setUp();
    const [first, second] = [new Y.Doc(), new Y.Doc()];
    const handle = client.open('one', { doc: first });
    expect(() => client.open('one', { doc: second })).toThrow('open with another document');
    expect(client.open('one', { doc: first }).provider).toBe(handle.provider);
    client.open('one').release();
    edit(handle.provider);
    const idle = setUp();
    const released = idle.client.open('one', { doc: first });
    edit(released.provider);
    released.release();
    expect(() => idle.client.open('one', { doc: second })).toThrow('open with another document');
    sync(idle.network.last);
    save(idle.network.last);
    const after = idle.client.open('one', { doc: second });
    expect(after.provider.doc).toBe(second);
    expect(released.provider.status).toBe('closed');
    expect(first.isDestroyed).toBe(false);
    expect(network.sockets.length).toBe(1);
  });
});
