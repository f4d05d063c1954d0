import { describe, expect, it } from 'vitest';
import { type Content, decodeEnvelope, encodeEnvelope } from './envelope.js';

const CONTENTS: Content[] = [
  { kind: 'updates', first: 2 ** 40, updates: [Uint8Array.of(1, 2), new Uint8Array(0)] },
  { kind: 'awareness', update: Uint8Array.of(0) },
  { kind: 'snapshot', seq: 300 },
  { kind: 'head', seq: 2 ** 33 },
  { kind: 'probe', instance: 'ü', client: 2 ** 32 - 1 },
  { kind: 'held', client: 0 },
  { kind: 'here' },
  { kind: 'gone' },
  { kind: 'everybody', update: Uint8Array.of(0) },
  { kind: 'who' },
  { kind: 'lost' },
  { kind: 'delete', room: 'é' },
  { kind: 'undelete', room: 'é' },
  { kind: 'moving', clients: [0, 300] },
  { kind: 'ending' },
];

describe('[INS-13] envelopes', () => {
  it.each(CONTENTS)('[INS-13] of kind $kind are read as they were written', (content) => {
    const envelope = { origin: 'one of them', sentAt: 1_800_000_000_000, content };
    expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
  });

  it('[INS-13] are these bytes, because instances of two versions may meet', () => {
    const bytes = CONTENTS.map((content) =>
      Buffer.from(encodeEnvelope({ origin: 'a', sentAt: 300, content })).toString('hex'),
    );
    expect(bytes).toEqual([
      '01000161ac0280808080802002020102' + '00',
      '01010161ac020100',
      '01020161ac02ac02',
      '01070161ac028080808020',
      '01030161ac0202c3bcffffffff0f',
      '01040161ac0200',
      '01050161ac02',
      '01060161ac02',
      '01080161ac020100',
      '01090161ac02',
      '010a0161ac02',
      '010d0161ac0202c3a9',
      '01100161ac0202c3a9',
      '010e0161ac020200ac02',
      '010f0161ac02',
    ]);
  });

  it.each(CONTENTS)('[INS-13] of kind $kind that are cut short are passed over', (content) => {
    const bytes = encodeEnvelope({ origin: 'one', sentAt: 1, content });
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeEnvelope(bytes.subarray(0, length))).toBeUndefined();
    }
    const newer = bytes.slice();
    newer[0] = 2;
    expect(decodeEnvelope(newer)).toBeUndefined();
    newer.set([1, 99]);
    expect(decodeEnvelope(newer)).toBeUndefined();
  });
});
