/** A document that is to take the place of another: whole, and such that any client can load it. */
import type { Workers } from '../compact/workers.js';
import { takeLargeUpdate } from '../large-update.js';
import { DocumentFull } from '../room.js';
import type { Snapshot } from '../storage/storage.js';
import type { Turns } from '../turns.js';
import { vetWhole } from '../update/depth.js';
import { TooDeep, UpdateRefused } from '../update/refused.js';
import { checkWhole } from './visit.js';

export interface ReplacementOptions {
  readonly turns: Turns;
  readonly workers: Workers;
  /** Bytes that it may have. */
  readonly maxDocumentBytes: number;
}

/**
 * @throws {UpdateRefused} for what no honest client writes
 * @throws {Incomplete}
 * @throws {DocumentFull} or what a worker throws
 */
export async function replacementOf(
  bytes: Uint8Array,
  { turns, workers, maxDocumentBytes }: ReplacementOptions,
): Promise<Omit<Snapshot, 'seq'>> {
  const vetted = await read(bytes, turns);
  const merged = await workers.compact(async () => ({ snapshot: undefined, updates: [vetted] }));
  const { update, stateVector, deletes, isFaithful, poisoned } = merged;
  const [flaw] = poisoned;
  if (flaw !== undefined) throw new UpdateRefused(flaw.reason);
  if (!isFaithful) throw new UpdateRefused('it reads differently once it is loaded again');
  if (update.length > maxDocumentBytes) throw new DocumentFull();
  return { update, stateVector, deletes };
}

/** In pieces, which take turns with what others send. @returns it as it may be stored */
async function read(bytes: Uint8Array, turns: Turns): Promise<Uint8Array> {
  let isTooDeep = false;
  return await new Promise((resolve, reject) => {
    takeLargeUpdate(bytes, {
      turns,
      guard: (piece) => {
        try {
          piece();
          return true;
        } catch (error) {
          reject(error);
          return false;
        }
      },
      vet: (whole) => {
        const vetted = vetWhole(whole);
        isTooDeep = vetted === undefined;
        return vetted;
      },
      compare: () => undefined,
      admitPart: () => false,
      admit: (whole) => {
        if (isTooDeep) throw new TooDeep();
        checkWhole(whole);
        resolve(whole.bytes);
      },
      onDone: () => undefined,
    });
  });
}
