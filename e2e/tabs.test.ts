/** The tabs of one browser: one socket for all, and what happens to it when its tab goes. */
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { openBrowser } from './browsers.js';
import { eventually } from './eventually.js';
import { converged, Server, sharedServer, Tab, Wire } from './fixtures.js';
import { Typist } from './typist.js';
import { WatchedWire } from './watched-wire.js';

/** So many tabs of one browser in one document; the first of them has the socket. */
async function tabsOf(at: { readonly url: string }, ...names: string[]): Promise<Tab[]> {
  const browser = await openBrowser();
  const tabs: Tab[] = [];
  for (const name of names) tabs.push(await Tab.open(at, { name, browser }));
  return tabs;
}

const saved = (tab: Tab) => tab.status.getByText('Saved', { exact: true }).waitFor();

/** Each writes a word, and all have all of them, on disk. */
async function writeAll(tabs: readonly Tab[], word: string): Promise<string[]> {
  const words: string[] = [];
  for (const tab of tabs) {
    await tab.write(` ${tab.name}${word}`);
    words.push(`${tab.name}${word}`);
    for (const other of tabs) await eventually(() => other.words()).toContain(words.at(-1));
  }
  await Promise.all(tabs.map(saved));
  return words;
}

async function crash({ page }: Tab): Promise<void> {
  const crashed = page.waitForEvent('crash');
  await expect(page.goto('chrome://crash')).rejects.toThrow();
  await crashed;
}

const ENDS: readonly (readonly [string, (tab: Tab) => Promise<void>])[] = [
  ['is closed', (tab) => tab.page.close()],
  ['crashes', crash],
];

describe('one socket', () => {
  test('[E2E-23] serves three tabs: they write, are saved, and see each other once', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const tabs = await tabsOf(wire, 'Ada', 'Bob', 'Cy');
    await writeAll(tabs, '1');
    await converged(...tabs);
    expect(wire.openWebSockets).toBe(1);
    for (const tab of tabs) {
      await eventually(async () => (await tab.people()).sort()).toEqual(['Ada', 'Bob', 'Cy']);
    }
  });

  test('[E2E-23] two browsers with two tabs each: four people, nobody twice', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const tabs = [...(await tabsOf(wire, 'Ada', 'Bob')), ...(await tabsOf(wire, 'Cy', 'Di'))];
    const words = await writeAll(tabs, '1');
    expect(wire.openWebSockets).toBe(2);
    for (const tab of tabs) {
      const others = tabs.filter((other) => other !== tab).map(({ name }) => name);
      await eventually(async () => (await tab.people()).sort()).toEqual(['Ada', 'Bob', 'Cy', 'Di']);
      await eventually(async () => Object.keys(await tab.carets()).sort()).toEqual(others);
      const carets = tab.editor.locator('.collaboration-carets__caret');
      expect(await carets.count()).toBe(3);
      expect(await tab.words()).toEqual(words);
    }
  });

  test('[E2E-23] without the server the tabs go on together, also one that is opened then', async () => {
    const server = await Server.start();
    const [ada, bob] = (await tabsOf(server, 'Ada', 'Bob')) as [Tab, Tab];
    await writeAll([ada, bob], '1');
    await server.kill();
    for (const tab of [ada, bob]) await tab.offlineBanner.waitFor();
    await ada.write(' away');
    await eventually(() => bob.words()).toEqual(['Ada1', 'Bob1', 'away']);
    await eventually(() => bob.people()).toEqual(['Bob', 'Ada']);
    await bob.status.getByText('Offline').waitFor();
    await server.start();
    await Promise.all([ada, bob].map((tab) => tab.hurry()));
    await Promise.all([ada, bob].map(saved));
    expect(await (await Tab.open(server, { name: 'Cy' })).words()).toEqual([
      ...['Ada1', 'Bob1', 'away'],
    ]);
  });

  test('[E2E-24] three tabs type while the server is dead for a minute', async () => {
    const server = await Server.start();
    const browser = await openBrowser();
    const tabs: Tab[] = [];
    for (const name of ['Ada', 'Bob', 'Cy']) {
      const prepare = (page: Page) => page.clock.install();
      tabs.push(await Tab.open(server, { name, browser, prepare }));
    }
    const pass = async (milliseconds: number) => {
      for (const { page } of tabs) await page.clock.runFor(milliseconds);
    };
    const [ada] = tabs as [Tab];
    await ada.write('start');
    for (const tab of tabs) await eventually(() => tab.words()).toEqual(['start']);
    const words = ['start'];
    await server.kill();
    for (let tenth = 0; tenth < 6; tenth++) {
      for (const tab of tabs) {
        await tab.type(` ${tab.name}${tenth}`);
        words.push(`${tab.name}${tenth}`);
        for (const other of tabs) await eventually(() => other.words()).toEqual(words);
      }
      await pass(10_000);
    }
    await server.start();
    await eventually(async () => {
      await pass(5_000);
      return await Promise.all(tabs.map((tab) => tab.status.textContent()));
    }).toEqual(tabs.map(() => expect.stringContaining('Saved')));
    expect(await (await Tab.open(server, { name: 'Di' })).words()).toEqual(words);
  });
});

