/** What becomes of rooms, of what is on its way and of what is under way, when the store fails over. */
import {
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { describe, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import { copyOf, failingOver } from './failing-over.js';
import { RawClient, served, startServer } from './support.js';

const WAIT = { timeout: 30_000, interval: 10 };

async function atWork(options: ServerOptions = {}) {
  const first = new MemoryStorage();
  const store = failingOver(first);
  const server = await startServer({
    storage: store.storage,
    adminToken: 'x'.repeat(32),
    ...options,
  });
  const doc = new Y.Doc();
  const client = await RawClient.connect(server, 'room');
  await client.join(doc);
  await client.untilSaved(1);
  doc.on('update', (update: Uint8Array) => client.send({ type: 'update', update }));
  const text = doc.getText('t');
  const textOf = async (storage: MemoryStorage) => {
    const { tail } = await storage.load('room');
    const stored = new Y.Doc();
    for (const { update } of tail) Y.applyUpdate(stored, update);
    return [stored.getText('t').toString(), stored.store.pendingStructs] as const;
  };
  return { first, store, server, doc, client, text, textOf };
}

describe('[INS] the store fails over', () => {
  it('[INS-18] edits that were not written are, though who wrote them has left; what was confirmed comes back with who has it', async () => {
    const { first, store, server, client, text, textOf } = await atWork();
    text.insert(0, 'kept ');
    await client.untilSaved(2);
    const standby = await copyOf(first, 'room');
    store.hold('append');
    text.insert(5, 'unsaved');
    await vi.waitFor(() => expect(store.held).toBe(1), WAIT);
    client.socket.close();
    await client.untilClosed();
    store.failOver(standby);
    await vi.waitFor(
      async () => expect(await textOf(standby)).toEqual(['kept unsaved', null]),
      WAIT,
    );
    expect((await served(server, 'room')).getText('t').toString()).toBe('kept unsaved');
    // Nothing is owed any more.
    await server.close();
    expect((await textOf(first))[0]).toBe('kept ');
  });

  it('[INS-18] edits that need what the new server lacks are not written without it', async () => {
    const { first, store, server, doc, client, text, textOf } = await atWork();
    const standby = await copyOf(first, 'room');
    text.insert(0, 'lost ');
    await client.untilSaved(2);
    store.hold('append');
    text.insert(5, 'unsaved');
    await vi.waitFor(() => expect(store.held).toBe(1), WAIT);
    store.failOver(standby);
    expect(await client.untilClosed()).toMatchObject({ code: 1012 });
    const back = await RawClient.connect(server, 'room');
    await back.join(doc);
    await back.untilSaved(1);
    expect(await textOf(standby)).toEqual(['lost unsaved', null]);
    expect((await standby.load('room')).lastSeq).toBe(1);
    await server.close();
  });

  it('[STO-73] what is under way ends with the server that it was begun at: a load, a commit, a compaction', async () => {
    const { first, store, server, client, text, textOf } = await atWork();
    text.insert(0, 'a');
    await client.untilSaved(2);
    const standby = await copyOf(first, 'room');
    await standby.append({
      number: 2,
      appends: [{ room: 'other', entries: [{ update: new Uint8Array([0, 0]), author: '' }] }],
    });
    // The store has answered, and the document is being made.
    store.hold('compact');
    const headers = { Authorization: `Bearer ${'x'.repeat(32)}` };
    const compacted = fetch(`${server.url}/api/rooms/room/compact`, { method: 'POST', headers });
    await vi.waitFor(() => expect(store.held).toBe(1), WAIT);
    store.hold('load');
    const late = await RawClient.connect(server, 'other');
    await vi.waitFor(() => expect(store.held).toBe(2), WAIT);
    store.failOver(standby);
    expect(await client.untilClosed()).toMatchObject({ code: 1012 });
    expect(await late.untilClosed()).toMatchObject({ code: 1011 });
    await compacted;
    expect((await standby.load('room')).snapshot).toBeUndefined();
    expect(await textOf(standby)).toEqual(['a', null]);
    const doc = new Y.Doc();
    const back = await RawClient.connect(server, 'room');
    await back.join(doc);
    expect(doc.getText('t').toString()).toBe('a');
  });

  it('[STO-73] a compaction of what was read before is not written after', async () => {
    const { first, store, server, client, text } = await atWork();
    text.insert(0, 'a');
    await client.untilSaved(2);
    const standby = await copyOf(first, 'room');
    const headers = { Authorization: `Bearer ${'x'.repeat(32)}` };
    const compacted = fetch(`${server.url}/api/rooms/room/compact`, { method: 'POST', headers });
    // Its worker has begun.
    await vi.waitFor(() => expect(store.calls('since')).toBe(1), { ...WAIT, interval: 1 });
    store.failOver(standby);
    await compacted;
    await server.close();
    expect((await standby.load('room')).snapshot).toBeUndefined();
  });

  it('[STO-73] a room that was read before is not opened after', async () => {
    const presence = new (class extends MemoryPresence {
      isHeld = false;
      override async list(room: string) {
        if (this.isHeld) await new Promise(() => undefined);
        return await super.list(room);
      }
    })(new PresenceHub());
    const redis = { relay: new MemoryRelay(new MemoryHub()), presence };
    const { store, server } = await atWork({ redis });
    presence.isHeld = true;
    // It is read at once, and waits a second for who is there.
    const late = await RawClient.connect(server, 'other');
    await vi.waitFor(() => expect(store.calls('load')).toBe(2), WAIT);
    store.failOver(new MemoryStorage());
    expect(await late.untilClosed()).toMatchObject({ code: 1011 });
  });

  it('[STO-73] a snapshot of the same seq is not taken from what was kept of the one before', async () => {
    const { first, store, server, client, text } = await atWork({ limits: { idleMs: 1 } });
    text.insert(0, 'old');
    await client.untilSaved(2);
    const headers = { Authorization: `Bearer ${'x'.repeat(32)}` };
    const { status } = await fetch(`${server.url}/api/rooms/room/compact`, {
      method: 'POST',
      headers,
    });
    expect(status).toBe(200);
    const { snapshot } = await first.load('room');
    const standby = new MemoryStorage();
    const other = new Y.Doc();
    other.getText('t').insert(0, 'new');
    const update = Y.encodeStateAsUpdate(other);
    const stateVector = Y.encodeStateVector(other);
    const deletes = new Uint8Array([0, 0]);
    await standby.compact('room', {
      base: 0,
      snapshot: { seq: snapshot!.seq, update, stateVector, deletes },
      quarantined: [],
    });
    client.socket.close();
    // Nobody has it open, so that nobody's end removes what is kept of it.
    await vi.waitFor(async () => {
      const { isOpen } = (await (
        await fetch(`${server.url}/api/rooms/room`, { headers })
      ).json()) as { isOpen: boolean };
      expect(isOpen).toBe(false);
    }, WAIT);
    store.failOver(standby);
    expect((await served(server, 'room')).getText('t').toString()).toBe('new');
  });
});
