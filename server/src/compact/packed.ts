/**
 * Many byte arrays as two, for handing over to another thread: cloning a hundred
 * thousand small ones would keep the event loop from everybody else.
 */
export interface Packed {
  readonly bytes: Uint8Array;
  /** Where each ends in {@link bytes}. */
  readonly ends: Uint32Array;
}

/** Copies. */
export function pack(arrays: readonly Uint8Array[]): Packed {
  const ends = new Uint32Array(arrays.length);
  let size = 0;
  for (const [i, { length }] of arrays.entries()) {
    size += length;
    ends[i] = size;
  }
  const bytes = new Uint8Array(size);
  let end = 0;
  for (const array of arrays) {
    bytes.set(array, end);
    end += array.length;
  }
  return { bytes, ends };
}

/** @returns views into the packed bytes */
export function unpack({ bytes, ends }: Packed): Uint8Array[] {
  let start = 0;
  return Array.from(ends, (end) => {
    const array = bytes.subarray(start, end);
    start = end;
    return array;
  });
}
