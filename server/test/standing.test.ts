import { CowriteProvider } from '@cowrite/client';
import { AuthRefused, type ServerOptions } from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { startRedis } from './redis-service.js';
import { gate, type RawClient, socketUrl, startServer, typed } from './support.js';
import { enter, presence, SECRET, shownTo, token } from './visitors.js';

/** What a message brings about has happened; the clock of the server stands still. */
async function turn(client: RawClient, clock: ManualClock): Promise<void> {
  let isAnswered = false;
  client.socket.once('pong', () => {
    isAnswered = true;
  });
  client.socket.ping();
  // What is sent in masses takes turns, which are the clock's.
  for (let i = 0; !isAnswered && i < 100_000; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(0);
  }
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(0);
}

describe('[AUTH] time', () => {
  /** A server on a clock of the test, whose hook reads a token as `user.access.seconds`. */
  async function timed(options: ServerOptions = {}) {
    const clock = new ManualClock();
    const asked: (string | undefined)[] = [];
    let wait: Promise<void> = Promise.resolve();
    let isFailing = false;
    const server = await startServer({
      ...options,
      clock,
      // Nobody is heard while the clock is moved.
      limits: { heartbeatMs: 1e9 },
      hooks: {
        authenticate: async ({ token: shown }) => {
          asked.push(shown);
          await wait;
          if (isFailing) throw new Error('the database is away');
          const [id, access, seconds] = (shown ?? '').split('.');
          if (id === 'nobody') throw new AuthRefused('unauthenticated', 'nobody knows you');
          if (id === 'outage') throw new Error('the database is away');
          return {
            user: { id: id! },
            access: access as 'write',
            expiresAt: new Date(Number(seconds) * 1000),
          };
        },
      },
    });
    const join = (shown: string) => enter(server, 'room', shown);
    return {
      clock,
      server,
      asked,
      join,
      fail: (fails: boolean) => {
        isFailing = fails;
      },
      until: (promise: Promise<void>) => {
        wait = promise;
      },
    };
  }

  /** What somebody new is given. */
  async function served(server: { url: string }, room: string, shown: string, clock: ManualClock) {
    const client = await enter(server, room, shown);
    const doc = new Y.Doc();
    const joined = client.join(doc);
    await turn(client, clock);
    await joined;
    return doc;
  }

  it('[AUTH-9] a session ends when its token does, and writes nothing after that', async () => {
    const { clock, join } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    clock.advance(59_000);
    expect(ada.closed).toBeUndefined();
    clock.advance(1_000);
    ada.send({ type: 'update', update: typed('too late') });
    expect(await ada.untilClosed()).toEqual({ code: 4401, reason: 'the token has expired' });
    const other = await join('bob.write.600');
    const doc = new Y.Doc();
    const joined = other.join(doc);
    await turn(other, clock);
    await joined;
    expect(doc.getText('t').toString()).toBe('');
  });

  it('[AUTH-9] one whose timer is late writes nothing either', async () => {
    const { clock, join } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    clock.date = () => 60_000;
    ada.send({ type: 'update', update: typed('too late') });
    expect((await ada.untilClosed()).code).toBe(4401);
  });

  it('[AUTH-10] a new token goes on where the old one ends, with what it allows', async () => {
    const { clock, join, asked } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    ada.send({ type: 'token', token: 'ada.read.120' });
    await turn(ada, clock);
    expect(asked.at(-1)).toBe('ada.read.120');
    expect(await ada.next('access')).toEqual({ type: 'access', access: 'read' });
    clock.advance(61_000);
    ada.send({ type: 'update', update: typed('x') });
    expect(await ada.next('rejected')).toMatchObject({ reason: 'read-only' });
    ada.send({ type: 'token', token: 'ada.write.180' });
    await ada.until(() => ada.received.filter(({ type }) => type === 'access').length === 2);
    clock.advance(60_000);
    expect(ada.closed).toBeUndefined();
    clock.advance(60_000);
    expect((await ada.untilClosed()).code).toBe(4401);
  });

  it.each([
    ['bob.write.600', 4401, 'the new token is of another user'],
    ['nobody', 4401, 'nobody knows you'],
    ['ada.none.600', 4403, 'this room is not open to you any more'],
  ])('[AUTH-10] a new token %s ends the session with %i', async (renewed, code, reason) => {
    const { clock, join } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    ada.send({ type: 'token', token: renewed });
    expect(await ada.untilClosed()).toEqual({ code, reason });
  });

  it('[AUTH-10] while nobody can say what a new token is worth, the old one holds', async () => {
    const { clock, join } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    ada.send({ type: 'token', token: 'outage' });
    await turn(ada, clock);
    clock.advance(59_000);
    expect(ada.closed).toBeUndefined();
    clock.advance(1_000);
    expect((await ada.untilClosed()).code).toBe(4401);
  });

  it('[AUTH-10] a token about which nobody could say anything is asked about again', async () => {
    const { clock, join, asked, fail } = await timed();
    const ada = await join('ada.read.60');
    await turn(ada, clock);
    fail(true);
    ada.send({ type: 'token', token: 'ada.write.600' });
    await turn(ada, clock);
    fail(false);
    clock.advance(2_000);
    await turn(ada, clock);
    expect(asked).toEqual(['ada.read.60', 'ada.write.600', 'ada.write.600']);
    clock.advance(60_000);
    ada.send({ type: 'update', update: typed('x') });
    await turn(ada, clock);
    await ada.untilSaved(1);
  });

  it('[AUTH-10] what was refused is asked for again when it may be written', async () => {
    const { clock, join } = await timed();
    const ada = await join('ada.read.60');
    const doc = new Y.Doc();
    const joined = ada.join(doc);
    await turn(ada, clock);
    await joined;
    doc.getText('t').insert(0, 'early');
    ada.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await ada.next('rejected');
    const from = ada.received.length;
    ada.send({ type: 'token', token: 'ada.write.60' });
    expect(await ada.next('access', from)).toEqual({ type: 'access', access: 'write' });
    const { stateVector } = await ada.next('step1', from);
    ada.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc, stateVector) });
    await turn(ada, clock);
    await ada.untilSaved(3);
  });

  it('[AUTH-10] what waits for something missing is not written once its session may only read', async () => {
    const { clock, server, join } = await timed();
    const ada = await join('ada.write.60');
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('t').insert(0, 'first');
    doc.getText('t').insert(5, ' second');
    const joined = ada.join(new Y.Doc());
    await turn(ada, clock);
    await joined;
    ada.send({ type: 'update', update: updates[1]! });
    await turn(ada, clock);
    ada.send({ type: 'token', token: 'ada.read.60' });
    expect(await ada.untilClosed()).toEqual({
      code: 1013,
      reason: 'you may only read from now on',
    });
    const bob = await join('bob.write.60');
    bob.send({ type: 'update', update: updates[0]! });
    await turn(bob, clock);
    clock.advance(1_000);
    await turn(bob, clock);
    await bob.untilSaved(1);
    const readers = await served(server, 'room', 'eve.read.60', clock);
    expect(readers.getText('t').toString()).toBe('first');
  });

  it('[AUTH-7] who may only read from now on is not shown any more, where readers are not', async () => {
    const { clock, join } = await timed({ areReadersPresent: false });
    const [ada, bob] = [await join('ada.write.60'), await join('bob.write.60')];
    for (const client of [ada, bob]) {
      const joined = client.join(new Y.Doc());
      await turn(client, clock);
      await joined;
    }
    ada.send(presence(1, { user: { name: 'Ada' } }));
    await turn(ada, clock);
    clock.advance(100);
    await bob.until(() => shownTo(bob).has(1));
    ada.send({ type: 'token', token: 'ada.read.60' });
    await ada.next('access');
    clock.advance(100);
    await bob.until(() => !shownTo(bob).has(1));
  });

  it('[AUTH-10] a flood of tokens is asked about one at a time, the newest', async () => {
    const { clock, join, asked, until } = await timed();
    const ada = await join('ada.write.60');
    await turn(ada, clock);
    const answer = gate();
    until(answer.opened);
    for (let i = 0; i < 500; i++) ada.send({ type: 'token', token: `ada.write.${100 + i}` });
    await turn(ada, clock);
    answer.open();
    await turn(ada, clock);
    clock.advance(1_000);
    await turn(ada, clock);
    expect(asked).toEqual(['ada.write.60', 'ada.write.100', 'ada.write.599']);
    ada.send({ type: 'token', token: 'x'.repeat(16 * 1024 + 1) });
    expect((await ada.untilClosed()).code).toBe(4401);
  });

  it('[AUTH-10] the provider renews while people type, and nobody notices', async () => {
    const server = await startServer({ auth: { secret: SECRET, clockTolerance: 0 } });
    let asked = 0;
    const provider = new CowriteProvider({
      url: socketUrl(server),
      room: 'minutes',
      WebSocket,
      // So short that the session would end during the test if it were not renewed.
      token: async () => await token('ada', { minutes: 'write' }, `${3 + asked++} seconds`),
    });
    onTestFinished(() => provider.destroy());
    const statuses: string[] = [];
    await provider.whenSynced();
    provider.on('status', ({ status }) => statuses.push(status));
    while (asked < 4) {
      provider.doc.getText('t').insert(0, 'x');
      await provider.whenSaved();
    }
    await provider.whenSaved();
    expect(statuses).toEqual([]);
  });
});

