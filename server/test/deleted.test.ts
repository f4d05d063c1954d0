/** Rooms that are deleted: who is told, what becomes of what is on its way, and how a name is used again. */
import { CowriteProvider } from '@cowrite/client';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { startRedis } from './redis-service.js';
import {
  gate,
  RawClient,
  served,
  socketUrl,
  startServer,
  synced,
  temporaryFolder,
  typed,
  yWebsocket,
} from './support.js';
import { enter, guarded, knock, SECRET, token } from './visitors.js';

const GONE = { code: 4404, reason: 'this document was deleted' };
const NEVER = 3_600_000;
const ADMIN = SECRET.replaceAll(' ', '-');

async function call(
  server: { readonly url: string },
  method: string,
  path: string,
  shown = ADMIN,
): Promise<[status: number, body: string]> {
  const headers = { Authorization: `Bearer ${shown}` };
  const response = await fetch(server.url + path, { method, headers });
  return [response.status, (await response.text()).trim()];
}

/** In the room, with what it has. */
async function joined(
  server: { readonly url: string },
  room = 'room',
  doc = new Y.Doc(),
): Promise<RawClient> {
  const client = await RawClient.connect(server, room);
  await client.join(doc);
  return client;
}

/** Somebody with a copy that lives on between servers. */
function provider(server: { readonly url: string }, doc: Y.Doc, room = 'room'): CowriteProvider {
  const made = new CowriteProvider({ url: socketUrl(server), room, doc, WebSocket });
  onTestFinished(() => made.destroy());
  return made;
}

async function refused(by: CowriteProvider): Promise<string | undefined> {
  if (by.status !== 'refused') {
    await new Promise<void>((resolve) => by.on('refused', () => resolve()));
  }
  return by.refusal?.reason;
}

/** A store whose calls wait for the test. */
class HeldStorage extends MemoryStorage {
  /** Awaited before the call, or, of a load, before its answer. */
  held: Partial<Record<'append' | 'compact' | 'load', Promise<void>>> = {};
  readonly asked = { append: gate(), compact: gate(), load: gate() };
  failures = 0;
  readonly compacted = gate();

  override async load(room: string) {
    const stored = await super.load(room);
    this.asked.load.open();
    await this.held.load;
    return stored;
  }

  override async append(batch: Parameters<MemoryStorage['append']>[0]) {
    this.asked.append.open();
    if (this.failures-- > 0) throw new Error('disk full');
    await this.held.append;
    return await super.append(batch);
  }

  override async compact(...args: Parameters<MemoryStorage['compact']>) {
    this.asked.compact.open();
    await this.held.compact;
    const isDone = await super.compact(...args);
    this.compacted.open();
    return isDone;
  }
}

function messages(client: RawClient, type: 'saved' | 'step2'): number {
  return client.received.filter((message) => message.type === type).length;
}

