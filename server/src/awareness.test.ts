import { describe, expect, it } from 'vitest';
import * as protocol from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Awareness, encodeAwareness, readAwareness } from './awareness.js';

const limits = { maxStateBytes: 1_000, maxClients: 3, maxDepth: 100 };
const entry = (client: number, clock: number, state: unknown) => ({
  client,
  clock,
  state: new TextEncoder().encode(JSON.stringify(state)),
});

function shown(bytes: Uint8Array): protocol.Awareness {
  const awareness = new protocol.Awareness(new Y.Doc());
  awareness.setLocalState(null);
  protocol.applyAwarenessUpdate(awareness, bytes, 'test');
  awareness.destroy();
  return awareness;
}

describe('[AWR] awareness', () => {
  it('[AWR-1] reads what y-protocols writes, and writes what it reads', () => {
    const awareness = new protocol.Awareness(new Y.Doc());
    awareness.setLocalState({ name: 'Ada 😀' });
    const bytes = protocol.encodeAwarenessUpdate(awareness, [awareness.clientID]);
    awareness.destroy();
    expect(encodeAwareness(readAwareness(bytes))).toEqual(bytes);
    expect([...shown(bytes).getStates().values()]).toEqual([{ name: 'Ada 😀' }]);
  });

  it('[AWR-2] keeps the newest state of each client between two flushes', () => {
    const room = new Awareness<object>(limits);
    const ada = {};
    for (let clock = 1; clock <= 5; clock++) room.apply(ada, [entry(1, clock, { at: clock })]);
    expect(room.takeChanges().map(({ client, clock }) => [client, clock])).toEqual([[1, 5]]);
    expect(room.takeChanges()).toEqual([]);
  });

  it('[AWR-3] drops foreign and unchanged entries, and names the newer foreign ones', () => {
    const room = new Awareness<object>(limits);
    const [ada, bob] = [{}, {}];
    room.apply(ada, [entry(1, 3, { name: 'Ada' })]);
    room.takeChanges();
    expect(room.apply(bob, [entry(1, 3, { name: 'Ada' })])).toEqual([]);
    expect(room.apply(bob, [entry(1, 9, null)])).toEqual([]);
    expect(room.apply(bob, [entry(1, 4, { name: 'Bob' })]).map(({ client }) => client)).toEqual([
      1,
    ]);
    room.apply(ada, [entry(1, 2, { name: 'older' }), entry(1, 3, { name: 'equal' })]);
    expect(room.hasChanges).toBe(false);
  });

  it('[AWR-8] others are told clocks that only rise, however often a client is back with which clock', () => {
    const room = new Awareness<object>(limits);
    const watcher = new protocol.Awareness(new Y.Doc());
    watcher.setLocalState(null);
    const told: number[] = [];
    const tell = () =>
      protocol.applyAwarenessUpdate(watcher, encodeAwareness(room.takeChanges()), 'x');
    const clocks = [7, 7, 0, 3, 100, 2, 101];
    for (const [i, clock] of clocks.entries()) {
      const owner = {};
      room.apply(owner, [entry(1, clock, { i })], undefined, false, (_, shown) => told.push(shown));
      tell();
      expect(watcher.getStates().get(1)).toEqual({ i });
      // Counting on from its own clock, and not twice from one.
      room.apply(owner, [entry(1, clock + 1, { i, moved: true }), entry(1, clock + 1, { i: -1 })]);
      tell();
      expect(watcher.getStates().get(1)).toEqual({ i, moved: true });
      room.leave(owner);
      tell();
      expect(watcher.getStates().has(1)).toBe(false);
    }
    // Only those whose clock others would have ignored.
    expect(told).toEqual([9, 11, 13, 102, 104]);
    watcher.destroy();
  });

  it('[AWR-8] an instance that others tell of shows no clock either that people here would ignore', () => {
    const room = new Awareness<object>(limits, (owner) => owner === here);
    const here = {};
    room.apply(here, [entry(1, 50, { at: 'here' })]);
    room.leave(here);
    room.takeChanges();
    const peer = {};
    for (const clock of [3, 4, 4, 2, 60]) room.applyRemote(peer, [entry(1, clock, { clock })]);
    expect(room.present().map(({ clock }) => clock)).toEqual([60]);
    room.applyRemote(peer, [entry(1, 61, null)]);
    room.applyRemote(peer, [entry(1, 5, { back: true })]);
    expect(room.present().map(({ clock }) => clock)).toEqual([62]);
  });

  it('[AWR-4] who leaves is removed at the clock it had, which y-protocols takes as a removal', () => {
    const room = new Awareness<object>(limits);
    const ada = {};
    room.apply(ada, [entry(1, 7, { name: 'Ada' })]);
    const watcher = new protocol.Awareness(new Y.Doc());
    protocol.applyAwarenessUpdate(watcher, encodeAwareness(room.takeChanges()), 'x');
    expect(watcher.getStates().has(1)).toBe(true);
    room.leave(ada);
    protocol.applyAwarenessUpdate(watcher, encodeAwareness(room.takeChanges()), 'x');
    expect(watcher.getStates().has(1)).toBe(false);
    watcher.destroy();
    expect(room.size).toBe(0);
    const bob = {};
    room.apply(bob, [entry(1, 1, { name: 'free again' })]);
    expect(room.ownerOf(1)).toBe(bob);
  });

  it('[AWR-5] a state of null is gone, and its id is free', () => {
    const room = new Awareness<object>(limits);
    const ada = {};
    room.apply(ada, [entry(1, 1, { name: 'Ada' })]);
    room.apply(ada, [entry(1, 1, null)]);
    expect(room.present()).toEqual([]);
    expect(room.ownerOf(1)).toBeUndefined();
    room.apply(ada, [entry(1, 2, { name: 'back' })]);
    expect(room.present().length).toBe(1);
  });

  it('[AWR-3] an echo of somebody who has left does not bring them back, nor take their id', () => {
    const room = new Awareness<object>(limits);
    const [ada, bob, again] = [{}, {}, {}];
    room.apply(ada, [entry(1, 7, { name: 'Ada' })]);
    room.apply(bob, [entry(2, 1, { name: 'Bob' })]);
    room.leave(ada);
    room.apply(bob, [entry(1, 7, { name: 'Ada' })]);
    expect(room.ownerOf(1)).toBeUndefined();
    // She herself comes back with the clock she had.
    room.apply(again, [entry(1, 7, { name: 'Ada' })]);
    expect(room.ownerOf(1)).toBe(again);
  });

  describe('[INS-6] with others on other instances', () => {
    /** A room with a session of this instance, and two other instances. */
    function shared() {
      const [ada, one, two] = [{ here: true }, { here: false }, { here: false }];
      const room = new Awareness<{ here: boolean }>(limits, ({ here }) => here);
      const told = () => room.takeChangesHere().map(({ client, clock }) => [client, clock]);
      return { room, ada, one, two, told };
    }

    it('[INS-6] only the instance that holds somebody says that they are gone', () => {
      const { room, ada, one, two } = shared();
      room.apply(ada, [entry(1, 1, {})]);
      room.applyRemote(one, [entry(2, 4, {})]);
      room.applyRemote(two, [entry(1, 9, null), entry(2, 9, null), entry(3, 9, null)]);
      expect([room.ownerOf(1), room.ownerOf(2)]).toEqual([ada, one]);
      room.takeChanges();
      // A removal at an older clock would be nothing to y-protocols.
      room.applyRemote(one, [entry(2, 0, null)]);
      expect(room.takeChanges().map(({ client, clock }) => [client, clock])).toEqual([[2, 4]]);
    });

    it('[INS-8] what a session here holds is not given away', () => {
      const { room, ada, one } = shared();
      room.apply(ada, [entry(1, 1, { name: 'Ada' })]);
      expect(room.applyRemote(one, [entry(1, 9, {}), entry(2, 1, {})])).toEqual([1]);
      expect([room.ownerOf(1), room.ownerOf(2)]).toEqual([ada, one]);
    });

    it('[INS-8] between other instances a client moves with the clock it had, and is never older', () => {
      const { room, one, two } = shared();
      room.applyRemote(one, [entry(1, 5, { at: 'one' })]);
      room.takeChanges();
      room.applyRemote(one, [entry(1, 5, {}), entry(1, 4, {})]);
      room.applyRemote(two, [entry(1, 4, {})]);
      expect([room.hasChanges, room.ownerOf(1)]).toEqual([false, one]);
      room.applyRemote(two, [entry(1, 5, { at: 'two' })]);
      expect(room.ownerOf(1)).toBe(two);
      expect([[...room.heldBy(one)], [...room.heldBy(two)]]).toEqual([[], [1]]);
      // The first is gone, and does not take along who has left it.
      room.leave(one);
      expect(room.ownerOf(1)).toBe(two);
    });

    it('[INS-6] others are told once what sessions here have changed, and nothing else', () => {
      const { room, ada, one, told } = shared();
      room.apply(ada, [entry(1, 1, {}), entry(2, 1, {})]);
      room.applyRemote(one, [entry(3, 1, {})]);
      expect(told()).toEqual([
        [1, 1],
        [2, 1],
      ]);
      expect(told()).toEqual([]);
      room.apply(ada, [entry(1, 2, null)]);
      expect(told()).toEqual([[1, 2]]);
      room.leave(one);
      expect(told()).toEqual([]);
      room.leave(ada);
      expect(told()).toEqual([[2, 1]]);
    });

    it('[INS-6] who has moved to another instance before it was told is left to that', () => {
      const { room, ada, one, told } = shared();
      room.apply(ada, [entry(1, 1, {})]);
      room.leave(ada);
      room.applyRemote(one, [entry(1, 1, {})]);
      expect(told()).toEqual([]);
    });

    it('[INS-16] an instance speaks for whom its sessions hold, and for nobody else', () => {
      const { room, ada, one } = shared();
      room.apply(ada, [entry(1, 1, {})]);
      room.applyRemote(one, [entry(2, 1, {})]);
      expect(room.here()).toEqual([entry(1, 1, {})]);
    });
  });

  it('[AWR-6] bounds states, ids and clocks', () => {
    const room = new Awareness<object>(limits);
    const ada = {};
    room.apply(ada, [entry(1, 1, 'x'.repeat(2_000)), entry(2, 2 ** 33, {})]);
    expect(room.size).toBe(0);
    for (let client = 0; client < 10; client++) room.apply(ada, [entry(client, 1, {})]);
    expect(room.size).toBe(3);
  });

  it('[AWR-7] refuses what is cut short, over-declared or has bytes behind it', () => {
    const bytes = encodeAwareness([entry(1, 1, {}), entry(2, 1, {})]);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readAwareness(bytes.subarray(0, length))).toThrow();
    }
    expect(() => readAwareness(Uint8Array.of(...bytes, 0))).toThrow();
    expect(() => readAwareness(Uint8Array.of(0xff, 0xff, 0x7f))).toThrow();
  });
});

