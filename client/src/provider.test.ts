import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { FakeNetwork, type FakeSocket } from '../test/fake-socket.js';
import '../test/loaded.js';
import { ManualClock } from '../test/manual-clock.js';
import { CONNECT_TIMEOUT, PROBE_TIMEOUT, SILENCE_TIMEOUT } from './connection.js';
import type { CowriteProviderOptions } from './options.js';
import { CowriteProvider } from './provider.js';

const providers: CowriteProvider[] = [];

afterEach(() => {
  for (const provider of providers.splice(0)) provider.destroy();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function setUp(options: Partial<CowriteProviderOptions> = {}) {
  const clock = new ManualClock();
  const network = new FakeNetwork();
  const provider = new CowriteProvider({
    url: 'ws://host/ws',
    room: 'room',
    clock,
    random: () => 0.5,
    WebSocket: network.WebSocket,
    fetch: () => Promise.reject(new Error('no network')),
    ...options,
  });
  providers.push(provider);
  const edit = (text = 'x') => provider.doc.getText('t').insert(0, text);
  return { clock, network, provider, edit };
}

const EMPTY = Uint8Array.of(0);
const NOTHING = Uint8Array.of(0, 0);
const KEEP_ALIVE = Uint8Array.of(1, 1, 0);

/** The server's part of a handshake with an empty room. */
function sync(socket: FakeSocket): void {
  socket.accept();
  socket.say({ type: 'step1', stateVector: EMPTY });
  socket.say({ type: 'step2', update: NOTHING });
}

const typesOf = (socket: FakeSocket) => socket.sent.map(({ type }) => type);

/** What the others see of this client, after all that was sent on these sockets. */
function seenBy(other: Awareness, sockets: readonly FakeSocket[], { awareness }: CowriteProvider) {
  for (const message of sockets.flatMap(({ sent }) => sent)) {
    if (message.type === 'awareness') applyAwarenessUpdate(other, message.update, 'server');
  }
  return other.getStates().get(awareness.clientID);
}

const stateOf = (awareness: Awareness) => encodeAwarenessUpdate(awareness, [awareness.clientID]);

describe('[CLI-8] options', () => {
  test('[PKG-15] one that is undefined is left out, for TypeScript, too', () => {
    // Of every name, so that an option that comes later is here as well.
    const undefinedOnes: {
      readonly [Name in keyof Omit<CowriteProviderOptions, 'url' | 'room'>]-?: undefined;
    } = {
      ...{ doc: undefined, awareness: undefined, connect: undefined, token: undefined },
      ...{ generation: undefined, protocols: undefined, params: undefined, tabs: undefined },
      ...{ warnBeforeUnload: undefined, offline: undefined, user: undefined, clock: undefined },
      ...{ WebSocket: undefined, positions: undefined, awarenessInterval: undefined },
      ...{ fetch: undefined, browser: undefined, random: undefined },
    };
    const network = new FakeNetwork();
    vi.stubGlobal('WebSocket', network.WebSocket);
    const provider = new CowriteProvider({ url: 'ws://host/ws', room: 'room', ...undefinedOnes });
    providers.push(provider);
    expect(provider.status).toBe('connecting');
  });

  const make = (options: object) => () =>
    new CowriteProvider({
      url: 'ws://host/ws',
      room: 'room',
      WebSocket: new FakeNetwork().WebSocket,
      ...options,
    });

  test.each([
    [{ url: 'nowhere' }, 'not an absolute url'],
    [{ url: 7 }, 'url is not a string'],
    [{ room: '' }, 'needs a name'],
    [{ room: undefined }, 'room is not a string'],
    [{ protocols: ['a b'] }, 'subprotocol'],
    [{ protocols: ['cowrite.v1'] }, 'twice'],
    [{ awarenessInterval: -1 }, 'awarenessInterval'],
    [{ awarenessInterval: Number.NaN }, 'awarenessInterval'],
    [{ WebSocket: 'ws' }, 'pass one as an option'],
  ])('%j is refused at once', (options, message) => {
    expect(make(options)).toThrow(message);
  });

  test('a missing WebSocket is told at once', () => {
    vi.stubGlobal('WebSocket', undefined);
    expect(make({ WebSocket: undefined })).toThrow('pass one as an option');
  });

  test('params and protocols may be functions, called before each attempt', () => {
    let token = 0;
    const { clock, network } = setUp({
      params: () => ({ token: String(++token) }),
      protocols: () => [`token.${token}`],
    });
    expect(network.last.url).toBe('ws://host/ws/room?token=1');
    expect(network.last.protocols).toEqual(['cowrite.v1', 'token.1']);
    network.last.drop();
    clock.advance(1000);
    expect(network.last.url).toBe('ws://host/ws/room?token=2');
  });

  test('the document is the one given, that of the awareness, or a new one', () => {
    const doc = new Y.Doc();
    const awareness = new Awareness(new Y.Doc());
    expect(setUp({ doc }).provider.doc).toBe(doc);
    const { provider } = setUp({ awareness });
    expect(provider.doc).toBe(awareness.doc);
    expect(provider.awareness).toBe(awareness);
    expect(setUp().provider.doc).toBeInstanceOf(Y.Doc);
    awareness.destroy();
  });
});

describe('[CLI-10] status', () => {
  test('goes through the states of a connection, with events in that order', () => {
    const { clock, network, provider } = setUp({ connect: false });
    const heard: unknown[] = [];
    provider.on('status', ({ status }) => heard.push(status));
    provider.on('synced', (synced) => heard.push(synced));
    expect(provider.status).toBe('offline');
    provider.connect();
    sync(network.last);
    network.last.drop();
    clock.advance(150);
    network.last.accept();
    network.last.drop(4403, 'no');
    provider.destroy();
    expect(heard).toEqual([
      ...['connecting', 'syncing', 'online', true, 'retrying', false],
      ...['connecting', 'syncing', 'refused', 'closed'],
    ]);
  });

  test('sync is heard as y-websocket has it', () => {
    const { network, provider } = setUp();
    const heard: boolean[] = [];
    provider.on('sync', (isSynced) => heard.push(isSynced));
    sync(network.last);
    network.last.say({ type: 'step2', update: NOTHING });
    network.last.drop();
    expect(heard).toEqual([true, false]);
  });

  test('tells when the next attempt is due', () => {
    const { clock, network, provider } = setUp();
    network.last.drop();
    const due = new Date(clock.date().getTime() + 150);
    expect(provider.nextRetryAt).toEqual(due);
    clock.advance(149);
    expect(network.sockets.length).toBe(1);
    clock.advance(1);
    expect(network.sockets.length).toBe(2);
    expect(provider.nextRetryAt).toBeNull();
  });

  test('[CLI-4] refused is final until connect(), and says why', () => {
    const { clock, network, provider } = setUp();
    const refused = vi.fn();
    provider.on('refused', refused);
    sync(network.last);
    network.last.drop(4401, 'expired');
    const refusal = { reason: 'token', code: 4401, message: 'expired' };
    expect(refused).toHaveBeenCalledExactlyOnceWith(refusal);
    expect(provider.refusal).toEqual(refusal);
    expect(clock.pending).toBe(0);
    provider.connect();
    expect(provider.refusal).toBeNull();
    sync(network.last);
    expect(provider.status).toBe('online');
  });

  test('a listener that changes the course is not heard out of order by the others', () => {
    const { network, provider } = setUp();
    const heard: string[] = [];
    provider.on('status', ({ status }) => {
      if (status === 'online') provider.disconnect();
    });
    provider.on('status', ({ status }) => heard.push(status));
    sync(network.last);
    expect(heard).toEqual(['syncing', 'online', 'offline']);
    expect(network.live).toEqual([]);
  });
});

describe('[CLI-10] whenSynced', () => {
  test('resolves with the sync, and when it has been', async () => {
    const { network, provider } = setUp();
    const waiting = provider.whenSynced();
    sync(network.last);
    await waiting;
    await provider.whenSynced();
  });

  test.each([
    ['closed for good', (_: CowriteProvider, socket: FakeSocket) => socket.drop(4404)],
    ['destroyed', (provider: CowriteProvider) => provider.destroy()],
  ])('rejects when %s, before and after', async (_, end) => {
    const { network, provider } = setUp();
    const waiting = provider.whenSynced();
    end(provider, network.last);
    await expect(waiting).rejects.toThrow(/refuses|closed/);
    await expect(provider.whenSynced()).rejects.toThrow(/refuses|closed/);
  });
});

describe('[CLI-9] the handshake', () => {
  test('sends step 1, then the own awareness', () => {
    const { network, edit } = setUp();
    network.last.accept();
    edit();
    // The server may have another document under this name: it says so first.
    expect(typesOf(network.last)).toEqual(['step1', 'awareness']);
    network.last.say({ type: 'generation', generation: 0 });
    network.last.say({ type: 'step1', stateVector: EMPTY });
    expect(typesOf(network.last)).toEqual(['step1', 'awareness', 'step2']);
    edit();
    expect(typesOf(network.last).at(-1)).toBe('update');
  });

  test('answers every step 1, even with nothing to say', () => {
    const { network } = setUp();
    sync(network.last);
    network.last.say({ type: 'step1', stateVector: EMPTY });
    expect(typesOf(network.last).filter((type) => type === 'step2').length).toBe(2);
    expect(network.last.sent.at(-1)).toEqual({ type: 'step2', update: NOTHING });
  });

  test('does not send back what it receives', () => {
    const { network, provider } = setUp();
    sync(network.last);
    const before = network.last.sent.length;
    const other = new Y.Doc();
    other.getText('t').insert(0, 'hello');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(other) });
    expect(provider.doc.getText('t').toString()).toBe('hello');
    expect(network.last.sent.length).toBe(before);
    expect(provider.unsaved).toBe(false);
  });

  test('sends what an observer changes in answer to what is received', () => {
    const { network, provider } = setUp();
    sync(network.last);
    provider.doc.getText('t').observe(({ transaction }) => {
      if (transaction.origin === provider) provider.doc.getMap('m').set('seen', true);
    });
    const other = new Y.Doc();
    other.getText('t').insert(0, 'hello');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(other) });
    expect(network.last.sent.at(-1)?.type).toBe('update');
    expect(provider.unsaved).toBe(true);
  });

  test('sends a local change even if it names the provider as its origin', () => {
    const { network, provider, edit } = setUp();
    sync(network.last);
    provider.doc.transact(() => edit(), provider);
    expect(network.last.sent.at(-1)?.type).toBe('update');
    expect(provider.unsaved).toBe(true);
  });
});