describe('[DEL] a room that is deleted', () => {
  it('[DEL-1] everybody in it is closed with 4404, and so is whoever comes afterwards, also after a restart', async () => {
    const options = { storage: `lmdb:${temporaryFolder()}`, adminToken: ADMIN };
    const server = await startServer(options);
    const room = 'notes/a b';
    const [ada, bob] = [await joined(server, room), yWebsocket(server, room)];
    await synced(bob);
    const elsewhere = await joined(server, 'other');
    ada.send({ type: 'update', update: typed('secret') });
    await ada.untilSaved(2);
    const copy = new Y.Doc();
    const carol = provider(server, copy, room);
    await carol.whenSynced();

    const path = '/api/rooms/notes%2Fa%20b';
    const told = '{"sessions":3,"isEverywhere":true}';
    expect(await call(server, 'DELETE', path)).toEqual([200, told]);
    expect(await ada.untilClosed()).toEqual(GONE);
    expect(await refused(carol)).toBe('deleted');
    const late = await RawClient.connect(server, room);
    expect(await late.untilClosed()).toEqual(GONE);
    // A step 1 would be an empty document.
    expect(late.received).toEqual([]);
    expect(elsewhere.closed).toBeUndefined();
    expect(await call(server, 'DELETE', path)).toEqual([200, '{"sessions":0,"isEverywhere":true}']);

    // One that nobody ever wrote to.
    expect((await call(server, 'DELETE', '/api/rooms/never'))[0]).toBe(200);
    await server.close();
    const again = await startServer(options);
    for (const name of [room, 'never']) {
      expect(await (await RawClient.connect(again, name)).untilClosed()).toEqual(GONE);
    }
  });

  it('[DEL-2] what is on its way to the store is never reported as saved, and the rest of the commit is', async () => {
    const storage = new HeldStorage();
    const server = await startServer({ storage });
    const [ada, bob] = [await joined(server), await joined(server, 'other')];
    await Promise.all([ada.untilSaved(1), bob.untilSaved(1)]);
    const before = messages(ada, 'saved');
    // The first attempt fails; the second waits until the room is gone.
    const held = gate();
    storage.held.append = held.opened;
    storage.failures = 1;
    ada.send({ type: 'update', update: typed('lost') });
    await storage.asked.append.opened;
    bob.send({ type: 'update', update: typed('kept') });
    await server.remove('room');
    expect(await ada.untilClosed()).toEqual(GONE);
    held.open();
    await bob.untilSaved(2);
    expect(messages(ada, 'saved')).toBe(before);
    expect((await served(server, 'other')).getText('t').toString()).toBe('kept');
    expect(await storage.load('room')).toMatchObject({ tail: [], isDeleted: true });
  });

  it('[DEL-2] a stale copy brings nothing back', async () => {
    const storage = new MemoryStorage();
    const server = await startServer({ storage });
    const copy = new Y.Doc();
    const first = provider(server, copy);
    copy.getText('t').insert(0, 'the old text');
    await first.whenSaved();
    first.destroy();
    await server.remove('room');
    copy.getText('t').insert(0, 'what was written offline, and ');
    const second = provider(server, copy);
    expect(await refused(second)).toBe('deleted');
    expect(second.unsaved).toBe(true);
    const raw = await RawClient.connect(server, 'room');
    raw.send({ type: 'step2', update: Y.encodeStateAsUpdate(copy) });
    expect(await raw.untilClosed()).toEqual(GONE);
    expect(await storage.load('room')).toMatchObject({ tail: [], lastSeq: 2, isDeleted: true });
  });

  it('[DEL-4] one that is being loaded at that moment ends so, too', async () => {
    const storage = new HeldStorage();
    await storage.append({
      // Not one of the server's.
      number: 0,
      appends: [{ room: 'room', entries: [{ author: '', update: typed('secret') }] }],
    });
    const server = await startServer({ storage });
    const held = gate();
    storage.held.load = held.opened;
    const ada = await RawClient.connect(server, 'room');
    await storage.asked.load.opened;
    expect(await server.remove('room')).toEqual({ sessions: 1, isEverywhere: true });
    expect(await ada.untilClosed()).toEqual(GONE);
    // What is read from now on is read anew, whatever the old load still brings.
    storage.held = {};
    await server.revive('room');
    const bob = await joined(server);
    held.open();
    bob.send({ type: 'update', update: typed('new') });
    await bob.untilSaved(2);
    expect((await served(server, 'room')).getText('t').toString()).toBe('new');
    expect(ada.received).toEqual([]);
  });

  it('[DEL-4] a compaction that runs at that moment brings nothing back', async () => {
    const storage = new HeldStorage();
    const held = gate();
    storage.held.compact = held.opened;
    const server = await startServer({ storage });
    const ada = await joined(server);
    ada.send({ type: 'update', update: typed('x'.repeat(100_000)) });
    await ada.untilSaved(2);
    await storage.asked.compact.opened;
    await server.remove('room');
    await server.revive('room');
    held.open();
    await storage.compacted.opened;
    const { snapshot, tail } = await storage.load('room');
    expect([snapshot?.size, tail]).toEqual([2, []]);
    expect((await served(server, 'room')).getText('t').length).toBe(0);
  });

  it('[DEL-5] its name can be used again: the room is empty, and what is written there is kept', async () => {
    const options = { storage: `lmdb:${temporaryFolder()}`, adminToken: ADMIN };
    const server = await startServer(options);
    const ada = await joined(server);
    ada.send({ type: 'update', update: typed('the old text') });
    await ada.untilSaved(2);
    const revive = () => call(server, 'POST', '/api/rooms/room/revive');
    const message = 'no deleted room has this name';
    const notDeleted = [404, JSON.stringify({ error: { code: 'not-found', message } })];
    expect(await revive()).toEqual(notDeleted);
    await server.remove('room');
    expect(await revive()).toEqual([200, '{}']);
    expect(await revive()).toEqual(notDeleted);
    const [bob, carol] = [yWebsocket(server, 'room'), provider(server, new Y.Doc())];
    await Promise.all([synced(bob), carol.whenSynced()]);
    expect(bob.doc.getText('t').toString()).toBe('');
    carol.doc.getText('t').insert(0, 'the new text');
    await carol.whenSaved();
    expect((await served(server, 'room')).getText('t').toString()).toBe('the new text');
    await server.close();
    const again = await startServer(options);
    expect((await served(again, 'room')).getText('t').toString()).toBe('the new text');
  });

  it('[DEL-6] whoever may not come in is told nothing of it', async () => {
    const server = await guarded({ adminToken: ADMIN });
    await server.remove('minutes');
    const other = await token('eve', { other: 'write' });
    for (const room of ['minutes', 'never']) {
      expect(await knock(server, room)).toEqual({ status: 401, text: 'there is no token' });
      expect(await knock(server, `${room}?token=${other}`)).toEqual({
        status: 403,
        text: 'this room is not open to you',
      });
      const { status, headers } = await fetch(`${server.url}/ws/${room}?token=${other}`);
      expect([status, headers.get('Cowrite-Refusal')]).toEqual([403, 'forbidden']);
    }
    const ada = await token('ada', { minutes: 'read' });
    expect(await (await enter(server, 'minutes', ada)).untilClosed()).toEqual(GONE);
    // It would be let in, to be told: a page needs not ask, for it sees how its socket is closed.
    expect((await fetch(`${server.url}/ws/minutes?token=${ada}`)).status).toBe(426);
  });

  it('[DEL-7] what cannot be done is said', async () => {
    class FailingStorage extends MemoryStorage {
      override async remove(): Promise<void> {
        throw new Error('away');
      }
      override async revive(): Promise<boolean> {
        throw new Error('away');
      }
    }
    const server = await startServer({ storage: new FailingStorage(), adminToken: ADMIN });
    const ada = await joined(server);
    const message = 'the store did not answer: try again';
    const again = [503, JSON.stringify({ error: { code: 'unavailable', message } })];
    expect(await call(server, 'DELETE', '/api/rooms/room')).toEqual(again);
    expect(await call(server, 'POST', '/api/rooms/room/revive')).toEqual(again);
    expect((await call(server, 'DELETE', '/api/rooms/%ff'))[0]).toBe(400);
    expect((await call(server, 'DELETE', '/api/rooms/a*'))[0]).toBe(400);
    expect((await call(server, 'POST', '/api/rooms/%00/revive'))[0]).toBe(400);
    await expect(server.remove('')).rejects.toThrow(TypeError);
    await expect(server.revive('a*')).rejects.toThrow(TypeError);
    await expect(server.remove('room')).rejects.toThrow('away');
    expect(ada.closed).toBeUndefined();
  });
});

