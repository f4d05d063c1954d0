/** Several servers in this process that share a store and a relay, both of them memory. */
import {
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
  type ServerOptions,
} from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { encodeAwareness } from '../src/awareness.js';
import { ManualClock } from '../src/clock.js';
import { gc, update } from './crafted.js';
import { Dice } from './seeded.js';
import {
  gate,
  RawClient,
  startServer,
  synced,
  untilCompacted,
  untilDoc,
  yWebsocket,
} from './support.js';

/** What instances share. */
class Deployment {
  readonly storage = new MemoryStorage();
  /** Each instance's, in the order of their starts. */
  readonly stores: MemoryStorage[] = [];
  readonly relays: MemoryRelay[] = [];
  readonly hub = new MemoryHub();
  readonly presence = new PresenceHub();

  start(options: ServerOptions = {}): Promise<CowriteServer> {
    const storage = new MemoryStorage(this.storage);
    const relay = new MemoryRelay(this.hub);
    this.stores.push(storage);
    this.relays.push(relay);
    return startServer({
      storage,
      redis: { relay, presence: new MemoryPresence(this.presence) },
      ...options,
    });
  }
}

describe('[INS] instances', () => {
  it('[INS-1] people on different instances edit one document', async () => {
    const deployment = new Deployment();
    const [one, two] = await Promise.all([deployment.start(), deployment.start()]);
    const [ada, bob] = [yWebsocket(one, 'room'), yWebsocket(two, 'room')];
    await Promise.all([synced(ada), synced(bob)]);
    ada.doc.getText('t').insert(0, 'ada ');
    bob.doc.getText('t').insert(0, 'bob ');
    const isWhole = (doc: Y.Doc) => doc.getText('t').length === 8;
    await Promise.all([
      untilDoc(ada.doc, () => isWhole(ada.doc)),
      untilDoc(bob.doc, () => isWhole(bob.doc)),
    ]);
    expect(ada.doc.getText('t').toString()).toBe(bob.doc.getText('t').toString());
    const carol = yWebsocket(two, 'room');
    await synced(carol);
    expect(carol.doc.getText('t').toString()).toBe(bob.doc.getText('t').toString());
  });

  it('[OPS-9] [RLY-19] servers that share a store and not a relay say so, and stay ready', async () => {
    const deployment = new Deployment();
    const clock = new ManualClock();
    const one = await deployment.start({ clock });
    const elsewhere = new MemoryRelay(new MemoryHub());
    const presence = new MemoryPresence(deployment.presence);
    await deployment.start({ clock, redis: { relay: elsewhere, presence } });
    await vi.waitFor(async () => {
      clock.advance(2_500);
      const answer = await fetch(`${one.url}/health/ready`);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ ready: true, relay: 'split' });
    }, 30_000);
  });

  it('[INS-2] "saved" is said for what this instance wrote, in the order of the log of all', async () => {
    const deployment = new Deployment();
    const servers = await Promise.all([deployment.start(), deployment.start()]);
    const docs = servers.map(() => new Y.Doc());
    const clients = await Promise.all(servers.map((server) => RawClient.connect(server, 'room')));
    await Promise.all(clients.map((client, i) => client.join(docs[i]!)));
    for (const [i, doc] of docs.entries()) {
      doc.on('update', (update: Uint8Array) => clients[i]!.send({ type: 'update', update }));
    }
    for (let round = 0; round < 50; round++) {
      for (const doc of docs) doc.getText('t').insert(0, 'x');
    }
    // The step 2 of the join counts as one.
    await Promise.all(clients.map((client) => client.untilSaved(51)));
    const { tail } = await deployment.storage.load('room');
    expect(tail.map(({ seq }) => seq)).toEqual(
      Array.from({ length: tail.length }, (_, i) => i + 1),
    );
    const stored = new Y.Doc();
    for (const { update } of tail) {
      Y.applyUpdate(stored, update);
      expect(stored.store.pendingStructs).toBeNull();
    }
    expect(stored.getText('t').length).toBe(100);
  });

  it('[INS-2] what is committed while a room is loaded elsewhere is not missing there', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const [one, two] = await Promise.all([deployment.start(quiet), deployment.start(quiet)]);
    const ada = yWebsocket(one, 'room');
    await synced(ada);
    const store = deployment.stores[1]!;
    const [asked, answered] = [gate(), gate()];
    const load = store.load.bind(store);
    store.load = async (room) => {
      const stored = await load(room);
      asked.open();
      await answered.opened;
      return stored;
    };
    const bob = yWebsocket(two, 'room');
    await asked.opened;
    ada.doc.getText('t').insert(0, 'meanwhile');
    await untilStored(deployment.storage, 1);
    answered.open();
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'meanwhile');
  });

  it('[INS-3] whatever the relay loses, doubles and reorders, all instances hold the same in the end', async () => {
    const dice = Dice.announced('[INS-3]');
    const deployment = new Deployment();
    const limits = { headCheckMs: 100 };
    const servers = await Promise.all([1, 2, 3].map(() => deployment.start({ limits })));
    const clients = servers.flatMap((server) => [
      yWebsocket(server, 'room'),
      yWebsocket(server, 'room'),
    ]);
    await Promise.all(clients.map(synced));
    deployment.hub.disturb({
      random: () => dice.next(),
      drop: 0.3,
      double: 0.2,
      delay: 0.2,
      delayMs: 40,
      reorder: 0.3,
    });
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      for (const { doc } of clients) {
        const text = doc.getText('t');
        if (text.length > 5 && dice.chance(0.3)) text.delete(dice.below(text.length), 1);
        doc.getMap('m').set(`${round} ${doc.clientID}`, 1);
        text.insert(dice.below(text.length + 1), 'xy');
      }
      await turn();
    }
    const all = clients.length * rounds;
    await Promise.all(clients.map(({ doc }) => untilDoc(doc, () => doc.getMap('m').size === all)));
    await untilEqual(clients.map(({ doc }) => doc));
  });

  it('[INS-4] without a relay edits still arrive, by way of the store', async () => {
    const deployment = new Deployment();
    const limits = { headCheckMs: 50 };
    const [one, two] = await Promise.all([
      deployment.start({ limits }),
      deployment.start({ limits }),
    ]);
    deployment.hub.disconnect();
    const [ada, bob] = [yWebsocket(one, 'room'), yWebsocket(two, 'room')];
    await Promise.all([synced(ada), synced(bob)]);
    ada.doc.getText('t').insert(0, 'ada');
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'ada');
    // And at once when it is back.
    deployment.hub.connect();
    bob.doc.getText('t').insert(3, ' bob');
    await untilDoc(ada.doc, () => ada.doc.getText('t').toString() === 'ada bob');
  });

  it('[INS-5] an instance that missed what is in a snapshot by now takes it from there', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const late = await deployment.start(quiet);
    const bob = yWebsocket(late, 'room');
    await synced(bob);
    bob.doc.getText('t').insert(0, 'bob');
    deployment.hub.disconnect();
    const one = await deployment.start(quiet);
    const ada = yWebsocket(one, 'room');
    await synced(ada);
    const compacted = untilCompacted(deployment.stores[1]!);
    for (let i = 0; i < 100; i++) ada.doc.getText('t').insert(0, 'words '.repeat(200));
    await compacted;
    expect((await deployment.storage.since('room', 1)) ?? 'trimmed').toBe('trimmed');
    bob.doc.getText('t').insert(0, 'still bob ');
    deployment.hub.connect();
    ada.doc.getText('t').insert(0, 'last ');
    await untilEqual([ada.doc, bob.doc]);
    expect(bob.doc.getText('t').length).toBe(120_000 + 3 + 10 + 5);
    // Who joins there now is given the new snapshot.
    const carol = yWebsocket(late, 'room');
    await synced(carol);
    expect(carol.doc.getText('t').toString()).toBe(ada.doc.getText('t').toString());
  });

  it('[INS-5] a snapshot that was replaced unheard is asked for when somebody needs it', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const one = await deployment.start(quiet);
    const ada = yWebsocket(one, 'room');
    await synced(ada);
    const text = ada.doc.getText('t');
    const untilAnother = async () => {
      const compacted = untilCompacted(deployment.stores[0]!);
      for (let i = 0; i < 200; i++) text.insert(0, 'words '.repeat(200));
      await compacted;
    };
    await untilAnother();
    await untilStored(deployment.storage, 200);
    const late = await deployment.start(quiet);
    const carol = await RawClient.connect(late, 'room');
    // The room is loaded there, and nobody has asked for its snapshot.
    await carol.next('step1');
    deployment.hub.disconnect();
    await untilAnother();
    const doc = new Y.Doc();
    await carol.join(doc);
    expect(doc.getText('t').length).toBeGreaterThanOrEqual(240_000);
  });

  it('[INS-1] an edit that waits for one on another instance is admitted once that has arrived', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const [one, two] = await Promise.all([deployment.start(quiet), deployment.start(quiet)]);
    const ada = yWebsocket(one, 'room');
    const bob = await RawClient.connect(two, 'room');
    await Promise.all([synced(ada), bob.join(new Y.Doc())]);
    deployment.hub.disconnect();
    ada.doc.getText('t').insert(0, 'ada');
    await untilStored(deployment.storage, 1);
    // He has it from elsewhere, and the instance that he is on has not.
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(ada.doc));
    const before = Y.encodeStateVector(doc);
    doc.getText('t').insert(3, ' and bob');
    bob.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
    bob.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    await bob.next('step2', bob.received.length);
    expect((await deployment.storage.load('room')).lastSeq).toBe(1);
    deployment.hub.connect();
    await untilDoc(ada.doc, () => ada.doc.getText('t').toString() === 'ada and bob');
  });

  it('[INS-6] a joiner sees everybody, a clean leave is seen at once, on every instance', async () => {
    const deployment = new Deployment();
    const [one, two] = await Promise.all([deployment.start(), deployment.start()]);
    const ada = yWebsocket(one, 'room');
    ada.awareness.setLocalStateField('user', { name: 'Ada' });
    await synced(ada);
    await untilPresent(deployment, ada.doc.clientID);
    const bob = yWebsocket(two, 'room');
    bob.awareness.setLocalStateField('user', { name: 'Bob' });
    await untilSeen(bob.awareness, [ada.doc.clientID]);
    await untilSeen(ada.awareness, [bob.doc.clientID]);
    ada.awareness.setLocalStateField('cursor', 7);
    await until(bob.awareness, () => bob.awareness.getStates().get(ada.doc.clientID)?.cursor === 7);
    ada.destroy();
    await until(bob.awareness, () => !bob.awareness.getStates().has(ada.doc.clientID));
    expect(await new MemoryPresence(deployment.presence).list('room')).toHaveLength(1);
  });

  it('[INS-7] the people of an instance that is silent leave everywhere within their time to live', async () => {
    const deployment = new Deployment();
    const limits = { presenceTtlMs: 600 };
    const [one, two] = await Promise.all([
      deployment.start({ limits }),
      deployment.start({ limits }),
    ]);
    const [ada, bob] = [yWebsocket(one, 'room'), yWebsocket(two, 'room')];
    for (const { awareness } of [ada, bob]) awareness.setLocalStateField('user', {});
    await untilSeen(bob.awareness, [ada.doc.clientID]);
    const start = performance.now();
    // Ada's instance goes on, but nobody hears it: as if it were dead.
    deployment.relays[0]!.disconnect();
    await until(bob.awareness, () => !bob.awareness.getStates().has(ada.doc.clientID));
    expect(performance.now() - start).toBeGreaterThan(300);
    deployment.relays[0]!.connect();
    // A client takes back nobody at the clock at which somebody has left.
    ada.awareness.setLocalStateField('cursor', 7);
    await untilSeen(bob.awareness, [ada.doc.clientID]);
  });

  it('[INS-8] a client that moves to another instance keeps its caret, also when the first has not noticed', async () => {
    const deployment = new Deployment();
    const servers = await Promise.all([deployment.start(), deployment.start(), deployment.start()]);
    const bob = yWebsocket(servers[2]!, 'room');
    const doc = new Y.Doc();
    const first = await RawClient.connect(servers[0]!, 'room');
    await first.join(doc);
    const state = (clock: number, cursor: number) => stateOf(doc.clientID, clock, { cursor });
    first.send({ type: 'awareness', update: state(1, 1) });
    await untilSeen(bob.awareness, [doc.clientID]);
    // Its socket is dead, and nobody has told the server.
    first.socket.pause();
    const second = await RawClient.connect(servers[1]!, 'room');
    await second.join(doc);
    second.send({ type: 'awareness', update: state(2, 2) });
    await until(bob.awareness, () => bob.awareness.getStates().get(doc.clientID)?.cursor === 2);
    second.socket.close();
    await until(bob.awareness, () => !bob.awareness.getStates().has(doc.clientID));
  });

  it('[INS-9] nobody writes in the name of a client on another instance', async () => {
    const deployment = new Deployment();
    const [one, two] = await Promise.all([deployment.start(), deployment.start()]);
    const ada = yWebsocket(one, 'room');
    ada.awareness.setLocalStateField('user', { name: 'Ada' });
    const mallory = await RawClient.connect(two, 'room');
    await mallory.join(new Y.Doc());
    ada.doc.getText('t').insert(0, 'ada');
    await mallory.next('update');
    // GC structs at the clocks that Ada writes next: her next words would be lost.
    mallory.send({
      type: 'update',
      update: update([{ client: ada.doc.clientID, clock: 3, structs: [gc(1_000)] }]),
    });
    await mallory.next('step1', mallory.received.length);
    const bob = yWebsocket(two, 'room');
    await synced(bob);
    ada.doc.getText('t').insert(3, ' writes on');
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'ada writes on');
  });

  it('[INS-10] of a store that has lost entries the rooms are loaded anew, and clients bring back what they have', async () => {
    const deployment = new Deployment();
    const one = await deployment.start({ limits: { headCheckMs: 50 } });
    const ada = yWebsocket(one, 'room');
    await synced(ada);
    ada.doc.getText('t').insert(0, 'kept by Ada');
    await untilStored(deployment.storage, 1);
    deployment.storage.forget('room');
    await untilStored(deployment.storage, 1);
    const bob = yWebsocket(one, 'room');
    await untilDoc(bob.doc, () => bob.doc.getText('t').toString() === 'kept by Ada');
  });

  it('[INS-14] what is too large for the relay is read from the store', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const [one, two] = await Promise.all([deployment.start(quiet), deployment.start(quiet)]);
    const [ada, bob] = [yWebsocket(one, 'room'), yWebsocket(two, 'room')];
    await Promise.all([synced(ada), synced(bob)]);
    const sizes: number[] = [];
    new MemoryRelay(deployment.hub).subscribe('room:room', ({ length }) => void sizes.push(length));
    ada.doc.getText('t').insert(0, 'words '.repeat(500_000));
    ada.doc.getText('t').insert(0, 'and more ');
    await untilEqual([ada.doc, bob.doc]);
    expect(bob.doc.getText('t').length).toBe(3_000_009);
    expect(Math.max(...sizes)).toBeLessThan(1_000);
  });

  it('[INS-15] a store that went back and was overtaken is noticed, on all instances', async () => {
    const deployment = new Deployment();
    const quiet = { limits: { headCheckMs: 3_600_000 } };
    const [one, two] = await Promise.all([deployment.start(quiet), deployment.start(quiet)]);
    const [ada, bob] = [yWebsocket(one, 'room'), yWebsocket(two, 'room')];
    await Promise.all([synced(ada), synced(bob)]);
    for (let i = 1; i <= 3; i++) {
      ada.doc.getText('t').insert(0, 'a');
      await untilStored(deployment.storage, i);
    }
    await untilEqual([ada.doc, bob.doc]);
    deployment.storage.forget('room');
    ada.doc.getText('t').insert(0, 'bbb');
    await untilEqual([ada.doc, bob.doc]);
    // What was lost is brought back by those who have it.
    const three = await deployment.start(quiet);
    const carol = yWebsocket(three, 'room');
    await untilDoc(carol.doc, () => carol.doc.getText('t').toString() === 'bbbaaa');
  });

  it('[INS-10] nobody of a room that was lost stays present, and there is one room of its name', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const deployment = new Deployment();
    const server = await deployment.start({
      clock,
      limits: { headCheckMs: 3_000, idleMs: 10_000 },
    });
    const store = deployment.stores[0]!;
    let loads = 0;
    const load = store.load.bind(store);
    store.load = async (room) => {
      loads++;
      return await load(room);
    };
    const gone = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'x');
    await gone.join(doc);
    gone.send({ type: 'awareness', update: stateOf(77, 1, {}) });
    const stays = yWebsocket(server, 'room');
    await synced(stays);
    await untilPresent(deployment, 77);
    deployment.storage.forget('room');
    clock.advance(3_000);
    expect((await gone.untilClosed()).code).toBe(1012);
    await untilStored(deployment.storage, 1);
    await untilAbsent(deployment, 77);
    // The old room's idle time runs out; the new one stays, because somebody is in it.
    clock.advance(10_000);
    clock.advance(10_000);
    const late = yWebsocket(server, 'room');
    await synced(late);
    stays.doc.getText('t').insert(0, 'y');
    clock.advance(60);
    await untilDoc(late.doc, () => late.doc.getText('t').toString() === 'yx');
    expect(loads).toBe(2);
  });

  it.each([0, 1])(
    '[INS-16] who leaves while instance %i is cut off is gone once it is back',
    async (cut) => {
      const deployment = new Deployment();
      const [one, two] = await Promise.all([deployment.start(), deployment.start()]);
      const bob = yWebsocket(two, 'room');
      const ada = await RawClient.connect(one, 'room');
      await Promise.all([synced(bob), ada.join(new Y.Doc())]);
      ada.send({ type: 'awareness', update: stateOf(77, 1, {}) });
      await untilSeen(bob.awareness, [77]);
      await untilPresent(deployment, 77);
      deployment.relays[cut]!.disconnect();
      ada.socket.close();
      await untilAbsent(deployment, 77);
      deployment.relays[cut]!.connect();
      await until(bob.awareness, () => !bob.awareness.getStates().has(77));
    },
    10_000,
  );

  it('[INS-6] who leaves while a room is opened elsewhere is not there', async () => {
    const deployment = new Deployment();
    const one = await deployment.start();
    const ada = yWebsocket(one, 'room');
    ada.awareness.setLocalStateField('user', { name: 'Ada' });
    await untilPresent(deployment, ada.doc.clientID);
    const [asked, answered] = [gate(), gate()];
    const presence = new MemoryPresence(deployment.presence);
    const list = presence.list.bind(presence);
    presence.list = async (room) => {
      const people = await list(room);
      asked.open();
      await answered.opened;
      return people;
    };
    const relay = new MemoryRelay(deployment.hub);
    const storage = new MemoryStorage(deployment.storage);
    const two = await startServer({ storage, redis: { relay, presence } });
    const bob = await RawClient.connect(two, 'room');
    await asked.opened;
    ada.destroy();
    await untilAbsent(deployment, ada.doc.clientID);
    answered.open();
    const doc = new Y.Doc();
    await bob.join(doc);
    // What a join says of those who are there is before the answer to a second one.
    const before = bob.received.length;
    bob.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    await bob.next('step2', before);
    expect(bob.received.filter(({ type }) => type === 'awareness')).toEqual([]);
  });

  it('[RLY-20] servers that share a store and do not meet say so', async () => {
    const clock = new ManualClock();
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const store = new MemoryStorage();
    const start = (options: ServerOptions) =>
      startServer({ storage: new MemoryStorage(store), ...options });
    await start({ clock, logger });
    await start({ clock });
    await vi.waitFor(async () => {
      clock.advance(15_000 / 2);
      expect(lines.join('')).toContain('other servers use the same store');
    });
  });

  it('[INS-11] instances that meet need a store that they share', async () => {
    await expect(
      startServer({
        storage: 'memory:',
        redis: { relay: new MemoryRelay(), presence: new MemoryPresence() },
      }),
    ).rejects.toThrow('need a storage that they share');
  });
});

