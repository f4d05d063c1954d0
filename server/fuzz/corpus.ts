/**
 * Messages of real Yjs clients, and what can be made of them.
 *
 * Every draw comes from the dice that are passed in, so that a session of a run can be
 * repeated without those before it.
 */
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import fc from 'fast-check';
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { item, REFUSED, TOO_DEEP, text, update as written } from '../test/crafted.js';
import { edits, replay, type World } from '../test/histories.js';
import { anyBytes, mutate } from '../test/mutate.js';
import type { Dice } from '../test/seeded.js';
import { aBadToken, aShortToken, tokenFor } from './tokens.js';

const WORLDS = 60;
/** Of the worlds, those whose people are in one room: what they write builds on each other. */
const WORLDS_PER_ROOM = 3;
/** Large ones cost what a thousand others do. */
const LARGE_SHARE = 0.0004;
/** Places in which a large one deletes; the server's worker integrates it in less than a second. */
const PLACES = 100_000;
const WRITER = 77_777;

/** Whose messages they are. */
export interface Sender {
  readonly room: number;
  /** Of the rooms that its token opens. */
  readonly prefix: string;
  readonly user: string;
}

/** One message as bytes, and what was done to it. */
export interface Made {
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export class Corpus {
  readonly #worlds: readonly World[];
  readonly #states: readonly Uint8Array[];
  readonly #crafted = [...Object.values(REFUSED), ...Object.values(TOO_DEEP)].map((craft) =>
    craft(),
  );
  readonly #large = large();

  constructor(seed: number) {
    this.#worlds = fc
      .sample(edits, { seed, numRuns: WORLDS })
      .map((script) => replay(script, undefined))
      .filter(({ delivered }) => delivered.length > 0);
    this.#states = this.#worlds.map(({ docs }, i) => statesOf(docs, i));
  }

