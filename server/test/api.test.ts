/** The HTTP API, over real sockets. */

import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
} from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import * as Y from 'yjs';
import { ADMIN, call, eventsOf, governed, post, request } from './administrator.js';
import { EXPENSIVE } from './crafted.js';
import { typedByTurns } from './large.js';
import { ROUTES } from './routes.js';
import {
  gate,
  RawClient,
  readMetrics,
  served,
  synced,
  typed,
  untilDoc,
  yWebsocket,
} from './support.js';
import { presence } from './visitors.js';

function bytesOf(write: (doc: Y.Doc) => void): Uint8Array {
  const doc = new Y.Doc();
  write(doc);
  return Y.encodeStateAsUpdate(doc);
}

function textOf(update: ArrayBuffer): string {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, new Uint8Array(update));
  return doc.getText('t').toString();
}

async function joined(server: { url: string }, room: string): Promise<RawClient> {
  const client = await RawClient.connect(server, room);
  await client.join(new Y.Doc());
  return client;
}

/** Servers that share a store, in one process. */
function shared() {
  const [hub, people, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
  return () =>
    governed({
      storage: new MemoryStorage(storage),
      redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(people) },
    });
}

/** Rooms, or the one, are not loaded before `held` is opened; `asked` is when the first is to be. */
function holdLoads(storage: MemoryStorage, only?: string) {
  const [asked, held] = [gate(), gate()];
  const load = storage.load.bind(storage);
  storage.load = async (room) => {
    if (only === undefined || only === room) {
      asked.open();
      await held.opened;
    }
    return await load(room);
  };
  return { asked, held };
}

