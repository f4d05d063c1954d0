import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  copies,
  deleteDatabase,
  fillDisk,
  forbidWriting,
  holdDatabase,
  nextTurn,
  watchDatabase,
  written,
} from '../test/copies.js';
import {
  accept,
  closePages,
  documentsOf,
  type Parts,
  reject,
  save,
  setUpPages,
  textAt,
  textOf,
  type,
} from '../test/pages.js';
import type { CowriteProvider } from './provider.js';

let clock: Parts['clock'];
let network: Parts['network'];
let open: Parts['open'];

beforeEach(() => {
  ({ clock, network, open } = setUpPages({ offline: true, tabs: false }));
});

afterEach(closePages);

/** What is told of the copy. */
function errorsOf(provider: CowriteProvider): string[] {
  const errors: string[] = [];
  provider.on('connection-error', ({ error }) => errors.push(error.message));
  return errors;
}

/** A page has been here, and has written this. */
async function leave(text: string): Promise<void> {
  const page = open();
  await page.whenLoaded();
  type(page, text);
  await written();
  page.destroy();
}

describe('[CLI-27] an offline copy', () => {
  test('that cannot be had is told, and the network does not wait for it', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const provider = open();
    const errors = errorsOf(provider);
    await provider.whenLoaded();
    accept(network.last);
    expect(provider.status).toBe('online');
    expect(errors).toEqual(['there is no offline copy of this document']);
  });

  test.each([
    ['the disk is full', fillDisk],
    ['nobody may write', forbidWriting],
  ])('is shown where %s, and that nothing more is kept is told', async (_, fail) => {
    await leave('kept ');
    fail();
    const page = open();
    const errors = errorsOf(page);
    await page.whenLoaded();
    expect([textOf(page), page.unsaved]).toEqual(['kept ', true]);
    expect(() => type(page, 'typed')).not.toThrow();
    accept(network.last);
    expect(textAt(network.last)).toBe('kept typed');
    expect(errors).toEqual(['there is no offline copy of this document']);
  });

  test('leaves a document alone whose provider was destroyed while the disk was full', async () => {
    await leave('kept');
    fillDisk();
    for (let turns = 0; ; turns++) {
      const page = open();
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      if (textOf(page) !== '') break;
      page.destroy();
      await written();
      expect(textOf(page)).toBe('');
    }
  });

  test.each([
    ['the disk is full', fillDisk, 'the offline copy could not be written'],
    ['nobody may write any more', forbidWriting, 'the offline copy could not be written'],
    [
      ...(['another page needs the database', deleteDatabase] as const),
      'somebody else needs the database of the offline copies',
    ],
  ])('whose end comes when %s: that is told once, and edits are made', async (_, end, told) => {
    const page = open();
    const errors = errorsOf(page);
    await page.whenLoaded();
    await written();
    await end();
    expect(() => type(page, 'x')).not.toThrow();
    await written();
    expect(() => type(page, 'y')).not.toThrow();
    await written();
    expect([textOf(page), page.unsaved]).toEqual(['xy', true]);
    expect(errors).toEqual([told]);
  });

  test('whose database the browser closes: that is told, and edits are made', async () => {
    const page = open();
    const errors = errorsOf(page);
    await page.whenLoaded();
    const closeDatabase = watchDatabase();
    type(page, 'x');
    closeDatabase();
    expect(errors).toEqual(['the browser has closed the offline copies']);
    expect(() => type(page, 'y')).not.toThrow();
    await written();
    expect([page.unsaved, errors.length]).toEqual([true, 1]);
  });
});

describe('[CLI-27] an offline copy that does not come in 3 s', () => {
  test.each([
    ['nothing', ''],
    ['something', 'typed '],
  ])('is not waited for, and sent when it comes; %s was typed meanwhile', async (_, text) => {
    await leave('late ');
    const release = holdDatabase();
    const page = open();
    clock.advance(3_000);
    expect([page.loaded, network.sockets.length]).toEqual([true, 2]);
    accept(network.last);
    if (text !== '') type(page, text);
    save(network.last);
    // Nobody knows yet what is in the copy.
    expect(page.unsaved).toBe(true);
    release();
    await vi.waitFor(() => expect(textOf(page)).toContain('late'));
    expect(page.unsaved).toBe(true);
    expect(textAt(network.last)).toBe(textOf(page));
    save(network.last);
    expect([page.unsaved, (await copies()).room?.isUnsaved]).toEqual([false, false]);
  });

  test('waits for what the server has, where the connection was lost meanwhile', async () => {
    await leave('late');
    const release = holdDatabase();
    const page = open();
    clock.advance(3_000);
    accept(network.last);
    network.last.drop();
    page.connect();
    network.last.accept();
    release();
    await vi.waitFor(() => expect(textOf(page)).toBe('late'));
    expect(documentsOf(network.last)).toEqual([]);
    network.last.say({ type: 'step1', stateVector: Uint8Array.of(0) });
    expect(textAt(network.last)).toBe('late');
  });

  test('and is refused is taken back', async () => {
    await leave('late');
    const release = holdDatabase();
    const page = open();
    clock.advance(3_000);
    accept(network.last);
    save(network.last);
    const told: unknown[] = [];
    page.on('rejected', (why) => told.push(why));
    release();
    await vi.waitFor(() => expect(textOf(page)).toBe('late'));
    reject(network.last);
    save(network.last);
    expect(told).toEqual([{ reason: 'read-only', isTakenBack: true }]);
    expect([textOf(page), page.unsaved]).toEqual(['', false]);
  });
});