describe('[CLI-6] unsaved', () => {
  test('is false for a fresh document, and stays so through a handshake', () => {
    const { network, provider } = setUp();
    const heard = vi.fn();
    provider.on('unsaved', heard);
    sync(network.last);
    expect(provider.unsaved).toBe(false);
    expect(heard).not.toHaveBeenCalled();
  });

  test('is true for a document that has content, until its step 2 is saved', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'old');
    const { clock, network, provider } = setUp({ doc });
    const saved = vi.fn();
    provider.on('saved', saved);
    expect(provider.unsaved).toBe(true);
    sync(network.last);
    expect(provider.unsaved).toBe(true);
    clock.advance(5);
    network.last.say({ type: 'saved', count: 1 });
    expect(provider.unsaved).toBe(false);
    expect(saved).toHaveBeenCalledExactlyOnceWith({ at: clock.date() });
    expect(provider.lastSavedAt).toEqual(clock.date());
    clock.advance(1_000);
    doc.getText('t').insert(0, 'new');
    network.last.say({ type: 'saved', count: 2 });
    expect(provider.lastSavedAt).toEqual(clock.date());
  });

  test('is true for a document with nothing but pending structs', () => {
    const source = new Y.Doc();
    source.getText('t').insert(0, 'a');
    const before = Y.encodeStateVector(source);
    source.getText('t').insert(1, 'b');
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(source, before));
    expect(setUp({ doc }).provider.unsaved).toBe(true);
  });

  test('follows edits and reports', () => {
    const { network, provider, edit } = setUp();
    sync(network.last);
    const heard: boolean[] = [];
    provider.on('unsaved', (unsaved) => heard.push(unsaved));
    edit();
    edit();
    network.last.say({ type: 'saved', count: 2 });
    expect(provider.unsaved).toBe(true);
    network.last.say({ type: 'saved', count: 3 });
    expect(heard).toEqual([true, false]);
  });

  test('stays true when the socket is lost before the report', () => {
    const { clock, network, provider, edit } = setUp();
    sync(network.last);
    edit();
    network.last.drop();
    expect(provider.unsaved).toBe(true);
    clock.advance(1000);
    sync(network.last);
    expect(provider.unsaved).toBe(true);
    network.last.say({ type: 'saved', count: 1 });
    expect(provider.unsaved).toBe(false);
  });

  test('is never cleared by a server of another protocol', () => {
    const { network, provider, edit } = setUp({ protocols: ['other'] });
    network.last.accept('other');
    network.last.say({ type: 'step1', stateVector: EMPTY });
    network.last.say({ type: 'step2', update: NOTHING });
    expect(provider.status).toBe('online');
    edit();
    network.last.say({ type: 'saved', count: 2 });
    expect(provider.unsaved).toBe(true);
  });

  test('does not trust a report on what was never sent', () => {
    const { network, provider, edit } = setUp();
    sync(network.last);
    edit();
    network.last.say({ type: 'saved', count: 3 });
    expect(provider.unsaved).toBe(true);
    expect(provider.status).toBe('retrying');
  });

  test('whenSaved resolves with the report, and when there is nothing to save', async () => {
    const { network, provider, edit } = setUp();
    await provider.whenSaved();
    sync(network.last);
    edit();
    const waiting = provider.whenSaved();
    network.last.say({ type: 'saved', count: 2 });
    await waiting;
  });

  test('whenSaved rejects when the change is refused, before and after', async () => {
    const { network, provider, edit } = setUp();
    const rejected = vi.fn();
    provider.on('rejected', rejected);
    sync(network.last);
    edit();
    const waiting = provider.whenSaved();
    network.last.say({ type: 'rejected', count: 2, reason: 'read-only' });
    expect(rejected).toHaveBeenCalledExactlyOnceWith({
      reason: 'read-only',
      isTakenBack: true,
    });
    expect(provider.unsaved).toBe(true);
    expect(provider.rejection).toBe('read-only');
    await expect(waiting).rejects.toThrow('read-only');
    await expect(provider.whenSaved()).rejects.toThrow('read-only');
  });

  test('[CLI-17] a change that is larger than the server takes is taken back, and not sent again', async () => {
    const { network, provider, edit } = setUp();
    const { doc } = provider;
    const rejected = vi.fn();
    provider.on('rejected', rejected);
    sync(network.last);
    edit();
    doc.getText('t').insert(0, 'large'.repeat(1_000));
    edit();
    const waiting = provider.whenSaved();
    const text = doc.getText('t').toString().replaceAll('large', '');
    network.last.drop(1009, 'too large');
    expect(rejected.mock.calls).toEqual([[{ reason: 'message-too-large', isTakenBack: true }]]);
    expect(doc.getText('t').toString()).toBe(text);
    await expect(waiting).rejects.toThrow('message-too-large');
    expect([provider.status, provider.unsaved]).toEqual(['retrying', true]);
    provider.connect();
    sync(network.last);
    const sent = network.last.sent.filter(({ type }) => type === 'step2');
    expect(sent.length).toBe(1);
    expect(sent[0]?.type === 'step2' && sent[0].update.length).toBeLessThan(1_000);
    network.last.say({ type: 'saved', count: 1 });
    expect(provider.unsaved).toBe(false);
  });

  test('whenSaved rejects when destroyed', async () => {
    const { provider, edit } = setUp();
    edit();
    const waiting = provider.whenSaved();
    provider.destroy();
    await expect(waiting).rejects.toThrow('closed');
  });
});

