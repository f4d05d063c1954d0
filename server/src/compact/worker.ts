/** What a worker does: one task in, one result out, bytes handed over and not copied. */
import { move } from 'piscina';
import { compact, type DiffTask, diff } from './job.js';
import { type Packed, unpack } from './packed.js';
import { type ViewTask, view } from './view.js';

/** A task on its way to a worker. */
export type Task =
  | ({ readonly kind: 'diff' } & DiffTask)
  | {
      readonly kind: 'compact';
      readonly snapshot: Uint8Array | undefined;
      readonly updates: Packed;
    }
  | ({ readonly kind: 'view'; readonly updates: Packed } & Omit<ViewTask, 'updates'>);

export default function run(task: Task): unknown {
  if (task.kind === 'diff') return move(whole(diff(task)));
  if (task.kind === 'view') {
    const shown = view({ ...task, updates: unpack(task.updates) });
    return shown && move(whole(shown));
  }
  return compact({ snapshot: task.snapshot, updates: unpack(task.updates) });
}

/** Only a whole buffer can be handed over. */
function whole(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : bytes.slice();
}
