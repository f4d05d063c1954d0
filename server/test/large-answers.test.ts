/** Answers that are too large for one message on a slow line: they come in pieces, and mean the same. */
import { MemoryStorage } from '@cowrite/server';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { slowLineTo } from './slow-line.js';
import { PATIENT, RawClient, socketUrl, startServer, untilCompacted, untilDoc } from './support.js';

/** What 64 KB/s carries in 8 s. */
const LARGE = 512_000;
const SLOWEST = 64_000;

/** Written by several who answer each other, in items of every size; some of it is deleted. */
function talk(bytes: number, into = new Y.Doc()): Y.Doc {
  const [one, two] = [new Y.Doc(), new Y.Doc()];
  for (const doc of [one, two]) Y.applyUpdate(doc, Y.encodeStateAsUpdate(into));
  let written = 0;
  for (let i = 0; written < bytes; i++) {
    const [from, to] = i % 2 === 0 ? [one, two] : [two, one];
    const before = Y.encodeStateVector(from);
    const text = from.getText('t');
    const said = `${i} `.padEnd(i % 10 === 0 ? 90_000 : 500, '.');
    text.insert(text.length, said);
    text.delete(text.length - 20, 10);
    from.getMap('m').set(`${i % 7}`, `${i}`.padEnd(200, 'v'));
    written += said.length + 200;
    Y.applyUpdate(to, Y.encodeStateAsUpdate(from, before));
  }
  Y.applyUpdate(into, Y.encodeStateAsUpdate(one));
  return into;
}

let large: Y.Doc;
beforeAll(() => {
  large = talk(3_000_000);
});

/** Whether a room has its document in a snapshot, in the tail as one entry, or as many. */
type Where = 'a snapshot' | 'one entry' | 'many entries';

async function largeRoom(where: Where, storage = new MemoryStorage(), clock?: ManualClock) {
  const compacted = untilCompacted(storage);
  const server = await startServer({ storage, ...(clock && { clock }) });
  if (where !== 'a snapshot') storage.compact = () => Promise.reject(new Error('not now'));
  const writer = await RawClient.connect(server, 'room');
  const doc = new Y.Doc();
  await writer.join(doc);
  let count = 1;
  if (where === 'many entries') {
    for (let size = 0; size < 1_500_000; size += 30_000) {
      const before = Y.encodeStateVector(doc);
      doc.getText('t').insert(doc.getText('t').length, `${size}`.padEnd(30_000, '-'));
      writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
      count++;
    }
  } else {
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(large));
    writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    count++;
  }
  await writer.untilSaved(count);
  if (where === 'a snapshot') await compacted;
  return { server, writer, doc, count };
}

/** Applies what has come, in order; nothing may wait for something later. */
function applyAll(client: RawClient, doc: Y.Doc): number[] {
  const sizes: number[] = [];
  for (const message of client.received) {
    if (message.type !== 'update' && message.type !== 'step2') continue;
    sizes.push(message.update.length);
    Y.applyUpdate(doc, message.update);
    expect(doc.store.pendingStructs).toBeNull();
    expect(doc.store.pendingDs).toBeNull();
  }
  return sizes;
}

function expectSame(one: Y.Doc, other: Y.Doc): void {
  expect(one.getText('t').toString() === other.getText('t').toString()).toBe(true);
  expect(one.getMap('m').toJSON()).toEqual(other.getMap('m').toJSON());
}

