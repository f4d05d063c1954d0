/** A snapshot's bytes in the database: in parts, so that no statement has more to carry than its deadline allows. */
import { randomUUID } from 'node:crypto';
import type { Connection, Run } from './postgres-connection.js';
import { DamagedSnapshot, type Snapshot } from './storage.js';

/** Of a snapshot in one row: as text on the wire it is twice as much. */
const PART_BYTES = 1024 * 1024;

/** In a transaction. @returns false where the room's snapshot is not the base any more */
export async function putSnapshot(
  run: Run,
  room: string,
  base: number,
  { seq, update, stateVector, deletes }: Snapshot,
): Promise<boolean> {
  const id = randomUUID();
  // Nobody knows the id yet, so nobody waits while the bytes are on their way.
  for (let part = 0; part === 0 || part * PART_BYTES < update.length; part++) {
    const bytes = update.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    await run('INSERT INTO cowrite.snapshot_parts (snapshot, part, bytes) VALUES ($1, $2, $3)', [
      ...[id, part, bytes],
    ]);
  }
  const [row] = await run('SELECT cowrite.compact($1, $2, $3, $4, $5, $6, $7) AS is_written', [
    ...[room, base, id, seq, update.length, stateVector, deletes],
  ]);
  return row!.is_written as boolean;
}

/**
 * @returns undefined where the room's snapshot is of another seq
 * @throws {DamagedSnapshot}
 */
export async function getSnapshot(
  connection: Connection,
  room: string,
  seq: number,
): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array | undefined;
  let read = 0;
  for (let part = 0; bytes === undefined || read < bytes.length; part++) {
    const [row] = await connection.one(
      `SELECT s.size, p.bytes
       FROM cowrite.snapshots s
       LEFT JOIN cowrite.snapshot_parts p ON p.snapshot = s.id AND p.part = $3
       WHERE s.room = $1 AND s.seq = $2`,
      [room, seq, part],
    );
    if (row === undefined) return undefined;
    bytes ??= new Uint8Array(row.size);
    if (row.bytes === null || read + row.bytes.length > bytes.length) {
      throw new DamagedSnapshot(`the snapshot of room ${JSON.stringify(room)} is damaged`);
    }
    bytes.set(row.bytes, read);
    read += row.bytes.length;
  }
  return bytes;
}
