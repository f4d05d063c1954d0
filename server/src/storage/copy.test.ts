import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readBackup, UnreadableBackup, writeBackup } from './backup-file.js';
import { everyRoom, RoomConflict, type RoomCopy, RoomWriter, readRoom } from './copy.js';
import { LmdbStorage } from './lmdb.js';
import { MemoryStorage } from './memory.js';
import type { Snapshot, Storage } from './storage.js';

const bytes = (seed: number, length: number) =>
  Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 0xff);

function snapshot(seq: number, size = 20): Snapshot {
  return { seq, update: bytes(seq, size), stateVector: bytes(seq, 3), deletes: bytes(seq, 4) };
}

let batches = 0;
async function append(store: Storage, room: string, from: number, to: number, life = 0) {
  const entries = Array.from({ length: to - from + 1 }, (_, i) => ({
    update: bytes(from + i, 10 + i),
    author: `author ${from + i}`,
  }));
  const [first] = await store.append({ number: ++batches, appends: [{ room, life, entries }] });
  expect(first).toBe(from);
}

/** One of each kind of room. */
async function filled(): Promise<MemoryStorage> {
  const store = new MemoryStorage();
  await append(store, 'log only', 1, 5);
  await append(store, 'both', 1, 5);
  const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
  await store.compact('both', { base: 0, snapshot: snapshot(3), quarantined: [set] });
  await append(store, 'snapshot only', 1, 2);
  await store.compact('snapshot only', { base: 0, snapshot: snapshot(2, 9_000), quarantined: [] });
  await append(store, 'deleted', 1, 4);
  await store.remove('deleted');
  await store.remove('revived');
  await store.revive('revived');
  await append(store, 'revived', 3, 4, 2);
  return store;
}

async function allOf(store: Storage): Promise<RoomCopy[]> {
  const rooms: RoomCopy[] = [];
  for await (const { name } of everyRoom(store)) rooms.push(await readRoom(store, name));
  return rooms;
}

async function backupOf(store: Storage): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of writeBackup(store, everyRoom(store), new Date(0))) parts.push(part);
  return Buffer.concat(parts);
}

/** In parts that say nothing of where records begin. */
async function* inParts(whole: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}

async function read(whole: Buffer, size = 1_000) {
  const rooms: RoomCopy[] = [];
  const reading = readBackup(inParts(whole, size));
  for (;;) {
    const next = await reading.next();
    if (next.done === true) return { rooms, end: next.value };
    rooms.push(next.value);
  }
}

/** Byte arrays as text: of what class they are says nothing. */
function plain(rooms: readonly RoomCopy[]): unknown {
  return JSON.parse(
    // A Buffer has turned into something else before it is shown.
    JSON.stringify(rooms, function (this: Record<string, unknown>, key, value: unknown) {
      const raw = this[key];
      return raw instanceof Uint8Array ? Buffer.from(raw).toString('base64') : value;
    }),
  );
}

