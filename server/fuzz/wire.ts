/** WebSocket frames as bytes (RFC 6455, 5.2), with everything about them that may be wrong. */
import type { Dice } from '../test/seeded.js';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** What a frame says of itself; left out, it is what a client has to say. */
export interface Head {
  readonly opcode: number;
  /** Default true. */
  readonly isFinal?: boolean;
  /** The three reserved bits, 0 to 7. */
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** What it says its payload's length is; of 8 bytes if it is a bigint. */
  readonly declared?: number | bigint;
}

export function frame(payload: Uint8Array, head: Head, dice: Dice): Buffer {
  const { opcode, isFinal = true, reserved = 0, isMasked = true } = head;
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  const length = lengthOf(head.declared ?? payload.length, isMasked);
  if (!isMasked) return Buffer.concat([Uint8Array.of(first), length, payload]);
  const mask = Uint8Array.from({ length: 4 }, () => dice.below(256));
  const masked = payload.map((byte, i) => byte ^ mask[i & 3]!);
  return Buffer.concat([Uint8Array.of(first), length, mask, masked]);
}

function lengthOf(length: number | bigint, isMasked: boolean): Buffer {
  const bit = isMasked ? 0x80 : 0;
  if (typeof length === 'number' && length < 126) return Buffer.of(bit | length);
  const bytes = Buffer.alloc(9);
  if (typeof length === 'number' && length < 65_536) {
    bytes[0] = bit | 126;
    bytes.writeUInt16BE(length, 1);
    return bytes.subarray(0, 3);
  }
  bytes[0] = bit | 127;
  bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes;
}

/** The payload of a close frame. */
export function closing(code: number, reason: Uint8Array | string = ''): Buffer {
  return Buffer.concat([Uint8Array.of(code >> 8, code & 255), Buffer.from(reason)]);
}
