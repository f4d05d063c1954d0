/**
 * Several messages of one turn as one, for all instances.
 *
 * A commit has entries of many rooms, and a PUBLISH for each costs Redis more than
 * the bytes do. So they leave bundled on one channel that every instance is
 * subscribed to, as long as that makes Redis deliver no more messages than their
 * own channels would: when there are more of them than instances.
 *
 * Format: for each message the channel and the message, each behind its length
 * (lib0's varUint).
 */
import { Reader, uintSize, Writer } from '../update/bytes.js';

export interface Addressed {
  readonly channel: string;
  readonly message: Uint8Array;
}

/** A larger message leaves on its own channel: instances that do not know its room should not have to take it. */
const MAX_BUNDLED = 4 * 1024;
const MAX_BUNDLE = 64 * 1024;
const encoder = new TextEncoder();

/**
 * What to publish, in the order in which it was said.
 *
 * @param instances how many there are
 * @returns lists of messages: one that has a single message is published on the
 *   message's channel, a longer one as a bundle
 */
export function bundled(messages: readonly Addressed[], instances: number): Addressed[][] {
  if (messages.length <= Math.max(1, instances)) return messages.map((message) => [message]);
  const lists: Addressed[][] = [];
  let open: Addressed[] = [];
  let bytes = 0;
  for (const message of messages) {
    const { length } = message.message;
    if (length > MAX_BUNDLED) {
      lists.push([message]);
      open = [];
      continue;
    }
    if (open.length === 0 || bytes + length > MAX_BUNDLE) {
      open = [];
      bytes = 0;
      lists.push(open);
    }
    open.push(message);
    bytes += length;
  }
  return lists;
}

export function encodeBundle(messages: readonly Addressed[]): Uint8Array {
  const channels = messages.map(({ channel }) => encoder.encode(channel));
  const size = messages.reduce(
    (sum, { message }, i) => sum + sizeOf(channels[i]!) + sizeOf(message),
    0,
  );
  const writer = new Writer(size);
  for (const [i, { message }] of messages.entries()) {
    for (const bytes of [channels[i]!, message]) {
      writer.uint(bytes.length);
      writer.raw(bytes);
    }
  }
  return writer.bytes;
}

function sizeOf({ length }: Uint8Array): number {
  return uintSize(length) + length;
}

/** @returns undefined for what is not a bundle. Messages are views into `bytes`. */
export function decodeBundle(bytes: Uint8Array): Addressed[] | undefined {
  const reader = new Reader(bytes);
  const messages: Addressed[] = [];
  try {
    while (reader.left > 0) {
      const channel = reader.string();
      const length = reader.uint();
      const start = reader.pos;
      reader.skip(length);
      messages.push({ channel, message: bytes.subarray(start, reader.pos) });
    }
  } catch {
    // Cut short, or of another version: as good as lost, which a message on the relay may be.
    return undefined;
  }
  return messages;
}
