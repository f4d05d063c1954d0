import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { gc, type Item, item, text, type, update } from '../../test/crafted.js';
import { Dice } from '../../test/seeded.js';
import { admit } from '../update/admit.js';
import { Frontier } from '../update/frontier.js';
import { DEEPEST } from '../update/nesting-limits.js';
import { parseUpdate } from '../update/parse.js';
import { UpdateRefused } from '../update/refused.js';
import { compact } from './job.js';
import { type Apply, merge } from './merge.js';

const TOO_DEEP = 'it nests shared types too deep';
const INSIDE = 'it writes inside something that was set aside';
const LEFTOVERS = 'it deletes a type in which Yjs would leave something alive, and throw';

function load(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const each of updates) Y.applyUpdate(doc, each);
  expect(doc.store.pendingStructs).toBeNull();
  return doc;
}

/** What somebody adds to what they have. */
function edit(doc: Y.Doc, change: (doc: Y.Doc) => void): Uint8Array {
  const before = Y.encodeStateVector(doc);
  change(doc);
  return Y.encodeStateAsUpdate(doc, before);
}

/** Types of a client, each in the one before. */
function nestedBlocks(
  client: number,
  from: number,
  count: number,
  ...more: ReturnType<typeof item>[]
) {
  const structs = Array.from({ length: count }, (_, i) =>
    item({ parent: from + i === 0 ? 'deep' : [client, from + i - 1], kind: 7, content: type(2) }),
  );
  return [{ client, clock: from, structs: [...structs, ...more] }];
}

const nested = (...args: Parameters<typeof nestedBlocks>) => update(nestedBlocks(...args));

/** A map whose entry has three units, the deletion of the second, and that of the map, on which Yjs throws. */
function throwing(client: number): [Uint8Array, Uint8Array, Uint8Array] {
  const map = item({ parent: 'maps', kind: 7, content: type(1) });
  const entry = item({ parent: [client, 0], sub: 'k', kind: 4, content: text('abc') });
  return [
    update([{ client, clock: 0, structs: [map, entry] }]),
    update([], [[client, 2, 1]]),
    update([], [[client, 0, 1]]),
  ];
}

describe('[CMP] what a hostile log costs', () => {
  /** About 1 MB in many pieces, and 2,000 keystrokes behind it. */
  const { snapshot, keystrokes, typed } = (() => {
    const doc = new Y.Doc();
    const dice = new Dice(7);
    const t = doc.getText('t');
    doc.transact(() => {
      for (let i = 0; i < 9_000; i++) t.insert(dice.below(t.length + 1), 'word '.repeat(20));
    });
    const bytes = Y.encodeStateAsUpdate(doc);
    const writer = load(bytes);
    const strokes = Array.from({ length: 2_000 }, (_, i) =>
      edit(writer, () => writer.getText('t').insert(dice.below(1_000), `${i % 10}`)),
    );
    return { snapshot: bytes, keystrokes: strokes, typed: writer.getText('t').toString() };
  })();

  /** Puts each of `others` somewhere among the keystrokes, in their order. */
  function among(others: readonly Uint8Array[]): Uint8Array[] {
    const every = Math.floor(keystrokes.length / others.length);
    return keystrokes.flatMap((stroke, i) =>
      i % every === 0 && i / every < others.length ? [stroke, others[i / every]!] : [stroke],
    );
  }

  const deep = Array.from({ length: 60 }, (_, i) => [
    nested(5_000 + i, 0, DEEPEST - 10),
    nested(5_000 + i, DEEPEST - 10, 20),
  ]);
  const breaking = Array.from({ length: 60 }, (_, i) => throwing(6_000 + i));

  it.each([
    ['that nest too deep', deep],
    ['on which Yjs throws', breaking],
    ['of both kinds', [...deep.slice(0, 30), ...breaking.slice(0, 30)]],
  ])(
    '[CMP-7] 60 updates %s, among 2,000 honest ones, cost one pass more than none',
    (_, groups) => {
      expect(snapshot.length).toBeGreaterThan(900_000);
      const updates = among(groups.flat());
      const { update: merged, poisoned, passes } = compact({ snapshot, updates });
      expect(poisoned.map(({ index }) => updates[index])).toEqual(
        groups.map((group) => group.at(-1)),
      );
      expect(passes).toBe(2);
      expect(load(merged).getText('t').toString()).toBe(typed);
      expect(compact({ snapshot, updates: keystrokes }).passes).toBe(1);
    },
  );

  it('[CMP-7] 60 updates on which Yjs throws for a reason of its own cost ten passes', () => {
    const booms = Array.from({ length: 60 }, (_, i) => written(7_000 + i, 'other', 'boom'));
    const updates = among(booms);
    const { doc, setAside, passes } = merge(snapshot, updates, throwsOn('boom'));
    expect(setAside.map(({ index }) => updates[index])).toEqual(booms);
    expect(passes).toBeLessThanOrEqual(10);
    expect(doc.getText('t').toString()).toBe(typed);
    expect(doc.getText('other').toString()).toBe('');
  });
});

