/**
 * What every storage adapter must do, as tests. An adapter's own test file only
 * calls this; it is exported so that others can prove theirs.
 */
import type { Append, LogEntry, Snapshot, Storage } from './storage.js';

/** The parts of a test framework that the suite needs: Vitest's and Jest's names. */
export interface TestFramework {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
  afterEach(body: () => Promise<void>): void;
  expect(value: unknown): {
    toEqual(expected: unknown): void;
    toBe(expected: unknown): void;
  };
}

/** A store that a test has for itself. */
export interface StoreUnderTest {
  /** Opens it; again after {@link Storage.close}, with all that it held before. */
  open(): Promise<Storage>;
  /** Frees what it took; the storage is closed by then. */
  dispose(): Promise<void>;
  /** False for a store that forgets when it is closed. */
  readonly survivesClose: boolean;
}

export function storageContract(
  framework: TestFramework,
  name: string,
  create: () => Promise<StoreUnderTest>,
): void {
  const { describe, it, afterEach, expect } = framework;
  let under: StoreUnderTest | undefined;
  let storage: Storage | undefined;

  const start = async (): Promise<Storage> => {
    under = await create();
    storage = await under.open();
    return storage;
  };
  const reopen = async (): Promise<Storage> => {
    if (under?.survivesClose) {
      await storage!.close();
      storage = await under.open();
    }
    return storage!;
  };

  describe(`[STO] storage contract: ${name}`, () => {
    afterEach(async () => {
      await storage?.close();
      await under?.dispose();
      storage = undefined;
      under = undefined;
    });

    it('[STO-1] a room that was never written is empty', async () => {
      const store = await start();
      expect(await store.load('new')).toEqual({
        snapshot: undefined,
        tail: [],
        damaged: [],
        lastSeq: 0,
      });
      expect(await store.readSnapshot('new', 0)).toBe(undefined);
      expect(await store.since('new', 0)).toEqual([]);
      expect(await store.quarantined('new')).toEqual([]);
    });

    it('[STO-2] what was appended is there, in order, after it is opened again', async () => {
      const first = await start();
      await first.append([append('a', 1, 2), append('b', 1, 1)]);
      await first.append([append('a', 3, 3)]);
      const store = await reopen();
      const { tail, lastSeq } = await store.load('a');
      expect(tail.map(plain)).toEqual(append('a', 1, 3).entries.map(plain));
      expect(lastSeq).toBe(3);
      expect((await store.since('a', 1)).map(plain)).toEqual(append('a', 2, 3).entries.map(plain));
      expect((await store.load('b')).lastSeq).toBe(1);
    });

    it('[STO-3] the same append twice is one', async () => {
      const store = await start();
      await store.append([append('a', 1, 3)]);
      await store.append([append('a', 1, 3)]);
      expect((await store.load('a')).tail.length).toBe(3);
    });

    it('[STO-4] many updates of many rooms in one batch', async () => {
      const store = await start();
      const batch = Array.from({ length: 50 }, (_, r) => append(`room ${r}`, 1, 40));
      await store.append(batch);
      for (const { room, entries } of batch) {
        expect((await store.load(room)).tail.map(plain)).toEqual(entries.map(plain));
      }
    });

    it('[STO-5] a compaction takes the place of its base and of what it holds, and keeps the rest', async () => {
      const first = await start();
      await first.append([append('a', 1, 5)]);
      expect(await first.compact('a', { base: 0, snapshot: snapshot(3, 9), quarantined: [] })).toBe(
        true,
      );
      await first.append([append('a', 6, 6)]);
      const store = await reopen();
      const room = await store.load('a');
      const meta = room.snapshot!;
      expect({ seq: meta.seq, size: meta.size }).toEqual({ seq: 3, size: 9 });
      expect([...meta.stateVector]).toEqual([...bytes(3, 2)]);
      expect([...meta.deletes]).toEqual([...bytes(3, 4)]);
      expect(room.tail.map(({ seq }) => seq)).toEqual([4, 5, 6]);
      expect(room.lastSeq).toBe(6);
      expect([...(await store.readSnapshot('a', 3))!]).toEqual([...bytes(3, 9)]);
    });

    it("[STO-6] a compaction of a base that is not the room's any more changes nothing", async () => {
      const store = await start();
      await store.append([append('a', 1, 4)]);
      await store.compact('a', { base: 0, snapshot: snapshot(2, 5), quarantined: [] });
      expect(await store.compact('a', { base: 0, snapshot: snapshot(4, 7), quarantined: [] })).toBe(
        false,
      );
      expect((await store.load('a')).snapshot?.seq).toBe(2);
      expect((await store.load('a')).tail.map(({ seq }) => seq)).toEqual([3, 4]);
      expect(await store.compact('a', { base: 2, snapshot: snapshot(4, 7), quarantined: [] })).toBe(
        true,
      );
      expect(await store.readSnapshot('a', 2)).toBe(undefined);
      expect((await store.readSnapshot('a', 4))?.length).toBe(7);
    });

    it('[STO-7] of two compactions at once one wins and nothing is lost', async () => {
      const store = await start();
      await store.append([append('a', 1, 4)]);
      const won = await Promise.all([
        store.compact('a', { base: 0, snapshot: snapshot(3, 5), quarantined: [] }),
        store.compact('a', { base: 0, snapshot: snapshot(4, 5), quarantined: [] }),
      ]);
      expect(won.filter(Boolean).length).toBe(1);
      const room = await store.load('a');
      expect(room.tail.map(({ seq }) => seq)).toEqual(won[0] ? [4] : []);
    });

    it('[STO-8] an append while a compaction is written is behind the snapshot', async () => {
      const store = await start();
      await store.append([append('a', 1, 4)]);
      await Promise.all([
        store.compact('a', { base: 0, snapshot: snapshot(4, 5), quarantined: [] }),
        store.append([append('a', 5, 7)]),
      ]);
      expect((await store.load('a')).tail.map(({ seq }) => seq)).toEqual([5, 6, 7]);
    });

    it('[STO-9] what is quarantined is kept', async () => {
      const first = await start();
      await first.append([append('a', 1, 3)]);
      const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
      await first.compact('a', { base: 0, snapshot: snapshot(3, 5), quarantined: [set] });
      const store = await reopen();
      expect((await store.quarantined('a')).map(plain)).toEqual([plain(set)]);
      expect(await store.quarantined('b')).toEqual([]);
    });

    it('[STO-10] a removed room is gone, and no other', async () => {
      const first = await start();
      await first.append([append('a', 1, 3), append('ab', 1, 3)]);
      await first.compact('a', { base: 0, snapshot: snapshot(2, 5), quarantined: [] });
      await first.remove('a');
      const store = await reopen();
      expect((await store.load('a')).lastSeq).toBe(0);
      expect((await store.load('ab')).lastSeq).toBe(3);
    });

    it('[STO-11] names that look alike or like paths are rooms of their own', async () => {
      const store = await start();
      const names = [
        'a',
        'a/',
        'a/b',
        '../a',
        'a*',
        '*',
        '?',
        '__proto__',
        'constructor',
        'é',
        'e\u0301x',
        'A',
        'a ',
        '😀',
        'x'.repeat(256),
        'x'.repeat(255),
        'a:1',
        'a\u007fb',
      ];
      await store.append(names.map((room, i) => append(room, 1, i + 1)));
      for (const [i, room] of names.entries()) expect((await store.load(room)).lastSeq).toBe(i + 1);
      await store.remove('a');
      expect((await store.load('a/')).lastSeq).toBe(2);
    });

    it('[STO-12] bytes come back as they went in, and belong to the caller', async () => {
      const store = await start();
      const large = bytes(7, 3_000_000);
      await store.append([{ room: 'a', entries: [{ seq: 1, update: large, author: '' }] }]);
      const once = (await store.load('a')).tail[0]!.update;
      expect(Buffer.compare(once, bytes(7, 3_000_000))).toBe(0);
      once.fill(0);
      const again = (await store.load('a')).tail[0]!.update;
      expect(Buffer.compare(again, bytes(7, 3_000_000))).toBe(0);
    });
  });
}

function append(room: string, from: number, to: number): Append {
  const entries: LogEntry[] = [];
  for (let seq = from; seq <= to; seq++) {
    entries.push({ seq, update: bytes(seq, 10 + (seq % 7)), author: `author ${seq}` });
  }
  return { room, entries };
}

function snapshot(seq: number, size: number): Snapshot {
  return { seq, update: bytes(seq, size), stateVector: bytes(seq, 2), deletes: bytes(seq, 4) };
}

function bytes(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);
}

function plain<T extends { update: Uint8Array }>(entry: T) {
  return { ...entry, update: Buffer.from(entry.update).toString('base64') };
}
