/**
 * WebSocket frames as bytes that many sockets share.
 *
 * A frame is encoded once and the same buffers are written to every socket, so
 * nobody may write into them. Large messages are cut into fragments (RFC 6455,
 * section 5.4): control frames may pass between two fragments, and a socket is
 * handed no more than it can take.
 */
import type { Message } from '@cowrite/client/protocol';
import { encodeMessage, MESSAGE_SYNC, SYNC_STEP_2, SYNC_UPDATE } from '@cowrite/client/protocol';
import { Sender } from 'ws';
import { uintSize, Writer } from './update/bytes.js';

/** One message, framed. */
export interface Frame {
  readonly type: Message['type'];
  /** Each chunk is a whole WebSocket frame, in one part or as header and payload. */
  readonly chunks: readonly (readonly Uint8Array[])[];
  /** Bytes of all chunks. */
  readonly size: number;
}

const FRAGMENT_BYTES = 128 * 1024;
/** Message type, step and length of a short update. */
const SYNC_HEAD = 3;
/** With these a payload has 125 bytes, the most for a frame head of two (RFC 6455, section 5.2). */
const SMALL = 125 - SYNC_HEAD;
const SMALL_HEAD = 2 + SYNC_HEAD;
const FIN = 0x80;
const OPCODE_CONTINUATION = 0;
const OPCODE_BINARY = 2;
const NOTHING = new Uint8Array(0);

/** @param message its bytes must not change while the frame lives: large ones are not copied */
export function encodeFrame(message: Message): Frame {
  switch (message.type) {
    case 'step2':
      return syncFrame('step2', SYNC_STEP_2, message.update);
    case 'update':
      return syncFrame('update', SYNC_UPDATE, message.update);
    default:
      return frame(message.type, NOTHING, encodeMessage(message));
  }
}

function syncFrame(type: Message['type'], step: number, update: Uint8Array): Frame {
  const { length } = update;
  if (length > SMALL) return frame(type, syncHead(step, update), update);
  // In one piece, at the least cost: this is nearly every keystroke.
  const bytes = Buffer.allocUnsafe(SMALL_HEAD + length);
  bytes[0] = FIN | OPCODE_BINARY;
  bytes[1] = SYNC_HEAD + length;
  bytes[2] = MESSAGE_SYNC;
  bytes[3] = step;
  bytes[4] = length;
  bytes.set(update, SMALL_HEAD);
  return { type, chunks: [[bytes]], size: bytes.length };
}

function syncHead(step: number, payload: Uint8Array): Uint8Array {
  const writer = new Writer(2 + uintSize(payload.length));
  writer.uint(MESSAGE_SYNC);
  writer.uint(step);
  writer.uint(payload.length);
  return writer.bytes;
}

function frame(type: Message['type'], head: Uint8Array, body: Uint8Array): Frame {
  const length = head.length + body.length;
  if (length <= FRAGMENT_BYTES) {
    const payload = Buffer.allocUnsafe(length);
    payload.set(head);
    payload.set(body, head.length);
    const bytes = Buffer.concat(fragment(payload, OPCODE_BINARY, true));
    return { type, chunks: [[bytes]], size: bytes.length };
  }
  const chunks = head.length === 0 ? [] : [fragment(head, OPCODE_BINARY, false)];
  for (let from = 0; from < body.length; from += FRAGMENT_BYTES) {
    const to = Math.min(body.length, from + FRAGMENT_BYTES);
    const opcode = chunks.length === 0 ? OPCODE_BINARY : OPCODE_CONTINUATION;
    chunks.push(fragment(body.subarray(from, to), opcode, to === body.length));
  }
  return { type, chunks, size: chunks.flat().reduce((sum, part) => sum + part.length, 0) };
}

function fragment(data: Uint8Array, opcode: number, fin: boolean): Uint8Array[] {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Sender.frame(buffer, { fin, rsv1: false, opcode, mask: false, readOnly: true });
}
