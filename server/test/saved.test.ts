/** "Saved" means on disk: what is said, when, and what happens while the store does not work. */

import { type Batch, LmdbStorage, MemoryStorage } from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { turn } from './ledger.js';
import {
  gate,
  RawClient,
  served,
  startProcess,
  startServer,
  synced,
  temporaryFolder,
  typed,
  untilCompacted,
  yWebsocket,
} from './support.js';

/** A store that takes nothing until it is let. */
class HeldStorage extends MemoryStorage {
  #open = false;
  #waiting: (() => void)[] = [];
  failures = 0;
  appends = 0;
  onBatch: () => void = () => undefined;

  override async append(batch: Batch): Promise<readonly number[]> {
    this.appends++;
    this.onBatch();
    if (this.failures > 0) {
      this.failures--;
      throw new Error('disk full');
    }
    if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return await super.append(batch);
  }

  let(): void {
    this.#open = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

describe('[SAVE] saved', () => {
  it('[SAVE-1] is said after the store has it, and peers see the edit before', async () => {
    const storage = new HeldStorage();
    const server = await startServer({ storage });
    const writer = await RawClient.connect(server, 'room');
    const reader = await RawClient.connect(server, 'room');
    await writer.join(new Y.Doc());
    await reader.join(new Y.Doc());
    await writer.untilSaved(1);
    writer.send({ type: 'update', update: typed('x') });
    await reader.next('update');
    // The edit has gone all the way round; only the disk has not.
    writer.send({ type: 'queryAwareness' });
    expect(writer.received.filter(({ type }) => type === 'saved')).toEqual([
      { type: 'saved', count: 1 },
    ]);
    storage.let();
    await writer.untilSaved(2);
  });

  it('[SAVE-2] counts a step 2 that brings nothing as saved at once', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    await client.untilSaved(1);
  });

  it('[SAVE-3] what is known counts only once what came before it is on disk', async () => {
    const storage = new HeldStorage();
    const server = await startServer({ storage });
    const one = await RawClient.connect(server, 'room');
    const two = await RawClient.connect(server, 'room');
    await one.join(new Y.Doc());
    await two.join(new Y.Doc());
    await two.untilSaved(1);
    const update = typed('same');
    one.send({ type: 'update', update });
    await two.next('update');
    two.send({ type: 'update', update });
    two.send({ type: 'step1', stateVector: Uint8Array.of(0) });
    await two.next('step2', two.received.length);
    expect(two.received.filter(({ type }) => type === 'saved').length).toBe(1);
    storage.let();
    await two.untilSaved(2);
    await one.untilSaved(2);
  });

  it('[SAVE-4] a gap is not acknowledged; the client is asked, and its answer settles both', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    for (const letter of 'abc') doc.getText('t').insert(doc.getText('t').length, letter);
    const heard = client.received.length;
    client.send({ type: 'update', update: updates[2]! });
    const { stateVector } = await client.next('step1', heard);
    expect(
      client.received.filter((message) => message.type === 'saved' && message.count > 1),
    ).toEqual([]);
    client.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc, stateVector) });
    await client.untilSaved(3);
    const fresh = yWebsocket(server, 'room');
    await synced(fresh);
    expect(fresh.doc.getText('t').toString()).toBe('abc');
  });

  it('[SAVE-5] what was parked is taken when the missing part comes from another', async () => {
    const server = await startServer();
    const one = await RawClient.connect(server, 'room');
    const two = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    const copy = new Y.Doc();
    await one.join(doc);
    await two.join(copy);
    doc.getText('t').insert(0, 'one');
    const first = Y.encodeStateAsUpdate(doc);
    Y.applyUpdate(copy, first);
    const vector = Y.encodeStateVector(copy);
    copy.getText('t').insert(3, ' two');
    two.send({ type: 'update', update: Y.encodeStateAsUpdate(copy, vector) });
    await two.next('step1', 2);
    one.send({ type: 'update', update: first });
    await one.untilSaved(2);
    await two.untilSaved(2);
  });

  it('[SAVE-4] what waits for something missing is bounded: past it the session starts again', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    const doc = new Y.Doc();
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => updates.push(update));
    doc.getText('t').insert(0, 'ab');
    doc.getText('t').insert(1, 'c');
    for (let i = 0; i < 1_001; i++) client.send({ type: 'update', update: updates[1]! });
    expect((await client.untilClosed()).code).toBe(1013);
  });

  it('[FLT-3] a store that fails: no "saved" meanwhile, nothing lost after', async () => {
    const storage = new HeldStorage();
    storage.failures = 3;
    storage.let();
    const server = await startServer({ storage });
    const client = await RawClient.connect(server, 'room');
    const peer = await RawClient.connect(server, 'room');
    await peer.join(new Y.Doc());
    await client.join(new Y.Doc());
    await client.untilSaved(1);
    let savedDuringFailure = false;
    storage.onBatch = () => {
      savedDuringFailure ||= client.received.some((m) => m.type === 'saved' && m.count > 1);
    };
    client.send({ type: 'update', update: typed('kept') });
    // The room stays readable.
    await peer.next('update');
    await client.untilSaved(2);
    expect(savedDuringFailure).toBe(false);
    expect(storage.failures).toBe(0);
    expect((await storage.load('room')).tail.length).toBe(1);
  });

  it('[FLT-3] past the bound of unsaved bytes sessions are closed retryably and upgrades refused', async () => {
    const storage = new HeldStorage();
    const server = await startServer({ storage, limits: { maxUnsavedBytes: 10_000 } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    for (let i = 0; i < 12; i++) client.send({ type: 'update', update: typed('x'.repeat(1_000)) });
    expect((await client.untilClosed()).code).toBe(1013);
    const refused = await RawClient.connect(server, 'room');
    expect(refused.socket.readyState).not.toBe(refused.socket.OPEN);
    storage.let();
    const back = yWebsocket(server, 'room');
    await synced(back);
    expect(back.doc.getText('t').length).toBeGreaterThanOrEqual(9_000);
  });

  it('[FLT-4] a load that fails closes retryably and writes nothing; the next one works', async () => {
    const storage = new MemoryStorage();
    const load = storage.load.bind(storage);
    let broken = true;
    storage.load = async (room) => {
      if (broken) throw new Error('no answer');
      return await load(room);
    };
    let writes = 0;
    const append = storage.append.bind(storage);
    storage.append = async (batch) => {
      writes++;
      return await append(batch);
    };
    const server = await startServer({ storage });
    const client = await RawClient.connect(server, 'room');
    client.send({ type: 'update', update: typed('early') });
    expect((await client.untilClosed()).code).toBe(1011);
    expect(writes).toBe(0);
    broken = false;
    const again = await RawClient.connect(server, 'room');
    await again.join(new Y.Doc());
  });

  it('[FLT-4] a load that takes too long is a failed one', async () => {
    const storage = new MemoryStorage();
    storage.load = () => new Promise(() => undefined);
    const server = await startServer({ storage, limits: { loadMs: 20 } });
    const client = await RawClient.connect(server, 'room');
    expect((await client.untilClosed()).code).toBe(1011);
  });

  it("[FLT-4] what a load that took too long brings in the end is nobody's room: it writes nothing, and nobody enters it", async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const storage = new MemoryStorage();
    // So much that a room that is loaded with it is compacted at once.
    const update = typed('x'.repeat(70_000));
    await storage.append({
      number: 0,
      appends: [{ room: 'room', entries: [{ update, author: 'ada' }] }],
    });
    const [asked, slow] = [gate(), gate()];
    let loads = 0;
    const load = storage.load.bind(storage);
    storage.load = async (room) => {
      const stored = await load(room);
      if (++loads === 1) {
        asked.open();
        await slow.opened;
      }
      return stored;
    };
    let compactions = 0;
    const since = storage.since.bind(storage);
    storage.since = async (...args) => {
      compactions++;
      return await since(...args);
    };
    const compacted = untilCompacted(storage);
    const server = await startServer({ storage, clock, limits: { loadMs: 10_000 } });
    const first = await RawClient.connect(server, 'room');
    await asked.opened;
    clock.advance(10_000);
    expect((await first.untilClosed()).code).toBe(1011);

    const second = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await second.join(doc);
    await compacted;
    doc.getText('t').insert(0, 'second ');
    second.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await second.untilSaved(2);

    slow.open();
    await turn();
    expect(compactions).toBe(1);
    const third = await RawClient.connect(server, 'room');
    const copy = new Y.Doc();
    await third.join(copy);
    expect(copy.getText('t').toString()).toBe(doc.getText('t').toString());
    expect(loads).toBe(2);
  });

  it('[CMP-11] when the answer to a compaction was lost, the room goes on with what the store has', async () => {
    const storage = new MemoryStorage();
    const compact = storage.compact.bind(storage);
    let compactions = 0;
    const answers = [gate(), gate(), gate()];
    storage.compact = async (...args) => {
      const done = await compact(...args);
      answers[compactions]?.open();
      // The second is carried out, and nobody hears of it.
      if (++compactions === 2) throw new Error('the connection was lost');
      return done;
    };
    const server = await startServer({ storage, limits: { snapshotCacheBytes: 10 } });
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    doc.on('update', (update: Uint8Array) => client.send({ type: 'update', update }));
    for (const { opened } of answers.slice(0, 2)) {
      for (let i = 0; i < 1_000; i++) doc.getMap('m').set(`k${i}`, 'long '.repeat(20));
      await opened;
    }
    const loaded = await served(server, 'room');
    expect(loaded.getMap('m').toJSON()).toEqual(doc.getMap('m').toJSON());
    for (let i = 0; i < 3_000; i++) doc.getMap('m').set(`k${i}`, 'again '.repeat(30));
    await answers[2]!.opened;
  });

  it('[FLT-6] an edit that arrives while a snapshot is written is in the tail and survives', async () => {
    const storage = new MemoryStorage();
    const compact = storage.compact.bind(storage);
    let during: (() => Promise<void>) | undefined;
    const compacted = new Promise<void>((resolve) => {
      storage.compact = async (...args) => {
        await during?.();
        const done = await compact(...args);
        resolve();
        return done;
      };
    });
    const server = await startServer({ storage });
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    during = async () => {
      const vector = Y.encodeStateVector(doc);
      doc.getText('t').insert(0, 'meanwhile ');
      client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, vector) });
      await client.untilSaved(3);
    };
    doc.getText('t').insert(0, 'y'.repeat(70_000));
    client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await compacted;
    const stored = await storage.load('room');
    expect(stored.snapshot?.seq).toBe(1);
    expect(stored.tail.map(({ seq }) => seq)).toEqual([2]);
    const fresh = yWebsocket(server, 'room');
    await synced(fresh);
    expect(fresh.doc.getText('t').toString()).toBe(doc.getText('t').toString());
  });

  it('[FLT-2] a damaged last record: what was saved before it loads, and the room says what it lost', async () => {
    const folder = temporaryFolder();
    const first = await startServer({ storage: `lmdb:${folder}` });
    const client = await RawClient.connect(first, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    for (const letter of 'abcd') {
      const vector = Y.encodeStateVector(doc);
      doc.getText('t').insert(doc.getText('t').length, letter);
      client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, vector) });
      await client.untilSaved(doc.getText('t').length + 1);
    }
    await first.close();
    const { open } = await import('lmdb');
    // Entries that follow each other lie under one key, as records one behind the other.
    const lastOf = (chunk: Buffer) => chunk.lastIndexOf('CWR1');
    for (const damage of [
      (chunk: Buffer) => chunk.subarray(0, lastOf(chunk) + 9),
      (chunk: Buffer) => Buffer.from(chunk).fill(0, lastOf(chunk)),
    ]) {
      const root = open({ path: folder, overlappingSync: false, maxDbs: 8 });
      const updates = root.openDB<Buffer, [string, number]>({
        name: 'updates',
        encoding: 'binary',
      });
      const last = [...updates.getKeys({ start: ['room', 0], end: ['room', 99] })].at(-1)!;
      await updates.put(last, damage(updates.get(last)!));
      await root.close();
    }
    const lost: { seq: number; reason: string }[] = [];
    const damaged = await LmdbStorage.open(folder);
    const setAside = untilCompacted(damaged);
    const second = await startServer({
      storage: damaged,
      hooks: {
        onQuarantine: ({ entries }) => {
          for (const { seq, reason } of entries) lost.push({ seq, reason });
        },
      },
    });
    const reader = await RawClient.connect(second, 'room');
    const copy = new Y.Doc();
    await reader.join(copy);
    expect(copy.getText('t').toString()).toBe('abc');
    expect(lost).toEqual([{ seq: 4, reason: 'checksum does not match' }]);
    // Whoever still has it brings it back.
    const returning = await RawClient.connect(second, 'room');
    await returning.join(doc);
    await returning.untilSaved(1);
    Y.applyUpdate(copy, (await reader.next('update')).update);
    expect(copy.getText('t').toString()).toBe('abcd');
    await setAside;
    await second.close();
    const storage = await LmdbStorage.open(folder);
    expect((await storage.quarantined('room')).map(({ seq }) => seq)).toEqual([4]);
    await storage.close();
  });

  it('[SAVE-6] close() resolves once everything is on disk, and says so before', async () => {
    const folder = temporaryFolder();
    const server = await startServer({ storage: `lmdb:${folder}` });
    const client = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await client.join(doc);
    doc.getText('t').insert(0, 'last words');
    client.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await client.until(() => client.socket.bufferedAmount === 0);
    await client.untilSaved(2);
    await server.close();
    expect((await client.untilClosed()).code).toBe(1012);
    const storage = await LmdbStorage.open(folder);
    expect((await storage.load('room')).lastSeq).toBe(1);
    await storage.close();
  });

  it('[SAVE-7] a second server on the same folder is refused in one line', async () => {
    const folder = temporaryFolder();
    await startProcess({ STORAGE_URL: `lmdb:${folder}` });
    await expect(startProcess({ STORAGE_URL: `lmdb:${folder}` })).rejects.toThrow(
      /ended with 1: cowrite: another process has the store in .* open \(process \d+ on .*\): stop it first\n$/,
    );
  });
});
