/** Rooms that were open once: what is left of them. */
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { compact } from '../src/compact/job.js';
import { Workers } from '../src/compact/workers.js';
import { Crowd } from '../src/crowd.js';
import { chooseDialect } from '../src/dialect.js';
import { Instances } from '../src/instances.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { Log } from '../src/log.js';
import { Measures } from '../src/measures.js';
import { Merges } from '../src/merges.js';
import { MemoryPresence } from '../src/presence/memory.js';
import { MemoryRelay } from '../src/relay/memory.js';
import type { Member, Room } from '../src/room.js';
import { Rooms } from '../src/rooms.js';
import { Snapshots } from '../src/snapshots.js';
import { MemoryStorage } from '../src/storage/memory.js';
import type { Batch, Head, SnapshotMeta, StoredRoom } from '../src/storage/storage.js';
import { parseUpdate } from '../src/update/parse.js';
import { memoryUsed } from './memory-used.js';
import { typed } from './support.js';

const { dialect } = chooseDialect(new Set());
const CLIENT = 7;
/** The clock sorts all that waits for it whenever something is due. */
const AT_ONCE = 100;
const IDLE_MS = 1_000;

const document = new Y.Doc();
document.clientID = CLIENT;
document.getText('t').insert(0, 'a page');
const merged = compact({ snapshot: undefined, updates: [Y.encodeStateAsUpdate(document)] });
const { update: SNAPSHOT, ...ABOUT } = merged;

/** Has a small document under every name, and keeps nothing of what it is given. */
class EndlessStorage extends MemoryStorage {
  readonly #meta: SnapshotMeta = {
    ...{ seq: 3, size: SNAPSHOT.length, life: 0, generation: 0, writtenAt: 0 },
    ...{ stateVector: ABOUT.stateVector, deletes: ABOUT.deletes },
  } as SnapshotMeta;

  override async load(): Promise<StoredRoom> {
    return { snapshot: this.#meta, tail: [], damaged: [], lastSeq: 3, isDeleted: false };
  }

  override async readSnapshot(): Promise<Uint8Array> {
    return SNAPSHOT.slice();
  }

  override async append({ appends }: Batch): Promise<readonly number[]> {
    return appends.map(() => 4);
  }

  override async compact(): Promise<boolean> {
    return true;
  }

  override async heads(names: readonly string[]): Promise<readonly Head[]> {
    return names.map(() => ({ lastSeq: 3, snapshotSeq: 3, life: 0, generation: 0 }));
  }
}

/** Somebody who takes whatever is sent. */
function member(): Member {
  const nothing = () => undefined;
  return {
    ...{ author: 'ada', shownAs: undefined, receivedAt: 0, dialect },
    connection: { send: nothing, buffered: 0, isOpen: true },
    ...{
      hasWritten: () => true,
      mayWrite: () => true,
      send: nothing,
      close: nothing,
      saved: () => true,
    },
    ...{ probe: nothing, retry: nothing, guard: (act: () => void) => act() },
  } as unknown as Member;
}

function setUp() {
  const clock = new ManualClock();
  const logger = pino({ level: 'silent' });
  const storage = new EndlessStorage();
  const workers = new Workers({ threads: 1, budget: 1_000, memory: 128 });
  workers.diffInPieces = async () => [SNAPSHOT.slice()];
  workers.compact = async () => ({ ...merged, update: SNAPSHOT.slice() });
  const measures = new Measures();
  const limits = DEFAULT_LIMITS;
  const snapshots = new Snapshots({ storage, workers, maxBytes: limits.snapshotCacheBytes });
  const instances = new Instances({
    ...{ storage, snapshots, workers, clock, logger, measures: measures.relay },
    relay: new MemoryRelay(),
    presence: new MemoryPresence(),
    presenceTtl: limits.presenceTtlMs,
    headCheck: limits.headCheckMs,
    onRelayed: () => undefined,
    onOrder: () => undefined,
  });
  const log = new Log({
    ...{ storage, clock, logger, measures: measures.log, random: () => 0 },
    ...{ commitInterval: 10, maxUnsavedBytes: 1e6 },
  });
  const rooms = new Rooms({
    ...{ storage, workers, clock, logger, snapshots, instances, log },
    merges: new Merges({ storage, workers, logger }),
    fanout: { clock, highWater: 1e6, patience: 1_000, measures: measures.fanout },
    compactions: measures.compaction,
    awareness: { maxStateBytes: 1_000, maxClients: 10, maxDepth: 10, onLimit: () => undefined },
    maxDocumentBytes: 1e6,
    ...{ onQuarantine: () => undefined, onSaved: undefined },
    ...{ idle: IDLE_MS, loadTimeout: 30_000 },
  });
  const crowd = new Crowd(limits, clock);
  onTestFinished(async () => {
    rooms.close();
    await instances.close();
    await workers.close();
  });
  return { clock, rooms, crowd, instances };
}

type World = ReturnType<typeof setUp>;

/** One after the other comes, reads all, or what it lacks, is seen, types, and goes. */
async function visit({ rooms, crowd }: World, i: number): Promise<void> {
  const name = `a page of somebody, number ${i}`;
  const user = `user ${i}`;
  const about = { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, user, room: name };
  crowd.mayTry(about.address);
  crowd.enter(about);
  const room: Room = await rooms.open(name);
  const somebody = member();
  room.enter(somebody);
  // Every fourth has a part of it already.
  await room.joining.answer(somebody, i % 4 === 0 ? Uint8Array.of(1, CLIENT, 2) : Uint8Array.of(0));
  const state = new TextEncoder().encode('{"user":{"name":"Ada"}}');
  room.present(somebody, [{ client: i + 1, clock: 1, state }]);
  if (i % 4 === 0) room.write(somebody, parseUpdate(typed('x')));
  room.leave(somebody);
  crowd.leave(about, i % 4 === 0 ? 5 : 0);
}

describe('[LIM-14] rooms that nobody is in any more', () => {
  it('[LIM-14] 50,000 that were opened and left cost nothing', { timeout: 300_000 }, async () => {
    const used = memoryUsed();
    const world = setUp();
    const { clock, rooms, instances } = world;
    let i = 0;
    const open = async (count: number) => {
      for (let some = 0; some < count; some += AT_ONCE) {
        await Promise.all(Array.from({ length: AT_ONCE }, () => visit(world, i++)));
        // Their edits are saved, and then their time is over.
        for (let step = 0; step < 5 && rooms.size > 0; step++) {
          clock.advance(IDLE_MS);
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect([rooms.size, instances.presenceKeys]).toEqual([0, 0]);
      }
    };
    // What is bounded by a number is full by then: attempts and debts of 10,000.
    await open(20_000);
    const before = await used();
    await open(30_000);
    const each = ((await used()) - before) / 30_000;
    console.info(`[LIM-14] ${each.toFixed(0)} bytes a room`);
    expect(each).toBeLessThan(80);
  });
});