describe('[CLI-19] a socket that was refused before it opened', () => {
  const answering = (status: number, refusal?: string) =>
    vi.fn(async () => {
      const headers = refusal === undefined ? {} : { 'Cowrite-Refusal': refusal };
      return new Response('not yours\n', { status, headers });
    });
  /** Until a question has been answered, and what follows from it. */
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  test.each([
    [401, 'token', 4401],
    [403, 'forbidden', 4403],
  ] as const)('%i is said to be for %s, and is final', async (status, reason, code) => {
    const fetch = answering(status, reason);
    const { clock, network, provider } = setUp({ fetch, token: 'a.b.c' });
    network.last.drop();
    await settled();
    expect(provider.refusal).toEqual({ reason, code, message: 'not yours' });
    expect(fetch).toHaveBeenCalledWith('http://host/ws/room', expect.anything());
    expect(fetch.mock.calls[0]).toMatchObject([
      expect.anything(),
      { headers: { Authorization: 'Bearer a.b.c' }, credentials: 'include' },
    ]);
    clock.advance(100_000);
    expect(network.sockets.length).toBe(1);
    provider.connect();
    sync(network.last);
    expect(provider.status).toBe('online');
  });

  test.each([
    [403, undefined],
    [426, undefined],
    [503, undefined],
    [200, 'something new'],
  ])('%i with the header %s says nothing, and it is tried again', async (status, refusal) => {
    const { clock, network, provider } = setUp({ fetch: answering(status, refusal) });
    network.last.drop();
    await settled();
    expect(provider.status).toBe('retrying');
    clock.advance(1_000);
    expect(network.sockets.length).toBe(2);
  });

  test('is tried again with another token, where a function gives one; [AUTH-32] what was wrong is an error', async () => {
    const { network, provider } = setUp({ fetch: answering(401, 'token'), token: () => 't' });
    const errors: string[] = [];
    provider.on('connection-error', ({ error }) => errors.push(error.message));
    await settled();
    network.last.drop();
    await settled();
    expect(provider.status).toBe('retrying');
    expect(errors).toContain('the server refuses the token: not yours');
  });

  test.each([400, 414, 431])(
    '[AUTH-32] %i may be for a token that is too long for a proxy, which is an error',
    async (status) => {
      const { network, provider } = setUp({ fetch: answering(status), token: 'long' });
      const errors: string[] = [];
      provider.on('connection-error', ({ error }) => errors.push(error.message));
      network.last.drop();
      await settled();
      expect(provider.status).toBe('retrying');
      expect(errors.at(-1)).toMatch(new RegExp(`answers ${status}: the token, the cookies`));
    },
  );

  test.each([
    ['http://host', { 'Cowrite-Origin': 'http://host' }],
    ['http://host:8080', {}],
    ['https://host', {}],
    ['null', {}],
    [undefined, {}],
  ])('[AUTH-34] a page of %s says so where its browser does not', async (origin, headers) => {
    vi.stubGlobal('location', { origin });
    const fetch = answering(403, 'forbidden');
    const { network, provider } = setUp({ fetch });
    network.last.drop();
    await settled();
    expect(fetch.mock.calls[0]).toMatchObject([expect.anything(), { headers }]);
    expect((fetch.mock.calls as unknown[][])[0]?.[1]).toHaveProperty('headers', headers);
    expect(provider.refusal?.message).toBe('not yours');
  });

  test('is asked about seldom, and not where one was open', async () => {
    const fetch = answering(503);
    const { clock, network } = setUp({ fetch });
    for (let n = 0; n < 3; n++) {
      network.last.drop();
      await settled();
      clock.advance(1_000);
    }
    expect(fetch).toHaveBeenCalledTimes(1);
    clock.advance(10_000);
    sync(network.last);
    network.last.drop();
    await settled();
    expect(fetch).toHaveBeenCalledTimes(1);
  });

  test('is asked about again at once where nobody answered', async () => {
    const fetch = vi.fn(answering(403, 'forbidden'));
    // With cookies and without.
    for (let i = 0; i < 2; i++) fetch.mockRejectedValueOnce(new Error('nobody is there'));
    const { clock, network, provider } = setUp({ fetch });
    network.last.drop();
    await settled();
    clock.advance(1_000);
    network.last.drop();
    await settled();
    expect(provider.status).toBe('refused');
  });

  test.each([
    ['ignored', 'refused'],
    [undefined, 'retrying'],
  ])(
    '[AUTH-18] where it may not ask with cookies it asks without, and believes a server whose header says: %s',
    async (said, status) => {
      const fetch = vi.fn(async (_: unknown, options?: RequestInit) => {
        if (options?.credentials === 'include') throw new TypeError('Failed to fetch');
        const headers: HeadersInit = { 'Cowrite-Refusal': 'token' };
        return new Response('', {
          status: 401,
          headers: said === undefined ? headers : { ...headers, 'Cowrite-Credentials': said },
        });
      });
      const { network, provider } = setUp({ fetch });
      network.last.drop();
      await settled();
      expect(fetch).toHaveBeenCalledTimes(2);
      expect(provider.status).toBe(status);
    },
  );

  test('an answer that comes when another attempt is under way changes nothing, and is asked for anew', async () => {
    let answer: (response: Response) => void = () => undefined;
    const fetch = vi.fn(() => new Promise<Response>((resolve) => (answer = resolve)));
    const forbidden = () =>
      new Response('', { status: 403, headers: { 'Cowrite-Refusal': 'forbidden' } });
    const { clock, network, provider } = setUp({ fetch });
    network.last.drop();
    clock.advance(1_000);
    expect(provider.status).toBe('connecting');
    // Nor once that one has failed as well.
    network.last.drop();
    answer(forbidden());
    await settled();
    expect(provider.status).toBe('retrying');
    clock.advance(2_000);
    expect(provider.status).toBe('connecting');
    expect(fetch).toHaveBeenCalledTimes(1);
    network.last.drop();
    expect(fetch).toHaveBeenCalledTimes(2);
    answer(forbidden());
    await settled();
    expect(provider.status).toBe('refused');
  });
});

