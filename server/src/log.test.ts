import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { withSeed } from '../test/histories.js';
import { ManualClock } from './clock.js';
import { Log, type LogRoom } from './log.js';
import { Measures } from './measures.js';
import { MemoryStorage } from './storage/memory.js';
import type { Batch } from './storage/storage.js';

/** A store whose commits end when and how the test says. */
class ScriptedStorage extends MemoryStorage {
  readonly commits: {
    batch: Batch;
    end: (how?: 'taken' | 'refused' | 'unknown') => Promise<void>;
  }[] = [];

  override async append(batch: Batch): Promise<readonly number[]> {
    return await new Promise((resolve, reject) => {
      this.commits.push({
        batch,
        end: async (how = 'taken') => {
          const seqs = how === 'refused' ? [] : await super.append(batch);
          if (how === 'taken') resolve(seqs);
          else reject(new Error('disk full'));
          await settled();
        },
      });
    });
  }
}

async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function setUp(maxUnsavedBytes = 1_000_000) {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const logger = pino({ level: 'silent' });
  const log = new Log({
    storage,
    clock,
    logger,
    commitInterval: 10,
    maxUnsavedBytes,
    random: () => 0,
    measures: new Measures().log,
  });
  const room = (name: string) => {
    const saved: number[] = [];
    let overflowed = 0;
    let deleted = 0;
    let written = 0;
    const port: LogRoom = {
      name,
      life: 0,
      generation: 0,
      committed: (first, entries) => void saved.push(first + entries.length - 1),
      deleted: () => void deleted++,
      overflowed: () => void overflowed++,
    };
    return {
      port,
      saved,
      get overflowed() {
        return overflowed;
      },
      get deleted() {
        return deleted;
      },
      write: (size = 1) =>
        log.append(port, { update: new Uint8Array(size), author: `${++written}` }),
    };
  };
  return { clock, storage, log, room };
}

const contents = ({ number, appends }: Batch) => [
  number,
  ...appends.map(({ room, entries }) => `${room}:${entries.map(({ author }) => author)}`),
];

