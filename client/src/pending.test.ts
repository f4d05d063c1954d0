import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as Y from 'yjs';
import '../test/loaded.js';
import { below } from './change.js';
import { applyReceived } from './document.js';
import { Pending } from './pending.js';

/** A document whose every change is carried by a message of its own, or by none. */
function setUp(doc = new Y.Doc(), hasContent = false) {
  const pending = new Pending(doc, hasContent, ({ local }) => local);
  let isOpen = true;
  let sent = 0;
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array, origin: unknown, _: Y.Doc, { local }: Y.Transaction) => {
    if (!local || pending.isTakingBack(origin)) return;
    updates.push(update);
    pending.changed(isOpen ? ++sent : null);
  });
  return {
    doc,
    pending,
    text: doc.getText('t'),
    updates,
    get sent() {
      return sent;
    },
    close: () => {
      isOpen = false;
    },
    open: () => {
      isOpen = true;
      sent = 0;
      pending.opened();
    },
    /** @param server what has been reached */
    sendWhole: (server = new Y.Doc()) => {
      const update = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(server));
      const known = below(Y.encodeStateVector(server));
      pending.sent(++sent, { type: 'step2', update, known, isDivisible: true });
      return sent;
    },
  };
}

/** The server refuses a message, and what it refuses is reverted at once. */
function takeBack(pending: Pending, message: number): boolean | null {
  const isReverted = pending.refuse(message);
  pending.revert();
  return isReverted;
}

