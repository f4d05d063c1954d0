/** One room's link with the others: a room, a relay and a store that do as the test says. */

import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RoomStandIn } from '../test/room-stand-in.js';
import { gate, settled, typed } from '../test/support.js';
import { encodeAwareness, NULL_STATE } from './awareness.js';
import { ManualClock } from './clock.js';
import { Workers } from './compact/workers.js';
import { Link } from './link.js';
import { Measures } from './measures.js';
import { PresenceKeeper } from './presence/keeper.js';
import { MemoryPresence, PresenceHub } from './presence/memory.js';
import type { PresentPerson } from './presence/presence.js';
import { type Content, encodeEnvelope } from './relay/envelope.js';
import { Snapshots } from './snapshots.js';
import { MemoryStorage } from './storage/memory.js';
import { parseUpdate } from './update/parse.js';

const STATE = new TextEncoder().encode('{}');
const bytes = (seq: number) => Uint8Array.of(seq);
const person = (client: number, clock = 1, state = STATE) => ({ client, clock, state });

/** Counts what it is asked; answers when it is let. */
class AskedStorage extends MemoryStorage {
  primary = { id: 0 };
  checks = 0;

  checkPrimary(): void {
    this.checks++;
  }

  asked = 0;
  held: Promise<void> | undefined;
  fails = false;

  override async since(name: string, seq: number) {
    this.asked++;
    const entries = await super.since(name, seq);
    await this.held;
    if (this.fails) throw new Error('away');
    return entries;
  }
}

/** Without a thread. */
class NoWorkers extends Workers {
  override async diff(): Promise<undefined> {
    return undefined;
  }
}

