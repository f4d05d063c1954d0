import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { item, text, type, update } from '../../test/crafted.js';
import { Dice } from '../../test/seeded.js';
import { compact } from '../compact/job.js';
import { Contents } from '../contents.js';
import { Depth } from './depth.js';
import { Frontier } from './frontier.js';
import { Levels } from './levels.js';
import { DEEPEST, MAX_NESTING, SHALLOW } from './nesting-limits.js';
import { parseUpdate } from './parse.js';
import type { Parsed } from './parsed.js';
import { decodeReach } from './reach.js';
import { Tail } from './tail.js';

const ANYBODY = { mayWrite: () => true };

/** A room without sockets: what it admits, and its compactions. */
class Room {
  readonly #contents = new Contents({
    frontier: new Frontier(),
    tail: new Tail(0),
    depth: new Depth(new Levels(), 0, 0),
    snapshot: undefined,
    head: 0,
    unusable: [],
  });
  #snapshot: Uint8Array | undefined;
  #log: Uint8Array[] = [];
  #seq = 0;

  /** @returns whether it was taken, also where a part of it waits */
  write(bytes: Uint8Array | Parsed): boolean {
    const vetted = this.#contents.vet(bytes instanceof Uint8Array ? parseUpdate(bytes) : bytes);
    if (vetted === undefined) return false;
    const { change, missing } = this.#contents.admit(vetted, ANYBODY);
    if (bytes instanceof Uint8Array) expect(missing).toBeUndefined();
    if (change === undefined) return true;
    this.#contents.committed(++this.#seq, 1);
    this.#log.push(change.update);
    return true;
  }

  compact() {
    const merged = compact({ snapshot: this.#snapshot, updates: this.#log });
    const { update: bytes, stateVector, deletes, poisoned } = merged;
    this.#snapshot = bytes;
    this.#log = [];
    const meta = { seq: this.#seq, size: bytes.length, life: 0, generation: 0, writtenAt: 0 };
    this.#contents.adopt({ ...meta, stateVector, deletes });
    this.#contents.trim(this.#contents.last);
    return { poisoned, reach: decodeReach(stateVector) };
  }

  document(): Y.Doc {
    const doc = new Y.Doc();
    if (this.#snapshot !== undefined) Y.applyUpdate(doc, this.#snapshot);
    for (const each of this.#log) Y.applyUpdate(doc, each);
    return doc;
  }
}

/** What a change adds to a document. */
function edit(doc: Y.Doc, change: () => void): Uint8Array {
  const before = Y.encodeStateVector(doc);
  let update: Uint8Array | undefined;
  const keep = (bytes: Uint8Array) => {
    update = bytes;
  };
  doc.on('update', keep);
  doc.transact(change);
  doc.off('update', keep);
  return update ?? Y.encodeStateAsUpdate(doc, before);
}

function levelOf({ _item }: Pick<Y.Array<unknown>, '_item'>): number {
  let level = 0;
  for (let at = _item; at !== null; at = (at.parent as Y.Array<unknown>)._item) level++;
  return level;
}

function chain(client: number, from: number, count: number): Uint8Array {
  const structs = Array.from({ length: count }, (_, i) =>
    item({ parent: from + i === 0 ? 'deep' : [client, from + i - 1], kind: 7, content: type(0) }),
  );
  return update([{ client, clock: from, structs }]);
}

describe('[ADM] depth', () => {
  it('[ADM-3] is that in the stored document, in however many updates it was reached', () => {
    const atOnce = new Room();
    expect(atOnce.write(chain(1, 0, MAX_NESTING + 1))).toBe(false);
    expect(atOnce.write(chain(1, 0, MAX_NESTING))).toBe(true);
    expect(atOnce.write(chain(1, MAX_NESTING, 1))).toBe(false);
    // Beside the deepest is not below it.
    const beside = [item({ origin: [1, MAX_NESTING - 1], kind: 7, content: type(0) })];
    expect(atOnce.write(update([{ client: 2, clock: 0, structs: beside }]))).toBe(true);

    for (const every of [1, 7, 100, MAX_NESTING]) {
      const room = new Room();
      for (let level = 0; level < MAX_NESTING; level++) {
        expect(room.write(chain(1, level, 1)), `level ${level + 1}`).toBe(true);
        if (level % every === 0) expect(room.compact().poisoned).toEqual([]);
      }
      expect(room.write(chain(1, MAX_NESTING, 1)), `compacted every ${every}`).toBe(false);
      room.compact();
      expect(room.write(chain(1, MAX_NESTING, 1))).toBe(false);
    }
  });

  it('[ADM-3] is worked out again for what waited for the type that it lies in', () => {
    const room = new Room();
    room.write(chain(1, 0, 300));
    const below = (client: number, clock: number, count: number, parent: [number, number]) => {
      const structs = Array.from({ length: count }, (_, i) =>
        item({
          parent: i === 0 ? parent : [client, clock + i - 1],
          kind: 7,
          content: type(0),
        }),
      );
      return update([{ client, clock, structs }]);
    };
    const waiting = parseUpdate(below(2, 0, 149, [3, 0]));
    expect(room.write(waiting)).toBe(true);
    // The deepest of the others are deleted, and what is needed comes.
    room.write(update([], [[1, 250, 50]]));
    room.compact();
    expect(room.write(below(3, 0, 1, [1, 248]))).toBe(true);
    expect(room.write(waiting)).toBe(true);
    expect(room.write(below(2, 149, 149, [2, 148]))).toBe(false);
    expect(room.compact().poisoned).toEqual([]);
  });

  it('[ADM-3] follows from a neighbour where the parent is not named', () => {
    const room = new Room();
    room.write(chain(1, 0, 399));
    // A text in the 399th, and behind that text a type, which thus lies in the 400th level.
    const words = [item({ parent: [1, 398], kind: 4, content: text('words') })];
    room.write(update([{ client: 2, clock: 0, structs: words }]));
    const below = (client: number) => [
      item({ origin: [2, 4], kind: 7, content: type(0) }),
      item({ parent: [client, 0], kind: 7, content: type(0) }),
    ];
    expect(room.write(update([{ client: 3, clock: 0, structs: below(3) }]))).toBe(false);
    room.compact();
    expect(room.write(update([{ client: 3, clock: 0, structs: below(3) }]))).toBe(false);
    expect(room.write(update([{ client: 3, clock: 0, structs: below(3).slice(0, 1) }]))).toBe(true);
  });

  it('[ADM-3] follows from a neighbour in what is too deep for a type, deleted or not', () => {
    const room = new Room();
    room.write(chain(1, 0, MAX_NESTING));
    // Text may lie in the deepest type, but no type beside it.
    const words = [item({ parent: [1, MAX_NESTING - 1], kind: 4, content: text('words') })];
    expect(room.write(update([{ client: 2, clock: 0, structs: words }]))).toBe(true);
    const beside = (kind: 'origin' | 'right') =>
      update([
        {
          client: 3,
          clock: 0,
          structs: [item({ [kind]: [2, kind === 'origin' ? 4 : 0], kind: 7, content: type(0) })],
        },
      ]);
    for (let round = 0; round < 2; round++) {
      expect(room.write(beside('origin'))).toBe(false);
      expect(room.write(beside('right'))).toBe(false);
      expect(room.write(update([], [[2, 0, 5]]))).toBe(true);
      expect(room.write(beside('right'))).toBe(false);
      room.compact();
    }
  });

  it('[ADM-3] wide documents are not deep, however many types come', () => {
    const room = new Room();
    const doc = new Y.Doc();
    for (let i = 0; i < 1_500; i++) {
      const change = edit(doc, () => {
        const paragraph = new Y.XmlElement('p');
        paragraph.insert(0, [new Y.XmlText(`${i}`)]);
        doc.getXmlFragment('x').insert(i, [paragraph]);
      });
      expect(room.write(change)).toBe(true);
    }
  });

  it('[ADM-4] what lies too deep and is deleted by the same update is taken with nothing in it', () => {
    const doc = new Y.Doc();
    const undo = new Y.UndoManager(doc.getArray('deep'));
    doc.transact(() => {
      let at: Y.Array<unknown> = doc.getArray('deep');
      for (let level = 0; level < 500; level++) {
        const next = new Y.Array<unknown>();
        at.insert(0, [next]);
        at = next;
      }
    });
    const room = new Room();
    expect(room.write(Y.encodeStateAsUpdate(doc))).toBe(false);
    // It keeps what it may redo: the types are there, and deleted.
    undo.undo();
    doc.getText('t').insert(0, 'and goes on');
    expect(room.write(Y.encodeStateAsUpdate(doc))).toBe(true);
    expect(room.document().getText('t').toString()).toBe('and goes on');
    const { poisoned } = room.compact();
    expect(poisoned).toEqual([]);
    expect(Y.getState(room.document().store, doc.clientID)).toBe(
      Y.getState(doc.store, doc.clientID),
    );
  });

  it('[ADM-4] so is a value', () => {
    const doc = new Y.Doc();
    const undo = new Y.UndoManager(doc.getArray('a'));
    let value: unknown[] = [];
    for (let level = 1; level < MAX_NESTING; level++) value = [value];
    const room = new Room();
    expect(room.write(edit(doc, () => doc.getArray('a').push([value])))).toBe(true);
    undo.stopCapturing();
    expect(room.write(edit(doc, () => doc.getArray('a').push([1, [value]])))).toBe(false);
    undo.undo();
    doc.getText('t').insert(0, 'and goes on');
    expect(room.write(Y.encodeStateAsUpdate(doc))).toBe(true);
    expect(room.document().getText('t').toString()).toBe('and goes on');
    expect(room.compact().poisoned).toEqual([]);
  });

  it('[ADM-5] of a snapshot only what lies deep is kept, and comes back as it was', () => {
    const room = new Room();
    room.write(chain(1, 0, SHALLOW));
    expect(room.compact().reach.levels.isEmpty).toBe(true);
    room.write(chain(1, SHALLOW, 20));
    const words = [item({ parent: [1, SHALLOW + 9], kind: 4, content: text('words') })];
    room.write(update([{ client: 2, clock: 0, structs: words }]));
    const { levels } = room.compact().reach;
    expect(levels.deepest).toBe(SHALLOW + 20);
    expect(levels.at(1, SHALLOW - 1)).toBeUndefined();
    expect(levels.at(1, SHALLOW)).toBe(SHALLOW + 1);
    expect(levels.at(1, SHALLOW + 19)).toBe(SHALLOW + 20);
    expect(levels.at(1, SHALLOW + 20)).toBeUndefined();
    expect([0, 4].map((clock) => levels.at(2, clock))).toEqual([SHALLOW + 11, SHALLOW + 11]);
  });

  it('[ADM-3] [CMP-20] random growth: what is not too deep is taken, and no compaction empties any of it', () => {
    const dice = Dice.announced('[CMP-20] random growth');
    for (let round = 0; round < 3; round++) {
      const room = new Room();
      const docs = [new Y.Doc(), new Y.Doc()];
      let taken = 0;
      let refused = 0;
      for (let step = 0; step < 100; step++) {
        const doc = docs[dice.below(2)]!;
        Y.applyUpdate(doc, Y.encodeStateAsUpdate(room.document(), Y.encodeStateVector(doc)));
        const before = Y.encodeStateAsUpdate(doc);
        const types: Y.Array<unknown>[] = [doc.getArray('a')];
        for (const each of types) {
          for (const child of each.toArray()) if (child instanceof Y.Array) types.push(child);
        }
        let deepest = 0;
        const change = edit(doc, () => {
          // Rather the deepest than any.
          let at = dice.below(3) === 0 ? types[dice.below(types.length)]! : types.at(-1)!;
          const levels = 1 + dice.below(dice.below(4) === 0 ? 120 : 30);
          for (let level = 0; level < levels; level++) {
            const next = new Y.Array<unknown>();
            const index = dice.below(at.length + 1);
            at.insert(index, dice.below(2) === 0 ? [next] : ['x', next, 'y']);
            deepest = Math.max(deepest, levelOf(next));
            at = next;
          }
        });
        const isTaken = room.write(change);
        if (deepest <= MAX_NESTING) expect(isTaken).toBe(true);
        if (deepest > DEEPEST) expect(isTaken).toBe(false);
        if (isTaken) taken++;
        else {
          refused++;
          docs[docs.indexOf(doc)] = new Y.Doc();
          Y.applyUpdate(docs.find((each) => each.store.clients.size === 0)!, before);
        }
        if (dice.below(10) === 0) {
          const shown = JSON.stringify(room.document().getArray('a'));
          expect(room.compact().poisoned).toEqual([]);
          expect(JSON.stringify(room.document().getArray('a'))).toBe(shown);
        }
      }
      expect(taken).toBeGreaterThan(0);
      expect(refused).toBeGreaterThan(0);
    }
  });
});