describe('[API] rooms over HTTP', () => {
  it('[API-1] a room is made of a whole document, once, and read back as an update, JSON and text', async () => {
    const server = await governed();
    const room = 'rooms/notes%2Fa%20b';
    expect(await call(server, `${room}/document`)).toEqual([404, 'not-found']);
    expect(await call(server, room)).toEqual([404, 'not-found']);
    const made = await call(server, room, post(typed('hello')));
    expect(made).toEqual([201, { seq: 1 }]);
    const response = await request(server, `${room}/document`);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(textOf(await response.arrayBuffer())).toBe('hello');
    expect(await call(server, `${room}/document?form=json`)).toEqual([200, { t: 'hello' }]);
    const text = await request(server, `${room}/document?form=text`);
    expect([text.headers.get('content-type'), await text.text()]).toEqual([
      'text/plain; charset=utf-8',
      'hello',
    ]);
    expect((await served(server, 'notes/a b')).getText('t').toString()).toBe('hello');
    expect(await call(server, room, post(typed('again')))).toEqual([409, 'exists']);

    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'one');
    const before = Y.encodeStateVector(doc);
    doc.getText('t').insert(3, ' two');
    const half = Y.encodeStateAsUpdate(doc, before);
    // Nothing of what is not whole is written.
    expect(await call(server, 'rooms/half', post(half))).toEqual([409, 'incomplete']);
    expect(await call(server, 'rooms/half', post(new Uint8Array([0, 0])))).toEqual([
      422,
      'refused',
    ]);
    expect(await call(server, 'rooms/half', post(''))).toEqual([400, 'bad-request']);
    expect((await served(server, 'half')).share.size).toBe(0);
    expect(await call(server, 'rooms/half/document')).toEqual([404, 'not-found']);
    // Two that are read in turns are not mixed.
    const large = () =>
      bytesOf((doc) => {
        for (let at = 0; at < 20_000; at++) doc.getMap('m').set(`${at}`, at);
      });
    const both = await Promise.all([0, 1].map(() => call(server, 'rooms/both', post(large()))));
    expect(both.map(([status]) => status).sort()).toEqual([201, 409]);
    expect((await served(server, 'both')).getMap('m').size).toBe(20_000);

    // A room that was deleted is made again once its name may be used.
    await server.remove('half');
    expect(await call(server, 'rooms/half', post(typed('x')))).toEqual([410, 'deleted']);
    expect(await call(server, 'rooms/half/document')).toEqual([410, 'deleted']);
    expect(await call(server, 'rooms/half/revive', post())).toEqual([200, {}]);
    expect(await call(server, 'rooms/half', post(typed('x')))).toEqual([201, { seq: 3 }]);
  });

  it('[API-2] what is written is admitted as from a session, reaches everybody, and is on disk when it is answered', async () => {
    const storage = new MemoryStorage();
    const server = await governed({ storage, limits: { maxDocumentBytes: 100_000 } });
    const bob = yWebsocket(server, 'room');
    await synced(bob);
    const held = gate();
    const append = storage.append.bind(storage);
    storage.append = async (batch) => {
      await held.opened;
      return await append(batch);
    };
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'one');
    const answer = call(server, 'rooms/room/updates', post(Y.encodeStateAsUpdate(doc)));
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'one');
    let isAnswered = false;
    void answer.then(() => {
      isAnswered = true;
    });
    // Another answer is there before it, which does not wait for the store.
    await call(server, 'rooms/room/presence');
    expect(isAnswered).toBe(false);
    held.open();
    expect(await answer).toEqual([200, { seq: 1 }]);
    // Once more: nothing of it is new, and it is on disk.
    expect(await call(server, 'rooms/room/updates', post(Y.encodeStateAsUpdate(doc)))).toEqual([
      200,
      { seq: 1 },
    ]);

    expect(await call(server, 'rooms/room/updates', post('no update'))).toEqual([422, 'refused']);
    const large = typed('x'.repeat(200_000));
    expect(await call(server, 'rooms/room/updates', post(large))).toEqual([
      413,
      'document-too-large',
    ]);
    const vector = Y.encodeStateVector(doc);
    doc.getText('t').insert(3, ' two');
    const between = Y.encodeStateVector(doc);
    doc.getText('t').insert(7, ' three');
    const late = Y.encodeStateAsUpdate(doc, between);
    expect(await call(server, 'rooms/room/updates', post(late))).toEqual([409, 'incomplete']);
    const all = Y.encodeStateAsUpdate(doc, vector);
    expect(await call(server, 'rooms/room/updates', post(all))).toEqual([200, { seq: 2 }]);
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'one two three');
  });

  it('[API-2] nobody writes in the name of another who is there', async () => {
    const server = await governed();
    const ada = await joined(server, 'room');
    const doc = new Y.Doc();
    ada.send(presence(doc.clientID, { user: { name: 'Ada' } }));
    doc.getText('t').insert(0, 'mine');
    ada.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await ada.untilSaved(2);
    doc.getText('t').insert(4, ', not hers');
    const pretended = Y.encodeStateAsUpdate(doc);
    expect(await call(server, 'rooms/room/updates', post(pretended))).toEqual([409, 'incomplete']);
    expect(await call(server, 'rooms/room/document?form=json')).toEqual([200, { t: 'mine' }]);
  });

  it('[API-3] a copy holds what the document does, and takes the place of nothing', async () => {
    const server = await governed();
    await call(server, 'rooms/one', post(typed('once')));
    await call(server, 'rooms/one/compact', post());
    await call(server, 'rooms/one/updates', post(typed('twice')));
    expect(await call(server, 'rooms/one/copy', post({ to: 'two' }))).toEqual([201, { seq: 1 }]);
    const [one, two] = [await served(server, 'one'), await served(server, 'two')];
    expect(two.getText('t').toString()).toBe(one.getText('t').toString());
    expect(two.getText('t').length).toBe(9);
    expect(await call(server, 'rooms/one/copy', post({ to: 'two' }))).toEqual([409, 'exists']);
    expect(await call(server, 'rooms/one/copy', post({ to: 'a*' }))).toEqual([400, 'bad-request']);
    expect(await call(server, 'rooms/one/copy', post())).toEqual([400, 'bad-request']);
    expect(await call(server, 'rooms/none/copy', post({ to: 'x' }))).toEqual([404, 'not-found']);
  });

  it('[API-4] rooms are listed in pages, and described', async () => {
    const server = await governed();
    for (const name of ['team/c', 'team/a', 'team/b', 'other']) {
      await call(server, `rooms/${encodeURIComponent(name)}`, post(typed(name)));
    }
    await server.remove('team/b');
    const names = ([, said]: [number, unknown]) =>
      (said as { rooms: { room: string }[] }).rooms.map(({ room }) => room);
    expect(names(await call(server, 'rooms'))).toEqual(['other', 'team/a', 'team/c']);
    const first = await call(server, 'rooms?prefix=team%2F&limit=2&deleted=true');
    expect(names(first)).toEqual(['team/a', 'team/b']);
    expect(first[1]).toMatchObject({ next: 'team/b', rooms: [{}, { isDeleted: true }] });
    const next = await call(server, 'rooms?prefix=team%2F&limit=2&deleted=true&after=team%2Fb');
    expect([names(next), (next[1] as { next: unknown }).next]).toEqual([['team/c'], null]);
    expect(await call(server, 'rooms?limit=0')).toEqual([400, 'bad-request']);
    expect(await call(server, 'rooms?open=maybe')).toEqual([400, 'bad-request']);

    const ada = await joined(server, 'other');
    ada.send(presence(7, { user: { name: 'Ada' } }));
    ada.send({ type: 'update', update: typed('more') });
    await ada.untilSaved(2);
    const other = { room: 'other', isDeleted: false, seq: 2, isOpen: true, sessions: 1, people: 1 };
    const [, open] = await call(server, 'rooms?open=true&prefix=oth');
    expect(open).toEqual({ rooms: [{ ...other, snapshotBytes: 0 }], next: null, looked: 1 });
    const [, before] = await call(server, 'rooms/other');
    expect(before).toMatchObject({ ...other, life: 0, snapshot: null, tail: { updates: 2 } });
    expect(await call(server, 'rooms/other/compact', post())).toEqual([200, { isCompacted: true }]);
    const [, after] = await call(server, 'rooms/other');
    const snapshot = { seq: 2, writtenAt: expect.stringMatching(/^\d{4}-.*Z$/) };
    expect(after).toMatchObject({ ...other, snapshot, tail: { updates: 0, bytes: 0 } });
    // Nothing is left to be done.
    expect(await call(server, 'rooms/other/compact', post())).toEqual([200, { isCompacted: true }]);
    expect(await call(server, 'rooms/none/compact', post())).toEqual([404, 'not-found']);
    expect((await call(server, 'rooms/team%2Fb'))[1]).toMatchObject({ isDeleted: true, seq: 2 });
    expect((await served(server, 'other')).getText('t').length).toBe(9);
  });

  it('[API-5] every instance answers alike, also for a room that is open at another', async () => {
    const start = shared();
    const [one, two] = [await start(), await start()];
    const ada = await joined(one, 'room');
    ada.send(presence(7, { user: { name: 'Ada' } }));
    ada.send({ type: 'update', update: typed('here') });
    await ada.untilSaved(2);
    expect(await call(two, 'rooms/room/document?form=json')).toEqual([200, { t: 'here' }]);
    expect(await call(two, 'rooms/room')).toMatchObject([200, { seq: 1, isOpen: false }]);
    const people = { people: [{ client: 7, state: { user: { name: 'Ada' } } }], total: 1 };
    await expect.poll(() => call(two, 'rooms/room/presence')).toMatchObject([200, people]);
    expect(await call(one, 'rooms/room/presence')).toMatchObject([200, people]);
    const from = ada.received.length;
    expect(await call(two, 'rooms/room/updates', post(typed('there')))).toEqual([200, { seq: 2 }]);
    await ada.next('update', from);
    expect(await call(two, 'rooms/room/compact', post())).toEqual([200, { isCompacted: true }]);
    for (const server of [one, two]) {
      const snapshot = { seq: 2, writtenAt: expect.stringMatching(/^\d{4}-.*Z$/) };
      expect(await call(server, 'rooms/room')).toMatchObject([200, { snapshot }]);
    }
    await expect
      .poll(async () => (await call(one, 'rooms/room'))[1])
      .toMatchObject({ snapshot: { seq: 2 } });
  });

  it('[API-6] who watches is told who is there and what changes, and when it ends', async () => {
    const server = await governed();
    const ada = await joined(server, 'room');
    ada.send(presence(7, { user: { name: 'Ada' } }));
    await ada.untilSaved(1);
    const response = await request(server, 'rooms/room/events');
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const events = eventsOf(response);
    const next = async () => (await events.next()).value;
    const here = [{ client: 7, state: { user: { name: 'Ada' } } }];
    expect(await next()).toEqual({ event: 'presence', data: { people: here } });
    // Who watches is in nobody's list and no session.
    expect(await call(server, 'rooms/room')).toMatchObject([200, { sessions: 1, people: 1 }]);
    ada.send({ type: 'update', update: typed('seen') });
    const { event, data } = (await next())!;
    expect([event, data.bytes]).toEqual(['change', Buffer.from(data.update, 'base64').length]);
    expect(textOf(Uint8Array.from(Buffer.from(data.update, 'base64')).buffer)).toBe('seen');
    const large = typed('x'.repeat(300_000));
    await call(server, 'rooms/room/updates', post(large));
    expect(await next()).toEqual({ event: 'change', data: { bytes: large.length } });
    ada.socket.close();
    expect(await next()).toEqual({
      event: 'presence',
      data: { people: [{ client: 7, state: null }] },
    });
    await server.remove('room');
    expect(await next()).toMatchObject({ event: 'end', data: { code: 4404 } });
    expect((await events.next()).done).toBe(true);
    expect(await call(server, 'rooms/room/events')).toEqual([410, 'deleted']);

    const again = eventsOf(await request(server, 'rooms/other/events'));
    expect((await again.next()).value).toMatchObject({ event: 'presence' });
    const ended = again.next();
    await server.close();
    expect((await ended).value).toMatchObject({ event: 'end', data: { code: 1012 } });
  });

  it('[API-7] those who watch are bounded in number, and one who does not read is dropped', async () => {
    const server = await governed({
      limits: { maxWatchers: 1, behindMs: 1, heartbeatMs: 20, highWaterBytes: 1_000 },
    });
    // One who asks and reads nothing.
    const socket = connect(server.port, '127.0.0.1').pause();
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    const closed = once(socket, 'close');
    socket.write(
      `GET /api/rooms/room/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`,
    );
    await expect.poll(() => call(server, 'rooms/other/events')).toEqual([503, 'busy']);
    const ada = await joined(server, 'room');
    const isBehind = async () =>
      /^cowrite_slow_readers (?!0$)/m.test(await readMetrics(server, ADMIN));
    const doc = new Y.Doc();
    // More than the kernel takes for it, and no more, for as much would have to be waited for: each of
    // them is small enough to be told whole.
    for (let saved = 1; !(await isBehind()); saved += 10) {
      for (let i = 0; i < 10; i++) {
        const before = Y.encodeStateVector(doc);
        doc.getText('t').insert(0, 'x'.repeat(150_000));
        ada.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
      }
      await ada.untilSaved(saved + 10);
    }
    await expect.poll(async () => (await request(server, 'rooms/other/events')).status).toBe(200);
    socket.resume();
    await closed;
    expect(await readMetrics(server, ADMIN)).toMatch(
      /cowrite_limits_reached_total\{limit="watchers"\} (?!0\n)/,
    );
  });

  it('[API-7] whoever leaves while the room is loaded is not one who watches', async () => {
    const storage = new MemoryStorage();
    const { asked, held } = holdLoads(storage);
    const server = await governed({ storage, limits: { idleMs: 0 } });
    const leaving = new AbortController();
    const watching = fetch(`${server.url}/api/rooms/room/events`, {
      headers: { Authorization: `Bearer ${ADMIN}` },
      signal: leaving.signal,
    });
    await asked.opened;
    leaving.abort();
    await expect(watching).rejects.toThrow();
    // An answer comes after what the server has heard by then.
    expect((await request(server, 'rooms/room/events', { method: 'HEAD' })).status).toBe(200);
    held.open();
    const open = async () => {
      const metrics = await readMetrics(server, ADMIN);
      return /cowrite_rooms\{state="open"\} (\d+)/.exec(metrics)?.[1];
    };
    await expect.poll(open).toBe('0');
  });

  it('[API-9] an answer that nobody waits for any more, or nobody reads, takes no place', async () => {
    const storage = new MemoryStorage();
    const server = await governed({ storage, limits: { maxApiRequests: 2, behindMs: 100 } });
    const busy = async () => (await call(server, 'rooms?open=true'))[0] === 503;
    const open = async (requests: string) => {
      const socket = connect(server.port, '127.0.0.1').pause();
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(requests);
      return socket;
    };
    const get = (path: string) =>
      `GET /api/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`;

    // Behind each that is not answered yet another one waits.
    const { asked, held } = holdLoads(storage);
    const sockets = [
      await open(get('rooms/room').repeat(2)),
      await open(get('rooms/room').repeat(2)),
    ];
    await asked.opened;
    await expect.poll(busy).toBe(true);
    for (const socket of sockets) socket.destroy();
    await expect.poll(busy).toBe(false);
    held.open();

    const large = typed('x'.repeat(8_000_000));
    expect((await call(server, 'rooms/large', post(large)))[0]).toBe(201);
    const readers = [
      await open(get('rooms/large/document')),
      await open(get('rooms/large/document')),
    ];
    await expect.poll(busy).toBe(true);
    await expect.poll(busy).toBe(false);
    for (const reader of readers) reader.destroy();

    // Nor is a backup begun that nobody will read.
    const read = vi.spyOn(storage, 'rooms');
    const { status } = await request(server, 'backup', { method: 'HEAD' });
    expect([status, read.mock.calls]).toEqual([200, []]);
  });

  it('[API-4] a store that does not answer is no fault of this server', async () => {
    const storage = new MemoryStorage();
    const server = await governed({ storage });
    const away = () => Promise.reject(new Error('connection refused'));
    storage.load = away;
    storage.rooms = away;
    for (const path of ['rooms', 'rooms/room', 'rooms/room/document']) {
      expect(await call(server, path)).toEqual([503, 'unavailable']);
    }
  });

  it('[API-8] a document that is too expensive to read costs its own answer and nobody else', async () => {
    const server = await governed({ limits: { workerMs: 2_000 } });
    const ada = await joined(server, 'room');
    ada.send({ type: 'update', update: EXPENSIVE['192 KB of inserts at one position']!() });
    await ada.untilSaved(2);
    const reading = call(server, 'rooms/room/document?form=json');
    const bob = await joined(server, 'other');
    bob.send({ type: 'update', update: typed('meanwhile') });
    await bob.untilSaved(2);
    expect(await reading).toEqual([503, 'over-budget']);
    // On a slow machine this may be over the same budget, too; that is no matter of the other document.
    await vi.waitFor(async () => {
      expect(await call(server, 'rooms/other/document?form=json')).toEqual([
        200,
        { t: 'meanwhile' },
      ]);
    });
  });

  it('[API-8] a document whose process the kernel kills is answered 503 with why, and read the next time', async () => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line) => void lines.push(line) });
    const storage = new MemoryStorage();
    const entries = [{ update: typedByTurns({ items: 40_000 }), author: 'ada' }];
    await storage.append({ number: 1, appends: [{ room: 'room', entries }] });
    const server = await governed({ storage, logger, limits: { workerMemoryMb: 200 } });
    const kill = (message: unknown) => {
      const { process } = message as { process: ChildProcess };
      process.once('spawn', () => process.kill('SIGKILL'));
    };
    subscribe('child_process', kill);
    onTestFinished(() => void unsubscribe('child_process', kill));
    const read = () => request(server, 'rooms/room/document?form=text');
    const killed = await read();
    expect([killed.status, await killed.json()]).toEqual([
      503,
      {
        error: {
          code: 'unavailable',
          message:
            'the process that was at the document ended (it was killed, as the kernel does where memory is short): try again',
        },
      },
    ]);
    expect(lines.filter((line) => line.includes('ProcessEnded'))).toHaveLength(1);
    unsubscribe('child_process', kill);
    expect((await read()).status).toBe(200);
  });

  it('[API-9] what is sent is bounded, and how much is answered at once', async () => {
    const storage = new MemoryStorage();
    const { held } = holdLoads(storage, 'held');
    const server = await governed({
      storage,
      limits: { maxMessageBytes: 1_000, maxApiRequests: 2 },
    });
    const large = new Uint8Array(1_001);
    expect(await call(server, 'rooms/room/updates', post(large))).toEqual([413, 'too-large']);
    const json = { to: 'x'.repeat(20_000) };
    expect(await call(server, 'rooms/room/copy', post(json))).toEqual([413, 'too-large']);
    for (const path of [
      'rooms/%ff',
      'rooms/a*',
      'rooms/%00/document',
      'rooms/room/document?form=x',
    ]) {
      expect(await call(server, path), path).toEqual([400, 'bad-request']);
    }
    const waiting = [call(server, 'rooms/held'), call(server, 'rooms/held')];
    await expect.poll(() => call(server, 'rooms')).toEqual([503, 'busy']);
    for (const order of ['rooms/room/kick', 'users/eve/recheck']) {
      expect(await call(server, order, post())).toEqual([200, { sessions: 0 }]);
    }
    held.open();
    expect(await Promise.all(waiting)).toEqual([
      [404, 'not-found'],
      [404, 'not-found'],
    ]);
    await expect
      .poll(() => call(server, 'rooms'))
      .toEqual([200, { rooms: [], next: null, looked: 0 }]);
  });

  it('[API-9] a name that no address can have, and a route that is none, are told', async () => {
    const server = await governed();
    expect((await call(server, 'rooms/room', post(typed('x'))))[0]).toBe(201);
    for (const to of ['x\ud800', '.', '..']) {
      expect(await call(server, 'rooms/room/copy', post({ to }))).toEqual([400, 'bad-request']);
    }
    await expect(server.remove('x\ud800')).rejects.toThrow(TypeError);
    expect(await call(server, `rooms?prefix=${'z'.repeat(257)}`)).toEqual([400, 'bad-request']);
    expect(await call(server, 'nowhere')).toEqual([404, 'not-found']);
    expect(await call(server, 'rooms', { token: '' })).toEqual([401, 'unauthenticated']);
  });

  it('[API-10] its description has every route, and each of its schemas holds', async () => {
    const server = await governed();
    const response = await fetch(`${server.url}/api/openapi.json`);
    const description = (await response.json()) as {
      openapi: string;
      paths: Record<string, Record<string, { security: unknown; responses: object }>>;
    };
    expect(description.openapi).toBe('3.1.0');
    const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security, responses }]) => {
        expect(security, path).toEqual([{ admin: [] }]);
        expect(Object.keys(responses), path).toEqual(expect.arrayContaining(['400', '401', '403']));
        return `${method.toUpperCase()} ${path}`;
      }),
    );
    const decided = Object.keys(ROUTES).filter((route) => ROUTES[route] === 'administrator');
    const ofApi = decided.filter((route) => route.includes(' /api/'));
    expect(routes.sort()).toEqual(ofApi.map((route) => route.replace(/:(\w+)/g, '{$1}')).sort());
    // Whoever has another token learns nothing, and where there is none nobody does.
    expect(await call(server, 'rooms', { token: 'x' })).toEqual([401, 'unauthenticated']);
    const closed = await governed({ adminToken: undefined } as never);
    expect(await call(closed, 'rooms')).toEqual([403, 'closed']);
    for (const path of ['/api/openapi.json', '/api/docs', '/admin']) {
      const status = path.startsWith('/api/') ? 403 : 404;
      expect((await fetch(closed.url + path)).status, path).toBe(status);
    }
  });
});

