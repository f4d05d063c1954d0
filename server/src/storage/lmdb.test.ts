import {
  closeSync,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import * as framework from 'vitest';
import { storageContract } from './contract.js';
import { LmdbStorage } from './lmdb.js';
import type { Salvage } from './lmdb-salvage.js';
import { StorageInUse } from './lock.js';
import { DamagedSnapshot } from './storage.js';

function temporary() {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-lmdb-'));
  return { folder, dispose: async () => rmSync(folder, { recursive: true, force: true }) };
}

storageContract(framework, 'lmdb', async () => {
  const { folder, dispose } = temporary();
  return { survivesClose: true, open: () => LmdbStorage.open(folder), dispose };
});

framework.describe('[STO] lmdb', () => {
  framework.it('[STO-19] a folder is open in one process at a time', async () => {
    const { folder, dispose } = temporary();
    const first = await LmdbStorage.open(folder);
    await framework.expect(LmdbStorage.open(folder)).rejects.toThrow(StorageInUse);
    await first.close();
    const second = await LmdbStorage.open(folder);
    await second.close();
    await dispose();
  });

  framework.it(
    '[STO-76] an owner shares no memory with the one before it, which may wake and write there',
    async () => {
      const { folder, dispose } = temporary();
      const [path, before] = [join(folder, 'lock.mdb'), join(folder, 'before')];
      await (await LmdbStorage.open(folder)).close();
      linkSync(path, before);
      const storage = await LmdbStorage.open(folder);
      framework.expect(statSync(path).ino).not.toBe(statSync(before).ino);
      await storage.close();
      await dispose();
    },
  );
});

framework.describe('[CMP] compactions in lmdb', () => {
  const { expect, it } = framework;
  const snapshot = (seq: number) => ({
    seq,
    update: Uint8Array.of(9),
    stateVector: Uint8Array.of(0),
    deletes: Uint8Array.of(0, 0),
  });
  const entry = { author: 'ada', update: Uint8Array.of(1, 2, 3) };

  it('[CMP-13] reading and removing many entries lets others have the event loop', async () => {
    const { folder, dispose } = temporary();
    const before = await LmdbStorage.open(folder);
    // Two of them are no chunk, so each has a key; and once opened anew, they are in the tree.
    const large = { author: 'ada', update: new Uint8Array(1_000) };
    const entries = Array.from({ length: 5_000 }, () => large);
    await before.append({ number: 1, appends: [{ room: 'a', entries }] });
    await before.close();
    const storage = await LmdbStorage.open(folder);
    const root = open({ path: folder, maxDbs: 8 });
    const updates = root.openDB<Buffer, [string, number]>({ name: 'updates', encoding: 'binary' });
    /** What lies there, as the turns of the loop beside the work see it. */
    const seenDuring = async (work: Promise<unknown>) => {
      const seen: number[] = [];
      let isDone = false;
      const look = () => {
        if (isDone) return;
        root.resetReadTxn();
        seen.push(updates.getKeysCount());
        setImmediate(look);
      };
      look();
      await work;
      isDone = true;
      return seen;
    };
    expect((await seenDuring(storage.since('a', 0))).length).toBeGreaterThanOrEqual(10);
    const compaction = { base: 0, snapshot: snapshot(5_000), quarantined: [] };
    const seen = await seenDuring(storage.compact('a', compaction));
    expect(new Set(seen).size).toBeGreaterThanOrEqual(10);
    expect(await storage.since('a', 5_000)).toEqual([]);
    await root.close();
    await storage.close();
    await dispose();
  });

  it('[CMP-13] what an interrupted compaction left is not read, and removed by the next', async () => {
    const { folder, dispose } = temporary();
    const storage = await LmdbStorage.open(folder);
    const entries = Array.from({ length: 3 }, () => entry);
    await storage.append({ number: 1, appends: [{ room: 'a', entries }] });
    await storage.compact('a', { base: 0, snapshot: snapshot(3), quarantined: [] });
    await storage.close();

    const root = open({ path: folder, maxDbs: 8 });
    const updates = root.openDB<Buffer, [string, number]>({ name: 'updates', encoding: 'binary' });
    await updates.put(['a', 3], Buffer.from('left'));
    await root.close();

    const again = await LmdbStorage.open(folder);
    expect(await again.load('a')).toMatchObject({ tail: [], damaged: [], lastSeq: 3 });
    const [first] = await again.append({ number: 1, appends: [{ room: 'a', entries: [entry] }] });
    expect(first).toBe(4);
    await again.compact('a', { base: 3, snapshot: snapshot(4), quarantined: [] });
    await again.close();

    const after = open({ path: folder, maxDbs: 8 });
    const left = after.openDB<Buffer, [string, number]>({ name: 'updates', encoding: 'binary' });
    expect(left.getKeysCount()).toBe(0);
    await after.close();
    await dispose();
  });
});

framework.describe('[STO] a damaged data file', () => {
  const { expect, it } = framework;
  const entries = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => ({
      author: 'ada',
      update: new Uint8Array(700).fill(from + i),
    }));

  async function filled(folder: string) {
    const storage = await LmdbStorage.open(folder);
    const snapshot = {
      seq: 5,
      update: new Uint8Array(20_000).fill(9),
      stateVector: Uint8Array.of(0),
      deletes: Uint8Array.of(0, 0),
    };
    for (let round = 0; round < 20; round++) {
      await storage.append({
        number: round + 1,
        appends: [
          { room: 'a', entries: entries(round * 2 + 1, round * 2 + 2) },
          { room: 'b', entries: entries(round + 1, round + 1) },
        ],
      });
      if (round === 3) await storage.compact('a', { base: 0, snapshot, quarantined: [] });
    }
    await storage.close();
  }

  for (const pages of [1, 3, 8, 20]) {
    it(`[STO-20] cut short by ${pages} pages: every whole record is kept, the file is kept aside`, async () => {
      const { folder, dispose } = temporary();
      await filled(folder);
      const file = join(folder, 'data.mdb');
      truncateSync(file, statSync(file).size - pages * 4096);
      const heard: Salvage[] = [];
      const storage = await LmdbStorage.open(folder, {
        onSalvage: (salvage) => void heard.push(salvage),
      });
      expect(heard.length).toBe(1);
      expect(statSync(heard[0]!.aside).size).toBeGreaterThan(0);
      let kept = 0;
      for (const room of ['a', 'b']) {
        for (const { seq, update, author } of (await storage.load(room)).tail) {
          expect([author, update.length, update[0]]).toEqual(['ada', 700, seq]);
          kept++;
        }
      }
      // A page holds five of these records at most.
      expect(kept).toBeGreaterThanOrEqual(55 - 5 - pages * 5);
      await storage.append({ number: 1, appends: [{ room: 'c', entries: entries(1, 1) }] });
      await storage.close();
      const again = await LmdbStorage.open(folder, { onSalvage: () => expect.unreachable() });
      expect((await again.load('c')).lastSeq).toBe(1);
      await again.close();
      await dispose();
    });
  }

  it('[STO-20] in which a room was removed or revived: the last word counts, whatever copies are left of those before', async () => {
    const { folder, dispose } = temporary();
    await filled(folder);
    const before = await LmdbStorage.open(folder);
    await before.remove('a');
    await before.remove('b');
    await before.revive('b');
    await before.close();
    const descriptor = openSync(join(folder, 'data.mdb'), 'r+');
    writeSync(descriptor, Buffer.alloc(8192, 7), 0, 8192, 0);
    closeSync(descriptor);
    const storage = await LmdbStorage.open(folder);
    expect(await storage.load('a')).toMatchObject({ tail: [], lastSeq: 41, isDeleted: true });
    expect(await storage.load('b')).toMatchObject({ tail: [], lastSeq: 22, isDeleted: false });
    await storage.close();
    await dispose();
  });

  it('[STO-53] a room whose description is damaged can be removed', async () => {
    const { folder, dispose } = temporary();
    await filled(folder);
    const root = open({ path: folder, maxDbs: 8 });
    await root.openDB({ name: 'rooms', encoding: 'binary' }).put('a', Buffer.from('damaged'));
    await root.close();
    const storage = await LmdbStorage.open(folder);
    await expect(storage.load('a')).rejects.toThrow(DamagedSnapshot);
    await storage.remove('a');
    expect(await storage.load('a')).toMatchObject({ tail: [], lastSeq: 41, isDeleted: true });
    await storage.close();
    await dispose();
  });

  it('[STO-21] whose index is overwritten is salvaged too', async () => {
    const { folder, dispose } = temporary();
    await filled(folder);
    const descriptor = openSync(join(folder, 'data.mdb'), 'r+');
    writeSync(descriptor, Buffer.alloc(8192, 7), 0, 8192, 0);
    closeSync(descriptor);
    const storage = await LmdbStorage.open(folder);
    const { snapshot, tail, lastSeq } = await storage.load('a');
    expect([snapshot?.seq, tail.length, lastSeq]).toEqual([5, 35, 40]);
    expect((await storage.readSnapshot('a', 5))?.length).toBe(20_000);
    await storage.close();
    await dispose();
  });

  it('[STO-86] whose data file is missing or empty beside its journal is refused, and taken once it is back', async () => {
    const { folder, dispose } = temporary();
    await filled(folder);
    const file = join(folder, 'data.mdb');
    renameSync(file, `${file}.elsewhere`);
    const lost =
      /^its data\.mdb, .* is missing or empty, and its journal is there: put the file back/;
    await expect(LmdbStorage.open(folder)).rejects.toThrow(lost);
    expect(existsSync(file)).toBe(false);
    writeFileSync(file, '');
    await expect(LmdbStorage.open(folder)).rejects.toThrow(lost);
    renameSync(`${file}.elsewhere`, file);
    const storage = await LmdbStorage.open(folder);
    expect((await storage.load('a')).lastSeq).toBe(40);
    await storage.close();
    await expect(LmdbStorage.open(file)).rejects.toThrow('it is a file, and a folder is expected');
    await dispose();
  });
});