describe('[CMP] what is set aside', () => {
  it('[CMP-3] deletes nothing', () => {
    const deletion = [[21, 0, 4]] as const;
    const structs = [item({ parent: 't', kind: 4, content: text('more ') })];
    const missing = [item({ origin: [77, 0], kind: 4, content: text('x') })];
    const clock = DEEPEST - 40;
    for (const [wrong, reason] of [
      [update(nestedBlocks(9, clock, 60), deletion), TOO_DEEP],
      [update([{ client: 9, clock, structs: missing }], deletion), 'it leaves structs pending'],
      [
        update([{ client: 9, clock, structs }], [...deletion, [9, clock, 99]]),
        'it leaves deletions pending',
      ],
    ] as const) {
      const log = [
        nested(9, 0, clock),
        written(21, 't', 'not so'),
        wrong,
        written(22, 'u', 'kept'),
      ];
      const { update: merged, poisoned } = compact({ snapshot: undefined, updates: log });
      expect(poisoned).toEqual([{ index: 2, reason }]);
      const doc = load(merged);
      expect(doc.getText('t').toString()).toContain('not so');
      expect(doc.getText('u').toString()).toBe('kept');
      expect(Y.getState(doc.store, 9)).toBeGreaterThan(clock);
    }
  });

  it('[CMP-4] is emptied when Yjs throws on it, so that what is beside it stays', () => {
    const log = [written(9, 't', 'boom')];
    const ada = load(...log);
    log.push(edit(ada, () => ada.getText('t').insert(2, 'beside')));
    const { doc, setAside } = merge(undefined, log, throwsOn('boom'));
    expect(setAside).toEqual([{ index: 0, reason: 'applying it throws: broken' }]);
    expect(doc.getText('t').toString()).toBe('beside');
    expect(Y.getState(doc.store, 9)).toBe(4);
  });

  it('[CMP-4] [CMP-6] is its clocks alone when that throws too; what is beside it is kept as well', () => {
    // In the name of the text, which the emptied items have as well.
    const log = [written(9, 'boom', 'text')];
    const ada = load(...log);
    log.push(edit(ada, () => ada.getText('boom').insert(2, 'beside')));
    const { doc, setAside } = merge(undefined, log, throwsOn('boom'));
    expect(setAside.map(({ reason }) => reason)).toEqual(['applying it throws: broken', INSIDE]);
    expect(doc.getText('boom').toString()).toBe('');
    expect(Y.getState(doc.store, 9)).toBe(4);
  });

  it('[CMP-5] of an update that nests too deep the rest lives on, and so does what is beside it', () => {
    const intro = item({ parent: 't', kind: 4, content: text('intro') });
    const log = [nested(9, 0, DEEPEST - 40), nested(9, DEEPEST - 40, 50, intro)];
    const ada = load(...log);
    log.push(edit(ada, () => ada.getText('t').insert(2, ' and ')));
    // Beside the first type that is too deep, in the last one that is not.
    const sibling = item({ origin: [9, DEEPEST], kind: 4, content: text('beside') });
    log.push(update([{ client: 11, clock: 0, structs: [sibling] }]));
    const { update: merged, poisoned } = compact({ snapshot: undefined, updates: log });
    expect(poisoned).toEqual([{ index: 1, reason: TOO_DEEP }]);
    const doc = load(merged);
    expect(doc.getText('t').toString()).toBe('in and tro');
    expect(levels(doc)).toBe(DEEPEST);
    expect(Y.getItem(doc.store, Y.createID(11, 0))).toMatchObject({ deleted: false });
    expect(Y.getState(doc.store, 9)).toBe(DEEPEST + 15);
  });

  it('[CMP-6] what others wrote inside a type that nests too deep is kept as well', () => {
    const log = [nested(9, 0, DEEPEST - 10), nested(9, DEEPEST - 10, 20)];
    const inside = (client: number, parent: [number, number], kind: number, content = text('x')) =>
      update([{ client, clock: 0, structs: [item({ parent, kind, content })] }]);
    log.push(
      // In the outermost of those that are too deep, in the innermost, and in one that is not.
      inside(21, [9, DEEPEST], 4, text('outermost')),
      inside(22, [9, DEEPEST + 9], 7, type(2)),
      inside(23, [9, DEEPEST - 1], 4, text('shallow')),
      // In the type that the second one made, and behind the text of the first.
      inside(24, [22, 0], 4, text('innermost')),
      update([
        { client: 25, clock: 0, structs: [item({ origin: [21, 8], kind: 4, content: text('!') })] },
      ]),
      written(26, 't', 'elsewhere'),
    );
    const { update: merged, poisoned } = compact({ snapshot: undefined, updates: log });
    expect(poisoned).toEqual([
      { index: 1, reason: TOO_DEEP },
      { index: 2, reason: INSIDE },
      { index: 3, reason: INSIDE },
      { index: 5, reason: INSIDE },
      { index: 6, reason: INSIDE },
    ]);
    const doc = load(merged);
    expect(doc.getText('t').toString()).toBe('elsewhere');
    expect(Y.getItem(doc.store, Y.createID(23, 0))).toMatchObject({ deleted: false });
  });

  it('[CMP-6] so is what others wrote inside the types of an update that throws', () => {
    const boom = item({ parent: 'boom', kind: 7, content: type(2) });
    const log = [
      update([{ client: 9, clock: 0, structs: [boom] }]),
      update([
        { client: 21, clock: 0, structs: [item({ parent: [9, 0], kind: 4, content: text('in') })] },
      ]),
      written(22, 't', 'elsewhere'),
    ];
    const { setAside } = merge(undefined, log, throwsOn('boom'));
    expect(setAside.map(({ index }) => index)).toEqual([0, 1]);
    expect(setAside[1]!.reason).toBe(INSIDE);
  });

  it('[CMP-6] what one honest client writes where another deletes is as lost as in Yjs', () => {
    const ada = new Y.Doc();
    const bert = new Y.Doc();
    const made = edit(ada, () => ada.getMap('m').set('k', new Y.Text('note')));
    Y.applyUpdate(bert, made);
    const deletion = edit(ada, () => ada.getMap('m').delete('k'));
    const inside = edit(bert, () => (bert.getMap('m').get('k') as Y.Text).insert(4, '!'));
    const updates = [
      nested(9, 0, DEEPEST - 10),
      nested(9, DEEPEST - 10, 20),
      made,
      deletion,
      inside,
    ];
    const { poisoned } = compact({ snapshot: undefined, updates });
    expect(poisoned).toEqual([{ index: 1, reason: TOO_DEEP }]);
  });

  it('[CMP-8] a type on which Yjs throws when it is deleted is deleted', () => {
    const log = [...throwing(9), written(21, 't', 'kept')];
    expect(() => load(...log)).toThrow();
    const { update: merged, poisoned, isFaithful } = compact({ snapshot: undefined, updates: log });
    expect(poisoned).toEqual([{ index: 2, reason: LEFTOVERS }]);
    expect(isFaithful).toBe(true);
    const doc = load(merged);
    expect(doc.getArray('maps').length).toBe(0);
    expect(doc.getText('t').toString()).toBe('kept');
  });

  it('[CMP-7] [CMP-8] crafted items of any shape: none makes Yjs throw or costs a third pass', () => {
    const dice = Dice.announced('[CMP-7] crafted items');
    let poisoned = 0;
    for (let round = 0; round < 1_500; round++) {
      const log = aCraftedLog(dice);
      const half = log.length >> 1;
      const first = compact({ snapshot: undefined, updates: log.slice(0, half) });
      const second = compact({ snapshot: first.update, updates: log.slice(half) });
      expect(Math.max(first.passes, second.passes)).toBeLessThanOrEqual(2);
      expect([...first.poisoned, ...second.poisoned].map(({ reason }) => reason)).not.toContain(
        expect.stringContaining('throws: '),
      );
      load(second.update);
      poisoned += first.poisoned.length + second.poisoned.length;
    }
    expect(poisoned).toBeGreaterThan(0);
  });
});

