/**
 * What every storage adapter must do, as tests. An adapter's own test file only
 * calls this; it is exported so that others can prove theirs.
 */
import type { Append, Batch, Listing, LogEntry, Snapshot, Storage, StoredRoom } from './storage.js';

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
  const next = counter();

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
        isDeleted: false,
      });
      expect(await store.readSnapshot('new', 0)).toBe(undefined);
      expect(await store.since('new', 0)).toEqual([]);
      expect(await store.quarantined('new')).toEqual([]);
    });

    it('[STO-2] what was appended is there, in order, after it is opened again', async () => {
      const first = await start();
      expect(await first.append(next(append('a', 1, 2), append('b', 1, 1)))).toEqual([1, 1]);
      expect(await first.append(next(append('a', 3, 3)))).toEqual([3]);
      const store = await reopen();
      const { tail, lastSeq } = await store.load('a');
      expect(tail.map(plain)).toEqual(logged(1, 3));
      expect(lastSeq).toBe(3);
      expect((await store.since('a', 1))?.map(plain)).toEqual(logged(2, 3));
      expect((await store.load('b')).lastSeq).toBe(1);
    });

    it('[STO-3] a batch tried again under its number is written once', async () => {
      const store = await start();
      const batch = next(append('a', 1, 3), append('b', 1, 1));
      expect(await store.append(batch)).toEqual([1, 1]);
      expect(await store.append(batch)).toEqual([1, 1]);
      expect((await store.load('a')).tail.map(plain)).toEqual(logged(1, 3));
      expect(await store.append(next(append('a', 4, 4)))).toEqual([4]);
    });

    it('[STO-4] many updates of many rooms in one batch', async () => {
      const store = await start();
      const batch = Array.from({ length: 50 }, (_, r) => append(`room ${r}`, 1, 40));
      expect(await store.append(next(...batch))).toEqual(batch.map(() => 1));
      for (const { room } of batch) {
        expect((await store.load(room)).tail.map(plain)).toEqual(logged(1, 40));
      }
    });

    it('[STO-5] a compaction takes the place of its base and of what it holds, and keeps the rest', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 5)));
      const before = Date.now();
      expect(await first.compact('a', { base: 0, snapshot: snapshot(3, 9), quarantined: [] })).toBe(
        true,
      );
      await first.append(next(append('a', 6, 6)));
      const after = Date.now();
      const store = await reopen();
      const room = await store.load('a');
      const meta = room.snapshot!;
      const { writtenAt = 0 } = meta;
      expect(before <= writtenAt && writtenAt <= after).toBe(true);
      expect((await store.snapshot('a'))?.writtenAt).toBe(meta.writtenAt);
      expect({ seq: meta.seq, size: meta.size }).toEqual({ seq: 3, size: 9 });
      expect([...meta.stateVector]).toEqual([...bytes(3, 2)]);
      expect([...meta.deletes]).toEqual([...bytes(3, 4)]);
      expect(room.tail.map(({ seq }) => seq)).toEqual([4, 5, 6]);
      expect(room.lastSeq).toBe(6);
      expect([...(await store.readSnapshot('a', 3))!]).toEqual([...bytes(3, 9)]);
      expect((await store.snapshot('a'))?.seq).toBe(3);
      expect(await store.snapshot('b')).toBe(undefined);
    });

    it("[STO-6] a compaction of a base that is not the room's any more changes nothing", async () => {
      const store = await start();
      await store.append(next(append('a', 1, 4)));
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
      await store.append(next(append('a', 1, 4)));
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
      await store.append(next(append('a', 1, 4)));
      await Promise.all([
        store.compact('a', { base: 0, snapshot: snapshot(4, 5), quarantined: [] }),
        store.append(next(append('a', 5, 7))),
      ]);
      expect((await store.load('a')).tail.map(({ seq }) => seq)).toEqual([5, 6, 7]);
    });

    it('[STO-9] what is quarantined is kept', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 3)));
      const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
      await first.compact('a', { base: 0, snapshot: snapshot(3, 5), quarantined: [set] });
      const store = await reopen();
      expect((await store.quarantined('a')).map(plain)).toEqual([plain(set)]);
      expect(await store.quarantined('b')).toEqual([]);
    });

    it('[CMP-17] what is remembered of merging a room is kept, and gone with what was in it', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 1), append('b', 1, 1)));
      expect(await first.mergeNote('a')).toBe(undefined);
      const about = { life: 0, size: 9, memory: 5, deaths: 0, by: 'me', until: 3 };
      const begun = { ...about, state: 'begun' as const, needs: 0 };
      const tooLarge = { ...about, state: 'too-large' as const, needs: 7 };
      await first.noteMerge('a', begun);
      await first.noteMerge('a', tooLarge);
      await first.noteMerge('b', begun);
      await first.noteMerge('b', undefined);
      const store = await reopen();
      expect(await store.mergeNote('a')).toEqual(tooLarge);
      expect(await store.mergeNote('b')).toBe(undefined);
      // No part of the log, and no room by itself.
      expect((await store.load('a')).lastSeq).toBe(1);
      await store.remove('a');
      expect(await store.mergeNote('a')).toBe(undefined);
    });

    it('[STO-10] a removed room is gone, and no other', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 3), append('ab', 1, 3)));
      await first.compact('a', { base: 0, snapshot: snapshot(2, 5), quarantined: [] });
      await first.remove('a');
      const store = await reopen();
      expect((await store.load('a')).isDeleted).toBe(true);
      const { lastSeq, isDeleted } = await store.load('ab');
      expect([lastSeq, isDeleted]).toEqual([3, false]);
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
      await store.append(next(...names.map((room, i) => append(room, 1, i + 1))));
      for (const [i, room] of names.entries()) expect((await store.load(room)).lastSeq).toBe(i + 1);
      await store.remove('a');
      expect((await store.load('a/')).lastSeq).toBe(2);
    });

    it('[STO-12] bytes come back as they went in, and belong to the caller', async () => {
      const store = await start();
      const large = bytes(7, 3_000_000);
      await store.append(next({ room: 'a', entries: [{ update: large, author: '' }] }));
      const once = (await store.load('a')).tail[0]!.update;
      expect(Buffer.compare(once, bytes(7, 3_000_000))).toBe(0);
      once.fill(0);
      const again = (await store.load('a')).tail[0]!.update;
      expect(Buffer.compare(again, bytes(7, 3_000_000))).toBe(0);
    });

    it('[STO-13] says what is behind a seq, unless a snapshot has taken its place', async () => {
      const store = await start();
      await store.append(next(append('a', 1, 5)));
      await store.compact('a', { base: 0, snapshot: snapshot(3, 5), quarantined: [] });
      expect(await store.since('a', 2)).toBe(undefined);
      expect((await store.since('a', 3))?.map(({ seq }) => seq)).toEqual([4, 5]);
      expect(await store.since('a', 5)).toEqual([]);
    });

    it('[STO-14] says how far many rooms go', async () => {
      const store = await start();
      await store.append(next(append('a', 1, 5), append('b', 1, 2)));
      await store.compact('a', { base: 0, snapshot: snapshot(5, 5), quarantined: [] });
      expect(await store.heads(['b', 'never', 'a'])).toEqual([
        { lastSeq: 2, snapshotSeq: 0, life: 0, generation: 0 },
        { lastSeq: 0, snapshotSeq: 0, life: 0, generation: 0 },
        { lastSeq: 5, snapshotSeq: 5, life: 0, generation: 0 },
      ]);
      // A log that is all snapshot goes on behind it.
      expect(await store.append(next(append('a', 6, 6)))).toEqual([6]);
    });

    it('[STO-53] of a removed room nothing is left but that it is deleted, whether or not it was ever written', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 5)));
      const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
      await first.compact('a', { base: 0, snapshot: snapshot(3, 9), quarantined: [set] });
      await first.remove('a', 9);
      await first.remove('never', 11);
      // Once more is no more.
      await first.remove('a');
      const store = await reopen();
      expect(plainRoom(await store.load('a'))).toEqual(empty(6, true));
      expect(plainRoom(await store.load('never'))).toEqual(empty(1, true));
      expect(await store.quarantined('a')).toEqual([]);
      expect(await store.readSnapshot('a', 3)).toBe(undefined);
      expect([...(await store.readSnapshot('a', 6))!]).toEqual([0, 0]);
      expect(await store.since('a', 4)).toBe(undefined);
      expect(await store.since('a', 6)).toEqual([]);
      expect(await store.heads(['a', 'never'])).toEqual([
        { lastSeq: 6, snapshotSeq: 6, life: 6, generation: 9 },
        { lastSeq: 1, snapshotSeq: 1, life: 1, generation: 11 },
      ]);
    });

    it('[STO-54] what is appended to a deleted room is not written, and the rest of its batch is', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 2), append('b', 1, 2)));
      await first.remove('a');
      const batch = next(append('b', 3, 3), append('a', 3, 4), append('c', 1, 1));
      expect(await first.append(batch)).toEqual([3, 0, 1]);
      // A retry is told the same, also once the room is back.
      expect(await first.append(batch)).toEqual([3, 0, 1]);
      expect(await first.append(next(append('a', 3, 4)))).toEqual([0]);
      await first.revive('a');
      const last = next(append('a', 3, 4), append('b', 4, 4));
      expect(await first.append(last)).toEqual([0, 4]);
      expect(await first.append(last)).toEqual([0, 4]);
      const store = await reopen();
      expect((await store.load('a')).tail).toEqual([]);
      expect((await store.load('b')).tail.map(plain)).toEqual(logged(1, 4));
      expect((await store.load('c')).tail.map(plain)).toEqual(logged(1, 1));
    });

    it('[STO-55] a compaction of what was removed changes nothing', async () => {
      const store = await start();
      await store.append(next(append('a', 1, 4), append('b', 1, 4)));
      await store.compact('b', { base: 0, snapshot: snapshot(2, 5), quarantined: [] });
      const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
      for (const [room, base] of [['a', 0] as const, ['b', 2] as const]) {
        const late = { base, snapshot: snapshot(4, 7), quarantined: [set] };
        await store.remove(room);
        expect(await store.compact(room, late)).toBe(false);
        expect(plainRoom(await store.load(room))).toEqual(empty(5, true));
        await store.revive(room);
        expect(await store.compact(room, late)).toBe(false);
        expect(plainRoom(await store.load(room))).toEqual(empty(6, false));
        expect(await store.quarantined(room)).toEqual([]);
      }
    });

    it('[STO-55] of a removal and what is on its way at the same moment either comes first', async () => {
      const store = await start();
      for (let round = 0; round < 20; round++) {
        const room = `room ${round}`;
        await store.append(next(append(room, 1, 4)));
        const late = { base: 0, snapshot: snapshot(4, 7), quarantined: [] };
        let first: number | undefined;
        const calls = [
          async () => store.remove(room),
          async () => {
            // One turn more each round, so that it falls into every part of what the others do.
            for (let turn = 0; turn < round; turn++) await undefined;
            [first] = await store.append(next(append(room, 5, 6)));
          },
          async () => store.compact(room, late),
        ];
        await Promise.all((round % 2 === 0 ? calls : calls.reverse()).map((call) => call()));
        const loaded = await store.load(room);
        const { lastSeq } = loaded;
        expect(plainRoom(loaded)).toEqual(empty(lastSeq, true));
        expect([first, lastSeq]).toEqual(first === 0 ? [0, 5] : [5, 7]);
      }
    });

    it('[STO-56] a revived room is empty, its seqs go on, and it may be written, compacted and removed again', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 3)));
      expect([await first.revive('a'), await first.revive('never')]).toEqual([false, false]);
      await first.remove('a');
      expect(await first.revive('a')).toBe(true);
      expect(await first.revive('a')).toBe(false);
      const again = await reopen();
      expect(plainRoom(await again.load('a'))).toEqual(empty(5, false));
      const admitted = { ...append('a', 6, 8), life: 5 };
      expect(await again.append(next(admitted, append('b', 1, 1)))).toEqual([6, 1]);
      // By somebody who has not heard.
      expect(await again.append(next(append('a', 9, 9)))).toEqual([0]);
      expect(await again.append(next({ ...append('a', 9, 9), life: 5 }))).toEqual([9]);
      const compaction = { base: 5, snapshot: snapshot(8, 9), quarantined: [] };
      expect(await again.compact('a', compaction)).toBe(true);
      const { snapshot: meta, tail, isDeleted } = await again.load('a');
      expect([meta?.life, meta?.seq, isDeleted]).toEqual([5, 8, false]);
      expect(tail.map(plain)).toEqual(logged(9, 9));
      expect((await again.snapshot('a'))?.life).toBe(5);
      const { generation, ...head } = (await again.heads(['a']))[0]!;
      expect(head).toEqual({ lastSeq: 9, snapshotSeq: 8, life: 5 });
      expect(generation).toBe(meta?.generation);
      await again.remove('a');
      expect(plainRoom(await again.load('a'))).toEqual(empty(10, true));
    });

    it('[DEL-9] a document takes the place of all that is in a room, or of nothing, in one step', async () => {
      const first = await start();
      const { seq: _, ...document } = snapshot(0, 70_000);
      const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
      await first.append(next(append('a', 1, 5), append('b', 1, 2)));
      await first.compact('a', { base: 0, snapshot: snapshot(3, 9), quarantined: [set] });
      const replaced = (await first.replace('a', document))!;
      const other = (await first.replace('never', document))!;
      const { seq: life } = replaced;
      expect(life > 5).toBe(true);
      expect(other.seq > 0).toBe(true);
      const store = await reopen();
      for (const [room, { seq, generation: own }] of [
        ['a', replaced] as const,
        ['never', other] as const,
      ]) {
        const { snapshot: meta, tail, lastSeq, isDeleted } = await store.load(room);
        const { life, generation, size } = meta!;
        expect([meta!.seq, life, generation, size]).toEqual([
          seq,
          seq,
          own,
          document.update.length,
        ]);
        expect([[...meta!.stateVector], [...meta!.deletes]]).toEqual([
          [...document.stateVector],
          [...document.deletes],
        ]);
        expect([tail, lastSeq, isDeleted]).toEqual([[], seq, false]);
        expect(Buffer.compare((await store.readSnapshot(room, seq))!, document.update)).toBe(0);
        expect(await store.quarantined(room)).toEqual([]);
      }
      expect(await store.readSnapshot('a', 3)).toBe(undefined);
      expect((await store.load('b')).tail.map(plain)).toEqual(logged(1, 2));
      // Of those who have not heard nothing is written.
      expect(await store.append(next(append('a', 7, 7)))).toEqual([0]);
      const late = { base: 3, snapshot: snapshot(5, 7), quarantined: [] };
      expect(await store.compact('a', late)).toBe(false);
      const admitted = { ...append('a', 7, 8), life };
      expect(await store.append(next(admitted))).toEqual([life + 1]);
      const merged = { base: life, snapshot: snapshot(life + 2, 9), quarantined: [] };
      expect(await store.compact('a', merged)).toBe(true);
      expect((await store.snapshot('a'))?.generation).toBe(replaced.generation);
      // A deleted room is for a revival to use again.
      await store.remove('a');
      expect(await store.replace('a', document)).toBe(undefined);
      expect(plainRoom(await store.load('a'))).toEqual(empty(life + 3, true));
      await store.revive('a');
      const { seq: last, generation } = (await store.replace('a', document))!;
      expect((await store.heads(['a']))[0]).toEqual({
        ...{ lastSeq: last, snapshotSeq: last, life: last, generation },
      });
    });

    it('[DEL-9] of a replacement, an append and another replacement at the same moment one comes last', async () => {
      const store = await start();
      for (let round = 0; round < 10; round++) {
        const room = `room ${round}`;
        await store.append(next(append(room, 1, 4)));
        const { seq: _, ...document } = snapshot(0, 10);
        const generations: number[] = [];
        const replace = async () => {
          generations.push((await store.replace(room, document))!.generation);
        };
        const calls = [
          replace,
          async () => void (await store.append(next(append(room, 5, 6)))),
          replace,
        ];
        await Promise.all((round % 2 === 0 ? calls : calls.reverse()).map((call) => call()));
        const { snapshot: meta, tail, lastSeq } = await store.load(room);
        expect([tail, lastSeq]).toEqual([[], meta?.seq]);
        expect([meta?.life, generations.includes(meta!.generation)]).toEqual([lastSeq, true]);
        expect(new Set(generations).size).toBe(2);
        expect([...(await store.readSnapshot(room, lastSeq))!]).toEqual([...document.update]);
      }
    });

    it('[DEL-10] a snapshot that comes from another store says which document it is of, and its room keeps that', async () => {
      const first = await start();
      const from = { base: 0, snapshot: snapshot(4, 9), generation: 3, quarantined: [] };
      expect(await first.compact('a', from)).toBe(true);
      const store = await reopen();
      expect(await store.append(next(append('a', 5, 6)))).toEqual([5]);
      const again = { base: 4, snapshot: snapshot(6, 9), quarantined: [] };
      expect(await store.compact('a', again)).toBe(true);
      const meta = (await store.load('a')).snapshot;
      expect([meta?.life, meta?.generation, (await store.snapshot('a'))?.generation]).toEqual([
        ...[0, 3, 3],
      ]);
      await store.remove('a', 7);
      expect((await store.snapshot('a'))?.generation).toBe(7);
    });

    it('[STO-85] a removal, a revival and a replacement each begin a generation, which the room keeps', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 3)));
      const { seq: _, ...document } = snapshot(0, 10);
      const largest = Number.MAX_SAFE_INTEGER;
      const told = async (store: Storage) => (await store.snapshot('a'))?.generation;
      expect(await told(first)).toBe(undefined);
      await first.remove('a', largest);
      expect(await told(first)).toBe(largest);
      await first.remove('a', 4);
      expect(await told(first)).toBe(largest);
      expect(await first.revive('a', 5)).toBe(true);
      expect(await first.revive('a', 6)).toBe(false);
      const store = await reopen();
      expect([await told(store), (await store.heads(['a']))[0]?.generation]).toEqual([5, 5]);
      const { seq } = (await store.replace('a', document, largest - 1))!;
      expect((await store.load('a')).snapshot?.generation).toBe(largest - 1);
      const merged = { base: seq, snapshot: snapshot(seq, 9), quarantined: [] };
      expect(await store.compact('a', merged)).toBe(true);
      expect((await store.heads(['a']))[0]?.generation).toBe(largest - 1);
    });

    it('[STO-85] two stores with one past give different generations from then on', async () => {
      const { seq: _, ...document } = snapshot(0, 10);
      const generations: (number | undefined)[] = [];
      const grow = async (store: Storage) => {
        await store.append(next(append('a', 1, 3)));
        await store.remove('a');
        generations.push((await store.snapshot('a'))?.generation);
        await store.revive('a');
        generations.push((await store.snapshot('a'))?.generation);
        generations.push((await store.replace('a', document))?.generation);
        generations.push((await store.replace('b', document))?.generation);
      };
      await grow(await start());
      const copy = await create();
      const second = await copy.open();
      try {
        await grow(second);
      } finally {
        await second.close();
        await copy.dispose();
      }
      expect(new Set(generations).size).toBe(8);
      expect(generations.every((each) => Number.isSafeInteger(each))).toBe(true);
    });

    it('[STO-58] lists its rooms in pages, ascending by the bytes of their names', async () => {
      const first = await start();
      const names = [
        'a',
        'a/',
        'a/b',
        'a/\u{1f600}',
        'a/\uffee',
        'A',
        'é',
        '\u{1f600}',
        '\uffee',
        'z~',
      ];
      await first.append(next(...names.map((room, i) => append(room, 1, i + 1))));
      // One that is in the log only, two that are all snapshot, one that has both.
      await first.compact('a', { base: 0, snapshot: snapshot(1, 9), quarantined: [] });
      await first.compact('a/b', { base: 0, snapshot: snapshot(2, 8), quarantined: [] });
      await first.compact('new', { base: 0, snapshot: snapshot(4, 7), quarantined: [] });
      const sorted = [...names, 'new'].sort((one, two) =>
        Buffer.compare(Buffer.from(one), Buffer.from(two)),
      );
      // What was moved between stages of a store's own is found in each.
      for (const open of [async () => first, reopen]) {
        const store = await open();
        for (const limit of [1, 2, 3, 1000]) {
          expect(await listAll(store, { limit })).toEqual(sorted);
        }
        expect(await listAll(store, { limit: 2, prefix: 'a/' })).toEqual([
          'a/',
          'a/b',
          'a/\uffee',
          'a/\u{1f600}',
        ]);
        expect(await listAll(store, { limit: 5, prefix: 'a/', after: 'A' })).toEqual(
          await listAll(store, { limit: 5, prefix: 'a/' }),
        );
        expect(await store.rooms({ limit: 5, prefix: 'a', after: 'b' })).toEqual([]);
        expect(await store.rooms({ limit: 5, prefix: '*' })).toEqual([]);
        expect(await store.rooms({ limit: 2, prefix: 'a' })).toEqual([
          { name: 'a', lastSeq: 1, snapshotSeq: 1, snapshotBytes: 9, isDeleted: false },
          { name: 'a/', lastSeq: 2, snapshotSeq: 0, snapshotBytes: 0, isDeleted: false },
        ]);
        const [both] = await store.rooms({ limit: 1, prefix: 'a/b' });
        expect([both?.lastSeq, both?.snapshotSeq, both?.snapshotBytes]).toEqual([3, 2, 8]);
      }
    });

    it('[STO-58] lists removed rooms only if asked, and revived ones again; no limit is an error', async () => {
      const store = await start();
      await store.append(next(...['a', 'b', 'c', 'd'].map((room) => append(room, 1, 2))));
      for (const room of ['b', 'c', 'never']) await store.remove(room);
      expect(await listAll(store, { limit: 1 })).toEqual(['a', 'd']);
      expect(await listAll(store, { limit: 2, withDeleted: true })).toEqual([
        ...['a', 'b', 'c', 'd', 'never'],
      ]);
      const [removed] = await store.rooms({ limit: 1, prefix: 'never', withDeleted: true });
      const { lastSeq, isDeleted } = removed!;
      expect([lastSeq, isDeleted]).toEqual([1, true]);
      await store.revive('c');
      expect(await listAll(store, { limit: 3 })).toEqual(['a', 'c', 'd']);
      for (const limit of [0, 1.5, 1001]) {
        expect(await store.rooms({ limit }).catch((error: Error) => error.name)).toBe('RangeError');
      }
    });

    it('[STO-58] lists a room as soon as it was written, compacted or removed for the first time', async () => {
      const store = await start();
      expect(await store.rooms({ limit: 1 })).toEqual([]);
      await store.append(next(append('written', 1, 1)));
      await store.compact('compacted', { base: 0, snapshot: snapshot(2, 9), quarantined: [] });
      await store.remove('removed');
      expect(await listAll(store, { limit: 9, withDeleted: true })).toEqual([
        'compacted',
        'removed',
        'written',
      ]);
      await store.append(next(append('later', 1, 1), append('written', 2, 2)));
      expect(await listAll(store, { limit: 9 })).toEqual(['compacted', 'later', 'written']);
    });

    it('[STO-58] lists many rooms, each once, while others are written', async () => {
      const store = await start();
      const names = Array.from({ length: 300 }, (_, i) => `room ${String(i).padStart(4, '0')}`);
      await store.append(next(...names.map((room) => append(room, 1, 1))));
      const writing = (async () => {
        for (let i = 0; i < 20; i++) {
          await store.append(next(...names.slice(0, 50).map((room) => append(room, i + 2, i + 2))));
        }
      })();
      for (let i = 0; i < 5; i++) expect(await listAll(store, { limit: 70 })).toEqual(names);
      await writing;
    });

    it('[STO-59] a snapshot may reach further than the log: entries go on behind it', async () => {
      const first = await start();
      await first.append(next(append('a', 1, 2)));
      for (const [room, base] of [['a', 0] as const, ['new', 0] as const]) {
        await first.compact(room, { base, snapshot: snapshot(7, 5), quarantined: [] });
      }
      expect(await first.append(next(append('a', 8, 8), append('new', 8, 9)))).toEqual([8, 8]);
      const store = await reopen();
      expect((await store.load('a')).tail.map(plain)).toEqual(logged(8, 8));
      expect((await store.load('new')).tail.map(plain)).toEqual(logged(8, 9));
    });

    it('[STO-56] a store that went back to before a revival takes what was admitted after it', async () => {
      const store = await start();
      await store.append(next(append('a', 1, 3)));
      expect(await store.append(next({ ...append('a', 4, 4), life: 9 }))).toEqual([4]);
      expect(await store.append(next({ ...append('new', 1, 1), life: 9 }))).toEqual([1]);
    });
  });
}

