import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import { contents, holdDatabase, written } from '../test/copies.js';
import {
  accept,
  closePages,
  docOf,
  documentsOf,
  EMPTY,
  type Parts,
  save,
  setUpPages,
  textIn,
  textOf,
  type,
} from '../test/pages.js';
import { clearOfflineCopies } from './offline.js';
import type { CowriteProvider } from './provider.js';

let clock: Parts['clock'];
let network: Parts['network'];
let open: Parts['open'];
let settle: Parts['settle'];

beforeEach(() => {
  ({ clock, network, open, settle } = setUpPages({ tabs: false }));
});

afterEach(closePages);

/** What of an edit is on its way to the server of the last socket. */
const sent = () => documentsOf(network.last);

/** A page whose document is saved, of this generation, and whose connection is lost. */
async function leave(generation: number, options = {}): Promise<CowriteProvider> {
  const page = open(options);
  await page.whenLoaded();
  accept(network.last, docOf('old '), generation);
  type(page, 'saved ');
  save(network.last);
  await written();
  network.last.drop();
  return page;
}

/** The server has this document when the page is back. */
function comeBack(page: CowriteProvider, doc: Y.Doc, generation: number): void {
  page.connect();
  accept(network.last, doc, generation);
}

describe('[CLI-35] a document of another generation', () => {
  test.each([
    ['a higher one', 3, 5],
    ['a lower one', 5, 3],
    ['the first', 5, 0],
    ['one as large as they get', 3, Number.MAX_SAFE_INTEGER],
  ])('%s is not merged with, and nothing is sent', async (_, own, other) => {
    const page = await leave(own);
    type(page, 'unsaved');
    const told: unknown[] = [];
    page.on('refused', (refusal) => told.push(refusal.reason));
    comeBack(page, docOf('new'), other);
    expect([page.status, told, sent()]).toEqual(['refused', ['deleted'], []]);
    expect([textOf(page), page.unsaved]).toEqual(['old saved unsaved', true]);
    comeBack(page, docOf('new'), other);
    expect([page.status, sent()]).toEqual(['refused', []]);
  });

  test('the same one is', async () => {
    const page = await leave(3);
    const server = new Y.Doc();
    Y.applyUpdate(server, Y.encodeStateAsUpdate(page.doc));
    type(page, 'unsaved');
    comeBack(page, server, 3);
    save(network.last);
    expect([page.status, page.unsaved]).toEqual(['online', false]);
  });

  test('nothing of the document is sent before it is known, and then in the first step 2', () => {
    const page = open();
    type(page, 'early ');
    network.last.accept();
    type(page, 'typed ');
    expect(sent()).toEqual([]);
    network.last.say({ type: 'generation', generation: 3 });
    type(page, 'more');
    expect(sent()).toEqual([]);
    network.last.say({ type: 'step1', stateVector: EMPTY });
    expect(sent().map((message) => message.type)).toEqual(['step2']);
    expect(textIn(sent().map((message) => ('update' in message ? message.update : EMPTY)))).toBe(
      'early typed more',
    );
    save(network.last);
    expect(page.unsaved).toBe(false);
  });

  test('a document in which nothing ever was takes any', () => {
    const page = open();
    accept(network.last, new Y.Doc(), 3);
    network.last.drop();
    comeBack(page, docOf('new'), 5);
    expect([page.status, textOf(page)]).toEqual(['online', 'new']);
  });

  test('a first join takes what it is told, with what was written before', () => {
    const page = open();
    type(page, 'mine');
    accept(network.last, new Y.Doc(), 7);
    expect(page.status).toBe('online');
    network.last.drop();
    comeBack(page, docOf('new'), 8);
    expect(page.status).toBe('refused');
  });

  test('a store that has been set back, and has nothing under this name, is given what is here', async () => {
    const page = await leave(5);
    comeBack(page, new Y.Doc(), 0);
    expect([page.status, sent().length]).toEqual(['online', 1]);
  });

  test.each([
    ['a higher number', 3, 5],
    ['a lower one', 5, 3],
  ])(
    '[CLI-52] but a document that was emptied is not, also where it has %s',
    async (_, own, other) => {
      const page = await leave(own);
      comeBack(page, new Y.Doc(), other);
      expect([page.status, sent()]).toEqual(['refused', []]);
    },
  );

  test('it is known to the next provider of the same document', async () => {
    const page = await leave(3);
    const { doc } = page;
    page.destroy();
    const next = open({ doc });
    accept(network.last, docOf('new'), 5);
    expect([next.status, sent()]).toEqual(['refused', []]);
    // Another room is another matter.
    const other = open({ doc, room: 'other' });
    accept(network.last, new Y.Doc(), 5);
    expect(other.status).toBe('online');
  });

  test('one that takes its place while the client is there is another one, too', async () => {
    const page = open();
    accept(network.last, docOf('old'), 3);
    type(page, ' unsaved');
    network.last.drop(4404, 'another document has taken the place of this one');
    expect([page.status, page.refusal?.reason]).toEqual(['refused', 'deleted']);
    comeBack(page, docOf('new'), 5);
    expect([page.status, sent()]).toEqual(['refused', []]);
  });

  test('an application that stores the document says which it was', () => {
    const page = open();
    accept(network.last, docOf('old'), 3);
    const stored = { update: Y.encodeStateAsUpdate(page.doc), generation: page.generation };
    page.destroy();
    for (const [generation, status] of [
      [stored.generation, 'refused'],
      [null, 'online'],
    ] as const) {
      const doc = new Y.Doc();
      Y.applyUpdate(doc, stored.update);
      const next = open({ doc, generation });
      accept(network.last, docOf('new'), 5);
      expect(next.status).toBe(status);
    }
  });

  test('a server of y-websocket says nothing of it: there nobody can know', async () => {
    const page = await leave(3);
    page.connect();
    network.last.accept('');
    type(page, 'x');
    expect(sent()).toHaveLength(1);
  });
});

