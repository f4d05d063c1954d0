/** How much one session may send, ask and write: who does more of it waits, or is told no, and loses nothing. */
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import { type CowriteServer, type Limits, MemoryStorage } from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { encodeAwareness } from '../src/awareness.js';
import { ManualClock } from '../src/clock.js';
import {
  RawClient,
  readMetrics,
  served,
  startServer,
  synced,
  typed,
  untilCompacted,
  yWebsocket,
} from './support.js';
import { presence } from './visitors.js';

const adminToken = 'x'.repeat(32);

async function limited(limits: Partial<Limits>, clock?: ManualClock): Promise<CowriteServer> {
  return await startServer({ adminToken, limits, ...(clock !== undefined && { clock }) });
}

async function reached(server: CowriteServer, limit: string): Promise<number> {
  const line = new RegExp(`^cowrite_limits_reached_total{limit="${limit}"} (\\d+)$`, 'm');
  return Number(line.exec(await readMetrics(server, adminToken))?.[1]);
}

/** Moves the clock on until something has happened. */
async function advancing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  promise.then(over, over);
  for (let i = 0; !isOver; i++) {
    if (i > 50_000) throw new Error('it does not happen');
    clock.advance(2);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await promise;
}

/** What an author types, one letter an update. */
function keystrokes(count: number): Uint8Array[] {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  for (let i = 0; i < count; i++) doc.getText('t').insert(i, 'x');
  return updates;
}