function setUp() {
  const clock = new ManualClock();
  const storage = new AskedStorage();
  const workers = new NoWorkers({ threads: 1, budget: 600_000, memory: 128 });
  onTestFinished(() => workers.close());
  const snapshots = new Snapshots({ storage, workers, maxBytes: 1_000_000 });
  const logger = pino({ level: 'silent' });
  const presence = new MemoryPresence(new PresenceHub(clock));
  const keeper = new PresenceKeeper({ presence, instance: 'this', clock, logger, ttl: 15_000 });
  onTestFinished(() => keeper.close());
  const room = new RoomStandIn();
  const published: Content[] = [];
  const events: string[] = [];
  const list = { people: async (): Promise<readonly PresentPerson[]> => [] };
  let listener: ((message: Uint8Array) => void) | undefined;
  const subscribed = gate();
  const measures = new Measures().relay;
  const link = new Link('room', {
    instance: 'this',
    subscribe: (onMessage) => {
      listener = onMessage;
      return { ready: subscribed.opened, close: () => void events.push('unsubscribed') };
    },
    publish: (content) => void published.push(content),
    listPresent: () => list.people(),
    keeper,
    storage,
    snapshots,
    workers,
    measures,
    clock,
    logger,
    onHeard: ({ origin }) => void events.push(`heard ${origin}`),
    isLeaving: () => false,
    onPeer: (instance) => void events.push(`peer ${instance}`),
    onClose: () => void events.push('closed'),
  });
  const hear = (content: Content, origin = 'other') =>
    listener!(encodeEnvelope({ origin, sentAt: 0, primary: 0, content }));
  const hearUpdates = (first: number, count = 1) =>
    hear({
      kind: 'updates',
      first,
      updates: Array.from({ length: count }, (_, i) => typed(`${first + i}`)),
    });
  let batches = 0;
  const store = (count: number) => {
    const entries = Array.from({ length: count }, () => ({ update: bytes(0), author: '' }));
    return storage.append({ number: ++batches, appends: [{ room: 'room', entries }] });
  };
  const compact = (seq: number) => {
    const snapshot = { seq, update: bytes(1), stateVector: bytes(0), deletes: bytes(0) };
    return storage.compact('room', { base: 0, snapshot, quarantined: [] });
  };
  /** Time for a hole to be filled. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  const attached = async () => {
    await link.attach(room);
    return room;
  };
  const did = () => room.did.splice(0);
  const said = () => published.splice(0);
  return {
    ...{ clock, storage, room, link, measures, list, events, subscribed },
    ...{ hear, hearUpdates, store, compact, pass, attached, did, said },
  };
}

describe('[INS-17] entries of another server', () => {
  it('[INS-17] are not taken for those of the own one, and have it looked for', async () => {
    const { storage, hear, hearUpdates, attached, did } = setUp();
    await attached();
    storage.primary = { id: 7 };
    hearUpdates(1, 2);
    hear({ kind: 'head', seq: 5 });
    hear({ kind: 'snapshot', seq: 5 });
    hear({ kind: 'lost' });
    expect(did()).toEqual([]);
    expect(storage.checks).toBe(4);
    // Who is there is nobody's affair but theirs.
    hear({ kind: 'who' });
    expect(storage.checks).toBe(4);
    storage.primary = { id: 0 };
    hearUpdates(1, 2);
    expect(did()).toEqual(['applied 1', 'applied 2']);
  });
});

describe('[INS-3] what is missing', () => {
  it('[INS-3] what arrives while the room is loaded is applied behind what was loaded', async () => {
    const { hearUpdates, attached, did } = setUp();
    hearUpdates(1, 2);
    await attached();
    expect(did()).toEqual(['applied 1', 'applied 2']);
  });

  it('[INS-3] a hole is filled from the store after 100 ms, and not when it has closed by itself', async () => {
    const { storage, hearUpdates, store, attached, pass, did } = setUp();
    await attached();
    await store(4);
    hearUpdates(2);
    await pass(99);
    hearUpdates(1);
    await pass(1_000);
    expect([did(), storage.asked]).toEqual([['applied 1', 'applied 2'], 0]);
    hearUpdates(4);
    await pass(99);
    expect(did()).toEqual([]);
    await pass(1);
    expect([did(), storage.asked]).toEqual([['applied 3', 'applied 4'], 1]);
  });

  it('[MET-7] a hole and the question to the store are counted; entries that come by themselves are neither', async () => {
    const { measures, hearUpdates, store, attached, pass } = setUp();
    await attached();
    await store(3);
    hearUpdates(2);
    await pass(99);
    hearUpdates(1);
    await pass(1_000);
    expect([measures.holes, measures.repairs]).toEqual([0, 0]);
    hearUpdates(4);
    await pass(100);
    expect([measures.holes, measures.repairs]).toEqual([1, 1]);
  });

  it('[INS-3] nor while entries go on arriving', async () => {
    const { storage, hearUpdates, store, attached, pass } = setUp();
    await attached();
    await store(9);
    for (let seq = 1; seq < 9; seq += 2) {
      hearUpdates(seq + 2);
      await pass(60);
      hearUpdates(seq, 2);
      await pass(60);
    }
    expect(storage.asked).toBe(0);
  });

  it('[INS-3] an own commit behind entries that have not arrived asks the store for them', async () => {
    const { room, link, store, attached, pass, did } = setUp();
    await attached();
    await store(2);
    room.places.admitted();
    room.places.committed(2, 1);
    link.committed(2, [bytes(2)]);
    await pass(100);
    expect([did(), room.head]).toEqual([['applied 1'], 2]);
  });

  it('[INS-3] what is heard of while the store is asked is asked for next', async () => {
    const { storage, room, hear, store, attached, pass } = setUp();
    await attached();
    await store(2);
    const { opened, open } = gate();
    storage.held = opened;
    hear({ kind: 'snapshot', seq: 2 });
    await pass(100);
    await store(2);
    hear({ kind: 'snapshot', seq: 4 });
    await pass(1_000);
    expect([storage.asked, room.head]).toEqual([1, 0]);
    open();
    await settled();
    await pass(100);
    expect([storage.asked, room.head]).toEqual([2, 4]);
  });

  it('[INS-3] what the store does not have either is not asked for again and again', async () => {
    const { storage, room, link, hear, store, attached, pass } = setUp();
    await attached();
    hear({ kind: 'snapshot', seq: 9 });
    await pass(100);
    expect(storage.asked).toBe(1);
    await store(1);
    room.places.admitted();
    room.places.committed(1, 1);
    link.committed(1, [bytes(1)]);
    await pass(1_000);
    expect(storage.asked).toBe(1);
  });

  it('[INS-3] a store that fails is asked again', async () => {
    const { storage, link, room, store, attached, pass } = setUp();
    await attached();
    await store(1);
    storage.fails = true;
    link.checkHead({ lastSeq: 1, snapshotSeq: 0, life: 0, generation: 0 }, 0);
    await pass(100);
    storage.fails = false;
    expect([storage.asked, room.head]).toEqual([1, 0]);
    link.checkHead({ lastSeq: 1, snapshotSeq: 0, life: 0, generation: 0 }, 0);
    await pass(100);
    expect([storage.asked, room.head]).toEqual([2, 1]);
  });

  it('[INS-3] entries that the log does not have are passed over', async () => {
    const { storage, room, hear, store, attached, pass, did } = setUp();
    await attached();
    await store(3);
    const since = storage.since.bind(storage);
    storage.since = async (...args) => (await since(...args))?.filter(({ seq }) => seq !== 2);
    hear({ kind: 'snapshot', seq: 3 });
    await pass(100);
    expect([did(), room.head]).toEqual([['applied 1', 'applied 3'], 3]);
  });

  it('[INS-3] a message that cannot be used stops none of those behind it', async () => {
    const { hear, hearUpdates, attached, did } = setUp();
    await attached();
    hear({ kind: 'awareness', update: Uint8Array.of(9, 9) });
    hear({ kind: 'updates', first: 1, updates: [Uint8Array.of(9, 9)] });
    hearUpdates(1);
    expect(did()).toEqual(['applied 1']);
  });

  it('[INS-3] what this instance has sent itself is not for it', async () => {
    const { hear, events, attached, did } = setUp();
    await attached();
    hear({ kind: 'updates', first: 1, updates: [typed('x')] }, 'this');
    hear({ kind: 'gone' }, 'this');
    expect([did(), events]).toEqual([[], []]);
  });
});

describe('[INS-5] what is in a snapshot by now', () => {
  it('[INS-5] is taken from there, and what lies behind it from the log', async () => {
    const { room, hear, store, compact, attached, pass, did } = setUp();
    await attached();
    await store(4);
    await compact(3);
    hear({ kind: 'snapshot', seq: 3 });
    await pass(100);
    expect(did()).toEqual(['merged 3', 'adopted 3', 'applied 4']);
    expect([room.head, room.snapshotSeq]).toEqual([4, 3]);
  });

  it('[INS-5] a snapshot that the room reaches is adopted, whoever tells of it', async () => {
    for (const how of ['message', 'head check'] as const) {
      const { link, hear, hearUpdates, store, compact, attached, did } = setUp();
      await attached();
      await store(2);
      hearUpdates(1, 2);
      await compact(2);
      did();
      if (how === 'message') hear({ kind: 'snapshot', seq: 2 });
      else link.checkHead({ lastSeq: 2, snapshotSeq: 2, life: 0, generation: 0 }, 2);
      await settled();
      expect(did()).toEqual(['adopted 2']);
      link.checkHead({ lastSeq: 2, snapshotSeq: 2, life: 0, generation: 0 }, 2);
      await settled();
      expect(did()).toEqual([]);
    }
  });

  it('[INS-5] whoever needs the newest snapshot gets it at once, also beyond the head', async () => {
    const { link, room, store, compact, attached, did } = setUp();
    await attached();
    await store(3);
    await compact(3);
    await link.refresh(room);
    expect(did()).toEqual(['merged 3', 'adopted 3']);
  });

  it('[INS-14] what is too large to be relayed is told of, and read from the store at once', async () => {
    const { link, hear, store, attached, did, said } = setUp();
    await attached();
    const [half, more] = [new Uint8Array(128 * 1024), new Uint8Array(128 * 1024 + 1)];
    link.committed(1, [half, half]);
    link.committed(3, [half, more]);
    expect(said()).toEqual([
      { kind: 'updates', first: 1, updates: [half, half] },
      { kind: 'head', seq: 4 },
    ]);
    await store(2);
    hear({ kind: 'head', seq: 2 });
    await settled();
    expect(did()).toEqual(['applied 1', 'applied 2']);
  });

  it('[INS-15] that the store went back is told to all, and heard', async () => {
    const { link, hear, attached, did, said } = setUp();
    await attached();
    link.lost();
    expect([said(), did()]).toEqual([[{ kind: 'lost' }], []]);
    hear({ kind: 'lost' });
    expect(did()).toEqual(['lost']);
  });

  it('[INS-5] one that was made here is told of', async () => {
    const { link, attached, said } = setUp();
    await attached();
    link.compacted(7);
    expect(said()).toEqual([{ kind: 'snapshot', seq: 7 }]);
  });
});

describe('[INS-10] how far the store goes', () => {
  it('[INS-10] less than the room went when it was asked: it has lost entries', async () => {
    const { link, hearUpdates, attached, did } = setUp();
    await attached();
    hearUpdates(1, 3);
    did();
    // What has come since the question says nothing.
    link.checkHead({ lastSeq: 2, snapshotSeq: 0, life: 0, generation: 0 }, 2);
    expect(did()).toEqual([]);
    link.checkHead({ lastSeq: 2, snapshotSeq: 0, life: 0, generation: 0 }, 3);
    expect(did()).toEqual(['lost']);
  });

  it('[DEL-3] a later life than that of the room: it was removed, also where it goes further by now', async () => {
    const { link, storage, room, store, hearUpdates, attached, pass, did } = setUp();
    await attached();
    await store(2);
    hearUpdates(1, 2);
    did();
    link.checkHead({ lastSeq: 2, snapshotSeq: 0, life: 0, generation: 0 }, 2);
    expect(did()).toEqual([]);
    link.checkHead({ lastSeq: 4, snapshotSeq: 4, life: 4, generation: 9 }, 2);
    expect(did()).toEqual(['deleted']);
    await storage.remove('room');
    await storage.revive('room');
    // Whoever comes to look for what is missing finds it, too.
    await link.refresh(room);
    expect(did()).toEqual(['deleted']);
    hearUpdates(5);
    await pass(100);
    expect(did()).toEqual(['deleted']);
    room.life = 4;
    room.generation = (await storage.snapshot('room'))!.generation;
    await link.refresh(room);
    expect(did()).toEqual(['merged 4', 'applied 5', 'adopted 4']);
  });

  it('[DEL-12] another generation than that of the room, in the same life or an earlier one: another store is in its place', async () => {
    const { link, storage, room, store, hearUpdates, attached, did } = setUp();
    await attached();
    await store(2);
    hearUpdates(1, 2);
    did();
    for (const generation of [3, 9]) {
      link.checkHead({ lastSeq: 4, snapshotSeq: 0, life: 0, generation }, 2);
      expect(did()).toEqual(['lost']);
    }
    room.life = 7;
    room.generation = 9;
    link.checkHead({ lastSeq: 4, snapshotSeq: 0, life: 0, generation: 0 }, 2);
    expect(did()).toEqual(['lost']);
    await storage.remove('room', 8);
    // A refresh that looks for what is missing finds it, too, and takes over nothing of it.
    await link.refresh(room);
    expect(did()).toEqual(['lost']);
  });

  it('[INS-4] further than the room: it asks for what it lacks', async () => {
    const { link, store, attached, pass, did } = setUp();
    await attached();
    await store(2);
    link.checkHead({ lastSeq: 2, snapshotSeq: 0, life: 0, generation: 0 }, 0);
    await pass(100);
    expect(did()).toEqual(['applied 1', 'applied 2']);
  });
});

describe('[INS-6] its people', () => {
  const present = (instance: string, client: number) => ({ ...person(client), since: 0, instance });

  it('[INS-6] a room is open once those who are present are known, for a second at most', async () => {
    const { clock, link, room, list, subscribed, did } = setUp();
    const steps: string[] = [];
    const opening = (async () => {
      await link.ready();
      steps.push('ready');
      await link.attach(room);
      steps.push('attached');
    })();
    list.people = async () => [present('other', 1), present('this', 2)];
    await settled();
    expect(steps).toEqual([]);
    subscribed.open();
    await opening;
    expect(did()).toEqual(['other: 1']);
    expect(clock.pending).toBe(1);

    const slow = setUp();
    slow.list.people = () => new Promise(() => undefined);
    let isOpen = false;
    const late = (async () => {
      await slow.link.ready();
      await slow.link.attach(slow.room);
      isOpen = true;
    })();
    await slow.pass(1_000);
    await slow.pass(999);
    expect(isOpen).toBe(false);
    await slow.pass(1);
    await late;
  });

  it('[INS-9] whoever has typed what arrives is known to have', async () => {
    const { room, hear, attached } = setUp();
    await attached();
    hear({ kind: 'awareness', update: encodeAwareness([person(1)]) });
    const update = typed('x');
    hear({ kind: 'updates', first: 1, updates: [update] });
    const { client } = parseUpdate(update).blocks[0]!;
    expect(room.peers.get('other')!.hasWritten(client)).toBe(true);
  });

  it('[INS-6] a link that closes says its last, and leaves nothing behind', async () => {
    const { clock, link, room, hear, hearUpdates, events, attached, said, did } = setUp();
    await attached();
    hearUpdates(2);
    room.peers.clear();
    hear({ kind: 'awareness', update: encodeAwareness([person(1)]) });
    room.peers.get('other')!.probe(1);
    events.length = 0;
    did();
    said();
    room.changes = [person(3, 1, NULL_STATE)];
    link.people.statesChanged();
    link.close();
    link.close();
    expect(said()).toEqual([
      { kind: 'awareness', update: encodeAwareness([person(3, 1, NULL_STATE)]) },
    ]);
    expect(events).toEqual(['unsubscribed', 'closed']);
    hearUpdates(1);
    room.changes = [person(4)];
    link.people.statesChanged();
    clock.turn();
    expect([did(), said()]).toEqual([[], []]);
    // The keeper's tick.
    expect(clock.pending).toBe(1);
  });
});
