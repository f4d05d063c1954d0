/** Two live clients with one client id. */
import { CowriteProvider } from '@cowrite/client';
import {
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { Workers } from '../src/compact/workers.js';
import { call, governed, post, request } from './administrator.js';
import { gate, RawClient, served, socketUrl, startServer, untilDoc } from './support.js';

const ID = 7;

interface Twin {
  readonly client: RawClient;
  readonly doc: Y.Doc;
  /** Sends what it writes. */
  write(at: number, text: string): void;
}

/** It has what the room has, and writes as client 7. */
async function twin(server: { readonly url: string }, subprotocols?: string[]): Promise<Twin> {
  const client = await RawClient.connect(server, 'room', subprotocols);
  const doc = new Y.Doc();
  await client.join(doc);
  doc.clientID = ID;
  doc.on('update', (update: Uint8Array, origin: unknown) => {
    if (origin !== 'server') client.send({ type: 'update', update });
  });
  return { client, doc, write: (at, text) => doc.getText('t').insert(at, text) };
}

/** The room holds `abc` of client 7, and nobody is in it. */
async function begun(server: { readonly url: string }): Promise<void> {
  const first = await twin(server);
  first.write(0, 'abc');
  await first.client.untilSaved(2);
  first.client.socket.close();
  await first.client.untilClosed();
}

describe('[THR] two clients with one id', () => {
  for (const isCompacted of [false, true]) {
    it(`[THR-11] the second to write under the same clocks is closed with 4409, ${isCompacted ? 'also when the first is in the snapshot' : 'and the first goes on'}`, async () => {
      const server = await governed();
      await begun(server);
      const [ada, bob, eve] = [await twin(server), await twin(server), await twin(server, [])];
      ada.write(0, 'ggg');
      await ada.client.untilSaved(2);
      if (isCompacted) expect((await call(server, 'rooms/room/compact', post()))[0]).toBe(200);
      // They have not seen it.
      bob.write(3, 'DEF');
      eve.write(3, 'XYZ');
      for (const { client } of [bob, eve]) {
        expect(await client.untilClosed()).toEqual({
          code: 4409,
          reason: 'client 7 wrote something else at 3: two clients have this id',
        });
      }
      expect(bob.client.received.filter(({ type }) => type === 'saved').at(-1)).toMatchObject({
        count: 1,
      });
      ada.write(6, '!');
      await ada.client.untilSaved(3);
      expect((await served(server, 'room')).getText('t').toString()).toBe('gggabc!');
    });

    it(`[THR-11] who says the same again is told that it is saved${isCompacted ? ', also when it is in the snapshot' : ''}`, async () => {
      const server = await governed();
      await begun(server);
      const [ada, bob] = [await twin(server), await twin(server)];
      ada.write(0, 'ggg');
      ada.doc.getText('t').delete(4, 1);
      await ada.client.untilSaved(3);
      if (isCompacted) expect((await call(server, 'rooms/room/compact', post()))[0]).toBe(200);
      bob.client.send({ type: 'update', update: Y.encodeStateAsUpdate(ada.doc) });
      await bob.client.untilSaved(2);
      expect(bob.client.closed).toBeUndefined();
    });
  }

  const words = (word: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${word}${i} `).join('');
  const many = (text: string) => (doc: Y.Doc) => doc.getText('t').insert(3, text);

  for (const [what, one, other] of [
    ['20 KB', many(words('a', 3_000)), many(words('b', 3_000))],
    ['300 KB', many(words('a', 40_000)), many(words('b', 40_000))],
    [
      '300 KB that differ in the last',
      many(`${words('a', 40_000)}a`),
      many(`${words('a', 40_000)}b`),
    ],
    [
      'what was deleted since',
      (doc: Y.Doc) => {
        doc.getText('t').insert(0, 'ggg');
        doc.getText('t').delete(0, 3);
      },
      many('DEF'),
    ],
    [
      'another document in it',
      (doc: Y.Doc) => doc.getMap('m').set('k', new Y.Doc({ guid: 'a' })),
      (doc: Y.Doc) => doc.getMap('m').set('k', new Y.Doc({ guid: 'b' })),
    ],
  ] as const) {
    for (const isCompacted of [false, true]) {
      it(`[THR-11] so it is with ${what}, ${isCompacted ? 'in the snapshot' : 'in the tail'}`, async () => {
        const server = await governed();
        await begun(server);
        const [ada, bob] = [await twin(server), await twin(server)];
        one(ada.doc);
        await ada.client.untilSaved(2);
        if (isCompacted) expect((await call(server, 'rooms/room/compact', post()))[0]).toBe(200);
        other(bob.doc);
        expect(await bob.client.untilClosed()).toMatchObject({ code: 4409 });
        expect(bob.client.received.filter(({ type }) => type === 'saved').at(-1)).toMatchObject({
          count: 1,
        });
        // An honest repetition is saved.
        const eve = await RawClient.connect(server, 'room');
        eve.send({ type: 'step2', update: Y.encodeStateAsUpdate(ada.doc) });
        await eve.untilSaved(1);
      });
    }
  }

  it('[THR-11] over the HTTP API it is refused, also when the first is in the snapshot', async () => {
    const server = await governed();
    await begun(server);
    const [ada, bob] = [await twin(server), new Y.Doc()];
    Y.applyUpdate(bob, Y.encodeStateAsUpdate(ada.doc));
    bob.clientID = ID;
    ada.write(0, 'ggg');
    await ada.client.untilSaved(2);
    expect((await call(server, 'rooms/room/compact', post()))[0]).toBe(200);
    bob.getText('t').insert(3, 'DEF');
    const send = (body: Uint8Array) =>
      request(server, 'rooms/room/updates', { method: 'POST', body });
    expect((await send(Y.encodeStateAsUpdate(bob))).status).toBe(422);
    expect((await send(Y.encodeStateAsUpdate(ada.doc))).status).toBe(200);
  });

  it('[THR-11] while a worker is at a merge, comparing waits for nothing', async () => {
    const server = await governed();
    await begun(server);
    const [ada, bob] = [await twin(server), await twin(server)];
    ada.write(0, 'ggg');
    await ada.client.untilSaved(2);
    expect((await call(server, 'rooms/room/compact', post()))[0]).toBe(200);
    // All threads are taken, and nobody waits for a diff for longer than half a second.
    const release = gate();
    const run = vi.spyOn(Workers.prototype, 'diff').mockImplementation(async () => {
      await release.opened;
      return undefined;
    });
    onTestFinished(() => run.mockRestore());
    bob.write(3, 'DEF');
    expect(await bob.client.untilClosed()).toMatchObject({ code: 4409 });
    release.open();
  });

  it('[THR-11] on two instances the one whose edit is later in the log says so to all who have it', async () => {
    const [hub, people, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
    const relays = [new MemoryRelay(hub), new MemoryRelay(hub)];
    const [one, two] = await Promise.all(
      relays.map((relay) =>
        startServer({
          storage: new MemoryStorage(storage),
          redis: { relay, presence: new MemoryPresence(people) },
        }),
      ),
    );
    await begun(one!);
    const [ada, bob] = [await twin(one!), await twin(two!)];
    const witness = await RawClient.connect(two!, 'room');
    const seen = new Y.Doc();
    await witness.join(seen);
    ada.write(0, 'ggg');
    bob.write(3, 'DEF');
    await vi.waitFor(
      () => expect([ada, bob].filter(({ client }) => client.closed?.code === 4409)).toHaveLength(1),
      { timeout: 20_000 },
    );
    const [winner, text] = ada.client.closed === undefined ? [ada, 'gggabc'] : [bob, 'abcDEF'];
    winner.doc.getText('t').insert(0, '+');
    await winner.client.untilSaved(3);
    for (const server of [one!, two!]) {
      const doc = await served(server, 'room');
      await untilDoc(doc, () => doc.getText('t').toString() === `+${text}`);
    }
  });
});

describe('[CLI] another client with this id', () => {
  function provider(server: { readonly url: string }, doc: Y.Doc): CowriteProvider {
    const made = new CowriteProvider({ url: socketUrl(server), room: 'room', WebSocket, doc });
    onTestFinished(() => made.destroy());
    return made;
  }

  it('[CLI-39] refuses this one, whose edits stay unsaved and can be recovered', async () => {
    const server = await startServer();
    await begun(server);
    const ada = await twin(server);
    const bob = provider(server, new Y.Doc());
    await bob.whenSynced();
    bob.doc.clientID = ID;
    // Both at once: the one has not heard of the other.
    ada.write(0, 'ggg');
    bob.doc.getText('t').insert(3, 'DEF');
    await vi.waitFor(() => expect(bob.status === 'refused' || ada.client.closed).toBeTruthy());
    if (bob.status !== 'refused') return;
    expect(bob.refusal).toMatchObject({ reason: 'conflict', code: 4409 });
    expect(bob.unsaved).toBe(true);
    const [kept] = await bob.recover();
    const doc = new Y.Doc();
    Y.applyUpdate(doc, kept!.update);
    expect(doc.getText('t').toString()).toBe('abcDEF');
  });

  it('[CLI-39] is found also where it has written while this one was offline', async () => {
    const server = await startServer();
    await begun(server);
    const bob = provider(server, new Y.Doc());
    await bob.whenSynced();
    bob.doc.clientID = ID;
    bob.disconnect();
    bob.doc.getText('t').insert(3, 'DEF');
    const ada = await twin(server);
    ada.write(0, 'more than bob has written');
    await ada.client.untilSaved(2);
    bob.connect();
    await vi.waitFor(() => expect(bob.status).toBe('refused'));
    expect(bob.refusal).toMatchObject({ reason: 'conflict' });
    expect(bob.unsaved).toBe(true);
    expect((await served(server, 'room')).getText('t').toString()).toBe(
      'more than bob has writtenabc',
    );
  });

  it('[CLI-39] is none where a "saved" was lost with the connection', async () => {
    const server = await startServer();
    const bob = provider(server, new Y.Doc());
    await bob.whenSynced();
    for (let round = 0; round < 5; round++) {
      bob.doc.getText('t').insert(0, `${round} `);
      // It may have arrived, or not.
      bob.disconnect();
      bob.connect();
      await bob.whenSynced();
    }
    await bob.whenSaved();
    expect(bob.refusal).toBeNull();
    expect((await served(server, 'room')).getText('t').toString()).toBe('4 3 2 1 0 ');
  });
});
