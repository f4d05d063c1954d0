/** Clients that take no close code for final, as they are: they come back for ever, and cost next to nothing. */
import { once } from 'node:events';
import { encodeMessage } from '@cowrite/client/protocol';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider as Three } from 'y-websocket';
import { WebsocketProvider as One } from 'y-websocket-1';
import { WebsocketProvider as Two } from 'y-websocket-2';
import * as Y from 'yjs';
import { type Clock, ManualClock, systemClock } from '../src/clock.js';
import { readMetrics, served, socketUrl, startServer } from './support.js';
import { guarded, knock, token } from './visitors.js';

const ADDRESS = '192.0.2.7';
const adminToken = 'x'.repeat(32);
const OLD = { '1.5': One, '2.1': Two } as unknown as Record<string, typeof Three>;
const ALL = { ...OLD, '3.1': Three };
const WAIT = { timeout: 60_000, interval: 20 };

/** As behind a proxy: connections of this machine are not counted. */
class FromOutside extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { headers: { 'X-Forwarded-For': ADDRESS } });
  }
}

interface Returning {
  readonly provider: Three;
  readonly doc: Y.Doc;
  /** Sockets that opened; attempts that were refused. */
  opened: number;
  refused: number;
}

function returning(
  server: { url: string },
  Provider: typeof Three,
  { room = 'room', params = {}, doc = new Y.Doc() } = {},
): Returning {
  const provider = new Provider(socketUrl(server), room, doc, {
    WebSocketPolyfill: FromOutside as never,
    disableBc: true,
    params,
  });
  onTestFinished(() => {
    provider.shouldConnect = false;
    provider.destroy();
    provider.awareness.destroy();
  });
  const client = { provider, doc, opened: 0, refused: 0 };
  provider.on('status', ({ status }: { status: string }) => {
    if (status === 'connected') client.opened++;
  });
  provider.on('connection-error', () => {
    client.refused++;
  });
  return client;
}

/** Rings in time, and says all the while that it is as late as the test says: no cooldown ends by itself. */
class StoppedClock implements Clock {
  readonly after = systemClock.after;
  readonly every = systemClock.every;
  readonly soon = systemClock.soon;
  readonly date = systemClock.date;
  at = 0;

  now(): number {
    return this.at;
  }
}

async function start(options: ServerOptions = {}) {
  const clock = new StoppedClock();
  const lines: Record<string, unknown>[] = [];
  const { pino } = await import('pino');
  const server = await startServer({
    clock,
    adminToken,
    trustedProxies: ['loopback'],
    logger: pino({}, { write: (line) => void lines.push(JSON.parse(line)) }),
    ...options,
  });
  return { server, clock, lines };
}

/** Some time with clients that come back: each was refused so often that it waits for seconds. */
async function untilSlow(clients: readonly Returning[]): Promise<void> {
  await vi.waitFor(() => {
    for (const { refused } of clients) expect(refused).toBeGreaterThanOrEqual(3);
  }, WAIT);
}

/** More than fits into a message, or a document, of the servers below. */
function filled(bytes: number): Y.Doc {
  const doc = new Y.Doc();
  // No two letters alike, so that nothing is joined.
  doc
    .getText('t')
    .insert(0, Array.from({ length: bytes }, (_, i) => (i % 36).toString(36)).join(''));
  return doc;
}

/** Whenever it is connected. */
function sendEachTime(provider: Three, frame: Uint8Array): void {
  provider.on('status', ({ status }: { status: string }) => {
    if (status === 'connected') provider.ws?.send(frame as Uint8Array<ArrayBuffer>);
  });
}

/** What no client may send. */
const BROKEN = Uint8Array.of(0, 2, 3, 255, 255, 255);

