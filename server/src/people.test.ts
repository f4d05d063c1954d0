/** One room's people: a room, a relay and a presence store that do as the test says. */
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoomStandIn } from '../test/room-stand-in.js';
import { settled, typed } from '../test/support.js';
import { type AwarenessEntry, encodeAwareness, NULL_STATE, readAwareness } from './awareness.js';
import { ManualClock } from './clock.js';
import { type AboutPeople, People } from './people.js';
import { PresenceKeeper } from './presence/keeper.js';
import { MemoryPresence, PresenceHub } from './presence/memory.js';
import type { PresentPerson } from './presence/presence.js';
import type { Content } from './relay/envelope.js';
import { parseUpdate } from './update/parse.js';

const STATE = new TextEncoder().encode('{}');
const person = (client: number, clock = 1, state = STATE) => ({ client, clock, state });
const present = (instance: string, client: number) => ({ ...person(client), since: 0, instance });

function setUp() {
  const clock = new ManualClock();
  const logger = pino({ level: 'silent' });
  const hub = new PresenceHub(clock);
  const presence = new MemoryPresence(hub);
  const keeper = new PresenceKeeper({ presence, instance: 'this', clock, logger, ttl: 15_000 });
  onTestFinished(() => keeper.close());
  const room = new RoomStandIn();
  const published: Content[] = [];
  const events: string[] = [];
  const list = { people: async (): Promise<readonly PresentPerson[]> => [] };
  const isLeaving = { now: false };
  const people = new People('room', {
    instance: 'this',
    publish: (content) => void published.push(content),
    listPresent: () => list.people(),
    keeper,
    clock,
    logger,
    isLeaving: () => isLeaving.now,
    onPeer: (instance) => void events.push(`peer ${instance}`),
  });
  people.attach(room);
  const hear = (content: AboutPeople, origin = 'other') => people.hear(origin, content);
  const hearStates = (...entries: AwarenessEntry[]) =>
    hear({ kind: 'awareness', update: encodeAwareness(entries) });
  const did = () => room.did.splice(0);
  const said = () => published.splice(0);
  return {
    clock,
    hub,
    presence,
    room,
    people,
    isLeaving,
    list,
    events,
    hear,
    hearStates,
    did,
    said,
  };
}

describe('[DRN-6] people of an instance that ends', () => {
  it('[DRN-6] are said to be moving when they leave, after what they did last, and to whoever asks', async () => {
    const { room, people, isLeaving, hear, said } = setUp();
    expect(people.heirOf(new Set([7]))).toBeUndefined();
    isLeaving.now = true;
    expect(people.heirOf(new Set())).toBeUndefined();
    room.changes = [person(7, 5)];
    const heir = people.heirOf(new Set([7]))!;
    room.held.set(heir, new Set([7]));
    const moving = { kind: 'moving', clients: [7] };
    expect(said()).toEqual([
      { kind: 'awareness', update: encodeAwareness([person(7, 5)]) },
      moving,
    ]);
    expect(people.areMoving).toBe(true);
    hear({ kind: 'probe', instance: 'this', client: 7 });
    expect(said()).toEqual([moving]);
    room.held.get(heir)!.delete(7);
    expect(people.areMoving).toBe(false);
  });

  it('[DRN-6] are gone when nobody has them after three seconds', async () => {
    const { clock, presence, room, people, isLeaving, did, said } = setUp();
    room.changes = [person(7)];
    people.statesChanged();
    clock.turn();
    await settled();
    isLeaving.now = true;
    const heir = people.heirOf(new Set([7]))!;
    room.held.set(heir, new Set([7]));
    said();
    clock.advance(2_999);
    expect([said(), did()]).toEqual([[], []]);
    expect(await presence.list('room')).toHaveLength(1);
    clock.advance(1);
    await settled();
    expect(said()).toEqual([
      { kind: 'awareness', update: encodeAwareness([person(7, 0, NULL_STATE)]) },
    ]);
    expect(did()).toEqual(['this left']);
    expect(await presence.list('room')).toEqual([]);
    expect(people.areMoving).toBe(false);
  });

  it('[DRN-6] may be taken elsewhere at once, also to write, and nobody is asked for them', () => {
    const { room, people, hear, hearStates, did, said } = setUp();
    hearStates(person(1), person(2));
    people.wrote('other', [typed('x')]);
    const peer = room.peers.get('other')!;
    peer.wrote(1);
    peer.probe(1);
    expect(said()).toHaveLength(1);
    did();
    hear({ kind: 'moving', clients: [1, 99] });
    expect(did()).toEqual(['freed']);
    expect([1, 2, 99].map((client) => peer.hasLetGo(client))).toEqual([true, false, false]);
    expect(peer.hasWritten(1)).toBe(false);
  });

  it('[DRN-6] a room that is closed forgets them, with their timers', () => {
    const { clock, people, isLeaving } = setUp();
    const before = clock.pending;
    isLeaving.now = true;
    people.heirOf(new Set([7]));
    people.close();
    expect(clock.pending).toBe(before);
    expect(people.heirOf(new Set([8]))).toBeUndefined();
  });
});