describe('[CLI-35] an offline copy of another generation', () => {
  const offline = { offline: true };

  test('says which it is of from its first record on', async () => {
    const page = open(offline);
    await page.whenLoaded();
    accept(network.last, docOf('old'), 3);
    const { rows, found } = await contents();
    expect(rows.map((row) => (row as { generation?: number }).generation)).toEqual([3]);
    expect((found[0] as { generation?: number }).generation).toBe(3);
  });

  test('is not merged after a reload, and gone at the next one', async () => {
    (await leave(3, offline)).destroy();
    await written();
    const page = open(offline);
    await page.whenLoaded();
    expect(textOf(page)).toBe('old saved ');
    accept(network.last, docOf('new'), 5);
    expect([page.status, page.refusal?.reason, sent()]).toEqual(['refused', 'deleted', []]);
    await written();
    expect((await contents()).found).toEqual([]);
    page.destroy();
    const next = open(offline);
    await next.whenLoaded();
    accept(network.last, docOf('new'), 5);
    expect([textOf(next), next.status, await next.recover()]).toEqual(['new', 'online', []]);
  });

  test('that comes later than the server’s word is not loaded', async () => {
    const page = await leave(3, offline);
    type(page, 'unsaved');
    await written();
    page.destroy();
    const release = holdDatabase();
    const late = open(offline);
    clock.advance(3_000);
    accept(network.last, docOf('new'), 5);
    release();
    await written();
    expect([textOf(late), late.status]).toEqual(['new', 'online']);
    const [kept] = await late.recover();
    expect(textIn([kept!.update])).toBe('old saved unsaved');
    type(late, ' more');
    await written();
    late.destroy();
    const next = open({ ...offline, connect: false });
    await next.whenLoaded();
    expect(textOf(next)).toBe('new more');
  });

  test('is not given to a document that is older than it', async () => {
    const old = await leave(3);
    const { doc } = old;
    old.destroy();
    (await leave(5, offline)).destroy();
    await written();
    const page = open({ ...offline, doc });
    await page.whenLoaded();
    accept(network.last, docOf('new'), 5);
    await written();
    expect(page.status).toBe('refused');
    expect((await contents()).found).toHaveLength(1);
    expect(textIn((await contents()).rows.map(({ update }) => update))).toBe('old saved ');
  });
});