describe('[CLI-5] a socket', () => {
  test('that does not open in time is given up', () => {
    const { clock, network, provider } = setUp();
    clock.advance(CONNECT_TIMEOUT);
    expect(network.last.closedWith?.code).toBe(4000);
    expect(provider.status).toBe('retrying');
  });

  test('that is silent is given up, counted from its last frame', () => {
    const { clock, network, provider } = setUp();
    sync(network.last);
    for (let second = 0; second < 600; second += 20) {
      clock.advance(20_000);
      network.last.sayBytes(KEEP_ALIVE);
    }
    expect(provider.status).toBe('online');
    clock.advance(SILENCE_TIMEOUT - 1);
    expect(provider.status).toBe('online');
    clock.advance(1);
    expect(provider.status).toBe('retrying');
    expect(network.live).toEqual([]);
  });

  test('that was given up is not heard any more', () => {
    const { clock, network, provider } = setUp();
    const orphan = network.last;
    clock.advance(CONNECT_TIMEOUT + 1000);
    sync(network.last);
    sync(orphan);
    orphan.drop(4403);
    expect(provider.status).toBe('online');
    expect(orphan.sent).toEqual([]);
  });

  test('that cannot be made is retried', () => {
    const failing = class {
      constructor() {
        throw new Error('insecure');
      }
    };
    const { clock, provider } = setUp({ WebSocket: failing as never, connect: false });
    const failed = vi.fn();
    provider.on('connection-error', ({ error }) => failed((error.cause as Error).message));
    provider.connect();
    expect(failed).toHaveBeenCalledExactlyOnceWith('insecure');
    expect(provider.status).toBe('retrying');
    clock.advance(1000);
    expect(failed.mock.calls.length).toBeGreaterThan(1);
  });

  test.each([
    ['a text frame', (socket: FakeSocket) => socket.sayText('hello')],
    ['an empty frame', (socket: FakeSocket) => socket.sayBytes(Uint8Array.of())],
    ['an unknown message', (socket: FakeSocket) => socket.sayBytes(Uint8Array.of(99))],
    [
      'a malformed update',
      (socket: FakeSocket) => socket.say({ type: 'update', update: Uint8Array.of(9, 9, 9) }),
    ],
    [
      'a malformed state vector',
      (socket: FakeSocket) => socket.say({ type: 'step1', stateVector: Uint8Array.of(9) }),
    ],
    [
      'malformed awareness',
      (socket: FakeSocket) => socket.say({ type: 'awareness', update: Uint8Array.of(9) }),
    ],
  ])('that says %s is given up, with an error event', (_, misbehave) => {
    const { network, provider } = setUp();
    const failed = vi.fn();
    provider.on('connection-error', failed);
    sync(network.last);
    misbehave(network.last);
    expect(failed).toHaveBeenCalledOnce();
    expect(provider.status).toBe('retrying');
    expect(network.last.closedWith?.code).toBe(4000);
  });

  test('[CLI-31] is kept when an observer of the application throws, which is told', () => {
    const uncaught = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue(undefined);
    const { network, provider } = setUp();
    sync(network.last);
    const told: unknown[] = [];
    provider.on('observer-error', ({ error }) => told.push(error));
    provider.doc.getText('t').observe(() => {
      throw new Error('of the application');
    });
    const other = new Y.Doc();
    other.getText('t').insert(0, 'hello');
    network.last.say({ type: 'update', update: Y.encodeStateAsUpdate(other) });
    expect(provider.status).toBe('online');
    expect(provider.doc.getText('t').toString()).toBe('hello');
    expect(uncaught.mock.calls[0]?.[0]).toThrow('of the application');
    expect(told).toEqual([new Error('of the application')]);
  });

  test('that reports a refusal is kept', () => {
    const { network, provider } = setUp();
    const failed = vi.fn();
    provider.on('connection-error', ({ error }) => failed(error.message));
    sync(network.last);
    network.last.say({ type: 'auth', reason: 'no' });
    expect(failed).toHaveBeenCalledExactlyOnceWith('permission denied: no');
    expect(provider.status).toBe('online');
  });
});

