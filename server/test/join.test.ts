/** What a client is sent when it comes, in which order, and what that costs. */

import type { ServerOptions, Storage } from '@cowrite/server';
import { MemoryStorage } from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import {
  PATIENT,
  RawClient,
  socketUrl,
  startServer,
  synced,
  temporaryFolder,
  untilCompacted,
  untilDoc,
  yWebsocket,
} from './support.js';

/** Enough for a compaction, and one edit behind it. */
async function compactedRoom(storage: Storage, options: ServerOptions = {}) {
  const compacted = untilCompacted(storage);
  const server = await startServer({ storage, ...options });
  const writer = await RawClient.connect(server, 'room');
  const doc = new Y.Doc();
  await writer.join(doc);
  doc.getText('t').insert(0, 'x'.repeat(70_000));
  doc.getText('t').delete(10, 5);
  writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
  await writer.untilSaved(2);
  await compacted;
  return { server, writer, doc };
}

describe('[JOIN] joining', () => {
  it('[JOIN-1] the server asks first, then sends the tail, then the snapshot as step 2', async () => {
    const { server, writer, doc } = await compactedRoom(new MemoryStorage());
    const before = Y.encodeStateVector(doc);
    doc.getText('t').insert(0, 'tail ');
    writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
    await writer.untilSaved(3);
    const client = await RawClient.connect(server, 'room');
    client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    await client.next('step2');
    const types = client.received.map(({ type }) => type);
    expect(types).toEqual(['generation', 'step1', 'update', 'step2']);
    const copy = new Y.Doc();
    for (const message of client.received) {
      if (message.type === 'update' || message.type === 'step2')
        Y.applyUpdate(copy, message.update);
    }
    expect(copy.getText('t').toString()).toBe(doc.getText('t').toString());
  });

  it('[JOIN-2] a client that has the snapshot gets its deletions and no struct', async () => {
    const { server, doc } = await compactedRoom(new MemoryStorage());
    const client = await RawClient.connect(server, 'room');
    client.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    const { update } = await client.next('step2');
    expect(Y.decodeUpdate(update).structs).toEqual([]);
    expect(Y.decodeUpdate(update).ds.clients.size).toBe(1);
  });

  it('[JOIN-3] a client that has a part gets the rest, computed in a worker', async () => {
    const { server, writer, doc } = await compactedRoom(new MemoryStorage());
    const half = new Y.Doc();
    half.clientID = doc.clientID;
    half.getText('t').insert(0, 'x'.repeat(30_000));
    const client = await RawClient.connect(server, 'room');
    client.send({ type: 'step1', stateVector: Y.encodeStateVector(half) });
    const { update } = await client.next('step2');
    expect(update.length).toBeGreaterThan(39_000);
    expect(update.length).toBeLessThan(41_000);
    expect(writer.closed).toBeUndefined();
  });

  it('[JOIN-4] a room without a snapshot answers with its tail as step 2, and an empty one with nothing', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'empty');
    client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    expect([...(await client.next('step2')).update]).toEqual([0, 0]);
  });

  it('[JOIN-5] real y-websocket clients sync, see each other and converge', async () => {
    const server = await startServer();
    const one = yWebsocket(server, 'a/b röom');
    const two = yWebsocket(server, 'a/b röom');
    await Promise.all([synced(one), synced(two)]);
    one.doc.getText('t').insert(0, 'one');
    two.doc.getText('t').insert(0, 'two');
    await untilDoc(one.doc, () => one.doc.getText('t').length === 6);
    await untilDoc(two.doc, () => two.doc.getText('t').length === 6);
    expect(one.doc.getText('t').toString()).toBe(two.doc.getText('t').toString());
    one.awareness.setLocalStateField('user', { name: 'Ada' });
    await new Promise<void>((resolve) => {
      const look = () => {
        if (two.awareness.getStates().get(one.doc.clientID)?.user?.name === 'Ada') resolve();
      };
      two.awareness.on('change', look);
      look();
    });
    const gone = new Promise<number[]>((resolve) => {
      two.awareness.on('change', ({ removed }: { removed: number[] }) => {
        if (removed.length > 0) resolve(removed);
      });
    });
    one.destroy();
    expect(await gone).toEqual([one.doc.clientID]);
  });

  it('[JOIN-6] both dialects share one room', async () => {
    const server = await startServer();
    const old = yWebsocket(server, 'room');
    await synced(old);
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    expect(client.socket.protocol).toBe('cowrite.v1');
    old.doc.getText('t').insert(0, 'hello');
    Y.applyUpdate(doc, (await client.next('update')).update);
    expect(doc.getText('t').toString()).toBe('hello');
  });

  it('[JOIN-7] a client that offers other subprotocols gets its first one back', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'room', ['token.abc', 'x']);
    expect(client.socket.protocol).toBe('token.abc');
    const plain = await RawClient.connect(server, 'room', []);
    expect(plain.socket.protocol).toBe('');
  });

  it('[JOIN-8] a thousand equal questions read the snapshot once', async () => {
    const storage = new MemoryStorage();
    let reads = 0;
    const readSnapshot = storage.readSnapshot.bind(storage);
    const folderless = Object.assign(storage, {
      readSnapshot: async (room: string, seq: number) => {
        reads++;
        return await readSnapshot(room, seq);
      },
    });
    const { server } = await compactedRoom(folderless);
    reads = 0;
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const client = await RawClient.connect(server, 'room');
        client.send({ type: 'step1', stateVector: Uint8Array.of(0) });
        await client.next('step2');
      }),
    );
    expect(reads).toBeLessThanOrEqual(1);
  });
});