describe('[CLI-36] what was unsaved in a document that is there no more', () => {
  const offline = { offline: true };

  test('can be recovered from the page: all, and what was before', async () => {
    const page = await leave(3);
    page.doc.getText('t').delete(0, 4);
    type(page, 'unsaved');
    comeBack(page, docOf('new'), 5);
    const [kept, ...more] = await page.recover();
    expect(more).toEqual([]);
    expect([kept?.generation, kept?.at]).toEqual([3, clock.date()]);
    expect(textIn([kept!.update])).toBe('saved unsaved');
    expect(textIn([kept!.before])).toBe('old saved ');
    await kept!.discard();
  });

  test('is nothing where all was saved, and before anything is refused', async () => {
    const page = await leave(3);
    expect(await page.recover()).toEqual([]);
    comeBack(page, docOf('new'), 5);
    expect([page.status, await page.recover()]).toEqual(['refused', []]);
  });

  test('stays in the browser until it is discarded', async () => {
    const page = await leave(3, offline);
    type(page, 'unsaved');
    await written();
    page.destroy();
    const back = open(offline);
    await back.whenLoaded();
    accept(network.last, docOf('new'), 5);
    expect((await back.recover()).map(({ generation }) => generation)).toEqual([3]);
    back.destroy();
    for (let round = 0; round < 2; round++) {
      const next = open(offline);
      await next.whenLoaded();
      accept(network.last, docOf('new'), 5);
      const [kept, ...more] = await next.recover();
      expect([more.length, next.status, textOf(next)]).toEqual([0, 'online', 'new']);
      expect(textIn([kept!.update])).toBe('old saved unsaved');
      expect(textIn([kept!.before])).toBe('old saved ');
      await next.clearOffline();
      if (round === 1) await kept!.discard();
      next.destroy();
    }
    const last = open({ ...offline, connect: false });
    expect(await last.recover()).toEqual([]);
  });

  test('so it does where the document was deleted, and is not called saved', async () => {
    const page = await leave(3, offline);
    type(page, 'unsaved');
    page.connect();
    network.last.drop(4404, 'this document was deleted');
    expect(page.refusal?.message).toBe('this document was deleted');
    const kept = await page.recover();
    expect(kept.map(({ update }) => textIn([update]))).toEqual(['old saved unsaved']);
    expect([page.unsaved, (await contents()).found]).toEqual([true, []]);
  });

  test('goes with all of its user’s', async () => {
    const page = await leave(3, { ...offline, user: 'ada' });
    type(page, 'unsaved');
    comeBack(page, docOf('new'), 5);
    expect(await page.recover()).toHaveLength(1);
    await clearOfflineCopies({ user: 'bob' });
    expect(await page.recover()).toHaveLength(1);
    page.destroy();
    await clearOfflineCopies({ user: 'ada' });
    expect(await open({ ...offline, user: 'ada', connect: false }).recover()).toEqual([]);
  });

  test('is in the page where the database fails, and that is told', async () => {
    const page = await leave(3, offline);
    type(page, 'unsaved');
    await written();
    const errors: string[] = [];
    page.on('connection-error', ({ error }) => errors.push(error.message));
    const fails = vi.spyOn(IDBFactory.prototype, 'open').mockImplementation(() => {
      throw new DOMException('forbidden', 'SecurityError');
    });
    comeBack(page, docOf('new'), 5);
    await expect(page.recover()).rejects.toThrow('forbidden');
    expect(errors).toEqual(['what is unsaved could not be preserved']);
    fails.mockRestore();
    expect((await page.recover()).map(({ update }) => textIn([update]))).toEqual([
      'old saved unsaved',
    ]);
  });
});

describe('[CLI-35] tabs that share a socket, and another generation', () => {
  const together = { tabs: true };

  test('all of them are refused, and one that is opened then has what is there now', async () => {
    const [one, other] = [open(together), open(together)];
    await settle();
    accept(network.last, docOf('old'), 3);
    await settle();
    network.last.drop();
    type(other, ' unsaved');
    await settle();
    one.connect();
    accept(network.last, docOf('new'), 5);
    await settle();
    expect([one.status, other.status]).toEqual(['refused', 'refused']);
    expect([one, other].map(({ refusal }) => refusal?.reason)).toEqual(['deleted', 'deleted']);
    expect(sent()).toEqual([]);
    for (const page of [one, other]) {
      expect((await page.recover()).map(({ update }) => textIn([update]))).toEqual(['old unsaved']);
    }
    const next = open(together);
    await settle();
    accept(network.last, docOf('new'), 5);
    await settle();
    expect([next.status, textOf(next), textOf(one)]).toEqual(['online', 'new', 'old unsaved']);
    type(one, ' still');
    await settle();
    expect(textOf(next)).toBe('new');
  });

  test('one that slept meanwhile goes alone, and mixes nothing', async () => {
    const asleep = open(together);
    await settle();
    accept(network.last, docOf('old'), 3);
    await settle();
    asleep.disconnect();
    type(asleep, ' unsaved');
    const awake = open({ ...together, doc: new Y.Doc() });
    await settle();
    accept(network.last, docOf('new'), 5);
    await settle();
    asleep.connect();
    type(asleep, ' more');
    await settle();
    accept(network.last, docOf('new'), 5);
    await settle();
    expect([asleep.status, awake.status]).toEqual(['refused', 'online']);
    expect([textOf(asleep), textOf(awake)]).toEqual(['old unsaved more', 'new']);
    type(awake, '!');
    await settle();
    expect([textOf(asleep), textOf(awake)]).toEqual(['old unsaved more', 'new!']);
  });

  test('a tab that the others tell takes over what they know', async () => {
    const one = open(together);
    await settle();
    accept(network.last, docOf('old'), 3);
    const other = open(together);
    await settle();
    one.destroy();
    await settle();
    accept(network.last, docOf('new'), 5);
    expect([other.status, sent()]).toEqual(['refused', []]);
  });

  test('with a copy, one record is kept of what was unsaved', async () => {
    const options = { ...together, offline: true };
    const [one, other] = [open(options), open(options)];
    await settle();
    accept(network.last, docOf('old'), 3);
    await settle();
    network.last.drop();
    type(other, ' unsaved');
    await settle();
    one.connect();
    accept(network.last, docOf('new'), 5);
    await settle();
    for (const page of [one, other]) {
      expect((await page.recover()).map(({ update }) => textIn([update]))).toEqual(['old unsaved']);
    }
    expect((await contents()).found).toEqual([]);
  });
});