describe('[CLI-7] presence', () => {
  test('of this client ends with disconnect, and is back with the next connection', () => {
    const { network, provider } = setUp();
    const other = new Awareness(new Y.Doc());
    provider.awareness.setLocalState({ name: 'Ada' });
    sync(network.last);
    expect(seenBy(other, network.sockets, provider)).toEqual({ name: 'Ada' });
    provider.disconnect();
    expect(seenBy(other, network.sockets, provider)).toBeUndefined();
    provider.connect();
    sync(network.last);
    expect(seenBy(other, network.sockets, provider)).toEqual({ name: 'Ada' });
    other.destroy();
  });

  test('of others arrives with the provider as its origin, and ends with the socket', () => {
    const { network, provider } = setUp();
    sync(network.last);
    const other = new Awareness(new Y.Doc());
    other.setLocalState({ name: 'Bob' });
    const origins: unknown[] = [];
    provider.awareness.on('change', (_: object, origin: unknown) => origins.push(origin));
    network.last.say({ type: 'awareness', update: stateOf(other) });
    expect(provider.awareness.getStates().get(other.clientID)).toEqual({ name: 'Bob' });
    network.last.drop();
    expect(provider.awareness.getStates().has(other.clientID)).toBe(false);
    expect(origins).toEqual([provider, provider]);
    other.destroy();
  });

  test('is told when it is asked for', () => {
    const { network, provider } = setUp();
    sync(network.last);
    network.last.say({ type: 'queryAwareness' });
    const update = stateOf(provider.awareness);
    expect(network.last.sent.at(-1)).toEqual({ type: 'awareness', update });
  });
});

