/** Documents that follow each other under one name: nobody mixes two of them. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { readBackup } from '../src/storage/backup-file.js';
import { RoomWriter } from '../src/storage/copy.js';
import { LmdbStorage } from '../src/storage/lmdb.js';
import { gate, RawClient, socketUrl, startServer, temporaryFolder } from './support.js';

const ADMIN = 'an-administrator-with-a-long-token';
const TEXT = 'one paragraph';

async function call(
  server: { readonly url: string },
  method: string,
  path: string,
  body?: Uint8Array,
): Promise<Response> {
  return await fetch(`${server.url}/api/rooms/${path}`, {
    method,
    headers: { Authorization: `Bearer ${ADMIN}` },
    ...(body !== undefined && { body: body as Uint8Array<ArrayBuffer> }),
  });
}

/** A whole document with this text, made by nobody else. */
function made(text: string): Uint8Array {
  const doc = new Y.Doc();
  doc.getText('t').insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

/** As a store takes it. */
function stored(text: string) {
  const update = made(text);
  const stateVector = Y.encodeStateVectorFromUpdate(update);
  return { update, stateVector, deletes: Uint8Array.of(0, 0) };
}

function provider(server: { readonly url: string }, doc = new Y.Doc()): CowriteProvider {
  const url = socketUrl(server);
  const opened = new CowriteProvider({ url, room: 'room', doc, WebSocket });
  onTestFinished(() => opened.destroy());
  return opened;
}

const textOf = ({ doc }: CowriteProvider) => doc.getText('t').toString();

async function refused(by: CowriteProvider): Promise<string | undefined> {
  await vi.waitFor(() => expect(by.status).toBe('refused'), { timeout: 20_000 });
  return by.refusal?.reason;
}

/** What the store has, as somebody sees it who has never been there. */
async function seen(server: { readonly url: string }): Promise<string> {
  const fresh = provider(server);
  await fresh.whenSynced();
  return textOf(fresh);
}

/** Of a server that shares its store with nobody. */
function alone() {
  const relay = new MemoryRelay(new MemoryHub());
  return { relay, presence: new MemoryPresence(new PresenceHub()) };
}

type Call = readonly [method: string, path: string, body?: Uint8Array];

async function did(server: CowriteServer, ...calls: readonly Call[]): Promise<void> {
  for (const [method, path, body] of calls) {
    expect((await call(server, method, path, body)).ok).toBe(true);
  }
}

const emptied: readonly Call[] = [
  ['DELETE', 'room'],
  ['POST', 'room/revive'],
];

async function remade(server: CowriteServer, text = TEXT): Promise<void> {
  await did(server, ...emptied, ['POST', 'room', made(text)]);
}

/** What the API says of the room. */
async function described(
  server: CowriteServer,
): Promise<{ readonly generation: number; readonly life: number }> {
  return (await (await call(server, 'GET', 'room')).json()) as { generation: number; life: number };
}

describe('[DEL-8] a room is deleted, undeleted and made of the same text', () => {
  it('the server says which document it has before anything else, to those who understand it', async () => {
    const server = await startServer({ storage: new MemoryStorage(), adminToken: ADMIN });
    const told = async (protocols?: string[]) => {
      const client = await RawClient.connect(server, 'room', protocols);
      await client.next('step1');
      return client.received;
    };
    expect((await told())[0]).toEqual({ type: 'generation', generation: 0 });
    await remade(server);
    const { generation } = await described(server);
    expect(generation > 0).toBe(true);
    expect((await told())[0]).toEqual({ type: 'generation', generation });
    expect((await told([])).map(({ type }) => type)).toEqual(['step1']);
  });

  it('who was away, with nothing unsaved or with something, is refused and brings nothing', async () => {
    const storage = `lmdb:${temporaryFolder()}`;
    const server = await startServer({ storage, adminToken: ADMIN });
    await call(server, 'POST', 'room', made(TEXT));
    const [saved, unsaved] = [provider(server), provider(server)];
    for (const away of [saved, unsaved]) {
      await away.whenSynced();
      away.disconnect();
    }
    unsaved.doc.getText('t').insert(0, 'mine, ');
    await remade(server);
    const { port } = new URL(server.url);
    await server.close();
    const again = await startServer({ storage, adminToken: ADMIN, port: Number(port) });
    for (const away of [saved, unsaved]) {
      away.connect();
      expect(await refused(away)).toBe('deleted');
    }
    expect(await seen(again)).toBe(TEXT);
    const [kept] = await unsaved.recover();
    const doc = new Y.Doc();
    Y.applyUpdate(doc, kept!.update);
    expect([doc.getText('t').toString(), kept!.generation]).toEqual([`mine, ${TEXT}`, 0]);
    expect(await saved.recover()).toEqual([]);
  });

  it('those who were there, also at an instance that was not told, brings nothing afterwards', async () => {
    const storage = new MemoryStorage();
    const hub = new MemoryHub();
    const start = () =>
      startServer({
        storage: new MemoryStorage(storage),
        redis: {
          relay: new MemoryRelay(hub),
          presence: new MemoryPresence(new PresenceHub()),
        },
        adminToken: ADMIN,
        limits: { headCheckMs: 50 },
      });
    const [one, other] = [await start(), await start()];
    await call(one, 'POST', 'room', made(TEXT));
    const [here, there] = [provider(one), provider(other)];
    await Promise.all([here.whenSynced(), there.whenSynced()]);
    hub.disconnect();
    await remade(one);
    there.doc.getText('t').insert(0, 'late, ');
    for (const by of [here, there]) {
      expect(await refused(by)).toBe('deleted');
      by.connect();
      expect(await refused(by)).toBe('deleted');
    }
    expect(await seen(one)).toBe(TEXT);
    expect(await seen(other)).toBe(TEXT);
    expect(there.unsaved).toBe(true);
    expect(await there.recover()).toHaveLength(1);
  });
});

describe('[API-12] a document is replaced over HTTP', () => {
  it('with an administrator’s token alone, by a whole document, where nothing is deleted', async () => {
    const server = await startServer({ storage: new MemoryStorage(), adminToken: ADMIN });
    const put = async (body: Uint8Array, room = 'room') => {
      const answer = await call(server, 'PUT', `${room}/document`, body);
      const { error } = (await answer.json()) as { error?: { code: string } };
      return error?.code ?? answer.status;
    };
    expect(await put(made(TEXT))).toBe(200);
    expect(await seen(server)).toBe(TEXT);
    expect(await put(Uint8Array.of(1, 2, 3))).toBe('refused');
    expect(await put(new Uint8Array(0))).toBe('bad-request');
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'a');
    const before = Y.encodeStateVector(doc);
    doc.getText('t').insert(1, 'b');
    expect(await put(Y.encodeStateAsUpdate(doc, before))).toBe('incomplete');
    expect(await seen(server)).toBe(TEXT);
    await call(server, 'DELETE', 'room');
    expect(await put(made(TEXT))).toBe('deleted');
    const unknown = await fetch(`${server.url}/api/rooms/room/document`, {
      method: 'PUT',
      body: made(TEXT) as Uint8Array<ArrayBuffer>,
    });
    expect(unknown.status).toBe(401);
  });

  it('[ADM-6] larger than a document may be, or nested too deep, it is refused, and nothing is different', async () => {
    const server = await startServer({
      storage: new MemoryStorage(),
      adminToken: ADMIN,
      limits: { maxDocumentBytes: 10_000 },
    });
    await call(server, 'POST', 'room', made(TEXT));
    const deep = new Y.Doc();
    let inner = deep.getArray<unknown>('a');
    for (let level = 0; level <= 400; level++) {
      const next = new Y.Array<unknown>();
      inner.push([next]);
      inner = next;
    }
    for (const [body, status] of [
      [made('x'.repeat(20_000)), 413],
      [Y.encodeStateAsUpdate(deep), 422],
    ] as const) {
      expect((await call(server, 'PUT', 'room/document', body)).status).toBe(status);
    }
    expect(await seen(server)).toBe(TEXT);
  });

  it('[DEL-9] everybody who is in it is refused, with what is unsaved kept, and nobody mixes the two', async () => {
    const storage = new MemoryStorage();
    const hub = new MemoryHub();
    const start = () =>
      startServer({
        storage: new MemoryStorage(storage),
        redis: {
          relay: new MemoryRelay(hub),
          presence: new MemoryPresence(new PresenceHub()),
        },
        adminToken: ADMIN,
      });
    const [one, other] = [await start(), await start()];
    await call(one, 'POST', 'room', made(TEXT));
    const [here, there, away] = [provider(one), provider(other), provider(one)];
    await Promise.all([here, there, away].map((each) => each.whenSynced()));
    away.disconnect();
    away.doc.getText('t').insert(0, 'mine, ');
    const answer = await call(one, 'PUT', 'room/document', made('another'));
    const { generation, isEverywhere } = (await answer.json()) as Record<string, unknown>;
    expect([(generation as number) > 0, isEverywhere]).toEqual([true, true]);
    away.connect();
    for (const by of [here, there, away]) expect(await refused(by)).toBe('deleted');
    expect(here.refusal?.message).toBe('another document has taken the place of this one');
    expect([await seen(one), await seen(other)]).toEqual(['another', 'another']);
    expect((await away.recover()).map(({ generation: of }) => of)).toEqual([0]);
    expect((await described(other)).generation).toBe(generation);
    // It is written, merged and read as any other.
    const fresh = provider(other);
    await fresh.whenSynced();
    fresh.doc.getText('t').insert(0, 'and ');
    await fresh.whenSaved();
    await call(one, 'POST', 'room/compact');
    expect(await seen(one)).toBe('and another');
  });

  it('[DEL-9] who waits for the room to be loaded meanwhile comes again, and has the new one', async () => {
    const held = gate();
    class HeldStorage extends MemoryStorage {
      isHeld = false;
      readonly asked = gate();

      override async load(room: string) {
        const stored = await super.load(room);
        if (!this.isHeld) return stored;
        this.isHeld = false;
        this.asked.open();
        await held.opened;
        return stored;
      }
    }
    const storage = new HeldStorage();
    const server = await startServer({ storage, adminToken: ADMIN, limits: { idleMs: 0 } });
    const appends = [{ room: 'room', entries: [{ update: made('old'), author: 'ada' }] }];
    await storage.append({ number: 1_000, appends });
    storage.isHeld = true;
    const early = provider(server);
    await storage.asked.opened;
    expect((await call(server, 'PUT', 'room/document', made(TEXT))).status).toBe(200);
    held.open();
    await early.whenSynced();
    expect(textOf(early)).toBe(TEXT);
  });

  it('[DEL-9] two at the same moment: one of them is there afterwards, as a whole', async () => {
    const storage = new MemoryStorage();
    const hub = new MemoryHub();
    const servers = await Promise.all(
      [1, 2].map(() =>
        startServer({
          storage: new MemoryStorage(storage),
          redis: {
            relay: new MemoryRelay(hub),
            presence: new MemoryPresence(new PresenceHub()),
          },
          adminToken: ADMIN,
        }),
      ),
    );
    await call(servers[0]!, 'POST', 'room', made('before'));
    const answers = await Promise.all(
      servers.map((server) => call(server, 'PUT', 'room/document', made(TEXT))),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    for (const server of servers) expect(await seen(server)).toBe(TEXT);
  });

  it('[DEL-9] after a crash nothing of the old one comes back from the journal', async () => {
    const folder = temporaryFolder();
    const storage = await LmdbStorage.open(folder);
    const appends = [{ room: 'room', entries: [{ update: made('before'), author: 'ada' }] }];
    await storage.append({ number: 1, appends });
    const replaced = await storage.replace('room', stored(TEXT));
    const { tail, snapshot } = await storage.load('room');
    expect([tail, snapshot?.seq]).toEqual([[], 2]);
    await storage.close();
    const again = await LmdbStorage.open(folder);
    onTestFinished(() => again.close());
    expect((await again.load('room')).snapshot?.generation).toBe(replaced?.generation);
  });
});

describe('[DEL-10] a document that is copied to another store', () => {
  it('is the same one to its clients, whatever its life is there', async () => {
    const server = await startServer({ storage: new MemoryStorage(), adminToken: ADMIN });
    await remade(server);
    const { generation } = await described(server);
    const away = provider(server);
    await away.whenSynced();
    away.disconnect();
    away.doc.getText('t').insert(0, 'mine, ');
    const backup = await fetch(`${server.url}/api/backup`, {
      headers: { Authorization: `Bearer ${ADMIN}` },
    });
    const bytes = new Uint8Array(await backup.arrayBuffer());
    await server.close();
    const restore = async (store: MemoryStorage, replace: boolean) => {
      const rooms = readBackup(
        (async function* () {
          yield bytes;
        })(),
      );
      const writer = new RoomWriter(store);
      for await (const room of rooms) await writer.write(room, replace);
    };
    for (const isThere of [false, true]) {
      const store = new MemoryStorage();
      const lasting = new MemoryStorage(store);
      if (isThere) {
        const appends = [{ room: 'room', entries: [{ update: made('?'), author: 'bob' }] }];
        await new MemoryStorage(store).append({ number: 1, appends });
      }
      await restore(lasting, isThere);
      expect((await lasting.load('room')).snapshot?.generation).toBe(generation);
      const port = Number(new URL(server.url).port);
      const next = await startServer({ storage: new MemoryStorage(store), redis: alone(), port });
      away.connect();
      await away.whenSaved();
      expect(await seen(next)).toBe(`mine, ${TEXT}`);
      away.disconnect();
      await next.close();
    }
  });
});

describe('[DEL-11] two stores with one past have different documents', () => {
  const ways: readonly (readonly [name: string, calls: (text: string) => readonly Call[]])[] = [
    ['deleted, undeleted and filled', (text) => [...emptied, ['POST', 'room', made(text)]]],
    ['replaced', (text) => [['PUT', 'room/document', made(text)]]],
  ];

  it.each(ways)(
    'a folder was copied, and in both the room was %s: who has the one document is refused by the other',
    async (_, calls) => {
      const [folder, copy] = [temporaryFolder(), join(temporaryFolder(), 'copy')];
      const start = (from: string, port = 0) =>
        startServer({ storage: `lmdb:${from}`, adminToken: ADMIN, port });
      const first = await start(folder);
      const port = Number(new URL(first.url).port);
      await did(first, ['POST', 'room', made('one')]);
      await first.close();
      cpSync(folder, copy, { recursive: true });
      const server = await start(folder, port);
      await did(server, ...calls('two'));
      const here = provider(server);
      await here.whenSynced();
      const { generation } = here;
      await server.close();
      const other = await start(copy);
      await did(other, ...calls('three'));
      await other.close();
      // It is led to the other store by its reconnect.
      const again = await start(copy, port);
      expect(await refused(here)).toBe('deleted');
      expect([await seen(again), textOf(here)]).toEqual(['three', 'two']);
      expect((await described(again)).generation).not.toBe(generation);
    },
  );

  it('[CLI-52] the other one was emptied: it is not given what was here', async () => {
    const [folder, copy] = [temporaryFolder(), join(temporaryFolder(), 'copy')];
    const start = (from: string, port = 0) =>
      startServer({ storage: `lmdb:${from}`, adminToken: ADMIN, port });
    const first = await start(folder);
    await remade(first, 'one');
    await first.close();
    cpSync(folder, copy, { recursive: true });
    const other = await start(copy);
    await did(other, ...emptied);
    await other.close();
    const server = await start(folder);
    // The greater number would be the later document, if they were counted.
    await remade(server, 'two');
    await remade(server, 'three');
    const here = provider(server);
    await here.whenSynced();
    await server.close();
    const again = await start(copy, Number(new URL(server.url).port));
    expect(await refused(here)).toBe('deleted');
    expect(await seen(again)).toBe('');
  });
});

describe('[DEL-12] another store is put in the place of the one that an instance has rooms of', () => {
  it('its clients are led to what is there now, and are refused; nothing is mixed', async () => {
    const storage = new MemoryStorage();
    const server = await startServer({
      storage: new MemoryStorage(storage),
      redis: alone(),
      adminToken: ADMIN,
      limits: { headCheckMs: 50 },
    });
    await did(server, ['PUT', 'room/document', made('one')]);
    const here = provider(server);
    await here.whenSynced();
    const before = await described(server);
    // In one turn, so that nobody sees the room without anything. As far as seqs tell it is the same.
    storage.forget('room');
    await storage.replace('room', stored('two'));
    const after = await described(server);
    expect([after.life, after.generation === before.generation]).toEqual([before.life, false]);
    expect(await refused(here)).toBe('deleted');
    expect([await seen(server), textOf(here)]).toEqual(['two', 'one']);
  });
});
