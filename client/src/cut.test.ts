import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import { below } from './change.js';
import { cut } from './cut.js';
import type { DocumentMessage } from './pending.js';

/** The messages in which a client brings what a server lacks. */
function messagesFor(server: Y.Doc, doc: Y.Doc, maxBytes: number): DocumentMessage[] {
  const stateVector = Y.encodeStateVector(server);
  const update = Y.encodeStateAsUpdate(doc, stateVector);
  const step2: DocumentMessage = {
    type: 'step2',
    update,
    known: below(stateVector),
    isDivisible: true,
  };
  return cut(doc, step2, maxBytes);
}

/** Applies them one by one; none may have to wait for a later one. */
function applyAll(server: Y.Doc, messages: readonly DocumentMessage[]): void {
  for (const { update } of messages) {
    Y.applyUpdate(server, update);
    expect(server.store.pendingStructs).toBe(null);
  }
}

const shown = (doc: Y.Doc) => [doc.getText('t').toDelta(), doc.getMap('m').toJSON()];

describe('[CLI-17] a step 2 that is too large', () => {
  test('is left as it is where it is not', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'small');
    const messages = messagesFor(new Y.Doc(), doc, 1_000);
    expect(messages.map(({ type, isDivisible }) => [type, isDivisible])).toEqual([['step2', true]]);
  });

  test('[CLI-39] brings again what may not be saved, and of that nothing is reverted which the server has', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'the server has this');
    const known = below(Y.encodeStateVector(doc));
    for (let i = 0; i < 9; i++) doc.getText('t').insert(0, 'x'.repeat(50));
    const step2: DocumentMessage = {
      type: 'step2',
      update: Y.encodeStateAsUpdate(doc),
      known,
      isDivisible: true,
    };
    const messages = cut(doc, step2, 100);
    applyAll(new Y.Doc(), messages);
    const pieces = messages.flatMap(({ piece }) => (piece === undefined ? [] : [piece]));
    expect(pieces.length).toBeGreaterThan(3);
    for (const { insertions } of pieces) {
      expect(Y.isDeleted(insertions, Y.createID(doc.clientID, 0))).toBe(false);
    }
  });

  test('is cut between what was written, and no further', () => {
    const doc = new Y.Doc();
    const text = doc.getText('t');
    for (const char of 'abcd') {
      text.insert(0, char.repeat(100));
      text.insert(0, char.repeat(10));
    }
    text.insert(0, 'x'.repeat(1_000));
    text.delete(0, 5);
    const messages = messagesFor(new Y.Doc(), doc, 150);
    const sizes = messages.map(({ update }) => update.length);
    expect(Math.max(...sizes.filter((size) => size < 900))).toBeLessThan(180);
    const large = messages.filter(({ update }) => update.length >= 900);
    expect(large.map(({ isDivisible }) => isDivisible)).toEqual([false]);
    const { type, update, isDivisible } = messages.at(-1) as DocumentMessage;
    expect([type, isDivisible]).toEqual(['step2', undefined]);
    expect(update.length).toBeLessThan(12);
    const server = new Y.Doc();
    applyAll(server, messages);
    expect(shown(server)).toEqual(shown(doc));
  });

  test('whatever has been written by whom, each piece can be applied after those before it', () => {
    const edit = fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 40 }), fc.nat({ max: 5 }));
    fc.assert(
      fc.property(
        fc.array(edit, { minLength: 1, maxLength: 40 }),
        fc.nat({ max: 40 }),
        fc.integer({ min: 1, max: 200 }),
        (edits, seen, maxBytes) => {
          const docs = [1, 2, 3].map((clientID) => Object.assign(new Y.Doc(), { clientID }));
          const server = new Y.Doc();
          for (const [at, [writer, place, kind]] of edits.entries()) {
            const doc = docs[writer] as Y.Doc;
            const text = doc.getText('t');
            if (kind === 0 && text.length > 0) text.delete(place % text.length, 1);
            else if (kind === 1) doc.getMap('m').set(`k${place % 3}`, new Y.Text(`${place}`));
            else text.insert(text.length === 0 ? 0 : place % text.length, `w${place}`);
            const update = Y.encodeStateAsUpdate(doc);
            for (const other of docs) Y.applyUpdate(other, update);
            if (at < seen) Y.applyUpdate(server, update);
          }
          const doc = docs[0] as Y.Doc;
          const messages = messagesFor(server, doc, maxBytes);
          applyAll(server, messages);
          expect(shown(server)).toEqual(shown(doc));
          for (const { update, isDivisible } of messages.slice(0, -1)) {
            if (isDivisible) expect(update.length).toBeLessThan(maxBytes + 40);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('leaves a gap where something is missing: what is behind it keeps its place', () => {
    const author = new Y.Doc();
    const updates: Uint8Array[] = [];
    author.on('update', (update) => updates.push(update));
    for (const word of ['one ', 'two ', 'three ']) author.getArray('l').push([word]);
    const doc = new Y.Doc();
    for (const at of [0, 2]) Y.applyUpdate(doc, updates[at] as Uint8Array);
    doc.getText('t').insert(0, 'x'.repeat(100));
    const server = new Y.Doc();
    for (const { update } of messagesFor(server, doc, 60)) Y.applyUpdate(server, update);
    expect(server.getArray('l').toJSON()).toEqual(['one ']);
    Y.applyUpdate(server, updates[1] as Uint8Array);
    expect(server.getArray('l').toJSON()).toEqual(['one ', 'two ', 'three ']);
  });

  test('in which something is missing that nobody has comes as it is', () => {
    const author = new Y.Doc();
    const updates: Uint8Array[] = [];
    author.on('update', (update) => updates.push(update));
    author.getText('t').insert(0, 'missing');
    author.getText('t').insert(7, ' behind it');
    const doc = new Y.Doc();
    Y.applyUpdate(doc, updates[1] as Uint8Array);
    doc.getText('t').insert(0, 'there '.repeat(20));
    const server = new Y.Doc();
    for (const { update } of messagesFor(server, doc, 50)) Y.applyUpdate(server, update);
    expect(server.getText('t').toString()).toBe('there '.repeat(20));
    Y.applyUpdate(server, updates[0] as Uint8Array);
    expect(server.getText('t').toString()).toContain('missing behind it');
  });
});
