/** Whether an update contradicts what is stored, where finding that out takes longer than the loop may. */
import { type Contradiction, contradictionWith } from '../update/known.js';
import { parseOutline } from '../update/parse.js';

export interface CompareTask {
  readonly update: Uint8Array;
  /** Each holds structs of every client in a row: a snapshot, a tail. */
  readonly stored: readonly Uint8Array[];
}

export function compare({ update, stored }: CompareTask): Contradiction | undefined {
  const brought = parseOutline(update);
  for (const bytes of stored) {
    const found = contradictionWith(parseOutline(bytes), brought);
    if (found !== undefined) return found;
  }
  return undefined;
}
