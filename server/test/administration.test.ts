/** What the administrator's page asks of the HTTP API: rooms found and sorted, one person found and kicked. */
import {
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { readConfig } from '../src/config.js';
import { call, governed, post } from './administrator.js';
import { RawClient, typed } from './support.js';
import { enter, presence, SECRET, token } from './visitors.js';

interface Listed {
  readonly rooms: readonly { readonly room: string }[];
  readonly next: string | null;
  readonly looked: number;
}

/** Names, where the next page begins, and among how many they were found. */
async function listed(server: { readonly url: string }, query: string) {
  const [status, said] = await call(server, `rooms?${query}`);
  if (status !== 200) return status;
  const { rooms, next, looked } = said as Listed;
  return [rooms.map(({ room }) => room), next, looked];
}

async function joined(
  server: { readonly url: string },
  room: string,
  client?: number,
  user: object = {},
): Promise<RawClient> {
  const socket = await RawClient.connect(server, room);
  await socket.join(new Y.Doc());
  if (client !== undefined) socket.send(presence(client, { user }));
  return socket;
}

interface Present {
  readonly people: readonly Record<string, unknown>[];
  readonly total: number;
}

async function presentIn(server: { readonly url: string }, room: string): Promise<Present> {
  const [, said] = await call(server, `rooms/${room}/presence`);
  return said as Present;
}

const people = async (server: { readonly url: string }, room: string) =>
  (await presentIn(server, room)).people;

/** Servers that share a store, in one process. */
function shared(options: ServerOptions = {}) {
  const [hub, kept, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
  const start = () =>
    governed({
      ...options,
      storage: new MemoryStorage(storage),
      redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(kept) },
    });
  return { start, kept };
}

const ISO = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

describe('[API] for the administrator’s page', () => {
  it('[API-14] rooms are found by a text anywhere in their names, and sorted', async () => {
    // What was written to is not in memory for long.
    const server = await governed({ limits: { idleMs: 10 } });
    const sizes = { 'team-7/Plan': 3, 'team-7/notes': 1, 'PLANS of last year': 2, other: 5 };
    for (const [room, writes] of Object.entries(sizes)) {
      const doc = new Y.Doc();
      for (let i = 0; i < writes; i++) {
        const before = Y.encodeStateVector(doc);
        doc.getText('t').insert(0, `${i}`);
        const body = post(Y.encodeStateAsUpdate(doc, before));
        await call(server, `rooms/${encodeURIComponent(room)}/updates`, body);
      }
    }
    await server.remove('other');
    // "Ä" typed as two characters finds it as one.
    await call(server, `rooms/${encodeURIComponent('Ärzte')}`, post(typed('x')));
    const all = ['PLANS of last year', 'team-7/Plan', 'team-7/notes', 'Ärzte'];
    expect(await listed(server, '')).toEqual([all, null, 4]);
    expect(await listed(server, 'contains=plan')).toEqual([[all[0], all[1]], null, 4]);
    expect(await listed(server, 'contains=PLAN&prefix=team')).toEqual([[all[1]], null, 2]);
    expect(await listed(server, `contains=${encodeURIComponent('A\u0308rz')}`)).toMatchObject([
      ['Ärzte'],
      null,
      4,
    ]);
    expect(await listed(server, 'contains=%25')).toEqual([[], null, 4]);
    expect(await listed(server, 'contains=plan&limit=1')).toEqual([[all[0]], all[0], 1]);
    const rest = `contains=plan&limit=1&after=${encodeURIComponent(all[0]!)}`;
    expect(await listed(server, rest)).toEqual([[all[1]], all[1], 1]);
    const updates = ['team-7/Plan', 'PLANS of last year', 'team-7/notes', 'Ärzte'];
    expect(await listed(server, 'sort=updates')).toEqual([updates, null, 4]);
    expect(await listed(server, 'sort=updates&limit=2')).toEqual([updates.slice(0, 2), null, 4]);
    expect(await listed(server, 'deleted=only')).toEqual([['other'], null, 5]);
    expect(await listed(server, 'sort=age')).toBe(400);
    expect(await listed(server, `contains=${'z'.repeat(257)}`)).toBe(400);

    // Those in memory, by who is there.
    await joined(server, 'team-7/notes', 1);
    await joined(server, 'team-7/notes', 2);
    await joined(server, 'team-7/Plan', 3);
    await joined(server, 'other than all of those');
    const open = ['team-7/notes', 'team-7/Plan', 'other than all of those'];
    for (const sort of ['people', 'sockets']) {
      await expect
        .poll(async () => ((await listed(server, `open=true&sort=${sort}`)) as string[][])[0]!)
        .toEqual(sort === 'people' ? open : [open[0], open[2], open[1]]);
    }
    expect(await listed(server, 'open=true&contains=PLAN')).toEqual([[open[1]], null, 1]);
    expect(await listed(server, 'open=true&limit=1')).toEqual([[open[2]], open[2], 3]);
  });

  it('[API-14] however large the store, a request looks at 10,000 names, and says where the next goes on', async () => {
    const storage = new MemoryStorage();
    const names = Array.from({ length: 25_000 }, (_, i) => `room ${String(i).padStart(5, '0')}`);
    let asked = 0;
    storage.rooms = async ({ after = '', limit }) => {
      const page = names.filter((name) => name > after).slice(0, limit);
      asked += page.length;
      return page.map((name, i) => ({
        name,
        lastSeq: name === 'room 00777' ? 9 : 1,
        snapshotSeq: 0,
        snapshotBytes: i,
        isDeleted: false,
      }));
    };
    const server = await governed({ storage });
    expect(await listed(server, 'contains=24999')).toEqual([[], 'room 09999', 10_000]);
    expect(await listed(server, 'contains=24999&after=room%2009999')).toEqual([
      [],
      'room 19999',
      10_000,
    ]);
    expect(await listed(server, 'contains=24999&after=room%2019999')).toEqual([
      ['room 24999'],
      null,
      5_000,
    ]);
    expect(asked).toBe(25_000);
    expect(await listed(server, 'sort=updates&limit=1')).toEqual([
      ['room 00777'],
      'room 09999',
      10_000,
    ]);
    // No more than a page needs, where every name is in it.
    asked = 0;
    expect(await listed(server, 'limit=7')).toMatchObject([{ length: 7 }, 'room 00006', 7]);
    expect(asked).toBe(7);
  });

  it('[API-16] a room is told with where the application shows it, whatever it is called', async () => {
    const server = await governed({ documentUrl: 'https://docs.example/d/{room}?from=admin' });
    const room = `rooms/${encodeURIComponent('a/b?$&#ü')}`;
    await call(server, room, post(typed('x')));
    const address = 'https://docs.example/d/a%2Fb%3F%24%26%23%C3%BC?from=admin';
    expect((await call(server, room))[1]).toMatchObject({ address });
    await server.remove('a/b?$&#ü');
    expect((await call(server, room))[1]).toMatchObject({ address: null });
    const without = await governed();
    await call(without, 'rooms/x', post(typed('x')));
    expect((await call(without, 'rooms/x'))[1]).toMatchObject({ address: null });
  });

  it('[API-16] an address that leads elsewhere than to a page of one host is refused at the start', async () => {
    for (const documentUrl of [
      'https://docs.example/d/',
      'https://{room}.example/d/',
      'https://docs.example{room}/d',
      'https://docs.example:{room}/d',
      'javascript:alert(1)//{room}',
      '//docs.example/{room}',
      '/\\docs.example/{room}',
      'd/{room}',
      'https://ada:pw@docs.example/{room}',
      '/d/{room}/{room}',
      '{room}',
    ]) {
      await expect(governed({ documentUrl }), documentUrl).rejects.toThrow(TypeError);
      expect(() => readConfig({ DOCUMENT_URL: documentUrl }), documentUrl).toThrow(
        /^DOCUMENT_URL must be an address with \{room\} in it/,
      );
    }
    expect(readConfig({ DOCUMENT_URL: '/d/{room}' }).documentUrl).toBe('/d/{room}');
  });

  it('[API-15] who is there is told by the server’s own word, and since when, also of those who show nobody', async () => {
    const server = await governed({ auth: { secret: SECRET } });
    const before = Date.now();
    const everywhere = { '*': 'write' };
    const ada = await enter(server, 'room', await token('ada', everywhere));
    await ada.join(new Y.Doc());
    ada.send(presence(7, { user: { id: 'eve', name: 'Eve' } }));
    await expect.poll(() => people(server, 'room')).toHaveLength(1);
    const robot = await enter(server, 'room', await token('robot', everywhere));
    await robot.join(new Y.Doc());
    await expect.poll(async () => (await presentIn(server, 'room')).total).toBe(2);
    const [first, second] = await people(server, 'room');
    expect([first, second]).toEqual([
      {
        client: 7,
        state: { user: { id: 'ada', name: 'ada!' } },
        user: 'ada',
        since: expect.stringMatching(ISO),
        connection: 1,
      },
      {
        client: null,
        state: null,
        user: 'robot',
        since: expect.stringMatching(ISO),
        connection: 2,
      },
    ]);
    const since = Date.parse(first!.since as string);
    expect(since).toBeGreaterThanOrEqual(before);
    expect(since).toBeLessThanOrEqual(Date.parse(second!.since as string));
    // It is the moment when they came, whatever they do afterwards.
    ada.send(presence(7, { user: {}, cursor: 1 }, 2));
    await expect
      .poll(async () => (await people(server, 'room'))[0])
      .toMatchObject({ state: { cursor: 1 }, since: first!.since });
  });

  it('[API-15] where nobody is asked who they are, what they say is nobody’s word', async () => {
    const server = await governed();
    await joined(server, 'room', 7, { id: 'ada' });
    await expect
      .poll(() => people(server, 'room'))
      .toMatchObject([{ client: 7, user: null, state: { user: { id: 'ada' } } }]);
  });

  it('[API-15] people at another instance have their user and since when, and no connection here', async () => {
    const { start, kept } = shared({ auth: { secret: SECRET } });
    const [one, two] = [await start(), await start()];
    const everywhere = { '*': 'write' };
    const ada = await enter(one, 'room', await token('ada', everywhere));
    await ada.join(new Y.Doc());
    ada.send(presence(7, { user: {} }));
    const there = { client: 7, user: 'ada', since: expect.stringMatching(ISO), connection: null };
    // The room is not open at the second, and then it is.
    await expect.poll(() => people(two, 'room')).toMatchObject([there]);
    const bob = await enter(two, 'room', await token('bob', everywhere));
    await bob.join(new Y.Doc());
    bob.send(presence(8, { user: {} }));
    await expect.poll(async () => (await presentIn(two, 'room')).total).toBe(2);
    expect((await people(two, 'room')).find(({ client }) => client === 7)).toMatchObject(there);
    // Without the presence store who is there is still known where the room is open.
    kept.isAway = true;
    expect((await people(two, 'room')).find(({ client }) => client === 7)).toMatchObject({
      user: 'ada',
      since: null,
    });
    expect(await call(two, 'rooms/elsewhere/presence')).toEqual([503, 'unavailable']);
    kept.isAway = false;
  });

  it('[END-6] one person is kicked by their client, where nobody knows who they are, and nobody else', async () => {
    const server = await governed();
    const [ada, eve, other] = [
      await joined(server, 'room', 7, { id: 'ada' }),
      await joined(server, 'room', 8, { id: 'ada' }),
      await joined(server, 'other', 7, { id: 'ada' }),
    ];
    await expect.poll(() => people(server, 'room')).toHaveLength(2);
    const kick = (body: unknown) => call(server, 'rooms/room/kick', post(body));
    expect(await kick({ client: 9 })).toEqual([200, { sessions: 0 }]);
    for (const body of [
      { client: 7, user: 'ada' },
      { client: -1 },
      { client: 1.5 },
      { client: '7' },
    ]) {
      expect(await kick(body), JSON.stringify(body)).toEqual([400, 'bad-request']);
    }
    expect(() => server.kick('room', { client: 7, user: 'ada' })).toThrow(TypeError);
    expect(() => server.kick('room', { client: Number.NaN })).toThrow(TypeError);
    expect(await kick({ client: 8, reason: 'be nice' })).toEqual([200, { sessions: 1 }]);
    expect(await eve.untilClosed()).toEqual({ code: 4403, reason: 'be nice' });
    await expect.poll(() => people(server, 'room')).toHaveLength(1);
    expect([ada.closed, other.closed]).toEqual([undefined, undefined]);
    expect(server.kick('room', { client: 7 })).toEqual({ sessions: 1, isEverywhere: true });
    expect((await ada.untilClosed()).code).toBe(4403);
  });

  it('[END-6] also one at another instance', async () => {
    const { start } = shared();
    const [one, two] = [await start(), await start()];
    const [here, there] = [await joined(one, 'room', 7), await joined(two, 'room', 8)];
    await expect.poll(() => people(one, 'room')).toHaveLength(2);
    const body = post({ client: 8, reason: 'over' });
    expect(await call(one, 'rooms/room/kick', body)).toEqual([200, { sessions: 0 }]);
    expect(await there.untilClosed()).toEqual({ code: 4403, reason: 'over' });
    await expect.poll(() => people(one, 'room')).toHaveLength(1);
    expect(here.closed).toBeUndefined();
  });
});
