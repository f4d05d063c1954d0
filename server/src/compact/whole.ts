/**
 * A document as one update without making it: for one that is too large to be made. It holds
 * what snapshot and log hold, also what a merge would throw away because it was deleted.
 */
import { admit, cutBlock } from '../update/admit.js';
import { assemble, type Part } from '../update/assemble.js';
import { Frontier } from '../update/frontier.js';
import { parseOutline, parseUpdate, UNBOUNDED } from '../update/parse.js';
import { UpdateRefused } from '../update/refused.js';
import type { CompactTask } from './job.js';

export function whole({ snapshot, updates }: CompactTask): Uint8Array {
  const frontier = new Frontier();
  const columns = new Map<number, { start: number; count: number; chunks: Uint8Array[] }>();
  const add = ({ client, start, count, chunks }: Part): void => {
    const column = columns.get(client);
    if (column === undefined) columns.set(client, { start, count, chunks: [...chunks] });
    else {
      column.count += count;
      column.chunks.push(...chunks);
    }
  };
  if (snapshot !== undefined) {
    const { blocks, deletes } = parseOutline(snapshot);
    for (const block of blocks) {
      add(cutBlock(snapshot, block, block.start, block.end));
      frontier.reach(block.client, block.end);
    }
    frontier.addDeletes(deletes);
  }
  for (const update of updates) {
    for (const part of partsOf(frontier, update)) add(part);
  }
  const parts = [...columns].map(([client, column]) => ({ client, ...column }));
  return assemble(parts, frontier.deletes.clients);
}

function partsOf(frontier: Frontier, update: Uint8Array): readonly Part[] {
  try {
    const parsed = parseUpdate(update, UNBOUNDED);
    return admit(frontier, parsed, undefined, 'all or nothing').change?.parts ?? [];
  } catch (error) {
    // A merge would set it aside.
    if (error instanceof UpdateRefused) return [];
    throw error;
  }
}
