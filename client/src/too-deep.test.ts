/** A change that lies deeper than a document may go: the server rejects the message that has it. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import * as Y from 'yjs';
import {
  accept,
  closePages,
  documentsOf,
  NOTHING,
  type Page,
  type Parts,
  save,
  setUpPages,
  textOf,
  type,
} from '../test/pages.js';
import { MAX_NESTING } from './protocol/index.js';

let network: Parts['network'];
let open: Parts['open'];
let clock: Parts['clock'];

beforeEach(() => {
  ({ network, open, clock } = setUpPages({ tabs: false }));
});

afterEach(closePages);

function online(): { page: Page; told: unknown[] } {
  const page = open();
  accept(network.last);
  save(network.last);
  const told: unknown[] = [];
  page.on('rejected', (why) => told.push(why));
  return { page, told };
}

function nest({ doc }: Page, levels: number): void {
  doc.transact(() => {
    let at: Y.Array<unknown> = doc.getArray('deep');
    for (let level = 0; level < levels; level++) {
      const next = new Y.Array<unknown>();
      at.insert(0, [next]);
      at = next;
    }
  });
}

const rejectLast = () =>
  network.last.say({
    type: 'rejected',
    count: documentsOf(network.last).length,
    reason: 'too-deep',
  });

describe('[CLI-37] of what was written offline', () => {
  test('only the changes that are too deep are reverted, and the others are sent once more', async () => {
    const { page, told } = online();
    network.last.drop();
    type(page, 'one ');
    nest(page, MAX_NESTING);
    page.doc.getMap('m').set('deep', 'not yet');
    page.doc.transact(() => {
      page.doc.getMap('m').set('deep', 'now');
      nest(page, MAX_NESTING + 1);
    });
    type(page, 'two');
    page.connect();
    accept(network.last);
    const before = documentsOf(network.last).length;
    rejectLast();
    await vi.dynamicImportSettled();
    expect(told).toEqual([{ reason: 'too-deep', isTakenBack: true }]);
    expect(textOf(page)).toBe('one two');
    expect(page.doc.getArray('deep').length).toBe(1);
    expect(page.doc.getMap('m').get('deep')).toBe('not yet');
    expect(page.unsaved).toBe(true);

    const again = documentsOf(network.last).slice(before).at(-1);
    const server = new Y.Doc();
    Y.applyUpdate(server, (again as { update: Uint8Array }).update);
    expect(server.getText('t').toString()).toBe('one two');
    save(network.last);
    expect([page.unsaved, page.status]).toEqual([false, 'online']);
  });

  test('so it is with a value, and with content that is not known to be at fault', async () => {
    const { page, told } = online();
    network.last.drop();
    let value: unknown[] = [];
    for (let level = 1; level <= MAX_NESTING; level++) value = [value];
    page.doc.getArray('a').push([value]);
    type(page, 'kept');
    page.connect();
    accept(network.last);
    rejectLast();
    await vi.dynamicImportSettled();
    expect([page.doc.getArray('a').length, textOf(page)]).toEqual([0, 'kept']);
    // Whatever the server means, nothing that it refuses stays.
    network.last.say({ type: 'step2', update: NOTHING });
    rejectLast();
    clock.advance(500);
    expect(textOf(page)).toBe('');
    expect(told).toHaveLength(2);
  });
});
