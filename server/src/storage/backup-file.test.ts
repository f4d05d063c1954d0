/** Backups of which whole records are somewhere else, or nowhere: every checksum matches. */
import { describe, expect, it } from 'vitest';
import { readBackup, UnreadableBackup, writeBackup } from './backup-file.js';
import { everyRoom, type RoomCopy } from './copy.js';
import { MemoryStorage } from './memory.js';
import { encodeRecord, KIND, type Record, readRecords } from './record.js';

const bytes = (...values: number[]) => Uint8Array.from(values);

/** Rooms `a` and `b` with a snapshot, two entries set aside and three behind it, and `c` with a log alone. */
async function backup(): Promise<Record[]> {
  const store = new MemoryStorage();
  let number = 0;
  for (const room of ['a', 'b', 'c']) {
    const entries = Array.from({ length: 6 }, (_, i) => ({ update: bytes(i), author: 'ada' }));
    await store.append({ number: ++number, appends: [{ room, entries }] });
    if (room === 'c') continue;
    const set = (seq: number) => ({ seq, reason: 'it threw', author: 'eve', update: bytes(seq) });
    const snapshot = { seq: 3, update: bytes(7), stateVector: bytes(8), deletes: bytes(9) };
    await store.compact(room, { base: 0, snapshot, quarantined: [set(1), set(2)] });
  }
  const parts: Uint8Array[] = [];
  for await (const part of writeBackup(store, everyRoom(store), new Date(0))) parts.push(part);
  return [...readRecords(Buffer.concat(parts), false)].map(({ record }) => record!);
}

function encoded(records: readonly Record[]): Buffer {
  return Buffer.concat(records.map((record) => encodeRecord(record, record.fields)));
}

/** @returns what it gave, and why it ended where it is not whole */
async function read(whole: Buffer): Promise<{ rooms: RoomCopy[]; problem: string | undefined }> {
  const rooms: RoomCopy[] = [];
  try {
    for await (const room of readBackup([whole] as never)) rooms.push(room);
    return { rooms, problem: undefined };
  } catch (error) {
    expect(error).toBeInstanceOf(UnreadableBackup);
    return { rooms, problem: (error as Error).message };
  }
}

/** Another record with this in it; the checksum matches. */
function saying(record: Record, change: (said: { [key: string]: unknown }) => object): Record {
  const said = JSON.parse(Buffer.from(record.fields[0]!).toString());
  const [, ...rest] = record.fields;
  return { ...record, fields: [Buffer.from(JSON.stringify(change(said))), ...rest] };
}

function namesOf(rooms: readonly RoomCopy[]): string {
  return rooms.map(({ name }) => name).join('');
}

describe('[CMD] a backup and its records', () => {
  it('[CMD-8] in which any record is missing, or there twice, says so', async () => {
    const records = await backup();
    expect((await read(encoded(records))).problem).toBe(undefined);
    for (const [i, record] of records.entries()) {
      const about = `${i}: kind ${record.kind} of ${record.room}`;
      for (const other of [[], [record, record]]) {
        const { rooms, problem } = await read(encoded(records.toSpliced(i, 1, ...other)));
        expect(problem, about).not.toBe(undefined);
        // What comes before its room, and nothing of that.
        if (record.kind !== KIND.room && record.kind !== KIND.backup) {
          expect(namesOf(rooms)).toBe('abc'.slice(0, 'abc'.indexOf(record.room)));
        }
      }
    }
  });

  it('[CMD-8] in which a whole room is missing says how many are there', async () => {
    const records = await backup();
    for (const room of ['a', 'b', 'c']) {
      const { problem } = await read(encoded(records.filter((record) => record.room !== room)));
      expect(problem).toBe('it is damaged: 2 of its 3 rooms are there');
    }
    const { problem } = await read(encoded([records[0]!, records.at(-1)!]));
    expect(problem).toBe('it is damaged: 0 of its 3 rooms are there');
  });

  it('[CMD-8] in which two neighbours have changed places says so, and gives nothing of their room', async () => {
    const records = await backup();
    for (let i = 0; i + 1 < records.length; i++) {
      const [one, two] = [records[i]!, records[i + 1]!];
      const { rooms, problem } = await read(encoded(records.toSpliced(i, 2, two, one)));
      expect(problem, `${i}`).not.toBe(undefined);
      if (one.room === two.room) expect(namesOf(rooms)).not.toContain(one.room);
    }
  });

  it('[CMD-8] that something follows says so', async () => {
    const records = await backup();
    const whole = encoded(records);
    for (const behind of [bytes(0), Buffer.from('x'.repeat(5_000)), whole, whole.subarray(0, 90)]) {
      const { rooms, problem } = await read(Buffer.concat([whole, behind]));
      expect(problem).toBe('it is damaged: something follows its end');
      expect(namesOf(rooms)).toBe('abc');
    }
  });

  it('[CMD-8] whose descriptions do not say how much there is, or are none, says so', async () => {
    const records = await backup();
    const [head, room] = records as [Record, Record];
    const without = (key: string) => (said: object) => ({ ...said, [key]: undefined });
    for (const key of ['snapshot', 'quarantined', 'updates', 'isDeleted', 'lost']) {
      const { problem } = await read(encoded(records.with(1, saying(room, without(key)))));
      expect(problem, key).toContain('room "a": a description is not as Cowrite writes it');
    }
    for (const key of ['rooms', 'unreadable']) {
      const { problem } = await read(
        encoded(records.with(-1, saying(records.at(-1)!, without(key)))),
      );
      expect(problem, key).toContain('a description is not as Cowrite writes it');
    }
    const nonsense = { ...room, fields: room.fields.with(0, Buffer.from('{')) };
    expect((await read(encoded(records.with(1, nonsense)))).problem).toContain('a description');
    const newer = saying(head, (said) => ({ ...said, version: 2, part: 'other' }));
    const { problem } = await read(encoded(records.with(0, newer)));
    expect(problem).toBe('it is of version 2, and 1 is known here');
  });

  it('[CMD-8] has no more holes between its updates than were lost when it was made', async () => {
    const records = await backup();
    const at = records.findIndex(({ kind, seq }) => kind === KIND.update && seq === 5);
    const room = records.findIndex(({ kind }) => kind === KIND.room);
    const lost = (updates: number) =>
      encoded(
        records
          .with(
            room,
            saying(records[room]!, (said) => ({ ...said, updates: 2, lost: updates })),
          )
          .toSpliced(at, 1),
      );
    expect((await read(lost(1))).problem).toBe(undefined);
    expect((await read(lost(0))).problem).toContain('not in order');
  });
});