describe('[DRN-6] a client on its way to another instance', () => {
  const state = (text: string) => new TextEncoder().encode(text);
  function setUp() {
    const limits = { maxStateBytes: 1_000, maxClients: 10, maxDepth: 10 };
    const moving = new Set<number>();
    const [here, there, ada] = [{ name: 'here' }, { name: 'there' }, { name: 'ada' }];
    const room = new Awareness<{ name: string }>(
      limits,
      (owner) => owner !== there,
      (owner, client) => owner === there && moving.has(client),
    );
    room.applyRemote(there, [{ client: 1, clock: 5, state: state('{"a":1}') }]);
    room.takeChanges();
    return { room, moving, here, there, ada };
  }

  it('[DRN-6] is taken over from whoever let it go, and was never gone', () => {
    const { room, moving, there, ada } = setUp();
    const newer = { client: 1, clock: 6, state: state('{"a":2}') };
    expect(room.apply(ada, [newer])).toEqual([{ ...newer, isReturn: false, told: 5 }]);
    expect(room.ownerOf(1)).toBe(there);
    moving.add(1);
    expect(room.apply(ada, [newer])).toEqual([]);
    expect(room.ownerOf(1)).toBe(ada);
    expect(room.takeChanges()).toEqual([newer]);
    room.leave(there);
    expect(room.present()).toHaveLength(1);
  });

  it('[DRN-6] at the clock it had only by who introduces itself, for others echo that; and by nobody who says it is gone', () => {
    const { room, moving, there, here, ada } = setUp();
    moving.add(1);
    room.apply(here, [{ client: 2, clock: 1, state: state('{}') }]);
    room.apply(here, [{ client: 1, clock: 5, state: state('{"a":1}') }]);
    room.apply(ada, [{ client: 1, clock: 9, state: state('null') }]);
    room.apply(ada, [{ client: 1, clock: 4, state: state('{"a":0}') }]);
    expect(room.ownerOf(1)).toBe(there);
    room.apply(ada, [{ client: 1, clock: 5, state: state('{"a":1}') }]);
    expect(room.ownerOf(1)).toBe(ada);
  });

  it('[DRN-6] what a session held is passed on unseen', () => {
    const { room, here, ada } = setUp();
    room.apply(ada, [{ client: 3, clock: 1, state: state('{}') }]);
    room.takeChanges();
    room.pass(ada, here);
    room.leave(ada);
    expect([room.ownerOf(3), room.hasChanges]).toEqual([here, false]);
    expect([...room.heldBy(here)]).toEqual([3]);
  });
});
