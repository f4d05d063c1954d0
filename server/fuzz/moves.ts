/** What an attacker sends at a time: one frame or some, right or wrong, and what has to follow from it. */
import { anyBytes, mutate } from '../test/mutate.js';
import type { Dice } from '../test/seeded.js';
import type { Corpus, Made, Sender } from './corpus.js';
import { closing, frame, type Head, OPCODE } from './wire.js';

export interface Move {
  readonly kind: string;
  readonly bytes: Buffer;
  readonly frames: number;
  /**
   * - `may`: the server may go on or close.
   * - `must`: by the RFC or by THR-2 it has to close.
   * - `waits`: it may wait for the rest of a frame, so nothing behind it is answered.
   */
  readonly closes: 'may' | 'must' | 'waits';
}

const MUST = [
  reservedBits,
  reservedOpcode,
  unmasked,
  controlInFragments,
  largeControl,
  orphan,
  interrupted,
  badClose,
  goodClose,
  tooLong,
  text,
] as const;

/** A message that the server can use, in one frame or in fragments. */
export function anHonestMove(corpus: Corpus, sender: Sender, dice: Dice): Move {
  return carried(corpus.honest(sender, dice), dice);
}

/** Something that no client sends. */
export function aWrongMove(corpus: Corpus, sender: Sender, dice: Dice): Move {
  const roll = dice.next();
  if (roll < 0.75) return carried(corpus.mutant(sender, dice), dice);
  if (roll < 0.88) return dice.pick(MUST)(corpus.honest(sender, dice).bytes, dice);
  if (roll < 0.92) return neverWhole(corpus.honest(sender, dice).bytes, dice);
  if (roll < 0.98) return bentBytes(corpus, sender, dice);
  return flood(corpus, sender, dice);
}

function carried({ kind, bytes }: Made, dice: Dice): Move {
  if (!dice.chance(0.2)) return move(kind, [frame(bytes, { opcode: OPCODE.binary }, dice)]);
  return move(`${kind}, in fragments`, fragments(bytes, dice));
}

function move(kind: string, frames: readonly Buffer[], closes: Move['closes'] = 'may'): Move {
  return { kind, bytes: Buffer.concat(frames), frames: frames.length, closes };
}

/** With control frames between them, and some of them empty. */
function fragments(bytes: Uint8Array, dice: Dice): Buffer[] {
  const count = 2 + dice.below(5);
  const cuts = Array.from({ length: count - 1 }, () => dice.below(bytes.length + 1)).sort(
    (a, b) => a - b,
  );
  const frames: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const opcode = i === 0 ? OPCODE.binary : OPCODE.continuation;
    const part = bytes.subarray(i === 0 ? 0 : cuts[i - 1]!, cuts[i] ?? bytes.length);
    frames.push(frame(part, { opcode, isFinal: i === count - 1 }, dice));
    if (i < count - 1 && dice.chance(0.4)) frames.push(control(dice));
  }
  return frames;
}

function control(dice: Dice): Buffer {
  return frame(anyBytes(dice, 126), { opcode: dice.pick([OPCODE.ping, OPCODE.pong]) }, dice);
}

function wrong(kind: string, payload: Uint8Array, head: Head, dice: Dice): Move {
  return move(kind, [frame(payload, head, dice)], 'must');
}

function reservedBits(bytes: Uint8Array, dice: Dice): Move {
  const opcode = dice.pick([OPCODE.binary, OPCODE.ping]);
  return wrong(
    'reserved bits',
    bytes.subarray(0, 100),
    { opcode, reserved: 1 + dice.below(7) },
    dice,
  );
}

function reservedOpcode(bytes: Uint8Array, dice: Dice): Move {
  const opcode = dice.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
  return wrong('reserved opcode', bytes, { opcode }, dice);
}

function unmasked(bytes: Uint8Array, dice: Dice): Move {
  return wrong('unmasked', bytes, { opcode: OPCODE.binary, isMasked: false }, dice);
}

function controlInFragments(_bytes: Uint8Array, dice: Dice): Move {
  const opcode = dice.pick([OPCODE.ping, OPCODE.pong, OPCODE.close]);
  return wrong('control frame in fragments', Uint8Array.of(), { opcode, isFinal: false }, dice);
}

