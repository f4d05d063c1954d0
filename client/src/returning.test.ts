/** A new provider for a document that others have seen before: they are to see it at once. */
import { afterEach, describe, expect, test } from 'vitest';
import { Awareness, applyAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { accept, closePages, type Page, setUpPages, twoPages } from '../test/pages.js';

afterEach(closePages);

const name = (page: Page, of: Page) => page.awareness.getStates().get(of.doc.clientID)?.name;

function move({ awareness }: Page, as: string): void {
  for (let i = 0; i < 30; i++) awareness.setLocalState({ name: `${as} ${i}` });
  awareness.setLocalState({ name: as });
}

describe('[CLI-43] a new provider for the same document', () => {
  test('goes on from the clock that others have seen, also after a lost connection', () => {
    const { network, open, clock } = setUpPages({ tabs: false });
    const watcher = new Awareness(new Y.Doc());
    const hear = () => {
      for (const message of network.last.sent) {
        if (message.type === 'awareness') applyAwarenessUpdate(watcher, message.update, 'server');
      }
    };
    const doc = new Y.Doc();
    for (const as of ['first', 'second', 'third']) {
      const page = open({ doc });
      accept(network.last);
      move(page, as);
      clock.advance(1_000);
      hear();
      expect(watcher.getStates().get(doc.clientID)).toEqual({ name: as });
      if (as === 'second') network.last.drop();
      page.destroy();
    }
    watcher.destroy();
  });

  test('in one of several tabs is seen by the others', async () => {
    const { one, other, open, browser, clock } = await twoPages();
    move(other, 'other');
    clock.advance(1_000);
    await browser.settle();
    expect(name(one, other)).toBe('other');
    other.destroy();
    await browser.settle();
    expect(name(one, other)).toBeUndefined();
    const again = open({ doc: other.doc });
    again.awareness.setLocalState({ name: 'again' });
    await browser.settle();
    clock.advance(1_000);
    await browser.settle();
    expect(name(one, again)).toBe('again');
  });
});
