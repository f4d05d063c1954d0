import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { contents, copies, holdDatabase } from '../test/copies.js';
import {
  accept,
  closePages,
  type Parts,
  save,
  setUpPages,
  textAt,
  textIn,
  textOf,
  type,
} from '../test/pages.js';
import { clearOfflineCopies } from './offline.js';

let browser: Parts['browser'];
let clock: Parts['clock'];
let kill: Parts['kill'];
let network: Parts['network'];
let open: Parts['open'];
let page: Parts['page'];
let settle: Parts['settle'];

beforeEach(() => {
  const parts = setUpPages({ offline: true, user: 'ada' });
  ({ browser, clock, kill, network, open, page, settle } = parts);
});

afterEach(closePages);

/** Of two tabs the first has the socket. */
async function two() {
  const one = open();
  await settle();
  const other = open();
  await settle();
  return { one, other };
}

describe('[CLI-27] an offline copy of tabs', () => {
  test('is kept by the one that holds the socket, and the next goes on with it', async () => {
    const { one, other } = await two();
    expect([one.loaded, other.loaded]).toEqual([true, true]);
    type(other, 'a');
    await settle();
    kill(one);
    type(other, 'b');
    await settle();
    expect(textIn((await copies()).room?.updates ?? [])).toBe('ab');
    expect(network.sockets.length).toBe(2);
  });

  test('gets what one writes after disconnect() that never had the socket', async () => {
    const { one, other } = await two();
    accept(network.last);
    other.disconnect();
    await settle();
    type(other, 'on the train');
    await settle();
    other.destroy();
    one.destroy();
    await settle();
    const next = open();
    await settle();
    expect([textOf(next), next.unsaved]).toEqual(['on the train', true]);
  });

  test('is written by the holder alone when one that slept is back', async () => {
    const { one, other } = await two();
    accept(network.last);
    // As a page that freezes, which is not alone in this one.
    one.disconnect();
    await settle();
    accept(network.last);
    await settle();
    one.connect();
    await settle();
    const before = (await contents()).rows.length;
    for (let edit = 0; edit < 10; edit++) {
      type(other, 'x');
      await settle();
    }
    save(network.last);
    await settle();
    expect([textOf(one), one.unsaved, other.unsaved]).toEqual(['x'.repeat(10), false, false]);
    expect((await contents()).rows.length).toBe(before + 10);
    expect((await copies()).room?.isUnsaved).toBe(false);
    // And goes on with it when it is the holder again.
    other.destroy();
    await settle();
    type(one, 'y');
    await settle();
    expect(textIn((await copies()).room?.updates ?? [])).toBe('xxxxxxxxxxy');
  });

  test('is waited for by a tab that connects while the holder reads it', async () => {
    const seed = open();
    await settle();
    type(seed, 'kept');
    await settle();
    seed.destroy();
    await settle();
    const attempts = network.sockets.length;
    const release = holdDatabase();
    const [one, other] = [open(), open()];
    await browser.settle();
    other.connect();
    await browser.settle();
    expect([one.status, network.sockets.length]).toEqual(['connecting', attempts]);
    release();
    await settle();
    expect([textOf(one), textOf(other), network.sockets.length]).toEqual([
      ...['kept', 'kept', attempts + 1],
    ]);
    one.destroy();
    other.destroy();
    await settle();
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['is unsaved in all of them', false],
    ['was saved is so in all of them', true],
  ])('that comes late and %s as soon as it is there', async (_, wasSaved) => {
    const seed = open();
    await settle();
    accept(network.last);
    type(seed, 'late');
    if (wasSaved) save(network.last);
    await settle();
    seed.destroy();
    await settle();
    const release = holdDatabase();
    const [one, other] = [open(), open()];
    await browser.settle();
    clock.advance(3_000);
    accept(network.last);
    save(network.last);
    await browser.settle();
    // Nobody knows yet what is in the copy.
    expect([one.unsaved, other.unsaved]).toEqual([true, true]);
    release();
    await vi.waitFor(async () => {
      await browser.step(0);
      expect(textOf(other)).toBe('late');
      expect([one.unsaved, other.unsaved]).toEqual(Array(2).fill(!wasSaved));
    });
    kill(one);
    await settle();
    accept(network.last);
    expect(textAt(network.last)).toBe('late');
    save(network.last);
    expect(other.unsaved).toBe(false);
  });

  test('gets what one writes that is put to sleep, and never had the socket', async () => {
    const { one, other } = await two();
    page.dispatchEvent(new Event('freeze'));
    type(other, 'last words');
    await settle();
    kill(other);
    kill(one);
    const next = open();
    await settle();
    expect(textOf(next)).toBe('last words');
  });
});

describe('[CLI-29] a copy of tabs that is removed', () => {
  test.each([
    ['clearOffline()', undefined],
    ['clearOfflineCopies()', {}],
    ['clearOfflineCopies() of the user', { user: 'ada' }],
  ])('by %s is not begun again by the next holder, but by a new page', async (_, whose) => {
    const { one, other } = await two();
    type(one, 'secret');
    await settle();
    if (whose === undefined) await one.clearOffline();
    else await clearOfflineCopies(whose);
    await clearOfflineCopies({ user: 'bob' });
    one.destroy();
    await settle();
    type(other, 'more');
    await settle();
    expect(network.live.length).toBe(1);
    expect(await contents()).toMatchObject({ rows: [], found: [] });
    other.destroy();
    await settle();
    type(open(), 'new');
    await settle();
    expect(textIn((await copies()).room?.updates ?? [])).toBe('new');
  });

  test.each([
    ['itself, which is no news', true],
    ['another, which is told', false],
  ])('is not begun again by one that was switched off; removed by %s', async (_, isOwn) => {
    const { one, other } = await two();
    const errors: string[] = [];
    one.on('connection-error', ({ error }) => errors.push(error.message));
    one.disconnect();
    await settle();
    if (isOwn) await one.clearOffline();
    else await clearOfflineCopies();
    one.connect();
    await settle();
    other.destroy();
    await settle();
    type(one, 'secret');
    await settle();
    expect(await contents()).toMatchObject({ rows: [], found: [] });
    expect(errors).toEqual(isOwn ? [] : ['somebody has removed the offline copy']);
  });

  test('is remembered for 30 days, by then no page is open that was there', async () => {
    const days = vi.spyOn(performance, 'now');
    await clearOfflineCopies({ user: 'ada' });
    const now = performance.now();
    days.mockReturnValue(now + 29 * 24 * 3_600_000);
    await clearOfflineCopies({ user: 'bob' });
    expect((await contents()).removals.length).toBe(2);
    days.mockReturnValue(now + 31 * 24 * 3_600_000);
    await clearOfflineCopies({ user: 'cy' });
    expect((await contents()).removals.map(({ what }) => what)).toEqual(['user bob', 'user cy']);
  });
});
