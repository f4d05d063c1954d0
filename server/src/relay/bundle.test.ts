import { describe, expect, it } from 'vitest';
import { type Addressed, bundled, decodeBundle, encodeBundle } from './bundle.js';

function messages(...sizes: number[]): Addressed[] {
  return sizes.map((size, i) => ({ channel: `é${i}`, message: new Uint8Array(size).fill(i) }));
}

const lengths = (lists: Addressed[][]) => lists.map((list) => list.map((m) => m.message.length));

describe('[RLY] bundles', () => {
  it('[RLY-16] more messages than instances leave as one; fewer each on its channel', () => {
    expect(lengths(bundled(messages(1, 2, 3), 3))).toEqual([[1], [2], [3]]);
    expect(lengths(bundled(messages(1, 2, 3), 2))).toEqual([[1, 2, 3]]);
    expect(lengths(bundled(messages(1), 0))).toEqual([[1]]);
    expect(bundled([], 1)).toEqual([]);
  });

  it('[RLY-16] a large message leaves alone, and nothing overtakes another', () => {
    expect(lengths(bundled(messages(1, 2, 5_000, 3, 4), 2))).toEqual([[1, 2], [5_000], [3, 4]]);
    const many = messages(...Array.from({ length: 40 }, () => 4_000));
    const lists = bundled(many, 2);
    expect(lists.flat()).toEqual(many);
    expect(lists.map((list) => list.length)).toEqual([16, 16, 8]);
  });

  it('[RLY-16] is read as it was written; what is cut short is passed over', () => {
    const written = messages(0, 1, 200, 4_096);
    const bytes = encodeBundle(written);
    expect(decodeBundle(bytes)).toEqual(written);
    expect(decodeBundle(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
  });
});
