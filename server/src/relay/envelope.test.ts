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
  { kind: 'replace', room: 'é' },
  { kind: 'moving', clients: [0, 300] },
  { kind: 'ending' },
  { kind: 'kick-client', room: 'é', client: 300, reason: 'x' },
];

describe('[INS-13] envelopes', () => {
  it.each(CONTENTS)('[INS-13] of kind $kind are read as they were written', (content) => {
    const envelope = {
      origin: 'one of them',
      sentAt: 1_800_000_000_000,
      primary: 2 ** 32 - 1,
      content,
    };
    expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
  });

  it('[INS-13] are these bytes, because instances of two versions may meet', () => {
    const bytes = CONTENTS.map((content) =>
      Buffer.from(encodeEnvelope({ origin: 'a', sentAt: 300, primary: 5, content })).toString(
        'hex',
      ),
    );
    expect(bytes).toEqual([
      '02000161ac020580808080802002020102' + '00',
      '02010161ac02050100',
      '02020161ac0205ac02',
      '02070161ac02058080808020',
      '02030161ac020502c3bcffffffff0f',
      '02040161ac020500',
      '02050161ac0205',
      '02060161ac0205',
      '02080161ac02050100',
      '02090161ac0205',
      '020a0161ac0205',
      '020d0161ac020502c3a9',
      '02100161ac020502c3a9',
      '02110161ac020502c3a9',
      '020e0161ac02050200ac02',
      '020f0161ac0205',
      '02120161ac020502c3a9ac020178',
    ]);
  });

  it.each(CONTENTS)('[INS-13] of kind $kind that are cut short are passed over', (content) => {
    const bytes = encodeEnvelope({ origin: 'one', sentAt: 1, primary: 0, content });
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeEnvelope(bytes.subarray(0, length))).toBeUndefined();
    }
    const newer = bytes.slice();
    newer[0] = 3;
    expect(decodeEnvelope(newer)).toBeUndefined();
    newer.set([2, 99]);
    expect(decodeEnvelope(newer)).toBeUndefined();
  });
});
