/** What the journal in front of LMDB must hold: a crash is a copy of the folder, or a SIGKILL. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { open as openLmdb, type RootDatabase } from 'lmdb';
import * as framework from 'vitest';
import { Dice } from '../../test/seeded.js';
import { storageContract } from './contract.js';
import { LmdbStorage } from './lmdb.js';
import { decodeRecord, encodeRecord, KIND } from './record.js';
import type { Storage } from './storage.js';

const { describe, expect, it, onTestFinished } = framework;

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'cowrite-journal-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** What would be there if the machine stopped now. Nothing may be written meanwhile. */
function crashed(from: string): string {
  const to = folder();
  for (const name of readdirSync(from).filter((name) => /^(data\.mdb|journal-.)$/.test(name))) {
    copyFileSync(join(from, name), join(to, name));
  }
  return to;
}

/** Of a commit, as journal.ts writes it. */
const HEAD_BYTES = 26;

const entry = (byte: number, length = 40) => ({
  author: 'ada',
  update: new Uint8Array(length).fill(byte),
});

const snapshotAt = (seq: number) => ({
  seq,
  update: Uint8Array.of(9),
  stateVector: Uint8Array.of(0),
  deletes: Uint8Array.of(0, 0),
});

async function opened(
  path: string,
  options: Parameters<typeof LmdbStorage.open>[1] = {},
): Promise<LmdbStorage> {
  return await LmdbStorage.open(path, options);
}

async function bytesOf(storage: Storage, room: string): Promise<number[]> {
  return (await storage.load(room)).tail.map(({ update }) => update[0]!);
}

// So small that what is written is moved all the time, and much has no place in it.
for (const journalBytes of [400, 4_000]) {
  storageContract(framework, `lmdb with a journal of ${journalBytes} bytes`, async () => {
    const path = mkdtempSync(join(tmpdir(), 'cowrite-journal-'));
    return {
      survivesClose: true,
      open: () => LmdbStorage.open(path, { journalBytes }),
      dispose: async () => rmSync(path, { recursive: true, force: true }),
    };
  });
}

