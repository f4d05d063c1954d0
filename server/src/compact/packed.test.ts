import { expect, it } from 'vitest';
import { pack, unpack } from './packed.js';

it('[CMP-13] what is packed comes out as it went in', () => {
  const arrays = [[1, 2], [], [3], [4, 5, 6]].map((bytes) => Uint8Array.from(bytes));
  const packed = pack(arrays);
  arrays[0]![0] = 9;
  expect(unpack(packed).map((array) => [...array])).toEqual([[1, 2], [], [3], [4, 5, 6]]);
  expect(unpack(pack([]))).toEqual([]);
});