describe('[CMD] copying rooms', () => {
  it('[CMD-10] takes log, snapshot, quarantine and what was deleted along, and once more changes nothing', async () => {
    const from = await filled();
    const to = new MemoryStorage();
    const writer = new RoomWriter(to);
    for (const room of await allOf(from)) expect(await writer.write(room)).toBe(true);
    expect(plain(await allOf(to))).toEqual(plain(await allOf(from)));
    for (const room of await allOf(from)) expect(await writer.write(room)).toBe(false);
  });

  it('[CMD-9] goes on where it was interrupted, and with what was written since', async () => {
    const from = await filled();
    const whole = await readRoom(from, 'both');
    const to = new MemoryStorage();
    const writer = new RoomWriter(to);
    // Between the snapshot and the log, and in the middle of the log.
    for (const length of [0, 1]) {
      await writer.write({ ...whole, tail: whole.tail.slice(0, length) });
      expect((await readRoom(to, 'both')).tail.length).toBe(length);
    }
    expect(await writer.write(whole)).toBe(true);
    await append(from, 'both', 6, 7);
    expect(await writer.write(await readRoom(from, 'both'))).toBe(true);
    expect(plain([await readRoom(to, 'both')])).toEqual(plain([await readRoom(from, 'both')]));
  });

  it('[CMD-9] never takes the place of something else, unless told to; seqs go on then', async () => {
    const from = await filled();
    const to = new MemoryStorage();
    const writer = new RoomWriter(to);
    for (const name of ['log only', 'both', 'snapshot only', 'deleted', 'revived']) {
      await append(to, name, 1, 1);
      await to.compact(name, { base: 0, snapshot: snapshot(1, 7), quarantined: [] });
    }
    const before = plain(await allOf(to));
    for (const room of await allOf(from)) {
      await expect(writer.write(room)).rejects.toThrow(RoomConflict);
    }
    expect(plain(await allOf(to))).toEqual(before);
    for (const room of await allOf(from)) expect(await writer.write(room, true)).toBe(true);
    const updates = ({ tail }: RoomCopy) => tail.map(({ update }) => [...update]);
    for (const room of await allOf(from)) {
      const written = await readRoom(to, room.name);
      expect(written.isDeleted).toBe(room.isDeleted);
      expect(updates(written)).toEqual(updates(room));
      expect(written.quarantined.length).toBe(room.quarantined.length);
      if (room.snapshot !== undefined) {
        expect([...written.snapshot!.update]).toEqual([...room.snapshot.update]);
        expect(written.snapshot!.seq).toBeGreaterThan(room.snapshot.seq);
      }
    }
  });

  it('[CMD-9] a room that was deleted there stays so, unless it is replaced', async () => {
    const from = await filled();
    const to = new MemoryStorage();
    await to.remove('both');
    const writer = new RoomWriter(to);
    const room = await readRoom(from, 'both');
    await expect(writer.write(room)).rejects.toThrow(RoomConflict);
    expect(await writer.write(room, true)).toBe(true);
    expect((await readRoom(to, 'both')).tail.length).toBe(2);
  });

  it('[CMD-9] what does not read as it was written is an error', async () => {
    const from = await filled();
    const to = new MemoryStorage();
    const append = to.append.bind(to);
    to.append = async ({ number, appends }) => {
      const broken = appends.map((each) => ({
        ...each,
        entries: each.entries.map((entry) => ({ ...entry, update: Uint8Array.of(1) })),
      }));
      return await append({ number, appends: broken });
    };
    const writing = new RoomWriter(to).write(await readRoom(from, 'log only'));
    await expect(writing).rejects.toThrow('does not read as it was written');
  });

  it('[CMD-9] an update that could not be read leaves its place to an empty one', async () => {
    const from = await filled();
    const room = await readRoom(from, 'log only');
    const holed = { ...room, tail: room.tail.filter(({ seq }) => seq !== 3), lost: 1 };
    const to = new MemoryStorage();
    const writer = new RoomWriter(to);
    await writer.write(holed);
    const { tail } = await readRoom(to, 'log only');
    expect(tail.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect([...tail[2]!.update]).toEqual([0, 0]);
    expect(await writer.write(holed)).toBe(false);
  });

  it('[CMD-11] what is compacted, or removed and revived, while a room is read is read anew', async () => {
    const set = { seq: 2, reason: 'it threw', author: 'mallory', update: bytes(9, 30) };
    const meanwhile: Record<string, (store: Storage) => Promise<unknown>> = {
      compacted: (store) =>
        store.compact('a', { base: 0, snapshot: snapshot(3), quarantined: [set] }),
      removed: async (store) => {
        await store.remove('a');
        await store.revive('a');
      },
    };
    for (const [how, act] of Object.entries(meanwhile)) {
      for (const call of ['load', 'readSnapshot', 'quarantined', 'heads'] as const) {
        const store = new MemoryStorage();
        await append(store, 'a', 1, 5);
        const original = store[call].bind(store) as (...args: unknown[]) => Promise<unknown>;
        let isDone = false;
        const instead = async (...args: unknown[]) => {
          const answer = await original(...args);
          if (!isDone) await act(store);
          isDone = true;
          return answer;
        };
        Object.assign(store, { [call]: instead });
        const room = await readRoom(store, 'a');
        const seqs = [...room.quarantined, ...room.tail].map(({ seq }) => seq);
        const state = [room.snapshot?.seq, ...seqs].join();
        const after = how === 'compacted' ? '3,2,4,5' : '7';
        // What changes once all was read was not there at that moment.
        const before = ',1,2,3,4,5';
        const isLast = call === 'heads' || !isDone;
        expect(state, `${how} in ${call}`).toBe(isLast ? before : after);
      }
    }
  });

  it('[CMD-11] a room is read as it is at one moment, however it is written to and compacted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-copy-'));
    const store = await LmdbStorage.open(folder, { journalBytes: 64 * 1024 });
    onTestFinished(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    let last = 0;
    let isOver = false;
    const writing = (async () => {
      let base = 0;
      for (let round = 0; !isOver; round++) {
        await append(store, 'a', last + 1, last + 20);
        last += 20;
        if (round % 2 === 0) {
          await store.compact('a', { base, snapshot: snapshot(last - 5), quarantined: [] });
          base = last - 5;
        }
      }
    })();
    for (let round = 0; round < 30; round++) {
      const saved = last;
      const { snapshot: base, tail, lost } = await readRoom(store, 'a');
      const from = base?.seq ?? 0;
      if (base !== undefined) expect([...base.update]).toEqual([...bytes(from, 20)]);
      expect(tail.map(({ seq }) => seq)).toEqual(tail.map((_, i) => from + 1 + i));
      expect([lost, from + tail.length >= saved]).toEqual([0, true]);
    }
    isOver = true;
    await writing;
  });
});

describe('[CMD] a backup', () => {
  it('[CMD-10] has everything, in whatever parts it is read', async () => {
    const store = await filled();
    const whole = await backupOf(store);
    for (const size of [1, 7, 1_000, whole.length]) {
      const { rooms, end } = await read(whole, size);
      expect(plain(rooms)).toEqual(plain(await allOf(store)));
      expect(end).toEqual({ rooms: 5, unreadable: [] });
    }
  });

  it('[CMD-8] that is cut anywhere says so, and gives the rooms before that', async () => {
    const whole = await backupOf(await filled());
    for (let length = 0; length < whole.length; length += length < 1_000 ? 1 : 97) {
      await expect(read(whole.subarray(0, length)), `${length}`).rejects.toThrow(UnreadableBackup);
    }
    const rooms: RoomCopy[] = [];
    try {
      for await (const room of readBackup(inParts(whole.subarray(0, -1), 50))) rooms.push(room);
    } catch (error) {
      expect(error).toBeInstanceOf(UnreadableBackup);
    }
    expect(rooms.length).toBe(4);
  });

  it('[CMD-8] of which any byte is another says so', async () => {
    const whole = await backupOf(await filled());
    for (let at = 0; at < whole.length; at += at < 1_000 ? 1 : 101) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x11;
      await expect(read(damaged), `${at}`).rejects.toThrow(UnreadableBackup);
    }
  });

  it('[CMD-8] of nothing, or of something else, is none', async () => {
    for (const text of ['', 'hello', 'x'.repeat(5_000), 'CWR1']) {
      await expect(read(Buffer.from(text))).rejects.toThrow(UnreadableBackup);
    }
  });
});
