/** A damaged data file of LMDB is moved aside, and its records are taken over into a new one. */
import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PRIVATE_FILE } from './folder.js';
import { DATA_FILE, Tree } from './lmdb-tree.js';
import { findDamage } from './salvage.js';

/** A damaged data file and what became of it. */
export interface Salvage {
  /** What was wrong with it. */
  readonly damage: string;
  /** Where it lies now. */
  readonly aside: string;
  /** How many undamaged records were in it, old copies included. */
  readonly records: number;
}

/**
 * Whatever interrupts this, the next start goes on with it: the damaged file is
 * moved away only once its replacement is whole and lies beside it.
 */
export async function salvageFolder(folder: string): Promise<Salvage | undefined> {
  const file = join(folder, DATA_FILE);
  const whole = join(folder, 'salvaged.mdb');
  const workshop = join(folder, 'salvaging');
  const damage = findDamage(file);
  if (damage === undefined && !existsSync(whole)) return undefined;
  let records = 0;
  if (!existsSync(whole)) {
    records = await Tree.rebuild(workshop, file);
    renameSync(join(workshop, DATA_FILE), whole);
  }
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '')}`;
  if (existsSync(file)) {
    renameSync(file, aside);
    chmodSync(aside, PRIVATE_FILE);
  }
  renameSync(whole, file);
  rmSync(workshop, { recursive: true, force: true });
  return { damage: damage ?? 'an earlier salvage was interrupted', aside, records };
}