describe('[LOG] group commit', () => {
  it('[INS-18] what is on its way when the store fails over is owned by nobody until it is claimed, and is owed until then', async () => {
    const { clock, storage, log, room } = setUp();
    const [a, b] = [room('a'), room('b')];
    a.write();
    clock.turn();
    b.write();
    let isFlushed = false;
    void log.flush().then(() => {
      isFlushed = true;
    });
    const bytes = log.unsavedBytes;
    log.strand();
    // The server before has taken it after all; that says nothing any more.
    await storage.commits[0]!.end();
    clock.advance(100);
    expect([a.saved, storage.commits.length, log.stranded]).toEqual([[], 1, ['a', 'b']]);
    expect(log.unsavedBytes).toBe(bytes);
    expect(log.unsaved).toEqual([
      { room: 'a', updates: 1 },
      { room: 'b', updates: 1 },
    ]);
    const claimed = log.claim('a', 0);
    expect(claimed).toHaveLength(1);
    log.append(room('a').port, claimed[0]!);
    clock.advance(100);
    await storage.commits[1]!.end();
    expect(isFlushed).toBe(false);
    // Another document has the room's name: what was admitted to the one before is nobody's.
    expect(log.claim('b', 5)).toEqual([]);
    clock.turn();
    await settled();
    expect([isFlushed, log.unsavedBytes, log.stranded]).toEqual([true, 0, []]);
  });

  it('[DEL-12] what was admitted to a document goes into no other one, whichever came first', async () => {
    const { log, room } = setUp();
    const entry = { update: new Uint8Array(1), author: '1' };
    const strand = (name: string, generation: number) => {
      log.append({ ...room(name).port, generation }, entry);
      log.strand();
    };
    for (const [own, other] of [
      [0, 5],
      [5, 0],
      [5, 7],
      [7, 5],
    ] as const) {
      strand('a', own);
      expect(log.claim('a', other)).toEqual([]);
      strand('a', own);
      expect(log.claim('a', own)).toEqual([entry]);
    }
    expect(log.stranded).toEqual([]);
  });

  it('[INS-18] a new server is not made to wait for the retry that the one before had earned', async () => {
    const { clock, storage, log, room } = setUp();
    room('a').write();
    clock.turn();
    for (let failure = 0; failure < 10; failure++) {
      await storage.commits[failure]!.end('refused');
      clock.advance(5_000);
    }
    await storage.commits.at(-1)!.end('refused');
    const { length } = storage.commits;
    log.strand();
    expect(log.failing).toBe(false);
    const b = room('b');
    b.write();
    clock.advance(10);
    expect(storage.commits.slice(length).map(({ batch }) => batch.appends[0]?.room)).toEqual(['b']);
    await storage.commits.at(-1)!.end();
    expect(b.saved).toEqual([1]);
  });

  it.each(['taken', 'refused'] as const)(
    '[INS-18] a commit of before that is %s late says nothing of the new server, and what waits goes to that one',
    async (how) => {
      const { clock, storage, log, room } = setUp();
      const [a, b] = [room('a'), room('b')];
      a.write();
      clock.turn();
      log.strand();
      b.write();
      clock.advance(100);
      await storage.commits[0]!.end(how);
      clock.advance(10);
      expect([log.failing, a.saved, storage.commits.length]).toEqual([false, [], 2]);
      await storage.commits[1]!.end();
      expect(b.saved).toEqual([1]);
    },
  );

  it('[INS-18] a flush waits for what nobody has claimed, also where nothing came of what was claimed', async () => {
    const { clock, log, room } = setUp();
    for (const name of ['a', 'b']) room(name).write();
    let isFlushed = false;
    void log.flush().then(() => {
      isFlushed = true;
    });
    log.strand();
    log.claim('a', 5);
    clock.turn();
    await settled();
    expect(isFlushed).toBe(false);
    log.claim('b', 5);
    clock.turn();
    await settled();
    expect(isFlushed).toBe(true);
  });

  it('[LOG-1] what one turn appends to all rooms is one commit, at the end of the turn', () => {
    const { clock, storage, room } = setUp();
    const [a, b] = [room('a'), room('b')];
    a.write();
    b.write();
    a.write();
    expect(storage.commits.length).toBe(0);
    clock.turn();
    expect(contents(storage.commits[0]!.batch)).toEqual([1, 'a:1,2', 'b:1']);
  });

  it('[LOG-2] one commit is in flight at a time, and the next begins 10 ms after the last began', async () => {
    const { clock, storage, room } = setUp();
    const a = room('a');
    a.write();
    clock.turn();
    a.write();
    clock.advance(50);
    expect(storage.commits.length).toBe(1);
    await storage.commits[0]!.end();
    clock.turn();
    expect(storage.commits.length).toBe(2);
    await storage.commits[1]!.end();
    a.write();
    clock.advance(9);
    expect(storage.commits.length).toBe(2);
    clock.advance(1);
    expect(storage.commits.length).toBe(3);
  });

  it('[LOG-3] a room hears "saved" after its commit has ended, never before', async () => {
    const { clock, storage, room } = setUp();
    const a = room('a');
    a.write();
    a.write();
    clock.turn();
    await settled();
    expect(a.saved).toEqual([]);
    await storage.commits[0]!.end();
    expect(a.saved).toEqual([2]);
  });

  it('[LOG-9] a room that was removed hears that in the place of "saved", and the others of the commit are saved', async () => {
    const { clock, storage, log, room } = setUp();
    const [a, b] = [room('a'), room('b')];
    a.write();
    b.write();
    clock.turn();
    const flushed = log.flush();
    await storage.commits[0]!.end('refused');
    await storage.remove('a');
    clock.advance(100);
    await storage.commits[1]!.end();
    expect([a.saved, a.deleted, b.saved, b.deleted]).toEqual([[], 1, [1], 0]);
    await flushed;
    expect(log.unsavedBytes).toBe(0);
  });

  it('[LOG-4] a failed commit is tried again as it was, at growing intervals, before what came since', async () => {
    const { clock, storage, log, room } = setUp();
    const a = room('a');
    a.write();
    clock.turn();
    a.write();
    await storage.commits[0]!.end('refused');
    expect(log.failing).toBe(true);
    expect(a.saved).toEqual([]);
    clock.advance(49);
    expect(storage.commits.length).toBe(1);
    clock.advance(1);
    expect(contents(storage.commits[1]!.batch)).toEqual([1, 'a:1']);
    await storage.commits[1]!.end('refused');
    clock.advance(99);
    expect(storage.commits.length).toBe(2);
    clock.advance(1);
    await storage.commits[2]!.end();
    expect(a.saved).toEqual([1]);
    clock.advance(10);
    expect(contents(storage.commits[3]!.batch)).toEqual([2, 'a:2']);
    await storage.commits[3]!.end();
    expect(a.saved).toEqual([1, 2]);
    expect(log.failing).toBe(false);
    expect(log.unsavedBytes).toBe(0);
  });

  it('[LOG-4] however often it fails, it is tried again after 5 s at most', async () => {
    const { clock, storage, room } = setUp();
    room('a').write();
    clock.turn();
    for (let failure = 0; failure < 10; failure++) {
      await storage.commits[failure]!.end('refused');
      clock.advance(5_000);
      expect(storage.commits.length).toBe(failure + 2);
    }
  });

  it('[LOG-5] past its bound a room is told, and the log counts down again once it is saved', async () => {
    const { clock, storage, log, room } = setUp(2_000);
    const a = room('a');
    a.write(1_000);
    expect(a.overflowed).toBe(0);
    a.write(1_000);
    expect([a.overflowed, log.full]).toEqual([1, true]);
    clock.turn();
    await storage.commits[0]!.end();
    expect(log.full).toBe(false);
  });

  it('[LOG-5] a flood of tiny updates is bounded by what each of them costs', () => {
    const { log, room } = setUp(2_000);
    const a = room('a');
    for (let i = 0; i < 9; i++) a.write();
    expect(log.full).toBe(false);
    a.write();
    expect([a.overflowed, log.full]).toEqual([1, true]);
  });

  it('[LOG-6] flush waits for everything, through failures', async () => {
    const { clock, storage, log, room } = setUp();
    const a = room('a');
    a.write();
    let flushed = false;
    const flush = log.flush().then(() => {
      flushed = true;
    });
    clock.turn();
    await storage.commits[0]!.end('refused');
    clock.advance(1_000);
    expect(flushed).toBe(false);
    await storage.commits[1]!.end();
    await flush;
    await log.flush();
  });

  it('[LOG-6] flush waits for what was appended while a commit was in flight', async () => {
    const { clock, storage, log, room } = setUp();
    const a = room('a');
    a.write();
    clock.turn();
    a.write();
    const flushed: string[] = [];
    const early = log.flush().then(() => flushed.push('early'));
    await storage.commits[0]!.end();
    const late = log.flush().then(() => flushed.push('late'));
    await settled();
    expect(flushed).toEqual([]);
    clock.advance(10);
    await storage.commits[1]!.end();
    await Promise.all([early, late]);
  });

  it('[LOG-8] a commit holds 10,000 entries at most, and each room once, in whatever rooms they wait', async () => {
    const { clock, storage, log, room } = setUp(100_000_000);
    const [one, other] = [room('a'), room('b')];
    // A room that was lost and the one in its place have one name.
    const again = room('a');
    for (let i = 0; i < 10_001; i++) one.write();
    again.write();
    other.write();
    let isFlushed = false;
    void log.flush().then(() => {
      isFlushed = true;
    });
    clock.turn();
    const sizes: number[][] = [];
    for (let i = 0; i < storage.commits.length; i++) {
      const { batch, end } = storage.commits[i]!;
      expect(new Set(batch.appends.map(({ room: name }) => name)).size).toBe(batch.appends.length);
      sizes.push(batch.appends.map(({ entries }) => entries.length));
      expect(isFlushed).toBe(false);
      await end();
      clock.advance(10);
    }
    expect(sizes).toEqual([[10_000], [1, 1], [1]]);
    expect(isFlushed).toBe(true);
    expect(log.unsavedBytes).toBe(0);
  });

  it('[LOG-7] whatever fails and whenever, each room is stored in order and whole', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), room: fc.nat(2) }),
      fc.record({
        kind: fc.constant('end' as const),
        how: fc.constantFrom('taken' as const, 'refused' as const, 'unknown' as const),
      }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(300) }),
    );
    await withSeed(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, storage, room } = setUp();
        const rooms = ['a', 'b', 'c'].map(room);
        const written = [0, 0, 0];
        let ended = 0;
        const end = async (how: 'taken' | 'refused' | 'unknown') => {
          const commit = storage.commits[ended];
          if (commit === undefined) return;
          ended++;
          await commit.end(how);
        };
        for (const what of steps) {
          if (what.kind === 'write') {
            rooms[what.room]!.write();
            written[what.room]!++;
          } else if (what.kind === 'end') await end(what.how);
          else clock.advance(what.ms);
          for (const [i, name] of ['a', 'b', 'c'].entries()) {
            // Neither doubled nor out of order, also when an outcome was not known.
            const stored = (await storage.load(name)).tail.map(({ author }) => Number(author));
            expect(stored).toEqual(Array.from({ length: stored.length }, (_, n) => n + 1));
            expect(rooms[i]!.saved.at(-1) ?? 0).toBeLessThanOrEqual(stored.length);
          }
        }
        for (let i = 0; i < 6; i++) {
          clock.advance(10_000);
          await end('taken');
        }
        for (const [i, name] of ['a', 'b', 'c'].entries()) {
          expect((await storage.load(name)).lastSeq).toBe(written[i]);
          expect(rooms[i]!.saved.at(-1) ?? 0).toBe(written[i]);
        }
      }),
    );
  });
});