describe('[STO] the journal of lmdb', () => {
  it('[STO-42] what is appended is on disk when it resolves, and LMDB has not been asked', async () => {
    const path = folder();
    const storage = await opened(path);
    const before = readFileSync(join(path, 'data.mdb'));
    await storage.append({ number: 1, appends: [{ room: 'a', entries: [entry(1), entry(2)] }] });
    await storage.append({ number: 2, appends: [{ room: 'a', entries: [entry(3)] }] });
    expect(readFileSync(join(path, 'data.mdb')).equals(before)).toBe(true);
    const after = await opened(crashed(path), { onWarning: (line) => expect.unreachable(line) });
    expect(await bytesOf(after, 'a')).toEqual([1, 2, 3]);
    expect(await bytesOf(storage, 'a')).toEqual([1, 2, 3]);
    await after.close();
    await storage.close();
  });

  it('[STO-43] a commit that was interrupted counts for nothing, wherever it was cut, and all before it counts', async () => {
    const path = folder();
    const storage = await opened(path, { journalBytes: 8_192 });
    const file = join(path, 'journal-0');
    const ends: number[] = [];
    for (const number of [1, 2, 3]) {
      await storage.append({ number, appends: [{ room: 'a', entries: [entry(number)] }] });
      ends.push(readFileSync(file).findLastIndex((byte) => byte !== 0) + 1);
    }
    const head = readFileSync(file).indexOf('CWJ1', ends[1]!);
    // Before its tag can be read it cannot be told from nothing. A last byte that is zero needs no writing.
    const isHeadWhole = (cut: number) =>
      readFileSync(file)
        .subarray(head, head + HEAD_BYTES)
        .findLastIndex((byte) => byte !== 0) <
      cut - head;
    for (let cut = head; cut < ends[2]!; cut++) {
      const copy = crashed(path);
      const bytes = readFileSync(file);
      bytes.fill(0, cut);
      writeFileSync(join(copy, 'journal-0'), bytes);
      const warnings: string[] = [];
      const after = await opened(copy, {
        journalBytes: 8_192,
        onWarning: (line) => void warnings.push(line),
      });
      expect(await bytesOf(after, 'a'), `cut at ${cut}`).toEqual([1, 2]);
      expect(warnings.length, `cut at ${cut}`).toBe(isHeadWhole(cut) ? 1 : 0);
      const [seq] = await after.append({
        number: 1,
        appends: [{ room: 'a', entries: [entry(4)] }],
      });
      expect(seq).toBe(3);
      await after.close();
    }
    const shorter = crashed(path);
    truncateSync(join(shorter, 'journal-0'), ends[1]);
    const warnings: string[] = [];
    const after = await opened(shorter, {
      journalBytes: 8_192,
      onWarning: (line) => void warnings.push(line),
    });
    expect(await bytesOf(after, 'a')).toEqual([1, 2]);
    expect(warnings).toEqual([expect.stringContaining(`it has ${ends[1]} of 8192 bytes`)]);
    await after.close();
    await storage.close();
  });

  it('[STO-44] what is damaged between commits takes nothing with it but itself, and is told', async () => {
    const path = folder();
    const storage = await opened(path);
    for (const number of [1, 2, 3]) {
      const entries = [entry(number), entry(number + 10)];
      await storage.append({ number, appends: [{ room: 'a', entries }] });
    }
    const copy = crashed(path);
    await storage.close();
    const bytes = readFileSync(join(copy, 'journal-0'));
    bytes[bytes.indexOf(Buffer.alloc(40, 2)) + 7] = 0;
    writeFileSync(join(copy, 'journal-0'), bytes);
    const warnings: string[] = [];
    const after = await opened(copy, { onWarning: (line) => void warnings.push(line) });
    expect(warnings).toEqual([
      expect.stringMatching(/^the journal is not whole: .*journal-0: bytes /),
    ]);
    const { tail, lastSeq } = await after.load('a');
    expect(tail.map(({ seq, update }) => [seq, update[0]])).toEqual([
      [1, 1],
      [2, 11],
      [4, 12],
      [5, 3],
      [6, 13],
    ]);
    expect(lastSeq).toBe(6);
    await after.close();
  });

  it('[STO-45] what is left of an earlier generation is not taken for new', async () => {
    const path = folder();
    const before = await opened(path, { journalBytes: 2_000 });
    // Enough to fill both files more than once; then a few, in front of what is old.
    for (let number = 1; number <= 40; number++) {
      await before.append({ number, appends: [{ room: 'a', entries: [entry(number, 150)] }] });
    }
    // Moves all of it.
    await before.close();
    const storage = await opened(path, { journalBytes: 2_000 });
    await storage.compact('a', { base: 0, snapshot: snapshotAt(40), quarantined: [] });
    await storage.append({ number: 1, appends: [{ room: 'b', entries: [entry(7)] }] });
    const after = await opened(crashed(path), { journalBytes: 2_000 });
    expect(await after.load('a')).toMatchObject({ tail: [], lastSeq: 40 });
    expect(await bytesOf(after, 'b')).toEqual([7]);
    await after.close();
    await storage.close();
  });

  it('[STO-45] what is written while the journal is emptied is in it afterwards', async () => {
    const path = folder();
    const storage = await opened(path, { journalBytes: 2_000 });
    // Every twentieth or so fills a file, which is moved while the next are written.
    for (let number = 1; number <= 200; number++) {
      await storage.append({ number, appends: [{ room: 'a', entries: [entry(number, 30)] }] });
      expect(await bytesOf(storage, 'a')).toEqual(Array.from({ length: number }, (_, i) => i + 1));
    }
    // Waits for what is moved, so that a copy can be taken.
    await storage.revive('nobody');
    const after = await opened(crashed(path), { journalBytes: 2_000 });
    expect((await bytesOf(after, 'a')).length).toBe(200);
    await after.close();
    await storage.close();
  });

  it('[STO-50] what is read while entries are written and moved has no hole, and nothing twice', async () => {
    const storage = await opened(folder(), { journalBytes: 2_000 });
    // So many that reading them takes some turns of the event loop.
    let appended = 3_000;
    const many = Array.from({ length: appended }, (_, i) => entry(i % 251, 30));
    await storage.append({ number: 1, appends: [{ room: 'a', entries: many }] });
    const reads: Promise<void>[] = [];
    const wrong: unknown[] = [];
    const read = async () => {
      const known = appended;
      const seqs = (await storage.since('a', 0))!.map((one) => one.seq);
      expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, i) => 1 + i));
      expect(seqs.length).toBeGreaterThanOrEqual(known);
    };
    for (let number = 2; number <= 150; number++) {
      const entries = [entry(number % 251, number % 10 === 0 ? 1_000 : 30)];
      const written = storage.append({ number, appends: [{ room: 'a', entries }] });
      reads.push(read().catch((error: unknown) => void wrong.push(error)));
      await written;
      appended++;
    }
    await Promise.all(reads);
    expect(wrong).toEqual([]);
    await storage.close();
  });

  it('[STO-46] a removed room does not come back after a crash, though its entries are still in the journal', async () => {
    const path = folder();
    const storage = await opened(path);
    await storage.append({ number: 1, appends: [{ room: 'a', entries: [entry(1), entry(2)] }] });
    await storage.remove('a');
    const gone = await opened(crashed(path));
    expect(await gone.load('a')).toMatchObject({ tail: [], lastSeq: 3, isDeleted: true });
    await gone.revive('a');
    expect(await bytesOf(gone, 'a')).toEqual([]);
    await gone.close();

    await storage.revive('a');
    const again = { room: 'a', life: 4, entries: [entry(3)] };
    expect(await storage.append({ number: 2, appends: [again] })).toEqual([5]);
    const written = await opened(crashed(path));
    expect(await bytesOf(written, 'a')).toEqual([3]);
    await written.close();
    await storage.close();
  });

  it('[STO-46] nor do entries of an append that failed when they were on disk already', async () => {
    const path = folder();
    const storage = await opened(path);
    await storage.append({ number: 1, appends: [{ room: 'a', entries: [entry(1)] }] });
    const handle = await open(join(path, 'journal-0'));
    const prototype = Object.getPrototypeOf(handle) as typeof handle;
    await handle.close();
    const sync = framework.vi.spyOn(prototype, 'datasync').mockRejectedValue(new Error('EIO'));
    onTestFinished(() => sync.mockRestore());
    // So many that some would lie behind a removal that took the next seq.
    const entries = [2, 3, 4, 5].map((byte) => entry(byte));
    const appends = ['a', 'b'].map((room) => ({ room, entries }));
    await expect(storage.append({ number: 2, appends })).rejects.toThrow('EIO');
    sync.mockRestore();
    await storage.remove('a');
    await storage.revive('a');

    const after = await opened(crashed(path));
    expect(await bytesOf(after, 'a')).toEqual([]);
    expect(await bytesOf(after, 'b')).toEqual([2, 3, 4, 5]);
    await after.close();
    expect(await storage.append({ number: 2, appends })).toEqual([0, 1]);
    expect(await bytesOf(storage, 'a')).toEqual([]);
    expect(await bytesOf(storage, 'b')).toEqual([2, 3, 4, 5]);
    await storage.close();
  });

  it.each(['remove', 'revive'] as const)(
    '[STO-46] what is left of a removal that was interrupted is not read, and %s has it removed',
    async (next) => {
      const path = folder();
      const storage = await opened(path);
      await storage.append({ number: 1, appends: [{ room: 'a', entries: [entry(1)] }] });
      await storage.remove('a');
      await storage.close();
      const databasesOf = (root: RootDatabase) =>
        ['updates', 'quarantine'].map((name) =>
          root.openDB<Buffer, [string, number]>({ name, encoding: 'binary' }),
        );
      const root = openLmdb({ path, maxDbs: 8 });
      for (const database of databasesOf(root)) await database.put(['a', 1], Buffer.from('left'));
      await root.close();

      const again = await opened(path);
      expect(await again.load('a')).toMatchObject({ tail: [], damaged: [], isDeleted: true });
      expect(await again.quarantined('a')).toEqual([]);
      await again[next]('a');
      expect((await again.load('a')).lastSeq).toBe(next === 'remove' ? 2 : 3);
      await again.close();
      const after = openLmdb({ path, maxDbs: 8 });
      expect(databasesOf(after).map((database) => database.getKeysCount())).toEqual([0, 0]);
      await after.close();
    },
  );

  it('[STO-47] what is in a snapshot is not read from the journal, before or after a crash', async () => {
    const path = folder();
    const storage = await opened(path);
    const entries = [1, 2, 3, 4].map((byte) => entry(byte));
    await storage.append({ number: 1, appends: [{ room: 'a', entries }] });
    await storage.compact('a', { base: 0, snapshot: snapshotAt(3), quarantined: [] });
    expect(await bytesOf(storage, 'a')).toEqual([4]);
    const after = await opened(crashed(path));
    expect(await bytesOf(after, 'a')).toEqual([4]);
    expect((await after.since('a', 3))?.map(({ seq }) => seq)).toEqual([4]);
    await after.close();
    await storage.close();
  });

  it('[STO-48] where a file of the journal cannot be made, the tree takes everything, and it is told', async () => {
    const path = folder();
    const warnings: string[] = [];
    const storage = await opened(path, {
      journalBytes: 2_000,
      onWarning: (line) => void warnings.push(line),
    });
    // The second file is needed once the first is full.
    mkdirSync(join(path, 'journal-1'));
    for (let number = 1; number <= 40; number++) {
      const appends = [{ room: 'a', entries: [entry(number, 150)] }];
      expect(await storage.append({ number, appends })).toEqual([number]);
    }
    expect(warnings).toEqual([expect.stringMatching(/^the journal cannot be used, .*EISDIR/)]);
    expect((await bytesOf(storage, 'a')).length).toBe(40);
    await storage.close();
    rmSync(join(path, 'journal-1'), { recursive: true });
    const again = await opened(path, { journalBytes: 2_000 });
    expect((await bytesOf(again, 'a')).length).toBe(40);
    await again.close();
  });

  it('[STO-51] what a client puts into an entry, made to look like a commit or a record, is neither', async () => {
    const path = folder();
    const storage = await opened(path, { journalBytes: 4_000 });
    // Forged with all that is known of the format: everything but the tag.
    const record = encodeRecord({ kind: KIND.update, room: 'victim', seq: 1 }, [
      'mallory',
      Uint8Array.of(66),
    ]);
    const forge = (generation: number) => {
      const commit = Buffer.alloc(HEAD_BYTES + record.length);
      commit.write('CWJ1');
      commit.writeUInt32LE(record.length, 8);
      commit.writeUIntLE(generation, 12, 6);
      record.copy(commit, HEAD_BYTES);
      commit.writeUInt32LE(crc32(commit.subarray(8)), 4);
      return commit;
    };
    const update = Buffer.concat([...[1, 2, 3, 4, 2 ** 40].map(forge), record]);
    for (let number = 1; number <= 4; number++) {
      const entries = [{ author: 'mallory', update }];
      await storage.append({ number, appends: [{ room: 'a', entries }] });
    }
    const killed = await opened(crashed(path), { journalBytes: 4_000 });
    expect(await killed.load('victim')).toMatchObject({ tail: [], lastSeq: 0 });
    expect((await killed.load('a')).tail.length).toBe(4);
    await killed.close();
    await storage.close();
    const again = await opened(path, {
      journalBytes: 4_000,
      onWarning: (line) => expect.unreachable(line),
    });
    expect(await again.load('victim')).toMatchObject({ tail: [], lastSeq: 0 });
    expect((await again.load('a')).tail.length).toBe(4);
    await again.close();
  });

  it('[STO-51] a whole checksum around a broken body is damage, and nobody falls over it', () => {
    const broken = encodeRecord({ kind: KIND.update, room: 'a', seq: 1 }, ['ada']);
    expect(decodeRecord(broken)).toBeUndefined();
    const unknown = encodeRecord({ kind: 9 as typeof KIND.update, room: 'a', seq: 1 }, ['ada']);
    expect(decodeRecord(unknown)).toBeUndefined();
  });

  it('[STO-52] a head that is damaged in one file is known from the other', async () => {
    const path = folder();
    const storage = await opened(path, { journalBytes: 4_000 });
    for (let number = 1; number <= 30; number++) {
      await storage.append({ number, appends: [{ room: 'a', entries: [entry(number, 150)] }] });
    }
    for (const name of ['journal-0', 'journal-1']) {
      const copy = crashed(path);
      const bytes = readFileSync(join(copy, name)).fill(0, 0, 16);
      writeFileSync(join(copy, name), bytes);
      const warnings: string[] = [];
      const after = await opened(copy, {
        journalBytes: 4_000,
        onWarning: (line) => void warnings.push(line),
      });
      expect(warnings).toEqual([expect.stringContaining(`${name}: its head is damaged`)]);
      expect((await bytesOf(after, 'a')).length).toBe(30);
      await after.append({ number: 1, appends: [{ room: 'a', entries: [entry(31)] }] });
      await after.close();
    }
    await storage.close();
  });

  it('[STO-49] a process that is killed, also while it moves what the journal holds, loses nothing that was reported', async () => {
    const dice = Dice.announced('[STO-49]');
    const path = folder();
    const script = new URL('../../test/journal-writer.mjs', import.meta.url).pathname;
    const kills = Number(process.env.KILLS ?? 12);
    let reported: Record<string, number> = {};
    for (let kill = 0; kill < kills; kill++) {
      const journalBytes = String(dice.pick([2_000, 20_000, 200_000]));
      const child = fork(script, [path, journalBytes, String(1 + dice.below(1e9))]);
      const due = 2 + dice.below(150);
      let heard = 0;
      await new Promise<void>((resolve, reject) => {
        child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
        child.on('message', ({ lasts }: { lasts: Record<string, number> }) => {
          reported = lasts;
          if (++heard >= due) resolve();
        });
      });
      child.removeAllListeners('exit');
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;

      const storage = await opened(path);
      for (const [room, last] of Object.entries(reported)) {
        const { snapshot, tail, damaged, lastSeq } = await storage.load(room);
        const when = `kill ${kill + 1}, room ${room}`;
        expect(lastSeq, when).toBeGreaterThanOrEqual(last);
        expect(damaged, when).toEqual([]);
        const base = snapshot?.seq ?? 0;
        expect(
          tail.map(({ seq }) => seq),
          when,
        ).toEqual(Array.from({ length: lastSeq - base }, (_, i) => base + 1 + i));
        for (const { seq, update } of tail)
          expect(update.every((byte) => byte === seq % 251)).toBe(true);
        reported[room] = lastSeq;
      }
      await storage.close();
    }
    expect(Object.values(reported).every((last) => last > 100)).toBe(true);
  });
});
