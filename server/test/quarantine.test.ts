/** What a compaction sets aside, seen from the sockets. */
import { MemoryStorage, type Quarantined } from '@cowrite/server';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { item, type, update } from './crafted.js';
import { RawClient, served, startServer } from './support.js';

const MALLORY = 666;

const AUTHOR = 'mallory';

/** Deeper than anything that is admitted. */
const UNDER = 400;

/** Shared types each of which is in the one before. */
function nested(from: number, count: number) {
  const structs = Array.from({ length: count }, (_, i) =>
    item({ parent: from + i === 0 ? 'deep' : [MALLORY, from + i - 1], kind: 7, content: type(0) }),
  );
  return [{ client: MALLORY, clock: from, structs }];
}

describe('[CMP] what is set aside', () => {
  it('[CMP-3] has deleted nothing: the same deletion by an honest client is news', async () => {
    const storage = new MemoryStorage();
    let hear: (entries: readonly Quarantined[]) => void = () => undefined;
    const setAside = new Promise<readonly Quarantined[]>((resolve) => {
      hear = resolve;
    });
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'not so');
    const deletion = [[doc.clientID, 0, 4]] as const;
    // Admission takes no such thing: a store that somebody else has written to may hold it.
    const entries = [
      Y.encodeStateAsUpdate(doc),
      update(nested(0, UNDER)),
      update(nested(UNDER, 60), deletion),
    ].map((each) => ({ update: each, author: AUTHOR }));
    await storage.append({ number: 0, appends: [{ room: 'room', entries }] });
    const server = await startServer({
      storage,
      hooks: { onQuarantine: ({ entries: found }) => hear(found) },
    });
    const ada = await RawClient.connect(server, 'room');
    await ada.join(new Y.Doc());
    const mallory = await RawClient.connect(server, 'room');
    await mallory.join(new Y.Doc());
    // Enough for a compaction.
    doc.getText('other').insert(0, 'x'.repeat(70_000));
    ada.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    expect((await setAside).map(({ seq }) => seq)).toEqual([3]);
    expect((await served(server, 'room')).getText('t').toString()).toBe('not so');

    const heard = mallory.received.length;
    ada.send({ type: 'update', update: update([], deletion) });
    await ada.untilSaved(3);
    expect((await storage.load('room')).tail.map(({ seq }) => seq)).toEqual([5]);
    await mallory.next('update', heard);
    expect((await served(server, 'room')).getText('t').toString()).toBe('so');
  });
});