function written(client: number, parent: string, words: string): Uint8Array {
  const structs = [item({ parent, kind: 4, content: text(words) })];
  return update([{ client, clock: 0, structs }]);
}

/** A Yjs that throws at the end of an update with such a word in it. */
function throwsOn(word: string): Apply {
  return (doc, bytes) => {
    Y.applyUpdate(doc, bytes);
    if (Buffer.from(bytes).includes(word)) throw new Error('broken');
  };
}

/** How deep the types of a document are nested, by their first ones. */
function levels(doc: Y.Doc): number {
  let count = 0;
  let at = doc.get('deep')._start;
  while (at !== null && at.content instanceof Y.ContentType && !at.deleted) {
    count++;
    at = at.content.type._start;
  }
  return count;
}

/** Updates of three clients whose items name any others, as admission lets them in. */
function aCraftedLog(dice: Dice): Uint8Array[] {
  const frontier = new Frontier();
  const log: Uint8Array[] = [];
  for (let i = 0; i < 40; i++) {
    try {
      const { change } = admit(frontier, parseUpdate(aCraftedUpdate(frontier, dice)));
      if (change !== undefined) log.push(change.update.slice());
    } catch (error) {
      if (!(error instanceof UpdateRefused)) throw error;
    }
  }
  return log;
}

