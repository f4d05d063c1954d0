/**
 * A browser with tabs and without a browser: messages and locks arrive when the test says so,
 * as late as they may.
 *
 * As in browsers: what one tab sends arrives in its order, to all that listen, as a copy; a lock
 * goes to those who wait for it in their order; and with a tab go its locks and its ears.
 */
import type { TabsBrowser, TabsChannel, TabsLocks } from '../src/tabs.js';

interface Waiting {
  readonly tab: FakeTab;
  readonly signal: AbortSignal | undefined;
  readonly callback: () => Promise<void> | undefined;
  readonly settle: (error?: unknown) => void;
}

interface Lock {
  holder: FakeTab | null;
  readonly queue: Waiting[];
}

interface Task {
  readonly lane: unknown;
  readonly work: () => void;
  /** Whose script it runs, as things are. */
  readonly tab: () => FakeTab | undefined;
}

/** Rounds of answers to answers; five tabs need a dozen. */
const ENOUGH = 200;

export class FakeBrowser {
  readonly #channels = new Map<string, Set<FakeChannel>>();
  readonly #locks = new Map<string, Lock>();
  /** What is under way; of one lane, in this order. */
  #todo: Task[] = [];
  readonly #frozen = new Set<FakeTab>();

  tab(): FakeTab {
    return new FakeTab(this);
  }

  /** Lets everything arrive, and what follows from it. */
  async settle(): Promise<void> {
    let rounds = 0;
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      const ready = this.#ready;
      if (ready.length > 0) quiet = -1;
      if (++rounds > ENOUGH) throw new Error('the tabs do not come to rest');
      this.#todo = this.#todo.filter((task) => !ready.includes(task));
      for (const { work } of ready) work();
    }
  }

  /** Lets one thing arrive, of those that may be next. @param random from 0 up to, not including, 1 */
  async step(random: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const ready = this.#ready;
    const lanes = [...new Set(ready.map(({ lane }) => lane))];
    const lane = lanes[Math.floor(random * lanes.length)];
    const next = ready.find((task) => task.lane === lane);
    this.#todo = this.#todo.filter((task) => task !== next);
    next?.work();
    await new Promise((resolve) => setImmediate(resolve));
  }

  later(lane: unknown, tab: Task['tab'], work: () => void): void {
    this.#todo.push({ lane, tab, work });
  }

  get #ready(): Task[] {
    return this.#todo.filter(({ tab }) => !this.#frozen.has(tab() as FakeTab));
  }

  /** Nothing of it runs until {@link FakeBrowser.thaw}; what it has, it keeps. */
  freeze(tab: FakeTab): void {
    this.#frozen.add(tab);
  }

  thaw(tab: FakeTab): void {
    this.#frozen.delete(tab);
  }

  channelsOf(name: string): Set<FakeChannel> {
    const known = this.#channels.get(name) ?? new Set();
    this.#channels.set(name, known);
    return known;
  }

  lock(name: string): Lock {
    const known = this.#locks.get(name) ?? { holder: null, queue: [] };
    this.#locks.set(name, known);
    return known;
  }

  /** The names of the locks that somebody holds. */
  get held(): string[] {
    return [...this.#locks].filter(([, { holder }]) => holder !== null).map(([name]) => name);
  }

  grant(name: string): void {
    const lock = this.lock(name);
    // A frozen tab is given a lock as any other, and does nothing with it.
    const first = () => lock.queue[0]?.tab;
    this.later(lock, first, () => {
      if (lock.holder !== null) return;
      const next = lock.queue.shift();
      if (next === undefined) return;
      const free = () => {
        if (lock.holder === next.tab) lock.holder = null;
        next.settle();
        this.grant(name);
      };
      lock.holder = next.tab;
      const held = next.callback();
      if (held === undefined) free();
      else void held.then(free);
    });
  }

  /** Its process dies: it says nothing any more. */
  kill(tab: FakeTab): void {
    for (const channels of this.#channels.values()) {
      for (const channel of channels) if (channel.tab === tab) channels.delete(channel);
    }
    for (const [name, lock] of this.#locks) {
      const others = lock.queue.filter((waiting) => waiting.tab !== tab);
      lock.queue.splice(0, lock.queue.length, ...others);
      if (lock.holder !== tab) continue;
      lock.holder = null;
      this.grant(name);
    }
  }
}

export class FakeTab implements TabsBrowser {
  readonly BroadcastChannel: TabsBrowser['BroadcastChannel'];
  readonly locks: TabsLocks;

  constructor(browser: FakeBrowser) {
    const tab = this;
    this.BroadcastChannel = class extends FakeChannel {
      constructor(name: string) {
        super(browser, tab, name);
      }
    };
    this.locks = {
      request: (name, { signal }, callback) =>
        new Promise((resolve, reject) => {
          const settle = (error?: unknown) =>
            error === undefined ? resolve(undefined) : reject(error);
          const { queue } = browser.lock(name);
          const waiting = { tab, signal, callback, settle };
          queue.push(waiting);
          signal?.addEventListener('abort', () => {
            const at = queue.indexOf(waiting);
            if (at < 0) return;
            queue.splice(at, 1);
            settle(signal.reason);
          });
          browser.grant(name);
        }),
    };
  }
}

class FakeChannel implements TabsChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly tab: FakeTab;
  readonly #lanes = new Map<FakeChannel, object>();
  readonly #browser: FakeBrowser;
  readonly #name: string;

  constructor(browser: FakeBrowser, tab: FakeTab, name: string) {
    this.#browser = browser;
    this.#name = name;
    this.tab = tab;
    browser.channelsOf(name).add(this);
  }

  postMessage(message: unknown): void {
    const channels = this.#browser.channelsOf(this.#name);
    if (!channels.has(this)) return;
    for (const channel of channels) {
      if (channel === this) continue;
      const data = structuredClone(message);
      this.#browser.later(
        this.#laneTo(channel),
        () => channel.tab,
        () => channels.has(channel) && channel.onmessage?.({ data }),
      );
    }
  }

  close(): void {
    this.#browser.channelsOf(this.#name).delete(this);
  }

  /** Between two pages messages keep their order; otherwise any may be the first. */
  #laneTo(channel: FakeChannel): unknown {
    const lane = this.#lanes.get(channel) ?? {};
    this.#lanes.set(channel, lane);
    return lane;
  }
}