describe('[CLI-12] in a browser', () => {
  /** A page that knows how many listeners it has. */
  class Page extends EventTarget {
    readonly listeners = new Set<unknown>();

    override addEventListener(name: string, listener: () => void): void {
      this.listeners.add(listener);
      super.addEventListener(name, listener);
    }

    override removeEventListener(name: string, listener: () => void): void {
      this.listeners.delete(listener);
      super.removeEventListener(name, listener);
    }
  }

  function stubPage(): Page {
    const page = new Page();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
    return page;
  }

  test('the network coming back ends a wait', () => {
    const page = stubPage();
    const { network, provider } = setUp();
    network.last.drop();
    page.dispatchEvent(new Event('online'));
    expect(provider.status).toBe('connecting');
    expect(network.sockets.length).toBe(2);
  });

  test('a change of the network makes the socket prove that it is alive', () => {
    const page = stubPage();
    const { clock, network, provider } = setUp();
    sync(network.last);
    page.dispatchEvent(new Event('offline'));
    expect(network.last.sent.at(-1)?.type).toBe('probe');
    clock.advance(PROBE_TIMEOUT - 1);
    network.last.say({ type: 'step2', update: NOTHING });
    clock.advance(PROBE_TIMEOUT);
    expect(provider.status).toBe('online');
    page.dispatchEvent(new Event('online'));
    clock.advance(PROBE_TIMEOUT);
    expect(provider.status).toBe('retrying');
  });

  test('a page that is left says goodbye', () => {
    const page = stubPage();
    const { network, provider } = setUp();
    const other = new Awareness(new Y.Doc());
    sync(network.last);
    page.dispatchEvent(new Event('pagehide'));
    expect(seenBy(other, network.sockets, provider)).toBeUndefined();
    other.destroy();
  });

  test('[CLI-16] a page that the browser keeps lets its socket go, and has one again when it is back', () => {
    const page = stubPage();
    const { network, provider } = setUp();
    const other = new Awareness(new Y.Doc());
    sync(network.last);
    page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
    expect(network.live).toEqual([]);
    expect(provider.status).toBe('retrying');
    expect(provider.nextRetryAt).toBeNull();
    provider.doc.getText('t').insert(0, 'kept');
    page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(network.live.length).toBe(1);
    sync(network.last);
    expect(seenBy(other, network.sockets, provider)).toEqual({});
    expect(provider.unsaved).toBe(true);
    other.destroy();
  });

  test('[CLI-16] a page that is frozen lets its socket go, and has one again when it runs, or is seen', () => {
    const page = stubPage();
    const sheet = Object.assign(new Page(), { visibilityState: 'visible' });
    vi.stubGlobal('document', sheet);
    // From Node 24 on there are `navigator.locks`, and with a document that is a tab of a browser.
    const { network, provider } = setUp({ tabs: false });
    sync(network.last);
    sheet.dispatchEvent(new Event('freeze'));
    expect(network.live).toEqual([]);
    sheet.dispatchEvent(new Event('resume'));
    sync(network.last);
    sheet.dispatchEvent(new Event('freeze'));
    sheet.dispatchEvent(new Event('visibilitychange'));
    expect(network.live.length).toBe(1);
    provider.destroy();
    expect(sheet.listeners.size + page.listeners.size).toBe(0);
  });

  test('[CLI-15] a server that drains is left when it says, and nothing is forgotten', () => {
    const { clock, network, provider } = setUp();
    sync(network.last);
    network.last.say({ type: 'drain', delay: 2_000 });
    provider.doc.getText('t').insert(0, 'meanwhile');
    clock.advance(1_999);
    expect(network.sockets.length).toBe(1);
    clock.advance(1);
    expect(network.sockets.map(({ isLive }) => isLive)).toEqual([false, true]);
    expect(provider.unsaved).toBe(true);
    sync(network.last);
    expect(network.last.sent.some(({ type }) => type === 'step2')).toBe(true);
  });

  test('[CLI-18] a page is asked for before it is closed only while something is unsaved', () => {
    const page = stubPage();
    const asks = () => !page.dispatchEvent(new Event('beforeunload', { cancelable: true }));
    const { network, provider, edit } = setUp();
    sync(network.last);
    expect(asks()).toBe(false);
    edit();
    expect(asks()).toBe(true);
    const another = setUp();
    another.edit();
    another.provider.destroy();
    expect(asks()).toBe(true);
    network.last.say({ type: 'saved', count: 2 });
    expect(provider.unsaved).toBe(false);
    expect(asks()).toBe(false);
  });

  test('[CLI-18] or never, where the application does not want it', () => {
    const page = stubPage();
    const { edit } = setUp({ warnBeforeUnload: false });
    edit();
    expect(page.dispatchEvent(new Event('beforeunload', { cancelable: true }))).toBe(true);
  });

  test('destroy leaves no listener on the page', () => {
    const page = stubPage();
    const { provider } = setUp();
    expect(page.listeners.size).toBe(4);
    provider.destroy();
    expect(page.listeners.size).toBe(0);
  });
});

