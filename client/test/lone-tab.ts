/**
 * A browser with one tab, whose peers are the test: they say what it says, whatever the order,
 * and none of them ever lets go of a lock unless it says so.
 */
import type { View } from '../src/tab-messages.js';
import type { TabsBrowser, TabsChannel, TabsLocks } from '../src/tabs.js';
import { EMPTY, NOTHING } from './pages.js';

interface Posted {
  readonly from: string;
  readonly message: { readonly type: string };
}

/** How things are at a holder that is online and has all saved. */
function stateOf(more: Partial<View>, heard: Record<string, number>) {
  const nothing = { nextRetryAt: null, refusal: null, unsaved: false, rejection: null };
  const view: View = {
    status: 'online',
    ...nothing,
    access: 'write',
    isKept: false,
    isCopyRead: false,
    ...more,
  };
  return { ...view, heard: new Map(Object.entries(heard)) };
}

export class LoneTab implements TabsBrowser {
  readonly BroadcastChannel: TabsBrowser['BroadcastChannel'];
  readonly locks: TabsLocks;
  readonly posted: Posted[] = [];
  readonly #channels: TabsChannel[] = [];
  readonly #waiting: { readonly name: string; readonly grant: () => void }[] = [];

  constructor() {
    const { posted } = this;
    const channels = this.#channels;
    this.BroadcastChannel = class implements TabsChannel {
      onmessage: TabsChannel['onmessage'] = null;
      constructor() {
        channels.push(this);
      }
      postMessage(message: unknown): void {
        posted.push(structuredClone(message) as Posted);
      }
      close(): void {
        this.onmessage = null;
      }
    };
    let isOwn = true;
    this.locks = {
      request: (name, { signal }, callback) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason));
          const grant = () => queueMicrotask(() => void callback()?.then(resolve));
          // The first is its own, by which others would learn that it has died.
          if (isOwn) grant();
          else this.#waiting.push({ name, grant });
          isOwn = false;
        }),
    };
  }

  /** By which the others know it. */
  get id(): string {
    return this.posted[0]?.from ?? '';
  }

  say(from: string, message: { type: string } & Record<string, unknown>): void {
    const data = structuredClone({ from, message });
    for (const { onmessage } of this.#channels) onmessage?.({ data });
  }

  /** The holder answers this tab. */
  welcome(from: string, more: Partial<View> = {}): void {
    this.say(from, {
      type: 'welcome',
      to: this.id,
      members: new Map([[from, from.charCodeAt(0)]]),
      update: NOTHING,
      stateVector: EMPTY,
      people: EMPTY,
      state: stateOf(more, {}),
      unsavedChange: { insertions: { clients: new Map() }, deletions: { clients: new Map() } },
    });
  }

  /** The holder says how things are. @param heard the numbers of the edits that it has */
  state(from: string, more: Partial<View> = {}, heard: Record<string, number> = {}): void {
    this.say(from, { type: 'state', state: stateOf(more, heard) });
  }

  /** The lock of that tab is free. */
  die(id: string): void {
    const isIts = ({ name }: { name: string }) => name.endsWith(` ${id}`);
    for (const { grant } of this.#waiting.filter(isIts)) grant();
    const others = this.#waiting.filter((waiting) => !isIts(waiting));
    this.#waiting.splice(0, this.#waiting.length, ...others);
  }

  /** The names of the locks that it waits for. */
  get wanted(): string[] {
    return this.#waiting.map(({ name }) => name);
  }
}
