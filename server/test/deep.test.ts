/** Documents that are deep, and changes that would make them too deep, over real sockets. */
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
import { call, governed, post, request } from './administrator.js';
import { cowrite } from './command-line.js';
import { item, TOO_DEEP, type, update } from './crafted.js';
import {
  RawClient,
  served,
  socketUrl,
  startServer,
  temporaryFolder,
  typed,
  untilDoc,
} from './support.js';

/** Types may lie so deep in each other; update/nesting-limits.ts. */
const MOST = 400;

function chain(client: number, from: number, count: number): Uint8Array {
  const structs = Array.from({ length: count }, (_, i) =>
    item({ parent: from + i === 0 ? 'deep' : [client, from + i - 1], kind: 7, content: type(0) }),
  );
  return update([{ client, clock: from, structs }]);
}

function depthOf(doc: Y.Doc): number {
  let depth = 0;
  for (let at: unknown = doc.getArray('deep'); at instanceof Y.Array; at = at.get(0)) depth++;
  return depth - 1;
}

/** Blocks in each other, as an editor nests lists. */
function nest(within: Y.XmlFragment | Y.XmlElement, levels: number): Y.XmlElement {
  let at = within;
  for (let level = 0; level < levels; level++) {
    const next = new Y.XmlElement('list');
    at.insert(at.length, [next]);
    at = next;
  }
  return at as Y.XmlElement;
}

async function compactNow(server: { readonly url: string }, room = 'room'): Promise<void> {
  expect((await call(server, `rooms/${room}/compact`, post()))[0]).toBe(200);
}

function provider(server: { readonly url: string }, doc = new Y.Doc()): CowriteProvider {
  const made = new CowriteProvider({ url: socketUrl(server), room: 'room', WebSocket, doc });
  onTestFinished(() => made.destroy());
  return made;
}

describe('[THR] what is too deep', () => {
  for (const [name, craft] of Object.entries(TOO_DEEP)) {
    for (const kind of ['update', 'step2'] as const) {
      it(`[THR-9] ${name}, as ${kind}, is rejected, and its session lives on`, async () => {
        const server = await startServer();
        const client = await RawClient.connect(server, 'room');
        await client.join(new Y.Doc());
        client.send({ type: kind, update: craft() });
        expect(await client.next('rejected')).toEqual({
          type: 'rejected',
          count: 2,
          reason: 'too-deep',
        });
        client.send({ type: 'update', update: typed('goes on') });
        await client.untilSaved(3);
        expect((await served(server, 'room')).getText('t').toString()).toBe('goes on');
      });
    }

    it(`[THR-9] ${name} closes with 4413 where that cannot be said`, async () => {
      const server = await startServer();
      const client = await RawClient.connect(server, 'room', []);
      await client.join(new Y.Doc());
      client.send({ type: 'update', update: craft() });
      expect(await client.untilClosed()).toEqual({
        code: 4413,
        reason: 'shared types, or values, are nested more than 400 levels deep',
      });
    });
  }

  it('[THR-10] an update of more than a million deletions is too large for one message, not malformed', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    const deletions = Array.from({ length: 1_000_001 }, (_, i) => [7, i * 2, 1] as const);
    client.send({ type: 'update', update: update([], deletions) });
    expect((await client.untilClosed()).code).toBe(1009);
  });
});