describe('[LIM] clients of y-websocket that were closed for good', () => {
  it('[LIM-16] whose message is too large are refused before the upgrade, whatever their version', async () => {
    const { server, lines } = await start({ limits: { maxMessageBytes: 20_000 } });
    const clients = Object.entries(ALL).map(([room, Provider]) =>
      returning(server, Provider, { room, doc: filled(30_000) }),
    );
    await untilSlow(clients);
    for (const { opened } of clients) expect(opened).toBeLessThanOrEqual(2);
    const refused = lines.filter(({ msg }) => msg === 'not let in');
    expect(refused).toHaveLength(clients.length);
    for (const line of refused) expect(line).toMatchObject({ status: 413, address: ADDRESS });
    expect(await readMetrics(server, adminToken)).toMatch(
      /cowrite_upgrades_refused_total{reason="cooldown"} \d/,
    );
  });

  it('[LIM-16] of the versions that take no code for final, after 4400, 4413, a kick, and in a deleted room', async () => {
    const { server, lines } = await start({ limits: { maxDocumentBytes: 20_000 } });
    await server.remove('gone');
    const clients = Object.entries(OLD).flatMap(([version, Provider]) => {
      const client = (room: string, doc = new Y.Doc()) =>
        returning(server, Provider, { room, doc, params: { version } });
      const poisonous = client('broken');
      sendEachTime(poisonous.provider, BROKEN);
      return [client('kicked'), client('gone'), client('full', filled(30_000)), poisonous];
    });
    const kicked = [clients[0]!, clients[4]!];
    await vi.waitFor(() => {
      for (const { provider } of kicked) expect(provider.synced).toBe(true);
    }, WAIT);
    server.kick('kicked');
    await untilSlow(clients);
    for (const { opened } of clients) expect(opened).toBeLessThanOrEqual(1);
    const refused = lines.filter(({ msg }) => msg === 'not let in');
    expect(Object.fromEntries(refused.map(({ room, status }) => [room, status]))).toEqual({
      kicked: 403,
      gone: 410,
      full: 413,
      broken: 403,
    });
    expect(refused).toHaveLength(4);
  });

  it('[LIM-16] others of their address come in, to the same room, and their attempts cost these nothing', async () => {
    const clock = new StoppedClock();
    const server = await guarded({
      clock,
      trustedProxies: ['loopback'],
      limits: { maxMessageBytes: 20_000, attemptsPerAddress: { perSecond: 1, burst: 8 } },
    });
    const params = { token: await token('eve', { '*': 'write' }) };
    const clients = Array.from({ length: 3 }, () =>
      returning(server, Two as never, { params, doc: filled(30_000) }),
    );
    await untilSlow(clients);
    const headers = { 'X-Forwarded-For': ADDRESS };
    for (const [user, room] of [
      ['ada', 'room'],
      ['eve', 'other'],
    ] as const) {
      const shown = await token(user, { '*': 'write' });
      expect((await knock(server, `${room}?token=${shown}`, { headers })).status).toBe(101);
    }
    // Of a client that takes a final code for final nothing is known.
    const protocols = ['cowrite.v1', `cowrite.token.${params.token}`];
    expect((await knock(server, 'room', { headers, protocols })).status).toBe(101);
    const again = new WebSocket(`${socketUrl(server)}/room?token=${params.token}`, { headers });
    again.on('error', () => undefined);
    const [, response] = await once(again, 'unexpected-response');
    expect([response.statusCode, response.headers['retry-after']]).toEqual([413, '10']);
    response.resume();
  });

  it('[LIM-16] are let in again when it is over, and saved when they have mended it', async () => {
    const { server, clock } = await start({ limits: { maxDocumentBytes: 20_000 } });
    const client = returning(server, Two as never, { doc: filled(30_000) });
    await untilSlow([client]);
    client.provider.disconnect();
    const mended = new Y.Doc();
    mended.getText('t').insert(0, 'short');
    const again = returning(server, Two as never, { doc: mended });
    await vi.waitFor(() => expect(again.refused).toBeGreaterThan(0), WAIT);
    clock.at += 10_000;
    await vi.waitFor(() => expect(again.provider.synced).toBe(true), WAIT);
    expect((await served(server, 'room')).getText('t').toString()).toBe('short');
  });

  it('[LIM-19] that write something else under an id than the log has are refused with 409', async () => {
    const { server, lines } = await start();
    const written = (text: string) => {
      const doc = new Y.Doc();
      doc.clientID = 77;
      doc.getText('t').insert(0, text);
      return doc;
    };
    const clients: Returning[] = [];
    for (const [room, Provider] of Object.entries(OLD)) {
      const first = returning(server, Provider, { room, doc: written('first') });
      await vi.waitFor(async () => {
        expect((await served(server, room)).getText('t').toString()).toBe('first');
      }, WAIT);
      const second = returning(server, Provider, { room, params: { tab: '2' } });
      const update = Y.encodeStateAsUpdate(written('other'));
      sendEachTime(second.provider, encodeMessage({ type: 'update', update }));
      clients.push(second);
      expect(first.opened).toBe(1);
    }
    await untilSlow(clients);
    for (const { opened } of clients) expect(opened).toBe(1);
    const refused = lines.filter(({ msg }) => msg === 'not let in');
    expect(refused.map(({ status }) => status)).toEqual([409, 409]);
  });

  it('[LIM-19] whose room cannot be loaded are refused with 503, and come in once it can', async () => {
    const storage = new MemoryStorage();
    const load = storage.load.bind(storage);
    let loads = 0;
    let isBroken = true;
    storage.load = async (room) => {
      loads++;
      if (isBroken) throw new Error('the disk does not answer');
      return await load(room);
    };
    const { server, clock, lines } = await start({ storage });
    const clients = Object.entries(ALL).map(([version, Provider]) =>
      returning(server, Provider, { params: { version } }),
    );
    await untilSlow(clients);
    for (const { opened } of clients) expect(opened).toBe(1);
    expect(loads).toBeLessThanOrEqual(clients.length);
    const refused = lines.filter(({ msg }) => msg === 'not let in');
    expect(refused.map(({ status }) => status)).toEqual([503]);
    isBroken = false;
    // What is wrong with the server may be mended at any moment.
    clock.at += 1_000;
    await vi.waitFor(() => {
      for (const { provider } of clients) expect(provider.synced).toBe(true);
    }, WAIT);
  });

  it('[LIM-17] come in with a new token, after a recheck, and once the room is undeleted', async () => {
    const server = await guarded({ clock: new StoppedClock() });
    const shown = (text: string, room = 'room') => knock(server, `${room}?token=${text}`);
    const [old, fresh] = [
      await token('eve', { '*': 'write' }),
      await token('eve', { '*': 'write' }, '2h'),
    ];
    expect((await shown(old)).status).toBe(101);
    server.kick('room', { user: 'eve' });
    expect(await shown(old)).toEqual({
      status: 403,
      text: 'this room was closed to this client a moment ago: you were removed from this document',
    });
    expect((await shown(fresh)).status).toBe(101);
    server.recheck('eve');
    expect((await shown(old)).status).toBe(101);
    await server.remove('room');
    await vi.waitFor(async () => expect((await shown(old)).status).toBe(410), WAIT);
    expect(await server.revive('room')).toBe(true);
    expect((await shown(old)).status).toBe(101);
  });

  it('[LIM-17] an undeletion is heard of by every server', async () => {
    const [hub, people, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
    const clock = new StoppedClock();
    const instance = async (): Promise<CowriteServer> =>
      await startServer({
        clock,
        storage: new MemoryStorage(storage),
        redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(people) },
      });
    const [one, other] = [await instance(), await instance()];
    await one.remove('room');
    await vi.waitFor(async () => expect((await knock(other, 'room')).status).toBe(410), WAIT);
    await one.revive('room');
    await vi.waitFor(async () => expect((await knock(other, 'room')).status).toBe(101), WAIT);
  });

  it('[AUTH-20] somebody whose time is over already is refused at the door, and asked about anew after it', async () => {
    const clock = new ManualClock();
    const lasts = 5_000;
    const server = await startServer({
      clock,
      hooks: { authenticate: () => ({ access: 'write', expiresAt: new Date(lasts) }) },
    });
    expect((await knock(server, 'room')).status).toBe(101);
    clock.advance(lasts);
    expect(await knock(server, 'room')).toEqual({
      status: 401,
      text: 'what you were allowed has ended',
    });
  });
});