describe('[CLI-11] destroy', () => {
  /** How many listeners there are, by event. */
  const listenersOf = (subject: { _observers: Map<string, Set<unknown>> }) =>
    Object.fromEntries([...subject._observers].map(([name, set]) => [name, set.size]));

  test('leaves no listener and no timer, and closes the socket', () => {
    const doc = new Y.Doc();
    const awareness = new Awareness(doc);
    const docListeners = listenersOf(doc);
    const awarenessListeners = listenersOf(awareness as never);
    const { clock, network, provider } = setUp({ doc, awareness });
    sync(network.last);
    awareness.setLocalState({ x: 1 });
    awareness.setLocalState({ x: 2 });
    provider.destroy();
    expect(listenersOf(doc)).toEqual(docListeners);
    expect(listenersOf(awareness as never)).toEqual(awarenessListeners);
    expect(clock.pending).toBe(0);
    expect(network.live).toEqual([]);
    expect(network.last.closedWith?.code).toBe(1000);
    awareness.destroy();
  });

  test('says goodbye, and leaves an awareness that was given as it is', () => {
    const awareness = new Awareness(new Y.Doc());
    const { network, provider } = setUp({ awareness });
    awareness.setLocalState({ name: 'Ada' });
    sync(network.last);
    provider.destroy();
    const gone = encodeAwarenessUpdate(awareness, [awareness.clientID], new Map());
    expect(network.last.sent.at(-1)).toEqual({ type: 'awareness', update: gone });
    expect(awareness.getLocalState()).toEqual({ name: 'Ada' });
    awareness.destroy();
  });

  test('destroys an awareness of its own, and never the document', () => {
    const { provider, edit } = setUp();
    const destroyed = vi.fn();
    provider.awareness.on('destroy', destroyed);
    provider.doc.on('destroy', destroyed);
    provider.destroy();
    expect(destroyed).toHaveBeenCalledOnce();
    expect(provider.awareness.getLocalState()).toBeNull();
    edit();
  });

  test('happens by itself with that of the document', () => {
    const { clock, network, provider } = setUp();
    sync(network.last);
    provider.doc.destroy();
    expect(provider.status).toBe('closed');
    expect(network.live).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test('may be called again, and from within a listener; nothing works afterwards', () => {
    const { network, provider } = setUp();
    const heard: string[] = [];
    provider.on('status', ({ status }) => {
      heard.push(status);
      provider.destroy();
      provider.connect();
    });
    network.last.accept();
    provider.destroy();
    provider.disconnect();
    provider.connect();
    expect(heard).toEqual(['syncing', 'closed']);
    expect(network.sockets.length).toBe(1);
    expect(provider.refusal).toBeNull();
  });
});

describe('[CLI-5] whatever happens, in whatever order', () => {
  type World = ReturnType<typeof setUp>;
  type Action = (world: World) => void;

  const onSomeSocket = (act: (socket: FakeSocket) => void): fc.Arbitrary<Action> =>
    fc.nat().map((index) => ({ network: { sockets } }) => {
      const socket = sockets[index % Math.max(1, sockets.length)];
      if (socket !== undefined) act(socket);
    });

  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.constant<Action>(({ provider }) => provider.connect()),
    fc.constant<Action>(({ provider }) => provider.disconnect()),
    fc.constant<Action>(({ edit }) => edit()),
    fc.constantFrom(0, 1, 100, 1000, 10_000, 60_000).map<Action>(
      (milliseconds) =>
        ({ clock }) =>
          clock.advance(milliseconds),
    ),
    onSomeSocket((socket) => socket.accept()),
    onSomeSocket(sync),
    onSomeSocket((socket) => socket.sayText('nonsense')),
    onSomeSocket((socket) => socket.fail()),
    fc
      .constantFrom(1000, 1006, 1012, 4403)
      .chain((code) => onSomeSocket((socket) => socket.drop(code))),
    // The next change of the status is answered from within its listener.
    fc.constantFrom<Action>(
      ({ provider }) => provider.once('status', () => provider.connect()),
      ({ provider }) => provider.once('status', () => provider.disconnect()),
      ({ provider }) =>
        provider.once('status', () => {
          provider.disconnect();
          provider.connect();
        }),
    ),
  );

  test('at most one socket is live, and none after destroy', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const world = setUp();
        const { clock, network, provider } = world;
        for (const act of actions) {
          act(world);
          expect(network.live.length).toBeLessThanOrEqual(1);
          const { status } = provider;
          if (['offline', 'retrying', 'refused', 'closed'].includes(status))
            expect(network.live).toEqual([]);
        }
        provider.destroy();
        expect(network.live).toEqual([]);
        expect(clock.pending).toBe(0);
        providers.length = 0;
      }),
      { numRuns: 300 },
    );
  });
});