describe('[API] documents as JSON and text', () => {
  it('[API-11] shared types are shown as what is in them says they are, or as they are asked for', async () => {
    const server = await governed();
    const update = bytesOf((doc) => {
      const map = doc.getMap<unknown>('map');
      map.set('n', 1);
      map.set('nested', new Y.Array());
      (map.get('nested') as Y.Array<unknown>).push(['a', { b: 2 }, new Uint8Array([1, 2])]);
      map.set('doc', new Y.Doc({ guid: 'inner' }));
      map.set('big', 10n);
      doc.getArray('array').push(['x', null]);
      const text = doc.getText('text');
      text.insert(0, 'bold', { bold: true });
      text.insert(4, ' plain', { bold: null });
      const page = doc.getXmlFragment('page');
      const heading = new Y.XmlElement('heading');
      heading.setAttribute('level', 2 as never);
      heading.insert(0, [new Y.XmlText('Title')]);
      const paragraph = new Y.XmlElement('paragraph');
      const run = new Y.XmlText();
      run.insert(0, 'a link', { 'link--0Z+/aA==': { href: '/x' }, bold: true });
      paragraph.insert(0, [run, new Y.XmlElement('hardBreak'), new Y.XmlText('next')]);
      page.insert(0, [heading, paragraph]);
      doc.getText('gone').insert(0, 'x');
      doc.getText('gone').delete(0, 1);
    });
    await call(server, 'rooms/room', post(update));
    const page = {
      type: 'doc',
      content: [
        { type: 'heading', attrs: { level: 2 }, content: [{ type: 'text', text: 'Title' }] },
        {
          type: 'paragraph',
          content: [
            {
              type: 'text',
              text: 'a link',
              marks: expect.arrayContaining([
                { type: 'bold' },
                { type: 'link', attrs: { href: '/x' } },
              ]),
            },
            { type: 'hardBreak' },
            { type: 'text', text: 'next' },
          ],
        },
      ],
    };
    expect(await call(server, 'rooms/room/document?form=json')).toEqual([
      200,
      {
        array: ['x', null],
        gone: null,
        map: { n: 1, big: '10', nested: ['a', { b: 2 }, 'AQI='], doc: { subdocument: 'inner' } },
        page,
        text: 'bold plain',
      },
    ]);
    const of = (query: string) => call(server, `rooms/room/document?form=json&${query}`);
    expect(await of('type=page')).toEqual([200, page]);
    expect(await of('type=gone&as=text')).toEqual([200, '']);
    expect(await of('type=text&as=delta')).toEqual([
      200,
      [{ insert: 'bold', attributes: { bold: true } }, { insert: ' plain' }],
    ]);
    expect(await of('type=nothing')).toEqual([404, 'not-found']);
    expect(await of('as=text')).toEqual([400, 'bad-request']);
    const text = async (query = '') =>
      await (await request(server, `rooms/room/document?form=text${query}`)).text();
    expect(await text('&type=page')).toBe('Title\na link\nnext');
    expect(await text()).toBe('x\n\n\n\na\n\nTitle\na link\nnext\n\nbold plain');
  });
});
