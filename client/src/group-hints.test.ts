/** What a tab without the socket does for the one that has it, which the browser may have slowed down. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Awareness, applyAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { written } from '../test/copies.js';
import { LoneTab } from '../test/lone-tab.js';
import { ManualClock } from '../test/manual-clock.js';
import { accept, closePages, save, setUpPages, textAt, twoPages, type } from '../test/pages.js';

afterEach(closePages);

/** To be called before pages are opened. @returns what they take for their window */
function hearGlobals(): EventTarget {
  const globals = new EventTarget();
  vi.stubGlobal('addEventListener', globals.addEventListener.bind(globals));
  vi.stubGlobal('removeEventListener', globals.removeEventListener.bind(globals));
  return globals;
}

/** A tab whose holder is the test, and what happens to its page. */
async function follower() {
  const globals = hearGlobals();
  const { open, clock, page } = setUpPages();
  const peers = new LoneTab();
  open({ browser: peers });
  await written();
  peers.welcome('A');
  let seen = peers.posted.length;
  /** Messages of this kind that were posted since it was asked last. */
  const posted = (type: string) => {
    const fresh = peers.posted.slice(seen).map(({ message }) => message);
    seen = peers.posted.length;
    return fresh.filter((message) => message.type === type);
  };
  const look = (visibilityState: string) => {
    page.visibilityState = visibilityState;
    page.dispatchEvent(new Event('visibilitychange'));
  };
  return { globals, clock, peers, posted, look };
}

describe('[CLI-12] in a tab without the socket', () => {
  test('hints go to the one that has it; that a page is hidden is none', async () => {
    const { globals, posted, look } = await follower();
    look('hidden');
    expect(posted('nudge')).toEqual([]);
    look('visible');
    globals.dispatchEvent(new Event('online'));
    expect(posted('nudge')).toEqual([
      { type: 'nudge', nudge: 'visible', generation: null },
      { type: 'nudge', nudge: 'networkUp', generation: null },
    ]);
  });

  test.each(['visible', 'online'])('%s wakes tabs that were frozen', async (hint) => {
    const globals = hearGlobals();
    const { browser, network, one, other, page } = await twoPages();
    page.dispatchEvent(new Event('freeze'));
    await browser.settle();
    expect([one.status, other.status, network.live]).toEqual(['retrying', 'retrying', []]);
    if (hint === 'visible') page.dispatchEvent(new Event('visibilitychange'));
    else globals.dispatchEvent(new Event('online'));
    await browser.settle();
    accept(network.last);
    await browser.settle();
    expect([one.status, other.status, network.live.length]).toEqual(['online', 'online', 1]);
  });
});

describe('[CLI-16] a holder that is late for its attempt', () => {
  test('is reminded by the other tabs, once', async () => {
    const { clock, peers, posted } = await follower();
    const nextRetryAt = new Date(clock.date().getTime() + 5_000);
    peers.state('A', { status: 'retrying', nextRetryAt });
    clock.advance(5_000);
    expect(posted('nudge')).toEqual([]);
    clock.advance(1_000);
    expect(posted('nudge')).toEqual([{ type: 'nudge', nudge: 'due', generation: null }]);
  });
});

/** A page whose timers the browser does not let ring. */
class SilencedClock extends ManualClock {
  override setTimeout(_callback: () => void, delay: number) {
    return super.setTimeout(() => undefined, delay);
  }
}

describe('[CLI-48] a holder whose timers are late', () => {
  const reminder = { type: 'nudge', nudge: 'due', generation: null };

  test.each([
    { status: 'connecting' },
    { status: 'syncing' },
    { status: 'online', unsaved: true },
  ] as const)('is reminded every 4 s while it is %o', async (view) => {
    const { clock, peers, posted } = await follower();
    peers.state('A', view);
    clock.advance(3_999);
    expect(posted('nudge')).toEqual([]);
    clock.advance(1);
    peers.state('A', view);
    clock.advance(8_000);
    expect(posted('nudge')).toEqual([reminder, reminder, reminder]);
    peers.state('A', { status: 'online', unsaved: false });
    clock.advance(60_000);
    expect(posted('nudge')).toEqual([]);
  });

  test('gives a dead socket up, and opens another, as early as any', async () => {
    const { browser, clock, network, open } = setUpPages();
    const late = new SilencedClock();
    open({ clock: late });
    await browser.settle();
    accept(network.last);
    save(network.last);
    const other = open();
    await browser.settle();
    type(other, 'x');
    await browser.settle();
    let seconds = 0;
    for (; network.sockets.length === 1 && seconds < 300; seconds++) {
      for (const each of [clock, late]) each.advance(1_000);
      await browser.settle();
    }
    // CLI-41, and up to 4 s for each of the probe and its end; then the first attempt.
    expect(seconds).toBeLessThanOrEqual(20 + 8 + 1);
    accept(network.last);
    await browser.settle();
    save(network.last);
    await browser.settle();
    expect([textAt(network.last), other.unsaved]).toEqual(['x', false]);
  });

  test('gives an attempt up that is not answered', async () => {
    const { browser, clock, network, open } = setUpPages();
    const late = new SilencedClock();
    open({ clock: late });
    await browser.settle();
    open();
    await browser.settle();
    let seconds = 0;
    for (; network.sockets.length === 1 && seconds < 300; seconds++) {
      for (const each of [clock, late]) each.advance(1_000);
      await browser.settle();
    }
    expect(seconds).toBeLessThanOrEqual(10 + 4 + 1);
  });
});

describe('[CLI-26] the people of all tabs', () => {
  test('are what the server is told when it asks who is here', async () => {
    const { network, one, other } = await twoPages();
    const before = network.last.sent.length;
    network.last.say({ type: 'queryAwareness' });
    const server = new Awareness(new Y.Doc());
    for (const message of network.last.sent.slice(before)) {
      if (message.type === 'awareness') applyAwarenessUpdate(server, message.update, 'network');
    }
    const clients = [one, other].map(({ awareness }) => awareness.clientID);
    expect([...server.getStates().keys()]).toEqual(expect.arrayContaining(clients));
    server.destroy();
  });

  test('are shown anew to a holder that has just been met', async () => {
    const { posted, peers } = await follower();
    peers.say('B', { type: 'holding', client: 66 });
    posted('people');
    peers.welcome('B');
    expect(posted('people').length).toBe(1);
  });
});
