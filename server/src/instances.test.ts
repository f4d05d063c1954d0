/** Instances that meet in memory, by a clock that the test moves. */

import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoomStandIn } from '../test/room-stand-in.js';
import { gate, settled } from '../test/support.js';
import { encodeAwareness } from './awareness.js';
import { ManualClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { Instances } from './instances.js';
import { Measures } from './measures.js';
import { MemoryPresence, PresenceHub } from './presence/memory.js';
import { type Content, encodeEnvelope } from './relay/envelope.js';
import { MemoryHub, MemoryRelay } from './relay/memory.js';
import { Snapshots } from './snapshots.js';
import { MemoryStorage } from './storage/memory.js';
import type { Head } from './storage/storage.js';

const STATE = new TextEncoder().encode('{}');
const TTL = 6_000;
/** Every sixth of it an instance says that it is there; after nine tenths of silence it is gone. */
const BEAT = 1_000;
const GONE = 5_400;

/** Can be open and carry nothing. */
class TestRelay extends MemoryRelay {
  isDeaf = false;
  reconnects = 0;

  override receiver(channel: string, message: Uint8Array) {
    return this.isDeaf ? undefined : super.receiver(channel, message);
  }

  override reconnect(): void {
    this.reconnects++;
  }
}

/** Answers when it is let. */
class TestStorage extends MemoryStorage {
  asked: (readonly string[])[] = [];
  held: Promise<void> | undefined;
  fails = false;

  override async heads(names: readonly string[]): Promise<readonly Head[]> {
    this.asked.push(names);
    const heads = await super.heads(names);
    await this.held;
    if (this.fails) throw new Error('away');
    return heads;
  }
}

function setUp() {
  const clock = new ManualClock();
  // So that there is a time before the first.
  clock.advance(BEAT);
  const hub = new MemoryHub(clock);
  const people = new PresenceHub(clock);
  const logger = pino({ level: 'silent' });
  const workers = new Workers({ threads: 1, budget: 600_000, memory: 128 });
  onTestFinished(() => workers.close());
  const shared = new MemoryStorage();
  const start = (at = hub) => {
    const storage = new TestStorage(shared);
    const relay = new TestRelay(at);
    const presence = new MemoryPresence(people);
    const relayed: [updates: number, lag: number][] = [];
    const measures = new Measures().relay;
    const instances = new Instances({
      relay,
      presence,
      storage,
      snapshots: new Snapshots({ storage, workers, maxBytes: 1_000 }),
      workers,
      measures,
      clock,
      logger,
      presenceTtl: TTL,
      headCheck: 3_600_000,
      onOrder: () => undefined,
      onRelayed: (updates, lag) => void relayed.push([updates, lag]),
    });
    onTestFinished(() => instances.close());
    const open = async (name = 'room') => {
      const room = new RoomStandIn(name);
      const link = instances.link(name);
      await link.attach(room);
      return { room, link };
    };
    return { instances, storage, relay, presence, relayed, measures, open };
  };
  const say = (origin: string, content: Content, channel = 'instances') =>
    hub.send(channel, encodeEnvelope({ origin, sentAt: clock.date() - 7, primary: 0, content }));
  return { clock, people, start, say };
}

const states = (...clients: number[]) =>
  encodeAwareness(clients.map((client) => ({ client, clock: 1, state: STATE })));

describe('[INS-7] who is there', () => {
  it('[INS-7] instances hear of each other by themselves, and stay', () => {
    const { clock, start } = setUp();
    const all = [start(), start(), start()];
    clock.advance(BEAT);
    expect(all.map(({ instances }) => instances.others)).toEqual([2, 2, 2]);
    clock.advance(60 * BEAT);
    expect(all.map(({ instances }) => instances.others)).toEqual([2, 2, 2]);
    expect(all.map(({ relay }) => relay.reconnects)).toEqual([0, 0, 0]);
  });

  it('[INS-7] one that is silent is gone with its people; when it is heard again, they are asked for', async () => {
    const { clock, people, start, say } = setUp();
    const { instances, open } = start();
    const { room } = await open();
    say('silent', { kind: 'awareness', update: states(1) }, 'room:room');
    clock.advance(GONE - BEAT);
    expect([instances.others, room.did.splice(0)]).toEqual([1, ['silent: 1']]);
    clock.advance(2 * BEAT);
    expect([instances.others, room.did.splice(0)]).toEqual([0, ['silent left']]);
    people.put('silent', { room: 'room', client: 1, clock: 1, since: 0, state: STATE }, TTL);
    say('silent', { kind: 'here' });
    clock.turn();
    await settled();
    expect([instances.others, room.did.splice(0)]).toEqual([1, ['silent: 1']]);
    say('silent', { kind: 'here' });
    clock.turn();
    await settled();
    expect(room.did).toEqual([]);
  });

  it('[INS-7] one that only the presence store remembers has to be heard of too', async () => {
    const { clock, people, start } = setUp();
    people.put('dead', { room: 'room', client: 1, clock: 1, since: 0, state: STATE }, TTL);
    const { instances, open } = start();
    const { room } = await open();
    expect([instances.others, room.did.splice(0)]).toEqual([1, ['dead: 1']]);
    clock.advance(GONE + BEAT);
    expect([instances.others, room.did.splice(0)]).toEqual([0, ['dead left']]);
  });

  it('[INS-6] one that closes says so, is gone at once, and its people with it', async () => {
    const { clock, start } = setUp();
    const [one, two] = [start(), start()];
    const { room } = await two.open();
    const here = await one.open();
    here.room.changes = [{ client: 1, clock: 1, state: STATE }];
    here.link.people.statesChanged();
    clock.advance(BEAT);
    await settled();
    expect(await two.presence.list('room')).toHaveLength(1);
    await one.instances.close();
    clock.turn();
    expect([two.instances.others, room.did.at(-1)]).toEqual([0, `${one.instances.id} left`]);
    expect(await two.presence.list('room')).toEqual([]);
    await two.instances.close();
    expect(clock.pending).toBe(0);
  });
});

describe('[FLT-10] a connection that carries nothing', () => {
  it('[FLT-10] is made anew when an instance has not heard itself for more than three times', () => {
    const { clock, start } = setUp();
    const { relay } = start();
    clock.advance(10 * BEAT);
    relay.isDeaf = true;
    clock.advance(3 * BEAT);
    expect(relay.reconnects).toBe(0);
    clock.advance(BEAT);
    expect(relay.reconnects).toBe(1);
    clock.advance(2 * BEAT);
    expect(relay.reconnects).toBe(1);
    relay.isDeaf = false;
    clock.advance(10 * BEAT);
    expect(relay.reconnects).toBe(1);
  });

  it('[INS-7] while nothing can be heard nobody is taken for gone', async () => {
    const { clock, start, say } = setUp();
    const { instances, relay, open } = start();
    const { room } = await open();
    say('other', { kind: 'awareness', update: states(1) }, 'room:room');
    clock.turn();
    relay.disconnect();
    clock.advance(10 * TTL);
    expect([instances.others, relay.reconnects, room.did]).toEqual([1, 0, ['other: 1']]);
    // Nor in the first moment after it.
    relay.connect();
    clock.advance(GONE - BEAT);
    expect(instances.others).toBe(1);
    clock.advance(2 * BEAT);
    expect(instances.others).toBe(0);
  });
});

describe('[RLY-19] a relay that carries only some', () => {
  it('[RLY-19] is told once and has its connections made again, until all who are there are heard', async () => {
    const { clock, start, say } = setUp();
    const [one, two] = [start(), start(new MemoryHub(clock))];
    const beat = async (times = 1) => {
      for (let i = 0; i < times; i++) {
        clock.advance(BEAT);
        await settled();
      }
    };
    const states = () => [one, two].map(({ instances }) => instances.state);
    await beat(3);
    expect(states()).toEqual(['connected', 'connected']);
    await beat(2);
    expect(states()).toEqual(['split', 'split']);
    expect([one.instances.unheard, one.instances.others]).toEqual([1, 0]);
    expect(one.relay.reconnects).toBe(1);
    // Nobody can be told everywhere.
    expect(one.instances.order({ kind: 'recheck', user: 'ada' })).toBe(false);
    // Again and again, but not with every beat.
    await beat(60);
    expect(one.relay.reconnects).toBeGreaterThan(3);
    expect(one.relay.reconnects).toBeLessThan(8);
    expect(states()).toEqual(['split', 'split']);
    say(two.instances.id, { kind: 'here' });
    await beat();
    expect(states()).toEqual(['connected', 'split']);
    // It is gone, and not out of reach.
    await one.instances.close();
    say(two.instances.id, { kind: 'here' });
    await beat(3);
    expect(two.instances.state).toBe('split');
  });

  it('[RLY-19] one that dies, or whose relay is away, is not taken for one that cannot be heard', async () => {
    const { clock, start } = setUp();
    const [one, two, three] = [start(), start(), start()];
    await two.instances.close();
    three.relay.disconnect();
    for (let i = 0; i < 20; i++) {
      clock.advance(BEAT);
      await settled();
    }
    expect(one.instances.state).toBe('connected');
    expect(three.instances.state).toBe('away');
    three.relay.connect();
    for (let i = 0; i < 20; i++) {
      clock.advance(BEAT);
      await settled();
    }
    expect([one, three].map(({ instances }) => instances.state)).toEqual([
      'connected',
      'connected',
    ]);
    expect([one, three].map(({ relay }) => relay.reconnects)).toEqual([0, 0]);
  });

  it('[RLY-19] a store that does not answer says nothing of the relay', async () => {
    const { clock, start } = setUp();
    const [one] = [start(), start(new MemoryHub(clock))];
    one.storage.heartbeat = async () => {
      throw new Error('away');
    };
    for (let i = 0; i < 20; i++) {
      clock.advance(BEAT);
      await settled();
    }
    expect(one.instances.state).toBe('connected');
  });
});

describe('[INS-4] what the relay may have lost', () => {
  it('[INS-4] after a gap the others hear of this instance, the store is asked, and every room says who is there', async () => {
    const { clock, start } = setUp();
    const [one, two] = [start(), start()];
    const [{ room }, elsewhere] = [await one.open(), await two.open()];
    room.sessions.add(7);
    one.relay.disconnect();
    one.relay.connect();
    clock.turn();
    await settled();
    expect(two.instances.others).toBe(1);
    expect(one.storage.asked).toEqual([['room']]);
    expect(elsewhere.room.did).toEqual([`${one.instances.id}: 7`]);
  });

  it('[INS-10] a head is compared with where the room was when the store was asked', async () => {
    const { clock, start } = setUp();
    const { storage, open } = start();
    const [a, b] = [await open('a'), await open('b')];
    const { opened, open: release } = gate();
    storage.held = opened;
    const entries = [1, 2].map(() => ({ update: Uint8Array.of(0), author: '' }));
    await storage.append({ number: 1, appends: [{ room: 'b', entries }] });
    b.room.arrived(1, [Uint8Array.of(0), Uint8Array.of(0)]);
    clock.advance(3_600_000);
    // Both went on while the store was asked, and it is not asked twice at once.
    b.room.arrived(3, [Uint8Array.of(0)]);
    a.room.arrived(1, [Uint8Array.of(0)]);
    clock.advance(3_600_000);
    expect(storage.asked).toEqual([['a', 'b']]);
    release();
    await settled();
    expect([a.room.did.at(-1), b.room.did.at(-1)]).toEqual(['applied 1', 'applied 3']);
    // By the next time the store does not have them.
    clock.advance(3_600_000);
    await settled();
    expect([a.room.did.at(-1), b.room.did.at(-1)]).toEqual(['lost', 'lost']);
  });

  it('[INS-4] a store that fails is asked again the next time; rooms that were closed are not asked for', async () => {
    const { clock, start } = setUp();
    const { storage, open } = start();
    const [, b] = [await open('a'), await open('b')];
    storage.fails = true;
    clock.advance(3_600_000);
    await settled();
    storage.fails = false;
    b.link.close();
    clock.advance(3_600_000);
    await settled();
    expect(storage.asked).toEqual([['a', 'b'], ['a']]);
  });

  it('[INS-3] how late entries of others arrive is told', async () => {
    const { clock, start, say } = setUp();
    const { relayed, open } = start();
    await open();
    const updates = [Uint8Array.of(0, 0), Uint8Array.of(0, 0)];
    say('other', { kind: 'updates', first: 1, updates }, 'room:room');
    say('other', { kind: 'here' });
    clock.turn();
    expect(relayed).toEqual([[2, 7]]);
  });

  it('[MET-7] how late it was, how often the relay was away and who is kept present is counted', async () => {
    const { clock, start, say } = setUp();
    const { measures, instances, relay, open } = start();
    const { room, link } = await open();
    say('other', { kind: 'updates', first: 1, updates: [Uint8Array.of(0, 0)] }, 'room:room');
    clock.turn();
    expect(measures.lag.sum).toBe(7);
    expect(measures.lag.counts[measures.lag.bounds.indexOf(10)]).toBe(1);
    relay.disconnect();
    expect(instances.isConnected).toBe(false);
    relay.connect();
    clock.turn();
    await settled();
    expect([measures.gaps, instances.isConnected]).toEqual([1, true]);
    room.changes.push({ client: 7, clock: 1, state: STATE });
    link.people.statesChanged();
    clock.advance(1_000);
    expect(instances.presenceKeys).toBe(1);
  });
});
