/**
 * The tabs that share a room, as far as it concerns one that is alone, as most are: it says that it
 * has come, and queues for the right to hold the socket.
 *
 * Whatever has to do with others, `group.ts`, is made when one of them says something, which is when
 * its code is loaded. What they say meanwhile waits for it. Invariant: they are heard in order, and
 * of a membership that was left nothing is.
 */
import * as Y from 'yjs';
import type { Generation } from './generation.js';
import type { Group } from './group.js';
import type * as others from './others.js';
import { tabParts } from './part.js';
import type { Message, Said } from './tab-messages.js';
import { Tabs, type TabsBrowser } from './tabs.js';

export interface TabSyncListener {
  /** Which document of the room's name this is. */
  generation(): Generation;
  /** This tab, as an awareness update. */
  ownState(): Uint8Array;
  /** What has to do with the others. */
  makeGroup(code: typeof others, sync: TabSync): Group;
  joined(): void;
  /** This tab is to hold the socket. */
  held(): void;
  /** There are no others to be had: this tab is alone. */
  unavailable(error: unknown): void;
}

export class TabSync {
  readonly tabs: Tabs<Said>;
  /** Null until another tab has said something. */
  group: Group | null = null;
  readonly #doc: Y.Doc;
  readonly #client: number;
  readonly #listener: TabSyncListener;
  /** Of others, while the code for them is being loaded. */
  #waiting: [from: string, said: Said][] = [];

  /** @param client this tab's awareness client id */
  constructor(
    name: string,
    browser: TabsBrowser,
    doc: Y.Doc,
    client: number,
    listener: TabSyncListener,
  ) {
    this.#doc = doc;
    this.#client = client;
    this.#listener = listener;
    this.tabs = new Tabs<Said>(name, browser, {
      joined: () => {
        this.hello();
        listener.joined();
        this.tabs.stand();
      },
      held: () => {
        this.group?.held();
        this.say({ type: 'holding', client });
        listener.held();
      },
      heard: (from, said) => this.#heard(from, said),
      gone: (id) => this.group?.gone(id),
      unavailable: (error) => this.#fail(error),
    });
  }

  leave(): void {
    this.say({ type: 'bye' });
    this.tabs.leave();
    this.#waiting = [];
    this.group?.forget();
  }

  /** Lets another tab try to hold the socket. */
  resign(): void {
    this.group?.announce();
    this.tabs.resign();
  }

  say(message: Message): void {
    this.tabs.post({ ...message, generation: this.#listener.generation().known });
  }

  hello(): void {
    const stateVector = Y.encodeStateVector(this.#doc);
    const people = this.#listener.ownState();
    this.say({ type: 'hello', client: this.#client, stateVector, people });
  }

  #heard(from: string, said: Said): void {
    if (this.group !== null) {
      this.group.heard(from, said);
      return;
    }
    this.#waiting.push([from, said]);
    const { code } = tabParts;
    if (code !== null) this.#hear(code);
    else if (this.#waiting.length === 1) {
      tabParts.load().then(
        (loaded) => this.#hear(loaded),
        (error: unknown) => this.tabs.isIn && this.#fail(error),
      );
    }
  }

  #hear(code: typeof others): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.group ??= this.#listener.makeGroup(code, this);
      this.group.heard(...next);
    }
  }

  #fail(error: unknown): void {
    this.leave();
    this.#listener.unavailable(error);
  }
}