describe('[ROOM] names', () => {
  async function status(url: string): Promise<number> {
    return await new Promise((resolve) => {
      const socket = new WebSocket(url);
      socket.on('unexpected-response', (_, response) => {
        resolve(response.statusCode ?? 0);
        socket.terminate();
      });
      socket.on('open', () => {
        resolve(101);
        socket.terminate();
      });
      // The refused handshake is also an error of the socket.
      socket.on('error', (error) => void error);
    });
  }

  it('[ROOM-1] names are 1 to 256 bytes of UTF-8 without control characters, and no * at the end', async () => {
    const server = await startServer();
    const base = socketUrl(server);
    for (const good of [
      'a',
      'a%2Fb',
      'a/b',
      '..%2Fetc',
      '*a',
      '__proto__',
      '%F0%9F%98%80',
      'x'.repeat(256),
    ]) {
      expect(await status(`${base}/${good}`), good).toBe(101);
    }
    for (const bad of [
      '',
      '%00',
      'a%0Ab',
      '%7F',
      '%C2%85',
      '%ff',
      '%',
      '%e2%82',
      'x'.repeat(257),
      '%C3%A9'.repeat(129),
      '*',
      'team-7%2F%2A',
    ]) {
      expect(await status(`${base}/${bad}`), bad).toBe(400);
    }
    expect(await status(base.replace('/ws', '/elsewhere/a'))).toBe(404);
  });

  it('[ROOM-2] one name in two Unicode forms is one room; a query is no part of it', async () => {
    const server = await startServer();
    const composed = yWebsocket(server, encodeURIComponent('caf\u00e9'));
    const decomposed = yWebsocket(server, `${encodeURIComponent('cafe\u0301')}`);
    decomposed.params = { token: 'x' };
    await Promise.all([synced(composed), synced(decomposed)]);
    composed.doc.getText('t').insert(0, 'x');
    await untilDoc(decomposed.doc, () => decomposed.doc.getText('t').length === 1);
  });

  it('[ROOM-3] names that look alike are rooms of their own', async () => {
    const server = await startServer({ storage: `lmdb:${temporaryFolder()}` });
    const names = ['a', 'A', 'a%20', 'a/', '..%2Fa', '*a', 'a*a', '__proto__', 'constructor'];
    const clients = await Promise.all(
      names.map(async (name, i) => {
        const provider = yWebsocket(server, name);
        await synced(provider);
        provider.doc.getText('t').insert(0, String(i));
        return provider;
      }),
    );
    for (const [i, name] of names.entries()) {
      const reader = yWebsocket(server, name);
      await synced(reader);
      await untilDoc(reader.doc, () => reader.doc.getText('t').length > 0);
      expect(reader.doc.getText('t').toString()).toBe(String(i));
    }
    expect(clients.length).toBe(names.length);
  });
});

describe('[JOIN] floods of questions', () => {
  it('[JOIN-9] who asks faster than it reads is answered for its newest question; memory stays bounded', async () => {
    const atOnce = { perSecond: 1e6, burst: 1e6 };
    const { server, doc } = await compactedRoom(new MemoryStorage(), {
      limits: { ...PATIENT, awarenessPerSession: atOnce, step1PerSession: atOnce },
    });
    const client = await RawClient.connect(server, 'room');
    client.socket.pause();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20_000; i++)
      client.send({ type: 'step1', stateVector: Uint8Array.of(1, i & 0x7f, 1) });
    // Another client is served meanwhile; its answer comes after the flood was read.
    for (let i = 0; i < 20; i++) {
      const other = await RawClient.connect(server, 'room');
      const copy = new Y.Doc();
      await other.join(copy);
      expect(copy.getText('t').length).toBe(doc.getText('t').length);
    }
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(300);
    client.socket.resume();
    const last = new Y.Doc();
    client.send({ type: 'step1', stateVector: Y.encodeStateVector(last) });
    await client.until(() => {
      for (const message of client.received.splice(0)) {
        if (message.type === 'step2') Y.applyUpdate(last, message.update);
      }
      return last.getText('t').length === doc.getText('t').length;
    });
  });
});