function stateOf(client: number, clock: number, state: object): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(state));
  return encodeAwareness([{ client, clock, state: json }]);
}

/** Resolves once these clients have a state. */
async function untilSeen(awareness: Awareness, clients: readonly number[]): Promise<void> {
  await until(awareness, () => clients.every((client) => awareness.getStates().has(client)));
}

async function until(awareness: Awareness, holds: () => boolean): Promise<void> {
  if (holds()) return;
  await new Promise<void>((resolve) => {
    const look = () => {
      if (!holds()) return;
      awareness.off('change', look);
      resolve();
    };
    awareness.on('change', look);
  });
}

/** Resolves once the documents hold the same; looks again at every update of any. */
async function untilEqual(docs: readonly Y.Doc[]): Promise<void> {
  const all = () => docs.map((doc) => doc.getText('t').toString());
  const isEqual = () => new Set(all()).size === 1;
  if (isEqual()) return;
  await new Promise<void>((resolve) => {
    for (const doc of docs) doc.on('update', () => isEqual() && resolve());
  });
}

/** Polls, turn by turn: a memory store tells nobody. */
async function untilStored(storage: MemoryStorage, lastSeq: number): Promise<void> {
  while ((await storage.load('room')).lastSeq < lastSeq) await turn();
}

async function isPresent(deployment: Deployment, client: number): Promise<boolean> {
  const people = await new MemoryPresence(deployment.presence).list('room');
  return people.some((person) => person.client === client);
}