describe('[DEL] on every instance', () => {
  class Deployment {
    readonly storage = new MemoryStorage();
    readonly hub = new MemoryHub();
    readonly presence = new PresenceHub();
    readonly relays: MemoryRelay[] = [];

    start(options: ServerOptions): Promise<CowriteServer> {
      const relay = new MemoryRelay(this.hub);
      this.relays.push(relay);
      return startServer({
        storage: new MemoryStorage(this.storage),
        redis: { relay, presence: new MemoryPresence(this.presence) },
        ...options,
      });
    }

    /** @param headCheckMs of the second */
    async pair(headCheckMs: number): Promise<[CowriteServer, CowriteServer]> {
      const limits = { headCheckMs: NEVER };
      return [await this.start({ limits }), await this.start({ limits: { headCheckMs } })];
    }
  }

  it('[DEL-3] the sessions of the others end at once', async () => {
    const [one, two] = await new Deployment().pair(NEVER);
    const [ada, bob] = [await joined(one), await joined(two)];
    expect(await one.remove('room')).toEqual({ sessions: 1, isEverywhere: true });
    expect(await ada.untilClosed()).toEqual(GONE);
    expect(await bob.untilClosed()).toEqual(GONE);
  });

  it.each(['deleted', 'deleted and revived'])(
    '[DEL-3] an instance that was not told that a room was %s finds it out from the store',
    async (how) => {
      const deployment = new Deployment();
      const [one, two] = await deployment.pair(50);
      const bob = await joined(two);
      bob.send({ type: 'update', update: typed('the old text') });
      await bob.untilSaved(2);
      deployment.relays[0]!.disconnect();
      expect(await one.remove('room')).toEqual({ sessions: 0, isEverywhere: false });
      if (how === 'deleted and revived') {
        await one.revive('room');
        const ada = await joined(one);
        ada.send({ type: 'update', update: typed('the new text') });
        await ada.untilSaved(2);
      }
      expect(await bob.untilClosed()).toEqual(GONE);
      if (how === 'deleted and revived') {
        expect((await served(two, 'room')).getText('t').toString()).toBe('the new text');
      }
    },
  );

  it.each(['deleted', 'deleted and revived'])(
    '[DEL-3] so it does at an edit of its own in a room that was %s, which is never reported as saved',
    async (how) => {
      const deployment = new Deployment();
      const [one, two] = await deployment.pair(NEVER);
      const bob = await joined(two);
      await bob.untilSaved(1);
      const before = messages(bob, 'saved');
      deployment.hub.disturb({ random: () => 0, drop: 1 });
      expect(await one.remove('room')).toEqual({ sessions: 0, isEverywhere: true });
      if (how === 'deleted and revived') await one.revive('room');
      bob.send({ type: 'update', update: typed('too late') });
      expect(await bob.untilClosed()).toEqual(GONE);
      expect(messages(bob, 'saved')).toBe(before);
      expect((await deployment.storage.load('room')).tail).toEqual([]);
    },
  );

  it('[DEL-3] and, through a real Redis, those of another server', async () => {
    const { url } = await startRedis();
    const start = () => startServer({ storage: url, redis: url });
    const [one, two] = [await start(), await start()];
    const bob = await joined(two);
    bob.send({ type: 'update', update: typed('the old text') });
    await bob.untilSaved(2);
    expect(await one.remove('room')).toEqual({ sessions: 0, isEverywhere: true });
    expect(await bob.untilClosed()).toEqual(GONE);
    expect(await (await RawClient.connect(two, 'room')).untilClosed()).toEqual(GONE);
    expect(await two.revive('room')).toBe(true);
    expect((await served(one, 'room')).getText('t').toString()).toBe('');
  });
});
