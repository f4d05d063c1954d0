/** What a worker does: one task in, one result out, bytes handed over and not copied. */
import { move } from 'piscina';
import { compact, diff, type Task } from './job.js';

export default function run(task: Task): unknown {
  if (task.kind === 'diff') return move(whole(diff(task)));
  return compact(task);
}

/** Only a whole buffer can be handed over. */
function whole(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : bytes.slice();
}