describe('[INS-6] people of other instances', () => {
  it('[INS-6] after a gap the presence store is asked; who is missing for 3 s is gone', async () => {
    const { clock, people, list, hearStates, did } = setUp();
    hearStates(person(1), person(2));
    did();
    list.people = async () => [present('other', 1)];
    people.gap();
    await settled();
    expect(did()).toEqual(['other: 1']);
    clock.advance(2_999);
    people.gap();
    await settled();
    expect(did()).toEqual(['other: 1']);
    clock.advance(1);
    people.gap();
    await settled();
    expect(did()).toEqual(['other: 1', 'other: 2 gone']);
  });

  it('[INS-16] after a gap everybody says who is with them; who is not among those has left', async () => {
    const { room, people, hear, hearStates, did, said } = setUp();
    room.sessions.add(7);
    people.gap();
    const everybody = { kind: 'everybody', update: encodeAwareness([person(7)]) };
    expect(said()).toEqual([everybody, { kind: 'who' }]);
    hear({ kind: 'who' });
    expect(said()).toEqual([everybody]);
    hearStates(person(1), person(2));
    hear({ kind: 'awareness', update: encodeAwareness([person(3)]) }, 'third');
    did();
    hear({ kind: 'everybody', update: encodeAwareness([person(2, 2), person(7)]) });
    expect(did()).toEqual(['other: 1 gone', 'other: 2', 'other: 7', 'probe 7']);
  });

  it('[FLT-9] after a gap those who are here are present again, though the store forgot them and nobody moves', async () => {
    const { clock, hub, presence, room, people } = setUp();
    room.sessions.add(7);
    room.changes = [person(7)];
    people.statesChanged();
    clock.turn();
    await settled();
    clock.advance(1_000);
    await settled();
    hub.flush();
    people.gap();
    clock.turn();
    await settled();
    expect(await presence.list('room')).toMatchObject([{ ...person(7), instance: 'this' }]);
  });

  it('[INS-6] who has moved to another instance is not kept present by this one', async () => {
    const { clock, presence, people, room, hearStates } = setUp();
    room.sessions.add(7);
    room.changes = [person(7)];
    people.statesChanged();
    clock.turn();
    await settled();
    expect(await presence.list('room')).toMatchObject([{ ...person(7), instance: 'this' }]);
    // It leaves and is elsewhere before that is told.
    room.sessions.delete(7);
    hearStates(person(7));
    clock.turn();
    await settled();
    expect(await presence.list('room')).toEqual([]);
  });

  it('[INS-14] states of many people are told some at a time', async () => {
    const { clock, people, room, said } = setUp();
    const large = new Uint8Array(60_000).fill(0x20);
    const everybody = Array.from({ length: 10 }, (_, client) => person(client, 1, large));
    room.changes = everybody;
    people.statesChanged();
    clock.turn();
    const told = said().map((content) =>
      content.kind === 'awareness' ? readAwareness(content.update).map(({ client }) => client) : [],
    );
    expect(told).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
  });

  it('[INS-6] an instance that leaves is told to the room once, and is a new one when it is back', async () => {
    const { people, hear, hearStates, events, did } = setUp();
    hearStates(person(1));
    hear({ kind: 'gone' });
    people.peerLeft('other');
    people.peerLeft('nobody');
    hearStates(person(1));
    expect(did()).toEqual(['other: 1', 'other left', 'other: 1']);
    expect(events).toEqual(['peer other', 'peer other']);
  });

  it('[INS-6] states of those who are here are told at the end of the turn, then every 10 ms, and kept present', async () => {
    const { clock, presence, people, room, said } = setUp();
    const change = (...entries: AwarenessEntry[]) => {
      room.changes = entries;
      people.statesChanged();
    };
    change(person(1));
    expect(said()).toEqual([]);
    clock.turn();
    await settled();
    expect(said()).toEqual([{ kind: 'awareness', update: encodeAwareness([person(1)]) }]);
    expect(await presence.list('room')).toMatchObject([{ ...person(1), instance: 'this' }]);
    change(person(1, 2));
    clock.advance(9);
    expect(said()).toEqual([]);
    change(person(1, 2, NULL_STATE));
    clock.advance(1);
    await settled();
    const gone = [person(1, 2, NULL_STATE)];
    expect(said()).toEqual([{ kind: 'awareness', update: encodeAwareness(gone) }]);
    expect(await presence.list('room')).toEqual([]);
  });
});

