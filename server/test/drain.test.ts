/** Servers that are to end while people are there: in this process, with a store and a relay in memory. */
import { CowriteProvider } from '@cowrite/client';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  NotSaved,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { encodeAwareness } from '../src/awareness.js';
import { readConfig } from '../src/config.js';
import { gate, RawClient, socketUrl, startServer, synced, typed, yWebsocket } from './support.js';

const ADMIN = 'admin-'.repeat(6);

/** Starts instances that share a store and a relay, and drain in ten seconds. */
function deployment(): (options?: ServerOptions) => Promise<CowriteServer> {
  const [storage, hub, presence] = [new MemoryStorage(), new MemoryHub(), new PresenceHub()];
  return (options) =>
    startServer({
      storage: new MemoryStorage(storage),
      redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(presence) },
      limits: { drainMs: 10_000 },
      ...options,
    });
}

/** Two instances, and somebody on each, so that they know of each other. */
async function pair(options?: ServerOptions) {
  const start = deployment();
  const [one, two] = [await start(options), await start(options)];
  const bob = yWebsocket(two, 'room');
  bob.awareness.setLocalStateField('user', { name: 'Bob' });
  await synced(bob);
  return { start, one, two, bob };
}

/** A client that connects to the first of these servers, and at each attempt after that to the next. */
function provider(servers: readonly CowriteServer[], room: string) {
  const attempts: string[] = [];
  class Rotating extends WebSocket {
    constructor(url: string, protocols: string[]) {
      const server = servers[attempts.length % servers.length]!;
      attempts.push(server.url);
      const { pathname, search } = new URL(url);
      super(`${server.url.replace('http', 'ws')}${pathname}${search}`, protocols);
    }
  }
  const client = new CowriteProvider({
    url: 'ws://wherever.it.is/ws',
    room,
    WebSocket: Rotating,
  });
  onTestFinished(() => client.destroy());
  return { client, attempts };
}

function untilSeen(awareness: Awareness, client: number): Promise<void> {
  return until(awareness, () => awareness.getStates().has(client));
}

async function untilOpenAt(
  attempts: readonly string[],
  server: CowriteServer,
  client: CowriteProvider,
) {
  while (attempts.at(-1) !== server.url || client.status !== 'online') {
    await new Promise<void>((resolve) => client.once('status', () => resolve()));
  }
}

