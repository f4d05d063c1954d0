import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLOSE, isFinal } from './close-codes.js';
import { decodeMessage, encodeMessage, MalformedMessage, type Message } from './messages.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** Written out by hand: what other implementations see on the wire. */
const EXAMPLES: readonly (readonly [string, Message])[] = [
  ['00 00 01 00', { type: 'step1', stateVector: bytes('00') }],
  ['00 01 02 0000', { type: 'step2', update: bytes('0000') }],
  ['00 02 03 010203', { type: 'update', update: bytes('010203') }],
  ['00 02 00', { type: 'update', update: bytes('') }],
  ['01 01 00', { type: 'awareness', update: bytes('00') }],
  ['02 00 02 6e6f', { type: 'auth', reason: 'no' }],
  ['03', { type: 'queryAwareness' }],
  ['64 00', { type: 'saved', count: 0 }],
  ['64 ac02', { type: 'saved', count: 300 }],
  ['65 07 09 726561642d6f6e6c79', { type: 'rejected', count: 7, reason: 'read-only' }],
  ['66 b817', { type: 'drain', delay: 3000 }],
  ['67 03 612e62', { type: 'token', token: 'a.b' }],
  ['68 04 72656164', { type: 'access', access: 'read' }],
  ['69 b817', { type: 'generation', generation: 3000 }],
];

const payload = fc.uint8Array({ maxLength: 300 });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const message: fc.Arbitrary<Message> = fc.oneof(
  payload.map((stateVector): Message => ({ type: 'step1', stateVector })),
  payload.map((update): Message => ({ type: 'step2', update })),
  payload.map((update): Message => ({ type: 'update', update })),
  payload.map((update): Message => ({ type: 'awareness', update })),
  fc.string({ unit: 'grapheme' }).map((reason): Message => ({ type: 'auth', reason })),
  fc.constant<Message>({ type: 'queryAwareness' }),
  count.map((count): Message => ({ type: 'saved', count })),
  count.map((count): Message => ({ type: 'rejected', count, reason: 'read-only' })),
  count.map((delay): Message => ({ type: 'drain', delay })),
  count.map((generation): Message => ({ type: 'generation', generation })),
  fc.string({ unit: 'grapheme' }).map((token): Message => ({ type: 'token', token })),
  fc.constantFrom('read', 'write').map((access): Message => ({ type: 'access', access })),
);

describe.each(EXAMPLES)('%s', (text, example) => {
  const frame = bytes(text);

  test('is decoded', () => {
    expect(decodeMessage(frame)).toEqual(example);
  });

  test('is encoded', () => {
    expect(hex(encodeMessage(example))).toBe(hex(frame));
  });

  test('is refused when it is cut short anywhere', () => {
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeMessage(frame.slice(0, length))).toThrow(MalformedMessage);
    }
  });

  test('is refused when it is cut short within a larger buffer', () => {
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeMessage(frame.subarray(0, length))).toThrow(MalformedMessage);
    }
  });

  test('is refused with a byte after it', () => {
    expect(() => decodeMessage(Uint8Array.of(...frame, 0))).toThrow(MalformedMessage);
  });
});

test('[WIRE-1] every message comes back as it was, from anywhere in a buffer', () => {
  fc.assert(
    fc.property(message, fc.nat({ max: 9 }), (original, offset) => {
      const frame = encodeMessage(original);
      const buffer = new Uint8Array(offset + frame.length + 5).fill(0xff);
      buffer.set(frame, offset);
      expect(decodeMessage(buffer.subarray(offset, offset + frame.length))).toEqual(original);
    }),
  );
});

test('[WIRE-1] every message is refused cut short, or with bytes after it', () => {
  fc.assert(
    fc.property(
      message,
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      payload,
      (original, share, more) => {
        const frame = encodeMessage(original);
        const cut = frame.subarray(0, Math.floor(share * frame.length));
        expect(() => decodeMessage(cut)).toThrow(MalformedMessage);
        if (more.length === 0) return;
        expect(() => decodeMessage(Uint8Array.of(...frame, ...more))).toThrow(MalformedMessage);
      },
    ),
  );
});

test('any bytes are either a message or malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (frame) => {
      try {
        decodeMessage(frame);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedMessage);
      }
    }),
  );
});

test.each([
  ['an unknown type', '04'],
  ['an unknown type of many bytes', 'ffffff07'],
  ['an unknown sync message', '00 03 00'],
  ['an unknown auth message', '02 01 00'],
  ['an unknown reason of a rejection', '65 01 02 6e6f'],
  ['an unknown access', '68 04 6e6f6e65'],
  ['a token that is not UTF-8', '67 01 ff'],
  ['an integer that never ends', '64 ffffffffffffffffffffffff'],
])('%s is refused', (_, text) => {
  expect(() => decodeMessage(bytes(text))).toThrow(MalformedMessage);
});

test('[CLI-4] only the codes from 4400 to 4499 are final', () => {
  expect([4399, 4400, 4499, 4500].map(isFinal)).toEqual([false, true, true, false]);
  const retried = [CLOSE.internal, CLOSE.restarting, CLOSE.tryAgainLater];
  expect(retried.some(isFinal)).toBe(false);
  expect([CLOSE.malformed, CLOSE.forbidden, CLOSE.messageTooBig].every(isFinal)).toBe(true);
});