describe('[INS-8] who holds a client', () => {
  it('[INS-8] another is asked once; without an answer in 3 s it does not', async () => {
    const { clock, room, hearStates, did, said } = setUp();
    hearStates(person(1));
    did();
    const peer = room.peers.get('other')!;
    peer.probe(1);
    peer.probe(1);
    expect(said()).toEqual([{ kind: 'probe', instance: 'other', client: 1 }]);
    clock.advance(2_999);
    expect(did()).toEqual([]);
    clock.advance(1);
    expect(did()).toEqual(['other: 1 gone']);
  });

  it('[INS-8] while it says so, or its states arrive, it does', async () => {
    const { clock, room, hear, hearStates, did } = setUp();
    hearStates(person(1));
    const peer = room.peers.get('other')!;
    peer.probe(1);
    hear({ kind: 'held', client: 1 });
    clock.advance(5_000);
    peer.probe(1);
    hearStates(person(1, 2));
    clock.advance(5_000);
    expect(did()).toEqual(['other: 1', 'other: 1']);
  });

  it('[INS-8] what a third says of it is no answer', async () => {
    const { clock, room, hear, hearStates, did } = setUp();
    hearStates(person(1));
    did();
    room.peers.get('other')!.probe(1);
    hear({ kind: 'held', client: 1 }, 'third');
    hear({ kind: 'awareness', update: encodeAwareness([person(1, 0)]) }, 'third');
    did();
    clock.advance(3_000);
    expect(did()).toEqual(['other: 1 gone']);
  });

  it('[INS-8] when it is asked itself it looks, and says what it finds', async () => {
    const { room, hear, did, said } = setUp();
    room.sessions.add(1);
    hear({ kind: 'probe', instance: 'another', client: 1 });
    expect([did(), said()]).toEqual([[], []]);
    hear({ kind: 'probe', instance: 'this', client: 1 });
    expect([did(), said()]).toEqual([['probe 1'], [{ kind: 'held', client: 1 }]]);
    hear({ kind: 'probe', instance: 'this', client: 2 });
    expect(said()).toEqual([
      { kind: 'awareness', update: encodeAwareness([person(2, 0, NULL_STATE)]) },
    ]);
  });

  it('[INS-8] who is claimed by another instance is asked for a sign of life', async () => {
    const { room, hearStates, did } = setUp();
    room.sessions.add(1);
    hearStates(person(1), person(2));
    expect(did()).toEqual(['other: 1', 'other: 2', 'probe 1']);
  });

  it('[INS-9] an instance has written what it typed, not what was pasted', async () => {
    const { room, people, hearStates } = setUp();
    hearStates(person(1));
    const peer = room.peers.get('other')!;
    const [small, large] = [typed('x'), typed('x'.repeat(5_000))];
    people.wrote('other', [small, large]);
    const author = (update: Uint8Array) => parseUpdate(update).blocks[0]!.client;
    expect([peer.hasWritten(author(small)), peer.hasWritten(author(large))]).toEqual([true, false]);
  });
});