describe('[CLI-13] a token', () => {
  const answered = () => new Promise((resolve) => setImmediate(resolve));

  test('is offered as a subprotocol, never in the address', () => {
    const { network } = setUp({ token: 'a.b.c', protocols: ['x'] });
    expect(network.last.protocols).toEqual(['cowrite.v1', 'cowrite.token.a.b.c', 'x']);
    expect(network.last.url).toBe('ws://host/ws/room');
  });

  test('none is offered while there is none', () => {
    expect(setUp({ token: '' }).network.last.protocols).toEqual(['cowrite.v1']);
  });

  test('one that cannot be sent is refused at once, and not quoted', () => {
    expect(() => setUp({ token: 'se cret' })).toThrow(/^the token has a space/);
    expect(() => setUp({ token: 7 as never })).toThrow('token is neither a string nor a function');
  });

  test.each([
    ['se cret', 'the token has a space, or another character that is not visible ASCII'],
    ['ünï', 'the token has a space, or another character that is not visible ASCII'],
    ['secret\n', 'the token has a space, or another character that is not visible ASCII'],
    ['s'.repeat(16_385), 'the token is longer than 16384 bytes'],
  ])(
    '[AUTH-32] of a function that no server would take: refused, with the reason, until somebody connects',
    async (token, message) => {
      let shown = token;
      const { clock, network, provider } = setUp({ token: () => shown });
      const errors: string[] = [];
      provider.on('connection-error', ({ error }) => errors.push(error.message));
      await answered();
      expect(provider.refusal).toEqual({ reason: 'token', code: 4401, message });
      expect(errors).toEqual([message]);
      clock.advance(100_000);
      await answered();
      expect(network.sockets.length).toBe(0);
      expect(() => setUp({ token })).toThrow(message);
      shown = 'good';
      provider.connect();
      await answered();
      sync(network.last);
      expect(provider.status).toBe('online');
    },
  );

  test('[AUTH-32] of a function that no server would take is not what a session goes on with', async () => {
    const ending = (seconds: number) =>
      ['x', btoa(JSON.stringify({ exp: seconds })).replaceAll('=', ''), 'x'].join('.');
    const start = new ManualClock().date().getTime() / 1_000;
    const tokens = [ending(start + 30), 'of nobody', ending(start + 60)];
    const { clock, network, provider } = setUp({ token: () => tokens.shift()! });
    const errors: string[] = [];
    provider.on('connection-error', ({ error }) =>
      errors.push(`${error.message}: ${(error.cause as Error).message}`),
    );
    await answered();
    sync(network.last);
    clock.advance(15_000);
    await answered();
    expect(errors).toEqual([
      'there is no new token: the token has a space, or another character that is not visible ASCII',
    ]);
    expect(typesOf(network.last)).not.toContain('token');
    clock.advance(7_500);
    await answered();
    expect(typesOf(network.last)).toContain('token');
    expect(network.sockets.length).toBe(1);
  });

  test('[AUTH-30] that has what no subprotocol can have is offered in base64url', () => {
    const { network } = setUp({ token: 'a+b/c==' });
    expect(network.last.protocols).toEqual(['cowrite.v1', 'cowrite.token-base64url.YStiL2M9PQ']);
  });

  test('of a function is a new one for each attempt, also after 4401', async () => {
    let asked = 0;
    const { clock, network, provider } = setUp({ token: async () => `t${++asked}` });
    await answered();
    expect(network.last.protocols).toEqual(['cowrite.v1', 'cowrite.token.t1']);
    sync(network.last);
    network.last.drop(4401, 'the token has expired');
    expect(provider.status).toBe('retrying');
    clock.advance(1_000);
    await answered();
    expect(network.last.protocols).toEqual(['cowrite.v1', 'cowrite.token.t2']);
    sync(network.last);
    expect(provider.status).toBe('online');
    network.last.drop(4403, 'no');
    expect(provider.status).toBe('refused');
  });

  test('that is a text ends with 4401', () => {
    const { network, provider } = setUp({ token: 'a' });
    sync(network.last);
    network.last.drop(4401, 'the token has expired');
    expect(provider.refusal?.reason).toBe('token');
  });

  test('that cannot be had is an error and another attempt', async () => {
    let asked = 0;
    const { clock, network, provider } = setUp({
      token: () => {
        if (++asked === 1) throw new Error('signed out');
        return 't';
      },
    });
    const errors: string[] = [];
    provider.on('connection-error', ({ error }) => errors.push(error.message));
    await answered();
    expect(errors).toEqual(['there is no token']);
    expect(provider.status).toBe('retrying');
    clock.advance(1_000);
    await answered();
    expect(network.last.protocols).toEqual(['cowrite.v1', 'cowrite.token.t']);
  });

  test('that comes too late opens no second socket', async () => {
    const answers: ((token: string) => void)[] = [];
    const { network, provider } = setUp({
      token: () => new Promise((resolve) => answers.push(resolve)),
    });
    provider.disconnect();
    provider.connect();
    answers[1]!('second');
    answers[0]!('first');
    await answered();
    expect(network.sockets.map(({ protocols }) => protocols[1])).toEqual(['cowrite.token.second']);
    provider.destroy();
    answers[0]!('again');
    await answered();
    expect(network.sockets).toHaveLength(1);
  });

  test('is renewed on the socket before it ends', async () => {
    const at = (exp: number) => `x.${btoa(JSON.stringify({ exp }))}.x`.replaceAll('=', '');
    let asked = 0;
    const now = new ManualClock().date().getTime() / 1000;
    const { clock, network } = setUp({ token: () => at(now + 10 * ++asked) });
    await answered();
    sync(network.last);
    clock.advance(5_000);
    await answered();
    expect(network.last.sent.at(-1)).toEqual({ type: 'token', token: at(now + 20) });
    expect(network.sockets).toHaveLength(1);
  });
});

describe('[CLI-14] access', () => {
  test('is write until the server says otherwise, and stays so over a reconnect', () => {
    const { clock, network, provider } = setUp();
    const heard: string[] = [];
    provider.on('access', (access) => heard.push(access));
    const joinAsReader = () => {
      network.last.accept();
      network.last.say({ type: 'step1', stateVector: EMPTY });
      network.last.say({ type: 'access', access: 'read' });
      network.last.say({ type: 'step2', update: NOTHING });
    };
    joinAsReader();
    expect(provider.access).toBe('read');
    network.last.drop();
    clock.advance(1_000);
    joinAsReader();
    expect(heard).toEqual(['read']);
    network.last.say({ type: 'access', access: 'write' });
    expect(heard).toEqual(['read', 'write']);
    network.last.say({ type: 'access', access: 'read' });
    network.last.drop();
    clock.advance(1_000);
    sync(network.last);
    expect(provider.access).toBe('write');
  });
});