  /** A message that a client may well send. */
  honest(sender: Sender, dice: Dice): Made {
    const world = this.#worldOf(sender, dice);
    const type = dice.pick([
      'step1',
      'step2',
      'update',
      'update',
      'awareness',
      'queryAwareness',
      'token',
    ] as const);
    return {
      kind: `honest ${type}`,
      bytes: encodeMessage(this.#message(type, world, sender, dice)),
    };
  }

  /** A message that no client sends, or that only the server does. */
  mutant(sender: Sender, dice: Dice): Made {
    const world = this.#worldOf(sender, dice);
    const whole = () => this.honest(sender, dice).bytes;
    if (dice.chance(LARGE_SHARE)) {
      const bytes = dice.chance(0.5) ? this.#large : mutate(this.#large, this.#large, dice);
      return { kind: 'large update', bytes: encodeMessage({ type: 'update', update: bytes }) };
    }
    const roll = dice.next();
    if (roll < 0.45) {
      const type = dice.pick(['step2', 'update'] as const);
      const update = mutate(this.#update(world, dice), this.#update(world, dice), dice);
      return { kind: `mutated ${type}`, bytes: encodeMessage({ type, update }) };
    }
    if (roll < 0.52) {
      const vector = Y.encodeStateVector(dice.pick(world.docs));
      const stateVector = mutate(vector, this.#update(world, dice), dice);
      return { kind: 'mutated step1', bytes: encodeMessage({ type: 'step1', stateVector }) };
    }
    if (roll < 0.62) {
      const update = mutate(dice.pick(this.#states), dice.pick(this.#states), dice);
      return { kind: 'mutated awareness', bytes: encodeMessage({ type: 'awareness', update }) };
    }
    if (roll < 0.66) {
      return {
        kind: 'foreign token',
        bytes: encodeMessage({ type: 'token', token: otherToken(sender, dice) }),
      };
    }
    if (roll < 0.7) return { kind: 'message of the server', bytes: ofTheServer(dice) };
    if (roll < 0.73) return { kind: 'any bytes', bytes: anyBytes(dice, 60) };
    if (roll < 0.76) {
      return {
        kind: 'bytes appended',
        bytes: Buffer.concat([whole(), anyBytes(dice, 4), Uint8Array.of(0)]),
      };
    }
    if (roll < 0.79) return { kind: 'two in one', bytes: Buffer.concat([whole(), whole()]) };
    if (roll < 0.83) {
      const bytes = whole();
      return { kind: 'cut', bytes: bytes.slice(0, dice.below(bytes.length)) };
    }
    if (roll < 0.86) {
      const [one, other] = [whole(), whole()];
      const bytes = Buffer.concat([
        one.slice(0, dice.below(one.length + 1)),
        other.slice(dice.below(other.length)),
      ]);
      return { kind: 'spliced', bytes };
    }
    if (roll < 0.9) {
      const type = dice.pick(['step2', 'update'] as const);
      return { kind: 'crafted', bytes: encodeMessage({ type, update: dice.pick(this.#crafted) }) };
    }
    return { kind: 'mutated message', bytes: mutate(whole(), whole(), dice) };
  }

  #worldOf({ room }: Sender, dice: Dice): World {
    return this.#worlds[
      (room * WORLDS_PER_ROOM + dice.below(WORLDS_PER_ROOM)) % this.#worlds.length
    ]!;
  }

  #message(
    type: 'step1' | 'step2' | 'update' | 'awareness' | 'queryAwareness' | 'token',
    world: World,
    sender: Sender,
    dice: Dice,
  ): Message {
    switch (type) {
      case 'step1':
        return { type, stateVector: Y.encodeStateVector(dice.pick(world.docs)) };
      case 'step2':
        return { type, update: Y.encodeStateAsUpdate(dice.pick(world.docs)) };
      case 'update':
        return { type, update: this.#update(world, dice) };
      case 'awareness':
        return { type, update: dice.pick(this.#states) };
      case 'queryAwareness':
        return { type };
      case 'token':
        return { type, token: tokenFor(sender.prefix, sender.user) };
    }
  }

  #update({ docs, delivered }: World, dice: Dice): Uint8Array {
    const roll = dice.next();
    if (roll < 0.7) return dice.pick(delivered);
    if (roll < 0.85) return Y.encodeStateAsUpdate(dice.pick(docs));
    if (roll < 0.95)
      return Y.encodeStateAsUpdate(dice.pick(docs), Y.encodeStateVector(dice.pick(docs)));
    return Y.mergeUpdates([dice.pick(delivered), dice.pick(delivered)]);
  }
}

/** What the people of one world would send of themselves. */
function statesOf(docs: readonly Y.Doc[], number: number): Uint8Array {
  const all = new Awareness(docs[number % docs.length]!);
  all.setLocalState({
    user: { name: `Mallory ${number}`, color: '#f00' },
    cursor: { anchor: number, head: 3 },
  });
  const update = encodeAwarenessUpdate(all, [all.clientID]);
  all.destroy();
  return update;
}

function otherToken({ prefix, user }: Sender, dice: Dice): string {
  return dice.pick([
    () => tokenFor(prefix, user, 'read'),
    () => tokenFor(prefix, `${user}, or rather not`),
    () => tokenFor('elsewhere/', user),
    () => aShortToken(prefix, user),
    () => aBadToken(prefix, user, dice),
  ])();
}

function ofTheServer(dice: Dice): Uint8Array {
  return encodeMessage(
    dice.pick<Message>([
      { type: 'saved', count: dice.below(1_000) },
      { type: 'rejected', count: dice.below(1_000), reason: 'read-only' },
      { type: 'access', access: 'write' },
      { type: 'generation', generation: dice.below(1_000) },
      { type: 'drain', delay: dice.below(1_000) },
      { type: 'auth', reason: 'none' },
    ]),
  );
}

/** So large that it is read in pieces, and admitted in parts. */
function large(): Uint8Array {
  const content = text('z'.repeat(2 * PLACES));
  return written(
    [{ client: WRITER, clock: 0, structs: [item({ parent: 'large', kind: 4, content })] }],
    Array.from({ length: PLACES }, (_, i): [number, number, number] => [WRITER, 2 * i, 1]),
  );
}
