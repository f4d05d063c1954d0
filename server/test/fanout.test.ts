/** Slow readers, dead peers, floods of edits: what others notice of them, which is nothing. */
import { connect } from 'node:net';
import { MemoryStorage } from '@cowrite/server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import * as Y from 'yjs';
import { ManualClock, type Timer } from '../src/clock.js';
import { PATIENT, RawClient, startServer, synced, untilDoc, yWebsocket } from './support.js';

/** A client that completes the handshake, joins, and reads no more. */
async function stopsReading(
  url: string,
  room: string,
): Promise<{ untilClosed: () => Promise<void> }> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  onTestFinished(() => void socket.destroy());
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
    // Being cut off while data waits is a reset.
    socket.on('error', (error) => void error);
  });
  socket.write(
    `GET /ws/${room} HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  // A masked step 1 with an empty state vector (mask of zeros).
  socket.write(Buffer.from([0x82, 0x84, 0, 0, 0, 0, 0, 0, 1, 0]));
  socket.pause();
  return {
    untilClosed: async () => {
      // Only who reads sees the end.
      socket.resume();
      await closed;
    },
  };
}

/**
 * One writes so many times so many characters, each when another has what came before. As values of
 * keys: a text that grows by thousands at its end is copied by Yjs each time.
 */
async function writeMuch(
  { doc }: { doc: Y.Doc },
  peer: { doc: Y.Doc },
  times: number,
  characters: number,
): Promise<void> {
  const begun = doc.getMap('t').size;
  for (let i = begun; i < begun + times; i++) {
    doc.getMap('t').set(`${i}`, `${i} `.padEnd(characters, 'z'));
    await untilDoc(peer.doc, () => peer.doc.getMap('t').size === i + 1);
  }
}

/** Milliseconds that a flush and a commit wait, at most. */
const MOMENT = 60;

/**
 * A clock that goes on by itself where something is to happen in a moment, and by nothing else. Clients
 * of y-websocket send by the machine's clock, such as their awareness every 15 s: what came behind
 * that would wait for a flush for ever.
 */
class ShortWaits extends ManualClock {
  override soon(call: () => void): void {
    setImmediate(call);
  }

  override after(ms: number, call: () => void): Timer {
    if (ms <= MOMENT) setImmediate(() => this.advance(ms));
    return super.after(ms, call);
  }
}

describe('[FAN] fan-out', () => {
  it('[FAN-1] an author is not sent its own edit, everybody else is', async () => {
    const server = await startServer();
    const author = await RawClient.connect(server, 'room');
    const reader = await RawClient.connect(server, 'room');
    await author.join(new Y.Doc());
    await reader.join(new Y.Doc());
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'x');
    author.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await reader.next('update');
    await author.untilSaved(2);
    expect(author.received.some(({ type }) => type === 'update')).toBe(false);
  });

  it('[FAN-2] edits of one turn leave as one frame', async () => {
    const server = await startServer();
    const author = await RawClient.connect(server, 'room');
    const reader = await RawClient.connect(server, 'room');
    await author.join(new Y.Doc());
    await reader.join(new Y.Doc());
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    for (let i = 0; i < 200; i++) doc.getText('t').insert(i, 'x');
    for (const update of updates) author.send({ type: 'update', update });
    const copy = new Y.Doc();
    const seen = () => {
      for (const message of reader.received) {
        if (message.type === 'update') Y.applyUpdate(copy, message.update);
      }
      return copy.getText('t').length === 200;
    };
    await reader.until(seen);
    expect(reader.received.filter(({ type }) => type === 'update').length).toBeLessThan(100);
  });

  it('[FLT-13] readers that stop reading cost bounded memory; others are served; they are closed in the end', async () => {
    const clock = new ShortWaits();
    const server = await startServer({
      clock,
      limits: { highWaterBytes: 64 * 1024, behindMs: 30_000, heartbeatMs: 10_000 },
    });
    const writer = yWebsocket(server, 'room');
    const peer = yWebsocket(server, 'room');
    await Promise.all([synced(writer), synced(peer)]);
    const stuck = await Promise.all(
      Array.from({ length: 400 }, () => stopsReading(server.url, 'room')),
    );
    const before = process.memoryUsage().rss;
    await writeMuch(writer, peer, 100, 50_000);
    const grown = (process.memoryUsage().rss - before) / 2 ** 20;
    // 5 MB for each of 400 readers would be 2 GB. Allowed: the high water and one more frame each.
    expect(grown).toBeLessThan(400);
    for (let i = 0; i < 4; i++) {
      // The peer and the writer answer the pings in between; the stuck ones could too, and are behind.
      clock.advance(10_000);
      writer.doc.getMap('rounds').set('round', i);
      await untilDoc(peer.doc, () => peer.doc.getMap('rounds').get('round') === i);
      // Arrives behind its answer.
      peer.doc.getMap('answers').set('round', i);
      await untilDoc(writer.doc, () => writer.doc.getMap('answers').get('round') === i);
    }
    await Promise.all(stuck.map((reader) => reader.untilClosed()));
    expect(peer.wsconnected).toBe(true);
  });

  it('[FAN-3] a reader that was behind is sent what it missed as one update when it reads again', async () => {
    const server = await startServer({ limits: { ...PATIENT, highWaterBytes: 32 * 1024 } });
    const writer = yWebsocket(server, 'room');
    await synced(writer);
    const slow = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await slow.join(doc);
    slow.socket.pause();
    const peer = yWebsocket(server, 'room');
    await synced(peer);
    // More than a socket's buffers on both sides hold.
    await writeMuch(writer, peer, 400, 20_000);
    slow.socket.resume();
    await slow.until(() => {
      for (const message of slow.received.splice(0)) {
        if (message.type === 'update') Y.applyUpdate(doc, message.update);
      }
      return doc.getMap('t').size === 400;
    });
    expect(doc.store.pendingStructs).toBeNull();
    expect(doc.getMap('t').toJSON()).toEqual(writer.doc.getMap('t').toJSON());
  });
});

describe('[CMP] compaction beside a reader that is behind', () => {
  it('[CMP-9] what is kept for somebody who is behind does not make the room compact again', async () => {
    const storage = new MemoryStorage();
    const sizes: number[] = [];
    const compact = storage.compact.bind(storage);
    storage.compact = async (room, compaction) => {
      sizes.push(compaction.snapshot.update.length);
      return await compact(room, compaction);
    };
    const server = await startServer({
      storage,
      limits: { ...PATIENT, highWaterBytes: 32 * 1024 },
    });
    const writer = yWebsocket(server, 'room');
    await synced(writer);
    await stopsReading(server.url, 'room');
    const peer = yWebsocket(server, 'room');
    await synced(peer);
    // Twice as much is reason enough, each time.
    for (let times = 25; times <= 400; times *= 2) {
      const before = sizes.length;
      await writeMuch(writer, peer, times, 20_000);
      await vi.waitFor(() => expect(sizes.length).toBeGreaterThan(before));
    }
    for (let i = 1; i < sizes.length; i++) {
      expect(sizes[i]! / sizes[i - 1]!, `of ${sizes}`).toBeGreaterThan(1.2);
    }
  });
});

describe('[LIVE] liveness', () => {
  it('[LIVE-1] a quiet socket gets a data frame that fires no event, before y-websocket gives up on it', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const server = await startServer({ clock });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    await client.untilSaved(1);
    const heard = client.received.length;
    clock.advance(15_000);
    const { update } = await client.next('awareness', heard);
    expect([...update]).toEqual([0]);
  });

  it('[LIVE-2] a peer that answers no ping is cut off, one that does is not', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const server = await startServer({ clock });
    const alive = await RawClient.connect(server, 'room');
    const dead = await stopsReading(server.url, 'room');
    let pings = 0;
    alive.socket.on('ping', () => pings++);
    for (let i = 0; i < 6; i++) {
      clock.advance(15_000);
      // The pong has arrived when a later message is answered.
      const heard = alive.received.length;
      alive.send({ type: 'step1', stateVector: Uint8Array.of(0) });
      await alive.next('step2', heard);
    }
    expect(pings).toBeGreaterThan(0);
    await dead.untilClosed();
    expect(alive.closed).toBeUndefined();
  });

  it('[LIVE-3] a client that is back before its old socket is known to be dead gets its caret back', async () => {
    const server = await startServer();
    const old = yWebsocket(server, 'room');
    await synced(old);
    const watcher = yWebsocket(server, 'room');
    await synced(watcher);
    const caretOf = (name: string) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (watcher.awareness.getStates().get(old.doc.clientID)?.at === name) resolve();
        };
        watcher.awareness.on('change', look);
        look();
      });
    old.awareness.setLocalStateField('at', 'old');
    await caretOf('old');
    // The network is gone without a word: the old socket neither reads nor answers any more.
    const raw = (old.ws as unknown as { _socket: { pause(): void } })._socket;
    raw.pause();
    old.ws = null;
    const again = yWebsocket(server, 'room', old.doc);
    again.awareness.clientID = old.doc.clientID;
    await synced(again);
    again.awareness.setLocalState({ at: 'x' });
    for (let i = 0; i < 5; i++) again.awareness.setLocalStateField('at', 'new');
    await caretOf('new');
  });
});