describe('[LIM] one session', () => {
  it('[LIM-6] that sends updates faster than it may is read as fast as it may, and nothing of it is lost', async () => {
    const clock = new ManualClock();
    const server = await limited({ updatesPerSession: { perSecond: 10, burst: 20 } }, clock);
    const [fast, other] = [
      await RawClient.connect(server, 'room'),
      await RawClient.connect(server, 'other'),
    ];
    await advancing(clock, Promise.all([fast.join(new Y.Doc()), other.join(new Y.Doc())]));
    await advancing(clock, fast.untilSaved(1));
    const began = clock.now();
    for (const update of keystrokes(100)) fast.send({ type: 'update', update });
    await advancing(clock, fast.untilSaved(20));
    // Somebody else is not kept waiting by that.
    other.send({ type: 'update', update: typed('x') });
    await advancing(clock, other.untilSaved(2));
    expect(clock.now() - began).toBeLessThan(1_000);
    await advancing(clock, fast.untilSaved(101));
    expect(clock.now() - began).toBeGreaterThan(7_000);
    expect(clock.now() - began).toBeLessThan(9_000);
    expect(await reached(server, 'updates-per-session')).toBeGreaterThan(0);
  });

  it('[LIM-6] a large update counts for its size, may be larger than what is there, and is paid for afterwards', async () => {
    const clock = new ManualClock();
    const server = await limited(
      { updateBytesPerSession: { perSecond: 10 * 1024, burst: 20 * 1024 } },
      clock,
    );
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    const began = clock.now();
    client.send({ type: 'update', update: typed('x'.repeat(50_000)) });
    client.send({ type: 'update', update: typed('y') });
    await advancing(clock, client.untilSaved(2));
    expect(clock.now() - began).toBeLessThan(1_000);
    await advancing(clock, client.untilSaved(3));
    expect(clock.now() - began).toBeGreaterThan(2_500);
  });

  it('[LIM-6] a server that closes takes nothing more of what waits, and has said "saved" of nothing of it', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage();
    const server = await startServer({
      clock,
      storage: new MemoryStorage(storage),
      limits: { updatesPerSession: { perSecond: 10, burst: 20 } },
    });
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    for (const update of keystrokes(100)) client.send({ type: 'update', update });
    await advancing(clock, client.untilSaved(20));
    await advancing(clock, server.close());
    await client.untilClosed();
    const said = client.received.flatMap((message) =>
      message.type === 'saved' ? message.count : [],
    );
    // The first of them was the step 2 of the join, which brought nothing.
    const { tail } = await storage.load('room');
    expect(tail.length).toBe(said.at(-1)! - 1);
    expect(tail.length).toBeLessThan(100);
  });

  it('[LIM-6] who waits to be read is not taken for dead', async () => {
    const clock = new ManualClock();
    const server = await limited(
      { updateBytesPerSession: { perSecond: 1_000, burst: 1_000 }, heartbeatMs: 1_000 },
      clock,
    );
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    client.send({ type: 'update', update: typed('x'.repeat(20_000)) });
    client.send({ type: 'update', update: typed('y') });
    await advancing(clock, client.untilSaved(3));
    expect(client.closed).toBeUndefined();
  });

  it.each<readonly [string, (n: number) => Message | 'ping' | 'pong']>([
    ['awareness', (n) => presence(1, { n }, n + 1)],
    ['state vectors', () => ({ type: 'step1', stateVector: Uint8Array.of(0) })],
    ['questions who is here', () => ({ type: 'queryAwareness' })],
    ['pings', () => 'ping'],
    ['pongs that nobody asked for', () => 'pong'],
  ])('[LIM-7] a flood of %s is read as fast as it may be', async (_, make) => {
    const clock = new ManualClock();
    const server = await limited({ awarenessPerSession: { perSecond: 10, burst: 20 } }, clock);
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    await advancing(clock, client.untilSaved(1));
    const began = clock.now();
    for (let n = 0; n < 60; n++) {
      const message = make(n);
      if (message === 'ping') client.socket.ping();
      else if (message === 'pong') client.socket.pong('x');
      else client.socket.send(encodeMessage(message));
    }
    client.send({ type: 'update', update: typed('behind them') });
    await advancing(clock, client.untilSaved(2));
    expect(clock.now() - began).toBeGreaterThan(3_000);
    expect(clock.now() - began).toBeLessThan(5_000);
    expect(await reached(server, 'awareness-per-session')).toBeGreaterThan(0);
  });

  it('[LIM-8] who asks for the document again and again is answered as often as it may ask, for its newest question', async () => {
    const clock = new ManualClock();
    const server = await limited({ step1PerSession: { perSecond: 1, burst: 3 } }, clock);
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    client.send({ type: 'update', update: typed('x') });
    await advancing(clock, client.untilSaved(2));
    const answers = () => client.received.filter(({ type }) => type === 'step2').length;
    const began = clock.now();
    for (let n = 0; n < 100; n++) client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    const doc = new Y.Doc();
    Y.applyUpdate(doc, typed('y'));
    client.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    client.send({ type: 'update', update: typed('z') });
    await advancing(clock, client.untilSaved(3));
    await advancing(
      clock,
      client.until(() => answers() === 5),
    );
    expect(clock.now() - began).toBeLessThan(2_000);
    expect(await reached(server, 'step1-per-session')).toBe(1);
    clock.advance(10_000);
    client.send({ type: 'update', update: typed('!') });
    await advancing(clock, client.untilSaved(4));
    expect(answers()).toBe(5);
  });

  it('[LIM-9] a document that is full takes deletions and nothing else, and says so', async () => {
    const server = await limited({ maxDocumentBytes: 2_000 });
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('t').insert(0, 'x'.repeat(1_500));
    client.send({ type: 'update', update: updates.pop()! });
    await client.untilSaved(2);
    client.send({ type: 'update', update: typed('y'.repeat(600)) });
    expect(await client.next('rejected')).toEqual({
      type: 'rejected',
      count: 3,
      reason: 'document-too-large',
    });
    doc.getText('t').delete(0, 1_499);
    client.send({ type: 'update', update: updates.pop()! });
    client.send({ type: 'update', update: typed('small') });
    await client.untilSaved(5);
    expect(await reached(server, 'document-size')).toBe(1);
    const text = (await served(server, 'room')).getText('t').toString();
    expect([text.includes('small'), text.includes('y'), text.length]).toEqual([true, false, 6]);
  });

  it('[LIM-9] what was deleted makes room, also while nobody leaves', async () => {
    const storage = new MemoryStorage();
    const server = await startServer({
      adminToken,
      storage,
      limits: { maxDocumentBytes: 200_000 },
    });
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    const compacted = untilCompacted(storage);
    doc.getText('t').insert(0, 'x'.repeat(190_000));
    client.send({ type: 'update', update: updates.pop()! });
    await client.untilSaved(2);
    await compacted;
    doc.getText('t').delete(0, 190_000);
    client.send({ type: 'update', update: updates.pop()! });
    await client.untilSaved(3);
    const again = untilCompacted(storage);
    client.send({ type: 'update', update: typed('y'.repeat(100_000)) });
    expect(await client.next('rejected')).toMatchObject({ count: 4 });
    await again;
    const third = untilCompacted(storage);
    client.send({ type: 'update', update: typed('y'.repeat(100_000)) });
    await client.untilSaved(5);
    await third;
    expect((await served(server, 'room')).getText('t').length).toBe(100_000);

    // Each compaction writes the whole document: whoever is refused cannot have one at will.
    let compactions = 0;
    const compact = storage.compact.bind(storage);
    storage.compact = async (...args) => {
      compactions++;
      return await compact(...args);
    };
    for (let n = 0; n < 3; n++) {
      doc.getText('other').insert(0, 'z');
      client.send({ type: 'update', update: updates.pop()! });
      client.send({ type: 'update', update: typed('w'.repeat(150_000)) });
      await client.untilSaved(7 + 2 * n);
    }
    expect(compactions).toBe(0);
  });

  it('[LIM-9] nor does what had to wait pass the bound, and nobody is asked for it again', async () => {
    const clock = new ManualClock();
    const server = await limited({ maxDocumentBytes: 2_000, heartbeatMs: 1e9 }, clock);
    const client = await RawClient.connect(server, 'room');
    await advancing(clock, client.join(new Y.Doc()));
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('t').insert(0, 'x');
    doc.getText('t').insert(1, 'y'.repeat(3_000));
    client.send({ type: 'update', update: updates[1]! });
    client.send({ type: 'update', update: updates[0]! });
    expect(await advancing(clock, client.next('rejected'))).toMatchObject({
      count: 2,
      reason: 'document-too-large',
    });
    // A large one is refused, and all that follows it cannot come without it.
    doc.getText('t').insert(3_001, 'z');
    client.send({ type: 'update', update: updates[2]! });
    await advancing(
      clock,
      client.until(() => client.received.some(({ type }) => type === 'step1')),
    );
    client.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc) });
    await advancing(clock, client.untilSaved(5));
    const from = client.received.length;
    clock.advance(120_000);
    client.send({ type: 'update', update: typed('!') });
    await advancing(clock, client.untilSaved(6));
    expect(client.received.slice(from).map(({ type }) => type)).not.toContain('step1');
  });

  it('[LIM-11] a message that takes long keeps its session waiting, and nobody else', async () => {
    const server = await limited({});
    const [heavy, other] = [
      await RawClient.connect(server, 'heavy'),
      await RawClient.connect(server, 'other'),
    ];
    await Promise.all([heavy.join(new Y.Doc()), other.join(new Y.Doc())]);
    const states = Array.from({ length: 10_000 }, (_, client) => ({
      client,
      clock: 1,
      state: new TextEncoder().encode('{"user":{"name":"x"}}'),
    }));
    const update = encodeAwareness(states);
    for (let i = 0; i < 20; i++) heavy.send({ type: 'awareness', update });
    while ((await reached(server, 'work-per-session')) === 0) {
      other.send({ type: 'update', update: typed('x') });
      await other.next('saved', other.received.length);
    }
    expect(heavy.closed).toBeUndefined();
  });

  it('[LIM-9] a client of y-websocket, which cannot be told so, is closed for good', async () => {
    const server = await limited({ maxDocumentBytes: 2_000 });
    const provider = yWebsocket(server, 'room');
    await synced(provider);
    const code = new Promise((resolve) => {
      provider.on('connection-close', (event) => resolve(event?.code));
    });
    provider.doc.getText('t').insert(0, 'x'.repeat(3_000));
    expect(await code).toBe(4413);
    expect((await served(server, 'room')).getText('t').length).toBe(0);
  });

  it('[LIM-10] what else is over a bound is counted', async () => {
    const server = await limited({
      maxMessageBytes: 2_000,
      maxAwarenessBytes: 100,
      maxAwarenessDepth: 3,
      maxAwarenessClients: 1,
      maxSessionsPerRoom: 2,
    });
    const [client, large] = [
      await RawClient.connect(server, 'room'),
      await RawClient.connect(server, 'room'),
    ];
    await client.join(new Y.Doc());
    client.send(presence(1, { text: 'x'.repeat(100) }));
    client.send(presence(2, [[[[[[]]]]]]));
    client.send(presence(3, {}));
    client.send(presence(4, {}));
    const late = await RawClient.connect(server, 'room');
    expect(late.socket.readyState).not.toBe(late.socket.OPEN);
    large.send({ type: 'update', update: typed('x'.repeat(3_000)) });
    expect((await large.untilClosed()).code).toBe(1009);
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    for (const limit of [
      'message-size',
      'awareness-size',
      'awareness-depth',
      'awareness-clients',
      'sessions-per-room',
    ]) {
      expect(await reached(server, limit), limit).toBe(1);
    }
  });
});
