/** What people do in every browser: type, have two windows, lose the server, come back. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { Engine, EngineFactory, OtherBrowser } from './browser-window.js';
import { DemoWindow } from './demo-window.js';
import { eventually } from './eventually.js';
import { roomOfTest, Server, sharedServer, Tab, Wire } from './fixtures.js';
import { NodeClient } from './node-client.js';
import { pagesBefore } from './pages-before.js';

const saved = (demo: DemoWindow) => eventually(() => demo.status()).toBe('Saved');

/** The words that somebody writes, one by one. */
const wordsBy = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);

export function browserContract(title: string, factory: EngineFactory): void {
  describe(title, () => {
    let launching: Promise<Engine> | undefined;

    const openBrowser = async (): Promise<OtherBrowser> => {
      launching ??= factory.launch();
      return await (await launching).openBrowser();
    };

    beforeEach(({ skip }) => {
      const missing = factory.missing();
      if (missing !== undefined) skip(missing);
    });

    afterAll(async () => {
      await (await launching)?.close();
    });

    test('[BRW-1] types at once with a Chromium: both show the same, see each other, and undo their own', async () => {
      const server = await sharedServer();
      const ada = await DemoWindow.open(server, await openBrowser(), 'Ada');
      const grace = await Tab.open(server, { name: 'Grace' });
      await eventually(() => ada.people()).toEqual(['Ada', 'Grace']);
      await ada.write('Ada:\nGrace:');
      await eventually(() => grace.words()).toEqual(['Ada:', 'Grace:']);
      await grace.moveTo('end');
      await eventually(() => ada.carets()).toEqual({ Grace: 'Grace:' });
      await ada.moveTo('end of the first line');
      await eventually(() => grace.carets()).toEqual({ Ada: 'Ada:' });

      const [ours, theirs] = [wordsBy('ada', 5), wordsBy('grace', 5)];
      await Promise.all([
        ada.window.type(` ${ours.join(' ')}`),
        grace.page.keyboard.type(` ${theirs.join(' ')}`),
      ]);
      const words = (mine: readonly string[]) => ['Ada:', ...mine, 'Grace:', ...theirs];
      for (const person of [ada, grace]) {
        await eventually(() => person.words()).toEqual(words(ours));
      }

      await ada.press('Control+z');
      await eventually(() => ada.words()).not.toEqual(words(ours));
      const left = await ada.words();
      // A word, or, where this machine has paused in the middle of it, what came after that.
      expect([ours.slice(0, -1), ours].map((each) => words(each).length)).toContain(left.length);
      expect(left.slice(-theirs.length - 1)).toEqual(['Grace:', ...theirs]);
      expect(words(ours).join(' ')).toContain(left.slice(0, -theirs.length - 1).join(' '));
      await eventually(() => grace.words()).toEqual(left);
      await ada.press('Control+Shift+z');
      await eventually(() => grace.words()).toEqual(words(ours));

      await ada.moveTo('end of the first line');
      await ada.press('Control+b');
      await ada.window.type(' bold');
      await ada.press('Control+b');
      await eventually(() => grace.html()).toContain('<strong> bold</strong></p><p>Grace:');
      await eventually(() => ada.html()).toBe(await grace.html());
      await saved(ada);

      await ada.close();
      await eventually(() => grace.people()).toEqual(['Grace']);
      await eventually(() => grace.carets()).toEqual({});
    });

    test('[BRW-2] two windows have one socket; when the one that has it closes, the other goes on', async () => {
      const server = await sharedServer();
      const wire = await Wire.before(server);
      const dora = new NodeClient(server, roomOfTest());
      const browser = await openBrowser();
      const ada = await DemoWindow.open(wire, browser, 'Ada');
      const bob = await DemoWindow.open(wire, browser, 'Bob');
      await ada.write('one');
      await eventually(() => bob.words()).toEqual(['one']);
      await bob.write(' two');
      await eventually(() => ada.words()).toEqual(['one', 'two']);
      await Promise.all([ada, bob].map(saved));
      expect(wire.openWebSockets).toBe(1);
      await eventually(() => dora.people()).toEqual(['Ada', 'Bob', 'Dora']);

      await ada.write(' last');
      await eventually(() => bob.words()).toEqual(['one', 'two', 'last']);
      await bob.moveTo('end');
      const words = wordsBy('bob', 6);
      let closing: Promise<void> | undefined;
      for (const word of words) {
        await bob.window.type(` ${word}`);
        closing ??= ada.close();
      }
      await closing;
      await eventually(() => dora.words()).toEqual(['one', 'two', 'last', ...words]);
      await saved(bob);
      expect(wire.openWebSockets).toBe(1);
      await eventually(() => dora.people()).toEqual(['Bob', 'Dora']);
    });

    test('[BRW-3] a page that is left leaves, and comes back in step with "back"', async () => {
      const server = await sharedServer();
      const dora = new NodeClient(server, roomOfTest());
      const ada = await DemoWindow.open(server, await openBrowser(), 'Ada');
      await ada.write('before');
      await saved(ada);
      await ada.window.evaluate('(window.isTheSame = true)');
      await ada.window.goto(`${server.url}/`);
      await eventually(() => dora.people()).toEqual(['Dora']);
      await dora.write('meanwhile');
      await ada.window.back();
      await ada.isThere();
      if (factory.keepsPages) expect(await ada.window.evaluate("'isTheSame' in window")).toBe(true);
      await eventually(() => ada.words()).toEqual(['before', 'meanwhile']);
      await eventually(() => dora.people()).toEqual(['Ada', 'Dora']);
      await ada.write(' after');
      await eventually(() => dora.words()).toEqual(['before', 'meanwhile', 'after']);
      await saved(ada);
    });

    test('[BRW-4] without the server windows go on together and say "Offline"; a reload keeps what they wrote, and it is saved when the server is back', async () => {
      const server = await Server.start();
      const pages = await pagesBefore(server);
      const browser = await openBrowser();
      const ada = await DemoWindow.open(pages, browser, 'Ada');
      const bob = await DemoWindow.open(pages, browser, 'Bob');
      await ada.write('before');
      await eventually(() => bob.words()).toEqual(['before']);
      await Promise.all([ada, bob].map(saved));

      await server.kill();
      for (const demo of [ada, bob]) await eventually(() => demo.isOffline()).toBe(true);
      await ada.write(' offline');
      await eventually(() => bob.words()).toEqual(['before', 'offline']);
      await bob.write(' too');
      await eventually(() => ada.words()).toEqual(['before', 'offline', 'too']);
      for (const demo of [ada, bob]) await eventually(() => demo.status()).toContain('Offline');

      // Nobody but the browser's copy has it then.
      await bob.close();
      await ada.reload();
      expect(await ada.words()).toEqual(['before', 'offline', 'too']);
      await eventually(() => ada.status()).toContain('Offline');
      await ada.write(' reloaded');

      const dora = new NodeClient(server, roomOfTest());
      const words = wordsBy('ada', 6);
      await server.start();
      await ada.hurry();
      for (const word of words) await ada.window.type(` ${word}`);
      await saved(ada);
      expect(await ada.isOffline()).toBe(false);
      await eventually(() => dora.words()).toEqual([
        ...['before', 'offline', 'too', 'reloaded'],
        ...words,
      ]);
    });
  });
}
