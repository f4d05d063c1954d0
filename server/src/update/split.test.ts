import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Contents } from '../contents.js';
import { Depth } from './depth.js';
import { Frontier } from './frontier.js';
import { Levels } from './levels.js';
import { parseUpdate } from './parse.js';
import { isManifold, split } from './split.js';
import { decodeStateVector } from './state-vector.js';
import { Tail } from './tail.js';

const ANYBODY = { mayWrite: () => true };

function emptyContents(): Contents {
  return new Contents({
    frontier: new Frontier(),
    tail: new Tail(0),
    depth: new Depth(new Levels(), 0, 0),
    snapshot: undefined,
    head: 0,
    unusable: [],
  });
}

/** A document that many clients wrote, each beside what others had, and deleted some of. */
function byMany(clients: number): Y.Doc {
  const doc = new Y.Doc();
  for (let client = 1; client <= clients; client++) {
    doc.clientID = client;
    const text = doc.getText('t');
    text.insert((client * 7) % (text.length + 1), `${client};`);
    if (client % 3 === 0) text.delete((client * 5) % (text.length - 1), 1);
  }
  return doc;
}

describe('[ADM] updates in parts', () => {
  it('[ADM-2] an update that is admitted in parts, and then whole, reads as it would have at once', () => {
    const doc = byMany(2_000);
    const update = parseUpdate(Y.encodeStateAsUpdate(doc));
    expect(isManifold(update)).toBe(true);
    const contents = emptyContents();
    let parts = 0;
    for (const part of split(update)) {
      contents.admit(part, ANYBODY);
      parts++;
    }
    expect(parts).toBeGreaterThan(8);
    const { missing } = contents.admit(update, ANYBODY);
    expect(missing).toBeUndefined();
    expect(contents.admit(update, ANYBODY).change).toBeUndefined();
    const read = new Y.Doc();
    Y.applyUpdate(read, contents.tail.since(0));
    expect(read.store.pendingStructs).toBeNull();
    expect(read.getText('t').toString()).toBe(doc.getText('t').toString());
    expect(decodeStateVector(contents.stateVector)).toEqual(
      decodeStateVector(Y.encodeStateVector(doc)),
    );
  });

  it('[ADM-2] many deletions are cut, and all of them arrive', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'xy'.repeat(10_000));
    const before = Y.encodeStateAsUpdate(doc);
    const vector = Y.encodeStateVector(doc);
    doc.transact(() => {
      for (let i = 0; i < 10_000; i++) doc.getText('t').delete(i, 1);
    });
    const update = parseUpdate(Y.encodeStateAsUpdate(doc, vector));
    expect(isManifold(update)).toBe(true);
    const contents = emptyContents();
    contents.admit(parseUpdate(before), ANYBODY);
    const parts = [...split(update)];
    expect(parts.length).toBeGreaterThan(4);
    for (const part of parts) contents.admit(part, ANYBODY);
    expect(contents.admit(update, ANYBODY)).toEqual({ change: undefined, missing: undefined });
    const read = new Y.Doc();
    Y.applyUpdate(read, contents.tail.since(0));
    expect(read.getText('t').toString()).toBe(doc.getText('t').toString());
  });

  it('[ADM-2] however many deletions were admitted one after another, in any order, they leave in order', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'xy'.repeat(12_000));
    const contents = emptyContents();
    contents.admit(parseUpdate(Y.encodeStateAsUpdate(doc)), ANYBODY);
    doc.on('update', (update: Uint8Array) => contents.admit(parseUpdate(update), ANYBODY));
    for (let i = 23_999; i > 0; i -= 2) doc.getText('t').delete(i, 1);
    const read = new Y.Doc();
    Y.applyUpdate(read, contents.tail.since(0));
    expect(read.getText('t').toString()).toBe('x'.repeat(12_000));
  });

  it('[ADM-2] what people write is not cut', () => {
    expect(isManifold(parseUpdate(Y.encodeStateAsUpdate(byMany(400))))).toBe(false);
  });
});