describe('[DRN] a server that is to end', () => {
  it('[DRN-1] says that it is not ready, and refuses new sockets with 503; whoever is in stays until its moment', async () => {
    // The first moment is a minute away: however slow the machine is, what is sent here comes before it.
    const { one, bob } = await pair({ limits: { drainMs: 600_000 } });
    const ada = await RawClient.connect(one, 'room');
    const doc = new Y.Doc();
    await ada.join(doc);
    ada.send({ type: 'awareness', update: stateOf(doc.clientID) });
    await untilSeen(bob.awareness, doc.clientID);
    expect(one.isDraining).toBe(false);

    const drained = one.drain();
    expect(one.isDraining).toBe(true);
    const refused = await answerOf(one, 'room');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect((await fetch(`${one.url}/ws/room`)).status).toBe(503);
    expect((await fetch(`${one.url}/health/ready`)).status).toBe(503);

    ada.send({ type: 'update', update: typed('meanwhile') });
    await ada.untilSaved(2);
    const { delay } = await ada.next('drain');
    expect(delay).toBeGreaterThanOrEqual(60_000);
    expect(delay).toBeLessThanOrEqual(60_000 + 250);
    expect(ada.closed).toBeUndefined();
    await one.close();
    await drained;
    expect(bob.doc.getText('t').toString()).toBe('meanwhile');
  });

  it('[DRN-2] leads clients elsewhere by themselves, with what they have just written', async () => {
    const { one, two, bob } = await pair();
    const { client, attempts } = provider([one, two], 'room');
    await client.whenSynced();
    client.awareness.setLocalStateField('user', { name: 'Ada' });
    await untilSeen(bob.awareness, client.awareness.clientID);
    const statuses: string[] = [];
    client.on('status', ({ status }) => statuses.push(status));
    const drained = one.drain();
    const typing = setInterval(() => client.doc.getText('t').insert(0, 'x'), 5);
    await untilOpenAt(attempts, two, client);
    clearInterval(typing);
    await client.whenSaved();
    await drained;
    expect(attempts).toEqual([one.url, two.url]);
    // Not closed by the server, and not waiting for a retry.
    expect(statuses).toEqual(['connecting', 'syncing', 'online']);
    const stored = yWebsocket(two, 'room');
    await synced(stored);
    expect(stored.doc.getText('t').toString()).toBe(client.doc.getText('t').toString());
    expect(stored.doc.getText('t').length).toBeGreaterThan(0);
  });

  it('[DRN-1] a client that is led back to it is in elsewhere within its backoff', async () => {
    const { one, two, bob } = await pair();
    const { client, attempts } = provider([one, one, one, two], 'room');
    await client.whenSynced();
    client.awareness.setLocalStateField('user', { name: 'Ada' });
    await untilSeen(bob.awareness, client.awareness.clientID);
    const drained = one.drain();
    await new Promise<void>((resolve) => client.once('status', () => resolve()));
    const waits: number[] = [];
    client.on('status', ({ nextRetryAt }) => {
      if (nextRetryAt !== null) waits.push(nextRetryAt.getTime() - Date.now());
    });
    await untilOpenAt(attempts, two, client);
    // Two refusals: it waits for up to 300 ms, and for up to 600.
    expect(waits.length).toBe(2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(600);
    expect(attempts).toEqual([one.url, one.url, one.url, two.url]);
    await drained;
  });

  it('[DRN-4] closes with 1012 whoever cannot be told, and who was told and stays', async () => {
    const { one, bob } = await pair();
    const plain = await RawClient.connect(one, 'room', []);
    const stubborn = await RawClient.connect(one, 'room');
    const doc = new Y.Doc();
    await plain.join(doc);
    plain.send({ type: 'awareness', update: stateOf(doc.clientID) });
    await untilSeen(bob.awareness, doc.clientID);
    await one.drain();
    expect(plain.closed?.code).toBe(1012);
    expect(plain.received.some(({ type }) => type === 'drain')).toBe(false);
    expect(stubborn.closed?.code).toBe(1012);
    expect(stubborn.received.some(({ type }) => type === 'drain')).toBe(true);
  });

  it('[DRN-6] people who move are never gone for others, on any instance', async () => {
    const { start, one, two, bob } = await pair();
    const three = await start();
    const carol = yWebsocket(three, 'room');
    const { client, attempts } = provider([one, two], 'room');
    await client.whenSynced();
    client.awareness.setLocalStateField('user', { name: 'Ada' });
    const old = yWebsocket(one, 'room');
    old.awareness.setLocalStateField('user', { name: 'Old' });
    const moving = [client.awareness.clientID, old.doc.clientID];
    for (const { awareness } of [bob, carol]) {
      for (const id of moving) await untilSeen(awareness, id);
    }
    const removed: number[] = [];
    for (const { awareness } of [bob, carol]) {
      awareness.on('change', (change: { removed: number[] }) => removed.push(...change.removed));
    }
    // Where a load balancer would lead it.
    old.serverUrl = socketUrl(two);
    const drained = one.drain();
    await untilOpenAt(attempts, two, client);
    await drained;
    await synced(old);
    for (const { awareness } of [bob, carol]) {
      for (const id of moving) expect(awareness.getStates().has(id)).toBe(true);
    }
    expect(removed).toEqual([]);
    // And they are held where they are now: this one's leaving is seen.
    client.destroy();
    await until(bob.awareness, () => !bob.awareness.getStates().has(moving[0]!));
  });

  it('[DRN-6] who does not come back is gone with the instance, and who says goodbye at once', async () => {
    const { one, bob } = await pair();
    const docs = [new Y.Doc(), new Y.Doc()];
    const [polite, rude] = await Promise.all(docs.map(() => RawClient.connect(one, 'room')));
    await Promise.all([polite!.join(docs[0]!), rude!.join(docs[1]!)]);
    const [politeId, rudeId] = docs.map(({ clientID }) => clientID);
    polite!.send({ type: 'awareness', update: stateOf(politeId!) });
    rude!.send({ type: 'awareness', update: stateOf(rudeId!) });
    await untilSeen(bob.awareness, politeId!);
    await untilSeen(bob.awareness, rudeId!);
    const drained = one.drain();
    await rude!.next('drain');
    rude!.socket.terminate();
    polite!.send({ type: 'awareness', update: stateOf(politeId!, 2, null) });
    await until(bob.awareness, () => !bob.awareness.getStates().has(politeId!));
    polite!.socket.close();
    expect(bob.awareness.getStates().has(rudeId!)).toBe(true);
    await drained;
    await until(bob.awareness, () => !bob.awareness.getStates().has(rudeId!));
  });

  it('[DRN-7] alone, it closes at once: a client that left would find nobody else', async () => {
    const server = await startServer();
    const { client } = provider([server], 'room');
    await client.whenSynced();
    client.doc.getText('t').insert(0, 'x');
    const raw = await RawClient.connect(server, 'room');
    await raw.join(new Y.Doc());
    await server.drain();
    expect(raw.closed?.code).toBe(1012);
    expect(raw.received.some(({ type }) => type === 'drain')).toBe(false);
    await client.whenSaved();
  });

  it('[DRN-7] all instances that end together close at once: nobody is sent from one to the other', async () => {
    const start = deployment();
    const limits = { drainMs: 600_000 };
    const servers = [await start({ limits }), await start({ limits })];
    const clients = await Promise.all(servers.map((server) => RawClient.connect(server, 'room')));
    for (const client of clients) await client.join(new Y.Doc());
    clients[1]!.send({ type: 'update', update: typed('x') });
    await clients[0]!.next('update');
    clients[0]!.send({ type: 'update', update: typed('y') });
    await clients[1]!.next('update');
    await Promise.all(servers.map((server) => server.drain()));
    expect(clients.map(({ closed }) => closed?.code)).toEqual([1012, 1012]);
  });

  it('[DRN-7] without time for it, it closes at once, also where there are others', async () => {
    const start = deployment();
    const limits = { drainMs: 0 };
    const [one, two] = [await start({ limits }), await start({ limits })];
    const clients = await Promise.all(
      [one, two].map((server) => RawClient.connect(server, 'room')),
    );
    for (const client of clients) await client.join(new Y.Doc());
    clients[1]!.send({ type: 'update', update: typed('x') });
    await clients[0]!.next('update');
    await one.drain();
    expect(clients[0]!.closed?.code).toBe(1012);
    expect(clients[0]!.received.some(({ type }) => type === 'drain')).toBe(false);
    expect(readConfig({ DRAIN_SECONDS: '0' }).limits.drainMs).toBe(0);
    expect(() => readConfig({ DRAIN_SECONDS: '-1' })).toThrow('DRAIN_SECONDS');
  });

  it('[DRN-5] with nobody connected it is over at once; a close ends a drain', async () => {
    const { start, one, bob } = await pair();
    const empty = await start();
    await empty.drain();
    const ada = await RawClient.connect(one, 'room');
    const doc = new Y.Doc();
    await ada.join(doc);
    ada.send({ type: 'awareness', update: stateOf(doc.clientID) });
    await untilSeen(bob.awareness, doc.clientID);
    const drained = one.drain();
    await ada.next('drain');
    await one.close();
    expect(ada.closed?.code).toBe(1012);
    await Promise.all([drained, one.whenClosed]);
  });

  it('[DRN-8] what the store does not take in time is told by room', async () => {
    const storage = new MemoryStorage();
    const server = await startServer({ storage, limits: { drainMs: 1_000 } });
    const writers = await Promise.all(['a', 'b'].map((room) => RawClient.connect(server, room)));
    for (const writer of writers) {
      await writer.join(new Y.Doc());
      await writer.untilSaved(1);
    }
    const asked = gate();
    let stuck = (): void => undefined;
    storage.append = async () => {
      asked.open();
      await new Promise<void>((resolve) => {
        stuck = resolve;
      });
      return [];
    };
    onTestFinished(() => stuck());
    for (const text of ['1', '2']) writers[0]!.send({ type: 'update', update: typed(text) });
    writers[1]!.send({ type: 'update', update: typed('3') });
    await asked.opened;
    for (const writer of writers) {
      // Answered behind what was sent before.
      writer.send({ type: 'step1', stateVector: Uint8Array.of(0) });
      await writer.next('step2', writer.received.length);
    }
    const error = await server.drain().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NotSaved);
    expect((error as NotSaved).rooms).toEqual([
      { room: 'a', updates: 2 },
      { room: 'b', updates: 1 },
    ]);
    await expect(server.whenClosed).rejects.toBe(error);
    expect(writers.map(({ closed }) => closed?.code)).toEqual([1012, 1012]);
  });

  it('[DRN-9] an administrator may ask for it; again, it is under way', async () => {
    const server = await startServer({ adminToken: ADMIN });
    const ada = await RawClient.connect(server, 'room');
    await ada.join(new Y.Doc());
    const ask = (token: string) =>
      fetch(`${server.url}/api/drain`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}` },
      });
    expect((await ask('another')).status).toBe(401);
    const answer = await ask(ADMIN);
    expect([answer.status, await answer.json()]).toEqual([202, { sessions: 1 }]);
    await server.whenClosed;
    expect(ada.closed?.code).toBe(1012);
  });
});

/** What an upgrade is answered. */
async function answerOf(server: CowriteServer, room: string) {
  const socket = new WebSocket(`${socketUrl(server)}/${room}`);
  return await new Promise<{ status: number | undefined; headers: Record<string, unknown> }>(
    (resolve) => {
      socket.on('unexpected-response', (_, response) => {
        resolve({ status: response.statusCode, headers: response.headers });
        response.destroy();
      });
    },
  );
}

async function until(awareness: Awareness, holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const look = () => {
      if (!holds()) return;
      awareness.off('change', look);
      resolve();
    };
    awareness.on('change', look);
  });
}

function stateOf(client: number, clock = 1, state: object | null = {}): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(state));
  return encodeAwareness([{ client, clock, state: text }]);
}