describe('[CLI-17] a refused change', () => {
  test('that inserted is gone', () => {
    const { text, pending } = setUp();
    text.insert(0, 'kept');
    text.insert(4, ' refused');
    expect(takeBack(pending, 2)).toBe(true);
    expect(text.toString()).toBe('kept');
  });

  test('that deleted brings back what it deleted', () => {
    const { text, pending } = setUp();
    text.insert(0, 'all of it');
    pending.saved(1);
    text.delete(0, 4);
    expect(takeBack(pending, 2)).toBe(true);
    expect(text.toString()).toBe('all of it');
  });

  test('is taken back alone, from between others', () => {
    const { text, pending } = setUp();
    text.insert(0, 'a');
    text.insert(1, 'b');
    text.insert(2, 'c');
    takeBack(pending, 2);
    expect(text.toString()).toBe('ac');
    expect(takeBack(pending, 2)).toBe(null);
  });

  test('is no change when it is saved, or when nothing was in the message', () => {
    const { text, pending, sendWhole } = setUp();
    text.insert(0, 'a');
    pending.saved(1);
    expect(takeBack(pending, sendWhole())).toBe(null);
    expect(text.toString()).toBe('a');
  });

  test('made without a socket goes with the message that holds all', () => {
    const { text, pending, close, open, sendWhole } = setUp();
    text.insert(0, 'saved');
    pending.saved(1);
    text.insert(5, ' lost');
    close();
    text.insert(10, ' with it');
    text.delete(0, 5);
    open();
    expect(takeBack(pending, sendWhole())).toBe(true);
    expect(text.toString()).toBe('saved');
  });

  test('with all that came before it on its socket, where the message holds all', () => {
    const { text, pending, sendWhole } = setUp();
    text.insert(0, 'a');
    text.insert(1, 'b');
    const whole = sendWhole();
    text.insert(2, 'c');
    takeBack(pending, whole);
    expect(text.toString()).toBe('c');
  });

  test('that was there before anybody watched stays, and is said to', () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'before');
    const { text, pending, sendWhole } = setUp(doc, true);
    const whole = sendWhole();
    expect(takeBack(pending, whole)).toBe(false);
    expect(text.toString()).toBe('before');
    pending.saved(whole);
    expect(takeBack(pending, whole)).toBe(null);
  });

  test('stays where the server has it: it was not heard to be saved, and is', () => {
    const { text, pending, updates, close, open, sendWhole } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'deleted ');
    text.insert(8, 'written');
    pending.saved(1);
    text.delete(0, 8);
    for (const update of updates) Y.applyUpdate(server, update);
    close();
    text.insert(0, 'refused ');
    text.delete(text.length - 2, 2);
    open();
    pending.heard(Y.decodeUpdate(Y.encodeStateAsUpdate(server)), Y.createDeleteSet(), false);
    expect(takeBack(pending, sendWhole(server))).toBe(true);
    expect(text.toString()).toBe('written');
  });

  test('stays where it was sent by itself, and taken before the message that is refused', () => {
    const { text, pending, updates, sendWhole } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'deleted kept');
    pending.saved(1);
    Y.applyUpdate(server, updates[0] as Uint8Array);
    text.delete(0, 8);
    text.insert(4, ' refused');
    takeBack(pending, sendWhole(server));
    expect(text.toString()).toBe('kept');
  });

  test('stays watched where the server has it, and may lose it', () => {
    const { text, pending, updates, close, open, sendWhole } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'lost');
    Y.applyUpdate(server, updates[0] as Uint8Array);
    close();
    text.insert(4, ' refused');
    open();
    takeBack(pending, sendWhole(server));
    expect(text.toString()).toBe('lost');
    open();
    expect(takeBack(pending, sendWhole())).toBe(true);
    expect(text.toString()).toBe('');
  });

  test('is no news where the server has all of it', () => {
    const { text, pending, updates, close, open, sendWhole } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'there');
    Y.applyUpdate(server, updates[0] as Uint8Array);
    close();
    open();
    expect(takeBack(pending, sendWhole(server))).toBe(null);
    expect(text.toString()).toBe('there');
  });

  test('that another page took back is not brought back twice', () => {
    const { doc, text, pending, close, sendWhole, open } = setUp();
    text.insert(0, 'kept');
    pending.saved(1);
    close();
    text.delete(0, 4);
    text.insert(0, 'refused');
    pending.takenBackElsewhere();
    const other = new Y.Doc();
    other.getText('t').insert(0, 'kept');
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
    open();
    takeBack(pending, sendWhole());
    expect(text.toString()).toBe('kept');
  });

  test('leaves traces, until the server has taken a message with all of them in it', () => {
    const { text, pending, sendWhole } = setUp();
    text.insert(0, 'first');
    takeBack(pending, 1);
    expect(pending.isForked).toBe(true);
    const early = sendWhole();
    text.insert(0, 'second');
    takeBack(pending, early + 1);
    pending.saved(early + 1);
    expect(pending.isForked).toBe(true);
    pending.saved(sendWhole());
    expect(pending.isForked).toBe(false);
  });

  test('comes back where another server does not know that it was deleted', () => {
    const { text, pending, updates, open, close, sendWhole } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'kept');
    pending.saved(1);
    Y.applyUpdate(server, updates[0] as Uint8Array);
    close();
    text.delete(0, 4);
    open();
    const deleted = Y.decodeUpdate(updates[1] as Uint8Array);
    pending.heard(deleted, Y.createDeleteSet(), false);
    open();
    takeBack(pending, sendWhole(server));
    expect(text.toString()).toBe('kept');
  });

  test('costs the others nothing: what follows is accepted, and small', () => {
    const { doc, text, pending, updates } = setUp();
    const server = new Y.Doc();
    text.insert(0, 'x'.repeat(100_000));
    takeBack(pending, 1);
    text.insert(0, 'small');
    const update = Y.encodeStateAsUpdate(doc, Y.encodeStateVector(server));
    expect(update.length).toBeLessThan(200);
    Y.applyUpdate(server, update);
    expect(server.getText('t').toString()).toBe('small');
    expect(updates.length).toBe(2);
  });

  test('of thousands without a socket', () => {
    const { text, pending, close, open, sendWhole } = setUp();
    text.insert(0, 'kept');
    pending.saved(1);
    close();
    for (let n = 0; n < 3_500; n++) {
      if (n % 3 === 2) text.delete(0, 1);
      else text.insert(text.length, `${n} `);
    }
    open();
    expect(takeBack(pending, sendWhole())).toBe(true);
    expect(text.toString()).toBe('kept');
  });

  test('leaves a listener of the application that throws its exception, and is gone', async () => {
    const { doc, text, pending } = setUp();
    text.insert(0, 'refused');
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    text.observe(() => {
      throw new Error('of the application');
    });
    takeBack(pending, 1);
    expect(text.toString()).toBe('');
    expect(await thrown).toEqual(new Error('of the application'));
    doc.getArray('a').push([1]);
    takeBack(pending, 2);
    expect(doc.getArray('a').length).toBe(0);
  });
});