function aCraftedUpdate(frontier: Frontier, dice: Dice): Uint8Array {
  const client = 1 + dice.below(3);
  const clock = frontier.clock(client);
  const anId = (): [number, number] | undefined => {
    const other = 1 + dice.below(3);
    const known = frontier.clock(other);
    return known === 0 ? undefined : [other, dice.below(known)];
  };
  const structs = Array.from({ length: dice.below(3) }, () => {
    if (dice.chance(0.03)) return gc(1 + dice.below(3));
    const crafted: Item = { parent: `root ${dice.below(2)}`, ...dice.pick(CONTENTS) };
    const [origin, right, parent] = [anId(), anId(), anId()];
    if (origin !== undefined && dice.chance(0.5)) crafted.origin = origin;
    if (right !== undefined && dice.chance(0.3)) crafted.right = right;
    if (parent !== undefined && dice.chance(0.7)) crafted.parent = parent;
    if (dice.chance(0.4)) crafted.sub = `key ${dice.below(2)}`;
    return item(crafted);
  });
  const deleted = dice.chance(0.4) ? anId() : undefined;
  const blocks = structs.length === 0 ? [] : [{ client, clock, structs }];
  return update(blocks, deleted === undefined ? [] : [[...deleted, 1]]);
}

const CONTENTS: readonly Pick<Item, 'kind' | 'content'>[] = [
  ...['a', 'ab', 'abc'].map((words) => ({ kind: 4, content: text(words) })),
  ...[0, 1, 2, 4, 6].map((ref) => ({ kind: 7, content: type(ref) })),
  { kind: 1, content: type(2) },
];
