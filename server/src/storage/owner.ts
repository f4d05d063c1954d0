/**
 * Who has a folder's store open: one line of JSON in the file `owner`. Its *beat* changes every
 * two seconds while the owner lives, and the owner removes the file when it closes the store. So
 * a process that finds the file and sees it change knows of an owner whose lock it cannot see.
 *
 * The record of one owner always has the same length, and is written in place, in one call.
 */
import { randomUUID } from 'node:crypto';
import { type BigIntStats, existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Owner {
  /** Of one opening of the store. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** Of one run of a kernel, the same in all its containers. */
  readonly boot: string;
  /** The file that it has locked: these two name it, as long as its kernel runs. */
  readonly device: string;
  readonly inode: string;
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const BEAT_DIGITS = 12;

/** @param lock the file that this process has locked */
export function newOwner({ dev, ino }: BigIntStats): Owner {
  return {
    id: randomUUID(),
    host: hostname(),
    pid: process.pid,
    boot: existsSync(BOOT_ID) ? readFileSync(BOOT_ID, 'utf8').trim() : hostname(),
    device: String(dev),
    inode: String(ino),
  };
}

export function recordOf(owner: Owner, beat: number): Buffer {
  const padded = String(beat).padStart(BEAT_DIGITS, '0');
  return Buffer.from(`${JSON.stringify({ ...owner, beat: padded })}\n`);
}

/** @returns undefined for bytes that are no record: damaged, or written half */
export function ownerIn(record: Buffer): Owner | undefined {
  const text = record.toString();
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    return typeof owner?.id === 'string' ? (owner as Owner) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** For people. */
export function nameOf(record: Buffer | undefined): string {
  const owner = record && ownerIn(record);
  return owner === undefined ? 'an unknown process' : `process ${owner.pid} on ${owner.host}`;
}