function largeControl(_bytes: Uint8Array, dice: Dice): Move {
  const opcode = dice.pick([OPCODE.ping, OPCODE.pong, OPCODE.close]);
  return wrong('large control frame', new Uint8Array(126 + dice.below(70_000)), { opcode }, dice);
}

function orphan(bytes: Uint8Array, dice: Dice): Move {
  const isFinal = dice.chance(0.5);
  return wrong('continuation of nothing', bytes, { opcode: OPCODE.continuation, isFinal }, dice);
}

function interrupted(bytes: Uint8Array, dice: Dice): Move {
  const begun = frame(bytes, { opcode: OPCODE.binary, isFinal: false }, dice);
  const other = frame(bytes, { opcode: dice.pick([OPCODE.binary, OPCODE.text]) }, dice);
  return move('message within a message', [begun, control(dice), other], 'must');
}

function badClose(_bytes: Uint8Array, dice: Dice): Move {
  const payload = dice.pick([
    Uint8Array.of(3),
    closing(dice.pick([0, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])),
    closing(1000, Uint8Array.of(0xc3, 0x28)),
    closing(4400, Uint8Array.of(0xed, 0xa0, 0x80)),
  ]);
  return wrong('bad close frame', payload, { opcode: OPCODE.close }, dice);
}

function goodClose(_bytes: Uint8Array, dice: Dice): Move {
  const payload = dice.pick([
    Uint8Array.of(),
    closing(1000, 'bye'),
    closing(4999, 'x'.repeat(123)),
  ]);
  return wrong('close frame', payload, { opcode: OPCODE.close }, dice);
}

function tooLong(bytes: Uint8Array, dice: Dice): Move {
  const declared = dice.pick([
    2n ** 63n,
    2n ** 64n - 1n,
    2n ** 53n,
    2n ** 53n - 1n,
    2n ** 40n,
    2n ** 32n,
    2n ** 31n - 1n,
    32n * 1024n * 1024n + 1n,
  ]);
  return wrong('length beyond the limit', bytes, { opcode: OPCODE.binary, declared }, dice);
}

function text(bytes: Uint8Array, dice: Dice): Move {
  const payload = dice.pick([
    bytes,
    Buffer.from('{"type":"sync"}'),
    Uint8Array.of(0xff, 0xfe),
    Uint8Array.of(),
  ]);
  return wrong('text', payload, { opcode: OPCODE.text }, dice);
}

/** Some of it comes, and then no more. */
function neverWhole(bytes: Uint8Array, dice: Dice): Move {
  if (dice.chance(0.3)) {
    const begun = frame(bytes, { opcode: OPCODE.binary, isFinal: false }, dice);
    return move('message without an end', [begun, control(dice)], 'waits');
  }
  const declared = dice.pick([bytes.length + 1 + dice.below(100), 65_536n, 32n * 1024n * 1024n]);
  const whole = frame(bytes, { opcode: OPCODE.binary, declared }, dice);
  const cut = dice.chance(0.5) ? whole : whole.subarray(0, 1 + dice.below(13));
  return move('length that never comes', [cut], 'waits');
}

/** Frames as bytes, and those mutated: heads, masks and lengths too. */
function bentBytes(corpus: Corpus, sender: Sender, dice: Dice): Move {
  const some = () =>
    Buffer.concat([
      anHonestMove(corpus, sender, dice).bytes,
      control(dice),
      anHonestMove(corpus, sender, dice).bytes,
    ]);
  const bytes = Buffer.from(dice.chance(0.9) ? mutate(some(), some(), dice) : anyBytes(dice, 200));
  return { kind: 'bent bytes', bytes, frames: 1, closes: 'waits' };
}

/** The same again and again, faster than it is answered. */
function flood(corpus: Corpus, sender: Sender, dice: Dice): Move {
  const count = 20 + dice.below(60);
  const { kind, bytes } = dice.chance(0.5)
    ? corpus.honest(sender, dice)
    : { kind: 'ping', bytes: undefined };
  const one = () =>
    bytes === undefined ? control(dice) : frame(bytes, { opcode: OPCODE.binary }, dice);
  return move(`flood of ${kind}`, Array.from({ length: count }, one));
}
