/** Pages and browsers that stop running and go on later: a tab that is frozen, a laptop that sleeps. */
import { fileURLToPath } from 'node:url';
import { type CowriteServer, createServer } from '@cowrite/server';
import { expect, onTestFinished, test } from 'vitest';
import { BackgroundTabs } from './background-tabs.js';
import { eventually } from './eventually.js';
import { Tab } from './fixtures.js';
import { NodeClient } from './node-client.js';
import { Typist } from './typist.js';
import { WatchedWire } from './watched-wire.js';

const DEMO = fileURLToPath(new URL('../client/demo/dist', import.meta.url));

/** Milliseconds; whoever is silent for two of them is taken for gone. */
const HEARTBEAT = 2_000;

const ROOM = 'minutes';

const saved = (tab: Tab) => tab.status.getByText('Saved', { exact: true }).waitFor();

const sorted = (tab: Tab) => async () => (await tab.people()).sort();

/** The server, with so little patience that a test can wait for its end. */
async function start(): Promise<CowriteServer> {
  const server = await createServer({
    port: 0,
    storage: 'memory:',
    staticDir: DEMO,
    logger: 'silent',
    limits: { heartbeatMs: HEARTBEAT },
  });
  onTestFinished(() => server.close());
  return server;
}

test('[E2E-24] the tab with the socket is frozen while another types: that one takes over, and it comes back as one of them', async () => {
  const server = await start();
  const wire = await WatchedWire.before(server);
  const dora = new NodeClient(server, ROOM);
  const tabs = await BackgroundTabs.open();
  const ada = await Tab.open(wire, { name: 'Ada', browser: tabs.browser });
  await ada.write('start');
  const bob = await Tab.open(wire, { name: 'Bob', browser: tabs.browser });
  await eventually(() => bob.words()).toEqual(['start']);
  expect(wire.opened.length).toBe(1);

  // The network is gone first: of what is written now the server hears nothing by this socket.
  wire.silence();
  await ada.page.bringToFront();
  await ada.write(' last');
  await bob.page.bringToFront();
  await bob.moveTo('end');
  const typist = new Typist(bob);
  await typist.goOn(1);
  const goOn = await tabs.freeze(ada.page);
  await eventually(() => wire.opened.length).toBe(2);
  await typist.goOn(2);
  const before = [...typist.words];
  await eventually(() => dora.words()).toEqual(expect.arrayContaining(['last', ...before]));
  await eventually(() => dora.people()).toEqual(['Bob', 'Dora']);
  await dora.write('Dora1');
  await typist.stop();
  await saved(bob);

  await goOn();
  const all = ['start', 'last', ...typist.words, 'Dora1'];
  await eventually(() => ada.words()).toEqual(all);
  await ada.write(' back');
  for (const words of [() => bob.words(), () => dora.words()]) {
    await eventually(words).toEqual([...all, 'back']);
  }
  await Promise.all([ada, bob].map(saved));
  for (const people of [() => dora.people(), sorted(ada), sorted(bob)]) {
    await eventually(people).toEqual(['Ada', 'Bob', 'Dora']);
  }
  expect(wire.openWebSockets).toBe(1);
});

/** Runs in a page: what it does with the browser's copy from now on takes for ever. */
function neverEndTransactions(): void {
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (...args) {
    const made = transaction.apply(this, args);
    if (args[0] !== 'copies' || args[1] !== 'readwrite') return made;
    const store = made.objectStore('copies');
    const stay = () => {
      store.count().onsuccess = stay;
    };
    stay();
    made.addEventListener('abort', () =>
      Object.assign(window, { abortedBy: made.error?.name ?? 'the page' }),
    );
    Object.assign(window, { isInTransaction: true });
    return made;
  };
}

test("[E2E-35] a tab is frozen while it has the browser's copy open: it leaves it to the one that takes over", async () => {
  const server = await start();
  const wire = await WatchedWire.before(server);
  const dora = new NodeClient(server, ROOM);
  const tabs = await BackgroundTabs.open();
  const ada = await Tab.open(wire, { name: 'Ada', browser: tabs.browser });
  await ada.write('start');
  const bob = await Tab.open(wire, { name: 'Bob', browser: tabs.browser });
  await eventually(() => bob.words()).toEqual(['start']);
  await ada.page.evaluate(neverEndTransactions);
  wire.silence();
  await bob.page.bringToFront();
  await bob.write(' Bob1');
  await ada.page.waitForFunction(() => 'isInTransaction' in window, null, { polling: 100 });
  const goOn = await tabs.freeze(ada.page);
  await saved(bob);
  await bob.write(' Bob2');
  await saved(bob);
  expect(dora.words()).toEqual(['start', 'Bob1', 'Bob2']);

  await goOn();
  expect(await ada.page.evaluate(() => Reflect.get(window, 'abortedBy'))).toBe('the page');
  await eventually(() => ada.words()).toEqual(['start', 'Bob1', 'Bob2']);
});

test.each([
  [
    'a tab alone is frozen',
    async (tabs: BackgroundTabs, { page }: Tab) => {
      await tabs.browser.newPage();
      return await tabs.freeze(page);
    },
  ],
  ['the machine of a tab sleeps', async (tabs: BackgroundTabs) => tabs.sleep()],
])(
  '[E2E-24] %s for longer than the server waits: it comes back to what others wrote, and its own is saved',
  async (_, stop) => {
    const server = await start();
    const wire = await WatchedWire.before(server);
    const dora = new NodeClient(server, ROOM);
    const tabs = await BackgroundTabs.open();
    const ada = await Tab.open(wire, { name: 'Ada', browser: tabs.browser });
    await ada.write('before');
    await saved(ada);
    await eventually(() => dora.people()).toEqual(['Ada', 'Dora']);

    // The network is gone first, so that neither this edit nor a farewell arrives.
    const tellOfEnd = wire.silence();
    await ada.write(' unsaved');
    await ada.status.getByText('Saving…').waitFor();
    const goOn = await stop(tabs, ada);
    await eventually(() => dora.people()).toEqual(['Dora']);
    expect(dora.words()).toEqual(['before']);
    await dora.write('meanwhile');

    tellOfEnd();
    await goOn();
    await eventually(() => ada.words()).toEqual(['before', 'unsaved', 'meanwhile']);
    await saved(ada);
    await eventually(() => dora.words()).toEqual(['before', 'unsaved', 'meanwhile']);
    for (const people of [() => dora.people(), sorted(ada)]) {
      await eventually(people).toEqual(['Ada', 'Dora']);
    }
    await ada.write(' after');
    await eventually(() => dora.words()).toEqual(['before', 'unsaved', 'meanwhile', 'after']);
    await saved(ada);
    expect(wire.openWebSockets).toBe(1);
  },
);
