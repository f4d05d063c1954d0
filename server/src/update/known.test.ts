import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { edits, replay, withSeed } from '../../test/histories.js';
import { compact, diff } from '../compact/job.js';
import { admit } from './admit.js';
import { Frontier } from './frontier.js';
import { checkAgainst, findContradiction, hasKnown, knownBeforeTail } from './known.js';
import { parseUpdate } from './parse.js';
import { encodeStateVector } from './state-vector.js';
import { Tail } from './tail.js';

/** What a room holds of these updates. */
function roomOf(updates: readonly Uint8Array[]) {
  const frontier = new Frontier();
  const tail = new Tail(0);
  const log: Uint8Array[] = [];
  for (const update of updates) {
    const { change } = admit(frontier, parseUpdate(update));
    if (change === undefined) continue;
    tail.append(log.length + 1, change);
    log.push(change.update);
  }
  return { frontier, tail, log };
}

/** Compares as a room whose snapshot reaches so far. */
function compare(
  update: Uint8Array,
  { frontier, tail, log }: ReturnType<typeof roomOf>,
  at: number,
) {
  const parsed = parseUpdate(update);
  if (!hasKnown(parsed, frontier)) return;
  const snapshot = compact({ snapshot: undefined, updates: log.slice(0, at) }).update;
  tail.trim(at);
  expect(findContradiction(parsed, frontier, tail)).toBeUndefined();
  const before = knownBeforeTail(parsed, frontier, tail);
  const vector = new Map([...frontier.vector, ...before]);
  const stored = diff({ snapshot, stateVector: encodeStateVector(vector) });
  checkAgainst(parseUpdate(stored), parsed);
}

function typing(client: number, ...words: string[]): { doc: Y.Doc; updates: Uint8Array[] } {
  const doc = new Y.Doc();
  doc.clientID = client;
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  for (const word of words) doc.getText('t').insert(doc.getText('t').length, word);
  return { doc, updates };
}

describe('[THR] known clocks', () => {
  it('[THR-11] what honest clients repeat, cut, joined and deleted in any way, contradicts nothing', () => {
    withSeed(
      fc.property(edits, fc.nat(), fc.nat(), (script, cutAt, known) => {
        const { docs, delivered } = replay(script, undefined);
        const repeated = [
          ...delivered.filter((_, i) => i % 8 === known % 8),
          ...docs.map((doc) => Y.encodeStateAsUpdate(doc)),
          Y.mergeUpdates([...delivered]),
        ];
        for (const doc of docs) {
          const some = new Y.Doc();
          for (const each of delivered.slice(0, known % (delivered.length + 1))) {
            Y.applyUpdate(some, each);
          }
          repeated.push(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(some)));
        }
        for (const update of repeated) {
          const room = roomOf(delivered);
          compare(update, room, cutAt % (room.log.length + 1));
        }
      }),
    );
  });

  it('[THR-11] other content, in another place or of another kind, does', () => {
    const others: ((doc: Y.Doc) => void)[] = [
      (doc) => doc.getText('t').insert(3, 'DEF'),
      (doc) => doc.getText('t').insert(0, 'ggg'),
      (doc) => doc.getText('t').insert(0, 'DEFG'),
      (doc) => doc.getText('u').insert(0, 'ggg'),
      (doc) => doc.getArray('a').push([1, 2, 3]),
      (doc) => doc.getArray('a').push([1, 2, { three: 3 }]),
      (doc) => doc.getMap('m').set('k', 1),
      (doc) => doc.getMap('m').set('other', 1),
      (doc) => doc.getText('t').insertEmbed(0, { image: 'one' }),
      (doc) => doc.getText('t').insertEmbed(0, { image: 'other' }),
      (doc) => doc.getMap('m').set('k', new Y.Map()),
      (doc) => doc.getMap('m').set('k', new Y.Array()),
    ];
    for (const [i, one] of others.entries()) {
      for (const [j, other] of others.entries()) {
        const { doc, updates } = typing(7, 'abc');
        one(doc);
        const twin = new Y.Doc();
        Y.applyUpdate(twin, updates[0]!);
        twin.clientID = 7;
        const before = Y.encodeStateVector(twin);
        other(twin);
        const { frontier, tail } = roomOf(updates);
        const parsed = parseUpdate(Y.encodeStateAsUpdate(twin, before));
        expect(hasKnown(parsed, frontier)).toBe(true);
        const found = findContradiction(parsed, frontier, tail);
        // Whoever wrote more has said the same as far as the other goes.
        const isSame = i === j;
        expect(found === undefined, `${i} ${j}`).toBe(isSame);
        const all = parseUpdate(tail.since(0));
        if (!isSame) expect(() => checkAgainst(all, parsed)).toThrow('two clients have this id');
      }
    }
  });

  it('[THR-11] new clocks are not compared', () => {
    const { updates } = typing(7, 'abc', 'def');
    const { frontier } = roomOf(updates.slice(0, 1));
    expect(hasKnown(parseUpdate(updates[1]!), frontier)).toBe(false);
  });
});