describe('[END] ending sessions', () => {
  /** A server whose hook knows users and what they may do, and what they bring as a token is their name. */
  async function club(
    rights: Record<string, 'write' | 'read' | 'none'>,
    options: ServerOptions = {},
  ) {
    const server = await startServer({
      hooks: {
        authenticate: ({ token: id = '' }) => {
          const access = rights[id];
          if (access === undefined) throw new AuthRefused('unauthenticated', 'nobody knows you');
          return { access, user: { id } };
        },
      },
      ...options,
    });
    return { server, rights };
  }

  it('[END-1] a kick ends the sessions of one user in one room, or all of them, with 4403 and why', async () => {
    const { server } = await club({ ada: 'write', bob: 'write' });
    const [ada, bob, elsewhere] = [
      await enter(server, 'room', 'ada'),
      await enter(server, 'room', 'bob'),
      await enter(server, 'other', 'ada'),
    ];
    await Promise.all([ada, bob, elsewhere].map((client) => client.next('step1')));
    expect(server.kick('room', { user: 'ada', reason: 'be nice' })).toEqual({
      sessions: 1,
      isEverywhere: true,
    });
    expect(await ada.untilClosed()).toEqual({ code: 4403, reason: 'be nice' });
    expect(server.kick('room')).toEqual({ sessions: 1, isEverywhere: true });
    expect(await bob.untilClosed()).toEqual({
      code: 4403,
      reason: 'you were removed from this document',
    });
    expect(elsewhere.closed).toBeUndefined();
    expect(server.kick('room')).toEqual({ sessions: 0, isEverywhere: true });
  });

  it('[END-2] a recheck asks about a user again, and what is said then counts', async () => {
    const { server, rights } = await club({ ada: 'write', bob: 'write', eve: 'write' });
    const clients = await Promise.all(
      ['ada', 'bob', 'eve'].map((user) => enter(server, 'room', user)),
    );
    const [ada, bob, eve] = clients as [RawClient, RawClient, RawClient];
    await Promise.all(clients.map((client) => client.join(new Y.Doc())));
    Object.assign(rights, { ada: 'read', bob: 'none' });
    delete rights.eve;
    for (const user of ['ada', 'bob', 'eve', 'nobody']) server.recheck(user);
    expect(await ada.next('access')).toEqual({ type: 'access', access: 'read' });
    expect(await bob.untilClosed()).toEqual({
      code: 4403,
      reason: 'this room is not open to you any more',
    });
    expect(await eve.untilClosed()).toEqual({ code: 4401, reason: 'nobody knows you' });
    ada.send({ type: 'update', update: typed('x') });
    expect(await ada.next('rejected')).toMatchObject({ reason: 'read-only' });
  });

  it('[END-2] where a token says what somebody may do they have to bring a new one', async () => {
    const server = await startServer({ auth: { secret: SECRET } });
    let asked = 0;
    const provider = new CowriteProvider({
      url: socketUrl(server),
      room: 'minutes',
      WebSocket,
      token: async () => await token('ada', { minutes: asked++ === 0 ? 'write' : 'read' }),
    });
    onTestFinished(() => provider.destroy());
    await provider.whenSynced();
    expect(server.recheck('ada')).toEqual({ sessions: 1, isEverywhere: true });
    await new Promise<void>((resolve) => {
      provider.on('access', () => resolve());
    });
    expect([provider.access, asked]).toEqual(['read', 2]);
  });

  it('[END-2] a token about which nobody can say anything does not keep a recheck from being carried out', async () => {
    const asked: string[] = [];
    let isRevoked = false;
    const server = await startServer({
      hooks: {
        authenticate: ({ token: shown = '' }) => {
          asked.push(shown);
          if (shown !== 'good') throw new Error('what is that?');
          if (isRevoked) throw new AuthRefused('forbidden', 'not any more');
          return { access: 'write', user: { id: 'ada' } };
        },
      },
    });
    const ada = await enter(server, 'room', 'good');
    await ada.join(new Y.Doc());
    ada.send({ type: 'token', token: 'garbage' });
    ada.send({ type: 'update', update: typed('x') });
    await ada.untilSaved(2);
    isRevoked = true;
    server.recheck('ada');
    expect(await ada.untilClosed()).toEqual({ code: 4403, reason: 'not any more' });
    expect(asked).toEqual(['good', 'garbage', 'good']);
  });

  it('[END-2] of a recheck while a newer token is looked at the newer one counts; one who never answers is asked again', async () => {
    const clock = new ManualClock();
    const asked: string[] = [];
    let wait: Promise<unknown> = Promise.resolve();
    const server = await startServer({
      clock,
      limits: { heartbeatMs: 1e9 },
      hooks: {
        authenticate: async ({ token: shown = '' }) => {
          asked.push(shown);
          await wait;
          const expiresAt = new Date(shown === 'first' ? 60_000 : 600_000);
          return { access: 'write', user: { id: 'ada' }, expiresAt };
        },
      },
    });
    const ada = await enter(server, 'room', 'first');
    await turn(ada, clock);
    const answer = gate();
    wait = answer.opened;
    ada.send({ type: 'token', token: 'second' });
    await turn(ada, clock);
    server.recheck('ada');
    answer.open();
    await turn(ada, clock);
    expect(asked).toEqual(['first', 'second', 'second']);
    clock.advance(61_000);
    expect(ada.closed).toBeUndefined();
    // It hangs, once.
    wait = new Promise(() => undefined);
    server.recheck('ada');
    await turn(ada, clock);
    wait = Promise.resolve();
    clock.advance(10_000);
    await turn(ada, clock);
    clock.advance(2_000);
    await turn(ada, clock);
    expect(asked).toEqual(['first', 'second', 'second', 'second', 'second']);
    expect(ada.closed).toBeUndefined();
  });

  it('[END-3] orders about others keep nobody at the door', async () => {
    let asked = 0;
    const [entered, answered] = [gate(), gate()];
    const server = await startServer({
      hooks: {
        authenticate: async ({ token: id = '' }) => {
          asked++;
          entered.open();
          await answered.opened;
          return { access: 'write', user: { id } };
        },
      },
    });
    const entering = enter(server, 'room', 'ada');
    await entered.opened;
    server.recheck('bob');
    server.kick('other');
    server.kick('room', { user: 'bob' });
    answered.open();
    const ada = await entering;
    await ada.next('step1');
    expect(asked).toBe(1);
    expect(() => server.kick('room', { user: '' })).toThrow(TypeError);
  });

  it('[END-3] whoever is shown out in the very moment of coming in is not in', async () => {
    let kick = () => undefined as unknown;
    let turns = 0;
    const server = await startServer({
      hooks: {
        authenticate: ({ token: id = '' }) => {
          const late = async () => {
            for (let i = 0; i < turns; i++) await undefined;
            kick();
          };
          void late();
          return { access: 'write', user: { id } };
        },
      },
    });
    let kicks = 0;
    for (turns = 0; turns < 40; turns++) {
      kicks = 0;
      // Once: the next answer is one of after that.
      kick = () => (kicks++ === 0 ? server.kick('room') : undefined);
      const client = await enter(server, 'room', 'ada');
      await client.until(() => client.closed !== undefined || client.received.length > 0);
      if (client.closed === undefined) client.send({ type: 'update', update: typed('x') });
      const isSaved = () => client.received.some(({ type }) => type === 'saved');
      await client.until(() => client.closed !== undefined || isSaved());
      if (client.closed === undefined) {
        // It is in, by an answer that is newer than the kick.
        expect(kicks, `${turns} turns`).toBeGreaterThan(1);
        client.socket.terminate();
      }
    }
  });

  it('[END-3] nobody slips in with an answer that was given before', async () => {
    const [asked, answered] = [gate(), gate()];
    let access: 'write' | 'none' = 'write';
    const server = await startServer({
      hooks: {
        authenticate: async ({ token: id = '' }) => {
          const before = access;
          asked.open();
          await answered.opened;
          return { access: before, user: { id } };
        },
      },
    });
    const entering = enter(server, 'room', 'ada');
    await asked.opened;
    access = 'none';
    server.recheck('ada');
    answered.open();
    const ada = await entering;
    expect(ada.socket.readyState).not.toBe(WebSocket.OPEN);
  });

  it('[END-5] and, through a real Redis, those of another server', async () => {
    const { url } = await startRedis();
    const hooks: ServerOptions['hooks'] = {
      authenticate: ({ token: id = '' }) => ({ access: 'write', user: { id } }),
    };
    const start = () => startServer({ hooks, storage: url, redis: url });
    const [one, two] = [await start(), await start()];
    const ada = await enter(two, 'room', 'ada');
    await ada.next('step1');
    expect(one.kick('room', { user: 'ada', reason: 'over' })).toEqual({
      sessions: 0,
      isEverywhere: true,
    });
    expect(await ada.untilClosed()).toEqual({ code: 4403, reason: 'over' });
  });

  it("[END-4] only whoever has the administrator's token, over HTTP", async () => {
    const adminToken = 'the token of the administrator, long enough'.replaceAll(' ', '-');
    const { server } = await club({ ada: 'write' }, { adminToken });
    const post = async (path: string, body?: string, shown = adminToken) => {
      const headers = { Authorization: `Bearer ${shown}` };
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers,
        ...(body !== undefined && { body }),
      });
      return [response.status, (await response.text()).trim()];
    };
    const ada = await enter(server, 'notes/a b', 'ada');
    await ada.next('step1');
    const room = '/api/rooms/notes%2Fa%20b/kick';
    expect((await post(room, undefined, 'x'))[0]).toBe(401);
    expect((await post(room, undefined, `${adminToken}x`))[0]).toBe(401);
    expect(await post(room, 'user=ada')).toEqual([
      400,
      '{"error":{"code":"bad-request","message":"the body is not JSON"}}',
    ]);
    expect((await post(room, '{"users":"ada"}'))[0]).toBe(400);
    expect((await post(room, JSON.stringify({ reason: 'é'.repeat(62) })))[0]).toBe(400);
    expect((await post(room, 'x'.repeat(20_000)))[0]).toBe(413);
    expect(ada.closed).toBeUndefined();
    expect(await post(room, '{"user":"bob"}')).toEqual([200, '{"sessions":0}']);
    expect(await post(room, '{"user":"ada","reason":"over"}')).toEqual([200, '{"sessions":1}']);
    expect(await ada.untilClosed()).toEqual({ code: 4403, reason: 'over' });
    const again = await enter(server, 'room', 'ada');
    await again.next('step1');
    expect(await post('/api/users/ada/recheck')).toEqual([200, '{"sessions":1}']);
    await expect(startServer({ adminToken: '' })).rejects.toThrow(RangeError);
    expect((await post('/api/users/%/recheck'))[0]).toBe(400);
    expect((await post('/api/rooms/%ff/kick'))[0]).toBe(400);
    const closed = await startServer();
    const answer = await fetch(`${closed.url}${room}`, { method: 'POST' });
    expect([answer.status, await answer.json()]).toEqual([
      403,
      { error: { code: 'closed', message: 'closed: ADMIN_TOKEN is not set' } },
    ]);
  });
});
