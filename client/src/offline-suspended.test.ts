/** Pages that are frozen while they have a transaction of the offline copies open, and those that wait for them. */
import { IDBDatabase as FakeDatabase } from 'fake-indexeddb';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { copies, holdCopies, nextTurn } from '../test/copies.js';
import { accept, closePages, save, setUpPages, textIn, textOf, type } from '../test/pages.js';

afterEach(closePages);

const setUp = () => setUpPages({ offline: true, user: 'ada' });

/** @returns how many transactions are open, and wait for their page; those are aborted */
function watchOpen(): () => number {
  const { transaction } = FakeDatabase.prototype;
  const begun = new Set<IDBTransaction>();
  vi.spyOn(FakeDatabase.prototype, 'transaction').mockImplementation(function (
    this: IDBDatabase,
    ...args
  ) {
    const made = transaction.apply(this, args);
    begun.add(made);
    return made;
  });
  return () => {
    const open = [...begun].filter((each) => {
      try {
        each.abort();
        return true;
      } catch {
        return false;
      }
    });
    begun.clear();
    return open.length;
  };
}

/** Turns of the database in which all that a page does with it begins and ends. */
const MOMENTS = 40;

/** What a page does with its copy, and what of that is in the copy in the end. */
const WORK = [
  ['reads it', async () => undefined, 'kept'],
  ['adds to it', async (one) => type(one, ' more'), 'kept more'],
  [
    'says that it is saved',
    async (one, { network }) => {
      type(one, ' more');
      save(network.last);
    },
    'kept more',
  ],
  [
    'puts one update in the place of many',
    async (one) => {
      for (let edit = 0; edit < 201; edit++) type(one, '.');
    },
    `kept${'.'.repeat(201)}`,
  ],
] as const satisfies [
  string,
  (one: ReturnType<ReturnType<typeof setUp>['open']>, parts: ReturnType<typeof setUp>) => unknown,
  string,
][];

describe('[CLI-47] a page that is suspended', () => {
  test.each(WORK)(
    'while it %s leaves the database to the others, at each moment, and goes on when it runs',
    async (what, work, expected) => {
      for (let moment = 0; moment < MOMENTS; moment++) {
        const parts = setUp();
        const { network, open, page, settle, clock } = parts;
        const first = open();
        await settle();
        accept(network.last);
        type(first, 'kept');
        save(network.last);
        await settle();
        first.destroy();
        await settle();
        const countOpen = watchOpen();
        const one = open();
        if (what !== 'reads it') {
          await settle();
          accept(network.last);
          await settle();
        }
        await work(one, parts);
        for (let turn = 0; turn < moment; turn++) {
          await parts.browser.step(0.5);
          await nextTurn();
        }
        page.dispatchEvent(new Event('freeze'));
        await Promise.resolve();
        expect(countOpen(), `open after ${moment} turns`).toBe(0);
        page.dispatchEvent(new Event('resume'));
        clock.advance(0);
        await settle();
        expect(textOf(one)).toBe(expected);
        expect(textIn((await copies()).room?.updates ?? []), `after ${moment} turns`).toBe(
          expected,
        );
        closePages();
      }
    },
  );
});

describe('[CLI-47] what was preserved of a document', () => {
  test('is discarded without a transaction that waits for the page', async () => {
    for (let moment = 0; moment < MOMENTS; moment++) {
      const { network, open, settle } = setUp();
      const one = open();
      await settle();
      accept(network.last, undefined, 1);
      type(one, 'lost');
      network.last.drop(4404, 'deleted');
      await settle();
      const [copy] = await one.recover();
      const countOpen = watchOpen();
      const discarded = copy?.discard();
      for (let turn = 0; turn < moment; turn++) await nextTurn();
      expect(countOpen(), `open after ${moment} turns`).toBe(0);
      await discarded;
      expect(await one.recover()).toHaveLength(0);
      closePages();
    }
  });
});

describe('[CLI-47] a tab that takes over while another keeps the database', () => {
  test('is saved when the server says so, if the one before has read the copy', async () => {
    const { browser, kill, network, open, settle } = setUp();
    const one = open();
    await settle();
    accept(network.last);
    const other = open();
    await settle();
    type(one, 'a');
    await settle();
    const release = await holdCopies();
    kill(one);
    await browser.settle();
    accept(network.last);
    type(other, 'b');
    expect([textOf(other), other.unsaved]).toEqual(['ab', true]);
    save(network.last);
    expect(other.unsaved).toBe(false);
    // And so is one that takes over from it.
    const third = open();
    await browser.settle();
    kill(other);
    await browser.settle();
    accept(network.last);
    save(network.last);
    expect([textOf(third), third.unsaved]).toEqual(['ab', false]);
    release();
    await settle();
    save(network.last);
    await settle();
    expect(third.unsaved).toBe(false);
  });

  test('is not if nobody has read it, or it has been away', async () => {
    const { browser, clock, kill, network, open, settle } = setUp();
    const seed = open();
    await settle();
    seed.destroy();
    await settle();
    const release = await holdCopies();
    const one = open();
    await browser.settle();
    await settle();
    clock.advance(3_000);
    accept(network.last);
    save(network.last);
    const other = open();
    await browser.settle();
    expect(other.unsaved).toBe(true);
    kill(one);
    await browser.settle();
    accept(network.last);
    save(network.last);
    expect(other.unsaved).toBe(true);
    release();
    await settle();
    save(network.last);
    expect(other.unsaved).toBe(false);

    const third = open();
    await settle();
    expect(third.unsaved).toBe(false);
    const releaseAgain = await holdCopies();
    third.disconnect();
    await browser.settle();
    kill(other);
    third.connect();
    await browser.settle();
    accept(network.last);
    save(network.last);
    expect(third.unsaved).toBe(true);
    releaseAgain();
    await settle();
    save(network.last);
    expect(third.unsaved).toBe(false);
  });
});