describe('[JOIN] large answers', () => {
  it.each(['a snapshot', 'one entry', 'many entries'] as const)(
    '[JOIN-10] of %s: several updates, none over 512 KB, the last of them the step 2',
    async (where) => {
      const { server, doc, writer, count } = await largeRoom(where);
      const before = Y.encodeStateVector(doc);
      doc.getText('t').insert(0, 'and a little behind it ');
      writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
      await writer.untilSaved(count + 1);
      const client = await RawClient.connect(server, 'room');
      client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
      await client.next('step2');
      const sizes = applyAll(client, new Y.Doc());
      expect(sizes.length).toBeGreaterThan(3);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(LARGE);
      const kinds = client.received.map(({ type }) => type).filter((kind) => kind !== 'generation');
      expect(kinds.filter((kind) => kind === 'step2').length).toBe(1);
      expect(kinds.slice(0, 2)).toEqual(['step1', 'update']);
      const copy = new Y.Doc();
      applyAll(client, copy);
      expectSame(copy, doc);
    },
  );

  it('[JOIN-10] what somebody lacks who has a part is cut as well, and deletions alone', async () => {
    const { server, doc } = await largeRoom('a snapshot');
    const half = new Y.Doc();
    Y.applyUpdate(half, Y.encodeStateAsUpdate(large));
    const rest = await largeRoom('a snapshot');
    const other = talk(1_200_000, half);
    rest.writer.send({ type: 'step2', update: Y.encodeStateAsUpdate(other) });
    await rest.writer.untilSaved(3);
    const client = await RawClient.connect(rest.server, 'room');
    client.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    await client.next('step2');
    const copy = new Y.Doc();
    Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
    const sizes = applyAll(client, copy);
    expect(sizes.length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(LARGE);
    expectSame(copy, other);
    expect(server.url).not.toBe(rest.server.url);
  });

  it('[JOIN-12] one value that is larger comes alone, behind what can come before it', async () => {
    const storage = new MemoryStorage();
    const compacted = untilCompacted(storage);
    const server = await startServer({ storage });
    const writer = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await writer.join(doc);
    doc.getMap('m').set('first', 'f'.repeat(300_000));
    doc.getMap('m').set('picture', new Uint8Array(1_000_000));
    doc.getMap('m').set('last', 'l'.repeat(300_000));
    writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await writer.untilSaved(2);
    await compacted;
    const client = await RawClient.connect(server, 'room');
    client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    await client.next('step2');
    const copy = new Y.Doc();
    const sizes = applyAll(client, copy).map((size) => Math.round(size / 100_000));
    expect(sizes.filter((size) => size > 5)).toEqual([10]);
    expect(copy.getMap('m').size).toBe(3);
  });

  it('[JOIN-11] over 64 KB/s something comes every few seconds, and what others write meanwhile as well', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    // Until everything is in its place, time just goes on.
    const going = setInterval(() => clock.advance(20), 1);
    const { writer, doc, server } = await largeRoom('a snapshot', new MemoryStorage(), clock);
    clearInterval(going);
    const line = await slowLineTo(server);
    const copy = new Y.Doc();
    const provider = new WebsocketProvider(socketUrl(line), 'room', copy, {
      WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
      disableBc: true,
    });
    /** Milliseconds of the line's time, as long as it carries anything. */
    let carried = 0;
    const heard: number[] = [];
    const inner = provider.messageHandlers[0]!;
    provider.messageHandlers[0] = (...args) => {
      heard.push(carried);
      inner(...args);
    };
    let isSynced = false;
    provider.on('sync', (is: boolean) => {
      isSynced = is;
      expect(copy.getText('t').length).toBeGreaterThan(2_000_000);
    });
    const started = Date.now();
    let typed = 0;
    while (!isSynced || copy.getText('t').length < doc.getText('t').length) {
      if (Date.now() - started > 60_000) throw new Error(`after ${carried} ms: not there`);
      const { down } = await line.step(1e6, SLOWEST);
      carried += (down / SLOWEST) * 1_000;
      clock.advance(Math.max(1, (down / SLOWEST) * 1_000));
      await new Promise((resolve) => setImmediate(resolve));
      if (heard.length > 3 && typed < 20) {
        const before = Y.encodeStateVector(doc);
        doc.getText('t').insert(0, `meanwhile ${typed++} `);
        writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
      }
    }
    provider.destroy();
    expect(carried).toBeGreaterThan(45_000);
    const gaps = heard.slice(1).map((at, i) => at - heard[i]!);
    expect(Math.max(...gaps)).toBeLessThan(9_000);
    expectSame(copy, doc);
    expect(copy.store.pendingStructs).toBeNull();
  });
});

describe('[FAN] large updates', () => {
  it('[FAN-5] a large update of somebody else comes in pieces, and what is typed behind it in its order', async () => {
    const server = await startServer();
    const writer = await RawClient.connect(server, 'room');
    const reader = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await writer.join(doc);
    await reader.join(new Y.Doc());
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(large));
    writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    for (let i = 0; i < 20; i++) {
      const before = Y.encodeStateVector(doc);
      doc.getText('t').insert(doc.getText('t').length, 'behind ');
      writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
    }
    const copy = new Y.Doc();
    await reader.until(() => {
      const sizes = applyAll(reader, copy);
      reader.received.splice(0);
      expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(LARGE);
      return copy.getText('t').length === doc.getText('t').length;
    });
    expectSame(copy, doc);
  });

  it('[FAN-5] what a slow reader missed comes in pieces', async () => {
    const server = await startServer({ limits: { ...PATIENT, highWaterBytes: 32 * 1024 } });
    const writer = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await writer.join(doc);
    const slow = await RawClient.connect(server, 'room');
    const copy = new Y.Doc();
    await slow.join(copy);
    slow.socket.pause();
    const text = doc.getText('t');
    for (let i = 0; i < 150; i++) {
      const before = Y.encodeStateVector(doc);
      text.insert(text.length, `${i} `.padEnd(20_000, 'z'));
      writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
    }
    await writer.untilSaved(151);
    slow.socket.resume();
    await slow.until(() => {
      const sizes = applyAll(slow, copy);
      slow.received.splice(0);
      expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(LARGE);
      return copy.getText('t').length === text.length;
    });
    await untilDoc(copy, () => copy.getText('t').toString() === text.toString());
  });
});