async function untilPresent(deployment: Deployment, client: number): Promise<void> {
  while (!(await isPresent(deployment, client))) await turn();
}

async function untilAbsent(deployment: Deployment, client: number): Promise<void> {
  while (await isPresent(deployment, client)) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

describe('[END] on every instance', () => {
  it('[END-5] a kick and a recheck reach sessions of every instance; one that cannot tell the others says so', async () => {
    const deployment = new Deployment();
    const rights: Record<string, 'write' | 'read'> = { ada: 'write', bob: 'write' };
    const hooks: ServerOptions['hooks'] = {
      authenticate: ({ token = '' }) => ({ access: rights[token]!, user: { id: token } }),
    };
    const [one, two] = [await deployment.start({ hooks }), await deployment.start({ hooks })];
    const enter = async (server: CowriteServer, user: string) => {
      const client = await RawClient.connect(server, 'room', [
        'cowrite.v1',
        `cowrite.token.${user}`,
      ]);
      await client.join(new Y.Doc());
      return client;
    };
    const [here, there, bob] = [
      await enter(one, 'ada'),
      await enter(two, 'ada'),
      await enter(two, 'bob'),
    ];
    expect(one.kick('room', { user: 'ada', reason: 'over' })).toEqual({
      sessions: 1,
      isEverywhere: true,
    });
    expect(await here.untilClosed()).toEqual({ code: 4403, reason: 'over' });
    expect(await there.untilClosed()).toEqual({ code: 4403, reason: 'over' });
    rights.bob = 'read';
    expect(one.recheck('bob')).toEqual({ sessions: 0, isEverywhere: true });
    expect(await bob.next('access')).toEqual({ type: 'access', access: 'read' });
    deployment.relays[0]!.disconnect();
    expect(one.kick('room')).toEqual({ sessions: 0, isEverywhere: false });
    expect(bob.closed).toBeUndefined();
  });
});