/** What a store must do besides when several processes have it open: {@link StoreUnderTest.open} is called more than once. */
export function sharedStorageContract(
  framework: TestFramework,
  name: string,
  create: () => Promise<StoreUnderTest>,
): void {
  const { describe, it, afterEach, expect } = framework;
  let under: StoreUnderTest | undefined;
  let stores: Storage[] = [];

  const start = async (count: number): Promise<Storage[]> => {
    under = await create();
    // At once, because that is how a deployment starts them.
    stores = await Promise.all(Array.from({ length: count }, () => under!.open()));
    return stores;
  };

  describe(`[STO] shared storage contract: ${name}`, () => {
    afterEach(async () => {
      await Promise.all(stores.map((store) => store.close()));
      await under?.dispose();
      stores = [];
      under = undefined;
    });

    it('[STO-74] instances note that they are there, and know of each other until that runs out', async () => {
      const [one, two] = await start(2);
      const note = (instance: string, count: number, isRelayed = true) => ({
        ...{ instance, count, isRelayed },
      });
      const long = 60_000;
      expect(await one!.heartbeat!(note('a', 1), long)).toEqual([]);
      expect(await two!.heartbeat!(note('b', 1, false), long)).toEqual([note('a', 1)]);
      expect(await one!.heartbeat!(note('a', 2), long)).toEqual([note('b', 1, false)]);
      expect(await two!.heartbeat!(note('b', 2), 1)).toEqual([note('a', 2)]);
      let others = 1;
      for (let count = 3; others > 0; count++) {
        others = (await one!.heartbeat!(note('a', count), long)).length;
      }
      await Promise.all([
        one!.heartbeat!(note('a', 1_000), long),
        two!.heartbeat!(note('b', 1_000), long),
      ]);
      expect((await two!.heartbeat!(note('c', 1), long)).length).toBe(2);
    });

    it('[STO-15] several that append to the same rooms share one row of seqs, in the order of their commits', async () => {
      const writers = await start(3);
      const rounds = 40;
      const rooms = ['a', 'b', 'c'];
      const given = new Map<string, number[]>(rooms.map((room) => [room, []]));
      let seen = 0;
      let isOver = false;
      const reader = async (store: Storage): Promise<void> => {
        while (!isOver) {
          const entries = (await store.since('a', 0))!;
          // Whoever reads a seq can read all before it, whatever is being committed.
          expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1));
          seen = Math.max(seen, entries.length);
        }
      };
      const reading = reader(writers[0]!);
      await Promise.all(
        writers.map(async (store, w) => {
          const next = counter();
          for (let round = 0; round < rounds; round++) {
            // In different orders: a store that locks rooms as they come would deadlock.
            const order = w % 2 === 0 ? rooms : [...rooms].reverse();
            const firsts = await store.append(next(...order.map((room) => append(room, 1, 2))));
            for (const [i, room] of order.entries()) given.get(room)!.push(firsts[i]!);
          }
        }),
      );
      isOver = true;
      await reading;
      expect(seen > 0).toBe(true);
      for (const room of rooms) {
        const firsts = given.get(room)!.sort((a, b) => a - b);
        expect(firsts).toEqual(firsts.map((_, i) => 2 * i + 1));
        expect((await writers[1]!.load(room)).lastSeq).toBe(2 * 3 * rounds);
      }
    });

    it("[STO-16] the number of a batch is its writer's own", async () => {
      const [one, two] = await start(2);
      const [nextOne, nextTwo] = [counter(), counter()];
      expect(await one!.append(nextOne(append('a', 1, 1)))).toEqual([1]);
      expect(await two!.append(nextTwo(append('a', 2, 2)))).toEqual([2]);
      expect((await one!.load('a')).tail.map(plain)).toEqual(logged(1, 2));
    });

    it('[STO-17] of several compactions of one room at once one wins and nothing is lost', async () => {
      const writers = await start(3);
      await writers[0]!.append({ number: 1, appends: [append('a', 1, 9)] });
      const won = await Promise.all(
        writers.map((store, i) =>
          store.compact('a', { base: 0, snapshot: snapshot(5 + i, 5 + i), quarantined: [] }),
        ),
      );
      expect(won.filter(Boolean).length).toBe(1);
      const seq = 5 + won.indexOf(true);
      for (const store of writers) {
        const room = await store.load('a');
        expect(room.snapshot?.seq).toBe(seq);
        expect(room.tail.map((entry) => entry.seq)).toEqual(
          Array.from({ length: 9 - seq }, (_, i) => seq + 1 + i),
        );
        expect((await store.readSnapshot('a', seq))?.length).toBe(seq);
      }
    });

    it('[STO-18] appends go on while others compact and load', async () => {
      const [writer, compactor, reader] = await start(3);
      const next = counter();
      const appending = (async () => {
        for (let round = 0; round < 60; round++) await writer!.append(next(append('a', 1, 3)));
      })();
      const compacting = (async () => {
        let base = 0;
        for (let round = 0; round < 10; round++) {
          const { lastSeq } = await compactor!.load('a');
          if (lastSeq === base) continue;
          const written = await compactor!.compact('a', {
            base,
            snapshot: snapshot(lastSeq, 100),
            quarantined: [],
          });
          expect(written).toBe(true);
          base = lastSeq;
        }
      })();
      for (let round = 0; round < 30; round++) {
        const { snapshot: meta, tail, lastSeq } = await reader!.load('a');
        const from = meta?.seq ?? 0;
        expect(tail.map(({ seq }) => seq)).toEqual(tail.map((_, i) => from + 1 + i));
        expect(lastSeq).toBe(from + tail.length);
      }
      await Promise.all([appending, compacting]);
      expect((await reader!.load('a')).lastSeq).toBe(180);
    });

    it('[STO-57] a room that one removes and revives while others write: every entry is of one life, and none is left of those before', async () => {
      const [remover, ...writers] = await start(3);
      let rounds = 0;
      const writing = writers.map(async (store) => {
        const next = counter();
        let life = 0;
        const written: { seq: number; life: number }[] = [];
        while (rounds < 10) {
          // The other room of each batch is written whatever becomes of this one.
          const firsts = await store.append(
            next({ ...append('a', 1, 2), life }, append('b', 1, 1)),
          );
          const [seq] = firsts;
          if (seq !== 0) written.push({ seq: seq!, life });
          // As a server does: whoever is refused loads the room anew.
          else life = (await store.load('a')).snapshot!.life;
          expect(firsts[1]! > 0).toBe(true);
        }
        return written;
      });
      const lives = [0];
      const ends: number[] = [];
      for (; rounds < 10; rounds++) {
        await remover!.remove('a');
        const { lastSeq, tail, isDeleted } = await remover!.load('a');
        expect([tail, isDeleted]).toEqual([[], true]);
        ends.push(lastSeq);
        await remover!.revive('a');
        lives.push(lastSeq + 1);
      }
      const written = (await Promise.all(writing)).flat();
      for (const { seq, life } of written) {
        // While it was deleted nobody could write, whatever life they named.
        const n = lives.indexOf(life);
        expect(n >= 0 && seq > life && seq + 1 < (ends[n] ?? Number.POSITIVE_INFINITY)).toBe(true);
      }
      expect(new Set(written.map(({ seq }) => seq)).size).toBe(written.length);
      const { snapshot: meta, tail } = await remover!.load('a');
      expect(meta?.life).toBe(lives.at(-1));
      const last = written.filter(({ life }) => life === meta?.life).map(({ seq }) => seq);
      const expected = last.sort((one, two) => one - two).flatMap((seq) => [seq, seq + 1]);
      expect(tail.map(({ seq }) => seq)).toEqual(expected);
    });
  });
}