/** What an editor does, on text with formats, a map, a list, and an element with children. */
const edit = fc.tuple(
  fc.constantFrom('insert', 'delete', 'format', 'set', 'unset', 'push', 'cut', 'nest', 'write'),
  fc.nat({ max: 30 }),
);
type Edit = readonly [kind: string, place: number];

function perform(doc: Y.Doc, [kind, place]: Edit): void {
  const text = doc.getText('t');
  const map = doc.getMap<unknown>('m');
  const list = doc.getArray<unknown>('l');
  const root = doc.getXmlFragment('x');
  const at = (length: number) => (length === 0 ? 0 : place % length);
  if (kind === 'insert') text.insert(at(text.length), 'abc');
  else if (kind === 'delete' && text.length > 0) text.delete(at(text.length), 1);
  else if (kind === 'format' && text.length > 0) text.format(at(text.length), 1, { b: true });
  else if (kind === 'set') map.set(`k${place % 3}`, place);
  else if (kind === 'unset') map.delete(`k${place % 3}`);
  else if (kind === 'push') list.insert(at(list.length), [place]);
  else if (kind === 'cut' && root.length > 0) root.delete(at(root.length), 1);
  else if (kind === 'nest') root.insert(at(root.length), [new Y.XmlText(`p${place}`)]);
  else if (kind === 'write' && root.length > 0) {
    (root.get(at(root.length)) as Y.XmlText).insert(0, 'w');
  }
}

const shown = (doc: Y.Doc) => [
  doc.getText('t').toDelta(),
  doc.getMap('m').toJSON(),
  doc.getArray('l').toJSON(),
  doc.getXmlFragment('x').toString(),
];

/** Some edits, one after the other, that are made in one transaction. */
const changes = fc.array(fc.array(edit, { minLength: 1, maxLength: 3 }), { maxLength: 12 });

function performAll(doc: Y.Doc, group: readonly Edit[]): void {
  doc.transact(() => {
    for (const one of group) perform(doc, one);
  });
}

test('[CLI-17] whatever of it the server had already, the document shows what the server shows', () => {
  fc.assert(
    fc.property(changes, changes, changes, (before, known, refused) => {
      const doc = new Y.Doc();
      const server = new Y.Doc();
      const { pending, updates, close, open, sendWhole } = setUp(doc);
      for (const group of before) performAll(doc, group);
      pending.saved(Number.MAX_SAFE_INTEGER);
      for (const group of known) performAll(doc, group);
      for (const update of updates) Y.applyUpdate(server, update);
      close();
      for (const group of refused) performAll(doc, group);
      open();
      pending.heard(Y.decodeUpdate(Y.encodeStateAsUpdate(server)), Y.createDeleteSet(), false);
      takeBack(pending, sendWhole(server));
      expect(shown(doc)).toEqual(shown(server));
    }),
    { numRuns: 500 },
  );
});

test('[CLI-17] what another page has written is taken back in this one', () => {
  fc.assert(
    fc.property(changes, changes, (before, refused) => {
      const other = setUp();
      for (const group of before) performAll(other.doc, group);
      other.pending.saved(Number.MAX_SAFE_INTEGER);
      const was = shown(other.doc);
      other.close();
      for (const group of refused) performAll(other.doc, group);
      const { doc, pending, open, sendWhole } = setUp();
      applyReceived(doc, Y.encodeStateAsUpdate(other.doc), null, () => false);
      pending.add(structuredClone(other.pending.all));
      open();
      takeBack(pending, sendWhole());
      expect(shown(doc)).toEqual(was);
    }),
    { numRuns: 500 },
  );
});

test('[CLI-17] whatever was refused, the document shows what it showed before', () => {
  fc.assert(
    fc.property(
      fc.array(edit, { maxLength: 12 }),
      changes,
      fc.boolean(),
      (before, refused, isLoose) => {
        const doc = new Y.Doc();
        const { pending, close, open, sendWhole, sent } = setUp(doc);
        expect(sent).toBe(0);
        for (const one of before) perform(doc, one);
        pending.saved(Number.MAX_SAFE_INTEGER);
        const was = shown(doc);
        if (isLoose) close();
        for (const group of refused) performAll(doc, group);
        if (isLoose) open();
        takeBack(pending, sendWhole());
        expect(shown(doc)).toEqual(was);
      },
    ),
    { numRuns: 500 },
  );
});
