/** Makes what no client writes from what one did. Every draw comes from the dice, so a seed repeats it. */
import type { Dice } from './seeded.js';

/** Numbers at which decoders go wrong: limits of varUints, of clocks, of 32 and 53 bits. */
const NUMBERS = [
  0,
  1,
  2,
  3,
  7,
  100,
  101,
  127,
  128,
  129,
  255,
  16_383,
  16_384,
  65_535,
  2 ** 24,
  2 ** 25,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 40,
  2 ** 53 - 1,
  4_000_000_000,
];

type Mutation = (bytes: Uint8Array, other: Uint8Array, dice: Dice) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  truncated,
  bitFlipped,
  byteSet,
  numberChanged,
  numberChanged,
  numberChanged,
  inflated,
  spliced,
  repeated,
  cutOut,
  swapped,
  inserted,
];

/** One to three mutations, one after the other. @param other what pieces may be taken from */
export function mutate(bytes: Uint8Array, other: Uint8Array, dice: Dice): Uint8Array {
  let mutant = bytes;
  const rounds = dice.chance(0.6) ? 1 : 2 + dice.below(2);
  for (let i = 0; i < rounds; i++) mutant = dice.pick(MUTATIONS)(mutant, other, dice);
  return mutant;
}

export function anyBytes(dice: Dice, limit: number): Uint8Array {
  return Uint8Array.from({ length: dice.below(limit) }, () => dice.below(256));
}

function truncated(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  return bytes.slice(0, dice.below(bytes.length + 1));
}

function bitFlipped(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const copy = bytes.slice();
  const at = dice.below(copy.length);
  if (copy.length > 0) copy[at] = copy[at]! ^ (1 << dice.below(8));
  return copy;
}

function byteSet(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const copy = bytes.slice();
  if (copy.length > 0) copy[dice.below(copy.length)] = dice.pick([0, 1, 0x7f, 0x80, 0xc0, 0xff]);
  return copy;
}

/** Reads a varUint wherever it hits and writes another in its place: clocks, ids, counts, lengths. */
function numberChanged(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const from = dice.below(bytes.length);
  let to = from;
  let value = 0;
  for (let scale = 1; to < bytes.length && scale < 2 ** 53; scale *= 128) {
    const byte = bytes[to++]!;
    value += (byte & 127) * scale;
    if (byte < 128) break;
  }
  const changed = dice.chance(0.5)
    ? Math.max(0, value + dice.pick([-2, -1, 1, 2, 3, 10]))
    : dice.pick(NUMBERS);
  return join(bytes.subarray(0, from), varUint(changed), bytes.subarray(to));
}

/** A length or count far beyond what follows. */
function inflated(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const at = dice.below(bytes.length);
  return join(bytes.subarray(0, at), varUint(dice.pick(NUMBERS)), bytes.subarray(at + 1));
}

function spliced(bytes: Uint8Array, other: Uint8Array, dice: Dice): Uint8Array {
  const [head] = aRange(bytes, dice);
  const [tail] = aRange(other, dice);
  return join(bytes.subarray(0, head), other.subarray(tail));
}

function repeated(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const [from, to] = aRange(bytes, dice);
  return join(bytes.subarray(0, to), bytes.subarray(from));
}

function cutOut(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const [from, to] = aRange(bytes, dice);
  return join(bytes.subarray(0, from), bytes.subarray(to));
}

function swapped(bytes: Uint8Array, _other: Uint8Array, dice: Dice): Uint8Array {
  const [from, to] = aRange(bytes, dice);
  const middle = from + dice.below(to - from + 1);
  return join(
    bytes.subarray(0, from),
    bytes.subarray(middle, to),
    bytes.subarray(from, middle),
    bytes.subarray(to),
  );
}

function inserted(bytes: Uint8Array, other: Uint8Array, dice: Dice): Uint8Array {
  const at = dice.below(bytes.length + 1);
  const [from, to] = aRange(other, dice);
  return join(bytes.subarray(0, at), other.subarray(from, to), bytes.subarray(at));
}

/** Short ones more often: most fields have a few bytes. */
function aRange(bytes: Uint8Array, dice: Dice): [from: number, to: number] {
  const from = dice.below(bytes.length + 1);
  const limit = dice.chance(0.7) ? Math.min(8, bytes.length - from) : bytes.length - from;
  return [from, from + dice.below(limit + 1)];
}

export function varUint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push(128 | (rest % 128));
  return Uint8Array.of(...bytes, rest);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
