/** Documents that follow each other under one name: nobody mixes two of them. */
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
import { RawClient, socketUrl, startServer, temporaryFolder } from './support.js';

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

async function remade(server: CowriteServer): Promise<void> {
  for (const [method, path, body] of [
    ['DELETE', 'room', undefined],
    ['POST', 'room/revive', undefined],
    ['POST', 'room', made(TEXT)],
  ] as const) {
    expect((await call(server, method, path, body)).ok).toBe(true);
  }
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
    expect((await told())[0]).toEqual({ type: 'generation', generation: 2 });
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

  it('whoever was there, also at an instance that was not told, brings nothing afterwards', async () => {
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