/** Page by page, and no page is too long. */
async function listAll(store: Storage, listing: Listing): Promise<string[]> {
  const names: string[] = [];
  for (let after = listing.after; ; after = names.at(-1)) {
    const page = await store.rooms({ ...listing, ...(after !== undefined && { after }) });
    if (page.length > listing.limit) throw new Error(`${page.length} are more than the limit`);
    if (page.length === 0) return names;
    names.push(...page.map(({ name }) => name));
  }
}

/** Numbers a storage object's batches. */
function counter(): (...appends: Append[]) => Batch {
  let number = 0;
  return (...appends) => ({ number: ++number, appends });
}

/** Entries that are to be the room's `from` to `to`. */
function append(room: string, from: number, to: number): Append {
  return { room, entries: entries(from, to).map(({ seq: _, ...entry }) => entry) };
}

function logged(from: number, to: number) {
  return entries(from, to).map(plain);
}

function entries(from: number, to: number): LogEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const seq = from + i;
    return { seq, update: bytes(seq, 10 + (seq % 7)), author: `author ${seq}` };
  });
}

function snapshot(seq: number, size: number): Snapshot {
  return { seq, update: bytes(seq, size), stateVector: bytes(seq, 2), deletes: bytes(seq, 4) };
}

/** A room that has nothing in it since it was removed or revived, which took this seq. */
function empty(life: number, isDeleted: boolean) {
  const about = { seq: life, size: 2, life };
  const snapshot = { ...about, stateVector: [0], deletes: [0, 0] };
  return { snapshot, tail: [], damaged: [], lastSeq: life, isDeleted };
}

/** Byte arrays as arrays: of what class they are is the adapter's affair. */
function plainRoom({ snapshot, ...room }: StoredRoom) {
  const { stateVector, deletes, writtenAt: _, generation: __, ...rest } = snapshot!;
  const plain = { ...rest, stateVector: [...stateVector], deletes: [...deletes] };
  return { ...room, snapshot: plain };
}

function bytes(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);
}

function plain<T extends { update: Uint8Array }>(entry: T) {
  return { ...entry, update: Buffer.from(entry.update).toString('base64') };
}