describe('[ADM] one limit', () => {
  it('[ADM-6] holds for the HTTP API and for import', async () => {
    const server = await governed();
    const [most, more] = [chain(7, 0, MOST), chain(7, 0, MOST + 1)];
    const refused = await request(server, 'rooms/a', post(more));
    expect([refused.status, await refused.json()]).toEqual([
      422,
      { error: { code: 'refused', message: expect.stringContaining('more than 400 levels') } },
    ]);
    expect((await call(server, 'rooms/a', post(most)))[0]).toBe(201);
    const below = post(chain(7, MOST, 1));
    expect((await call(server, 'rooms/a/updates', below))[0]).toBe(422);
    await compactNow(server, 'a');
    expect((await call(server, 'rooms/a/updates', below))[0]).toBe(422);
    expect((await request(server, 'rooms/a/document?form=json')).status).toBe(200);

    const folder = temporaryFolder();
    const ending = await cowrite(['import', 'a', '-'], { folder, input: more });
    expect([ending.code, ending.errors]).toEqual([1, expect.stringContaining('400 levels')]);
    expect((await cowrite(['import', 'a', '-'], { folder, input: most })).code).toBe(0);
    expect((await cowrite(['import', 'a', '-'], { folder, input: chain(7, MOST, 1) })).code).toBe(
      1,
    );
    expect((await cowrite(['check'], { folder })).out).toBe('1 room: all is well\n');
  });

  it('[ADM-6] holds on every instance, also for what another has taken, and after a compaction there', async () => {
    const [hub, people, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
    const start = () =>
      governed({
        storage: new MemoryStorage(storage),
        redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(people) },
      });
    const [one, two] = [await start(), await start()];
    const [ada, bob] = [await RawClient.connect(one, 'room'), await RawClient.connect(two, 'room')];
    await ada.join(new Y.Doc());
    const seen = new Y.Doc();
    await bob.join(seen);
    bob.socket.on('message', () => {
      for (const message of bob.received) {
        if (message.type === 'update') Y.applyUpdate(seen, message.update);
      }
    });
    for (let level = 0; level < MOST; level += 50) {
      ada.send({ type: 'update', update: chain(7, level, 50) });
    }
    await untilDoc(seen, () => depthOf(seen) === MOST);
    const below = update([
      {
        client: 8,
        clock: 0,
        structs: [item({ parent: [7, MOST - 1], kind: 7, content: type(0) })],
      },
    ]);
    bob.send({ type: 'update', update: below });
    expect(await bob.next('rejected')).toMatchObject({ count: 2, reason: 'too-deep' });
    await compactNow(one);
    bob.send({ type: 'update', update: below });
    await vi.waitFor(() => {
      expect(bob.received.filter(({ type: kind }) => kind === 'rejected')).toHaveLength(2);
    });
    expect(depthOf(await served(two, 'room'))).toBe(MOST);
  });

  it('[CMP-20] a list that grows level by level is saved whole, and stays so when it is compacted', async () => {
    const server = await governed();
    const ada = provider(server);
    await ada.whenSynced();
    let at: Y.XmlFragment | Y.XmlElement = ada.doc.getXmlFragment('x');
    for (let level = 0; level < 150; level++) {
      at = nest(at, 2);
      if (level % 40 !== 39) continue;
      await ada.whenSaved();
      await compactNow(server);
    }
    at.insert(0, [new Y.XmlText('at the bottom')]);
    await ada.whenSaved();
    await compactNow(server);
    const shown = ada.doc.getXmlFragment('x').toString();
    expect(shown).toContain('at the bottom');
    expect((await served(server, 'room')).getXmlFragment('x').toString()).toBe(shown);
  });
});

describe('[CLI] a change that is too deep', () => {
  it('[CLI-37] is reverted, and what follows is saved, also where the application keeps it for its redo', async () => {
    const server = await startServer();
    const ada = provider(server);
    await ada.whenSynced();
    const root = ada.doc.getXmlFragment('x');
    const undo = new Y.UndoManager(root, { captureTimeout: 0 });
    ada.doc.transact(() => nest(root, MOST));
    await ada.whenSaved();
    const rejections: unknown[] = [];
    ada.on('rejected', (rejection) => rejections.push(rejection));
    const bottom = () => {
      let bottomMost = root.get(0) as Y.XmlElement;
      while (bottomMost.length > 0) bottomMost = bottomMost.get(0) as Y.XmlElement;
      return bottomMost;
    };
    const before = root.toString();
    ada.doc.transact(() => nest(bottom(), 3));
    // Undone before the server has said a word: it is deleted, and kept for a redo.
    undo.undo();
    ada.doc.getText('t').insert(0, 'goes on');
    await vi.waitFor(() => expect([rejections.length, ada.unsaved]).toEqual([1, false]));
    expect(rejections).toEqual([{ reason: 'too-deep', isTakenBack: true }]);
    expect(root.toString()).toBe(before);
    const rest = await served(server, 'room');
    expect([rest.getXmlFragment('x').toString(), rest.getText('t').toString()]).toEqual([
      before,
      'goes on',
    ]);

    // Not undone: the client reverts it.
    ada.doc.transact(() => nest(bottom(), 3));
    await vi.waitFor(() => expect(rejections).toHaveLength(2));
    expect(root.toString()).toBe(before);
    ada.doc.getText('t').insert(7, ' and on');
    await vi.waitFor(() => expect(ada.unsaved).toBe(false));
    expect((await served(server, 'room')).getText('t').toString()).toBe('goes on and on');
    expect(ada.status).toBe('online');
  });
});
