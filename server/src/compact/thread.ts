/** A job in a thread: what it brings is handed over and not copied. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import run, { type Task } from './worker.js';

export default function runInThread(task: Task): unknown {
  const buffers: ArrayBuffer[] = [];
  const value = owned(run(task), buffers);
  if (buffers.length === 0) return value;
  return move({ [transferableSymbol]: buffers, [valueSymbol]: value } as never);
}

/** Only a whole buffer can be handed over. */
function owned(value: unknown, buffers: ArrayBuffer[]): unknown {
  if (value instanceof Uint8Array) {
    const isWhole = value.byteLength === value.buffer.byteLength;
    const bytes = (isWhole ? value : value.slice()) as Uint8Array<ArrayBuffer>;
    buffers.push(bytes.buffer);
    return bytes;
  }
  if (Array.isArray(value)) return value.map((each) => owned(each, buffers));
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, owned(each, buffers)]),
  );
}