describe('the tab with the socket', () => {
  test.each(ENDS)(
    '[E2E-24] %s while all type: another takes over, and nothing is lost',
    async (_, end) => {
      const server = await sharedServer();
      const wire = await Wire.before(server);
      const [ada, bob, cy] = (await tabsOf(wire, 'Ada', 'Bob', 'Cy')) as [Tab, Tab, Tab];
      const dora = await Tab.open(wire, { name: 'Dora' });
      await writeAll([ada, bob, cy], '1');
      await ada.write(' last');
      await eventually(() => bob.words()).toContain('last');
      await bob.moveTo('end');
      const typist = new Typist(bob);
      await typist.goOn(3);
      await end(ada);
      await eventually(() => wire.openWebSockets).toBe(2);
      const seen = typist.words.length;
      await eventually(async () => (await dora.words()).includes(`Bob${seen}`)).toBe(true);
      await typist.stop();
      await Promise.all([bob, cy].map(saved));
      await converged(bob, cy, dora);
      const words = await dora.words();
      for (const word of [...typist.words, 'last', 'Cy1']) expect(words).toContain(word);
      await eventually(async () => (await cy.people()).sort()).toEqual(['Bob', 'Cy', 'Dora']);
      await eventually(async () => (await dora.people()).sort()).toEqual(['Bob', 'Cy', 'Dora']);
    },
  );

  test.each(ENDS)('[E2E-24] %s: another has a socket within a second', async (ending, end) => {
    const server = await sharedServer();
    const wire = await WatchedWire.before(server);
    const tabs = await tabsOf(wire, 'Ada', 'Bob', 'Cy', 'Di');
    await Promise.all(tabs.map(saved));
    expect(wire.opened.length).toBe(1);
    const took: number[] = [];
    for (const tab of tabs.slice(0, -1)) {
      const before = wire.opened.length;
      const began = performance.now();
      await end(tab);
      await eventually(() => wire.opened.length).toBe(before + 1);
      took.push(wire.opened[before]! - began);
    }
    const shown = took.map((milliseconds) => Math.round(milliseconds)).join(', ');
    console.info(`the tab with the socket ${ending}: another had one after ${shown} ms`);
    // One of three may have met a machine that had something else to do.
    const [, middle] = took.sort((one, other) => one - other);
    expect(middle).toBeLessThan(1_000);
  });

  test('[E2E-24] is left and kept for "back": another takes over, and it comes back as one of them', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const browser = await openBrowser({ keepsPages: true });
    const ada = await Tab.open(wire, { name: 'Ada', browser });
    const bob = await Tab.open(wire, { name: 'Bob', browser });
    const dora = await Tab.open(wire, { name: 'Dora' });
    await writeAll([ada, bob], '1');
    await ada.page.evaluate(() => Object.assign(window, { isTheSame: true }));
    // A page that is left is frozen, and kept for "back".
    await ada.page.goto(`${wire.url}/`);
    await bob.write(' meanwhile');
    await eventually(() => dora.words()).toContain('meanwhile');
    await eventually(async () => (await dora.people()).sort()).toEqual(['Bob', 'Dora']);
    await saved(bob);
    await ada.page.goBack({ waitUntil: 'commit' });
    await eventually(() => ada.words()).toContain('meanwhile');
    expect(await ada.page.evaluate(() => 'isTheSame' in window)).toBe(true);
    await ada.write(' back');
    await eventually(() => dora.words()).toContain('back');
    await saved(ada);
    expect(wire.openWebSockets).toBe(2);
    await eventually(async () => (await dora.people()).sort()).toEqual(['Ada', 'Bob', 'Dora']);
  });

  test('[E2E-24] a page alone comes back from where the browser keeps it, with its socket anew', async () => {
    const server = await sharedServer();
    const wire = await Wire.before(server);
    const browser = await openBrowser({ keepsPages: true });
    const ada = await Tab.open(wire, { name: 'Ada', browser });
    const dora = await Tab.open(wire, { name: 'Dora' });
    await ada.write('before');
    await saved(ada);
    await ada.page.evaluate(() => Object.assign(window, { isTheSame: true }));
    await ada.page.goto(`${wire.url}/`);
    await eventually(() => dora.people()).toEqual(['Dora']);
    expect(wire.openWebSockets).toBe(1);
    await dora.write(' meanwhile');
    await ada.page.goBack({ waitUntil: 'commit' });
    await eventually(() => ada.words()).toEqual(['before', 'meanwhile']);
    expect(await ada.page.evaluate(() => 'isTheSame' in window)).toBe(true);
    await eventually(() => dora.people()).toEqual(['Dora', 'Ada']);
    await ada.write(' after');
    await eventually(() => dora.words()).toEqual(['before', 'meanwhile', 'after']);
  });
});
