/**
 * Pages of one browser that have a document open, and the server they talk to, which is the test:
 * it accepts, says what is saved, and reads what was sent.
 */
import { IDBFactory } from 'fake-indexeddb';
import { vi } from 'vitest';
import * as Y from 'yjs';
import type { CowriteProviderOptions } from '../src/options.js';
import { CowriteProvider } from '../src/provider.js';
import { written } from './copies.js';
import { FakeNetwork, type FakeSocket } from './fake-socket.js';
import { FakeBrowser, type FakeTab } from './fake-tabs.js';
import './loaded.js';
import { ManualClock } from './manual-clock.js';

export const EMPTY = Uint8Array.of(0);
export const NOTHING = Uint8Array.of(0, 0);

/** Rounds in which the tabs and the database wait for each other. */
const ROUNDS = 5;

export type Page = CowriteProvider & { readonly tab: FakeTab };

const pages: Page[] = [];

/** To be called after each test that has opened any. */
export function closePages(): void {
  for (const page of pages.splice(0)) page.destroy();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** What a test has to do with. */
export type Parts = ReturnType<typeof setUpPages>;

/** A browser that keeps nothing yet. @param defaults of the pages that are opened in it */
export function setUpPages(defaults: Partial<CowriteProviderOptions> = {}) {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('document', page);
  vi.stubGlobal('indexedDB', new IDBFactory());
  const browser = new FakeBrowser();
  const clock = new ManualClock();
  const network = new FakeNetwork();
  const open = (options: Partial<CowriteProviderOptions> = {}): Page => {
    const tab = browser.tab();
    const provider = new CowriteProvider({
      url: 'ws://host/ws',
      room: 'room',
      clock,
      random: () => 0.5,
      WebSocket: network.WebSocket,
      fetch: () => Promise.reject(new Error('no network')),
      browser: tab,
      ...defaults,
      ...options,
    });
    pages.push(Object.assign(provider, { tab }));
    return pages.at(-1) as Page;
  };
  /** Its process dies, and with it its socket. */
  const kill = (killed: Page) => {
    browser.kill(killed.tab);
    pages.splice(pages.indexOf(killed), 1);
    for (const socket of network.live) socket.readyState = 3;
  };
  /** All has arrived, at the tabs and in the database. */
  const settle = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await browser.settle();
      await written();
    }
  };
  return { browser, clock, network, open, kill, settle, page };
}

/** @returns whether the pages that are opened from now on would ask before they are closed */
export function watchClosing(): () => boolean {
  const globals = new EventTarget();
  vi.stubGlobal('addEventListener', globals.addEventListener.bind(globals));
  vi.stubGlobal('removeEventListener', globals.removeEventListener.bind(globals));
  return () => {
    const event = new Event('beforeunload', { cancelable: true });
    globals.dispatchEvent(event);
    return event.defaultPrevented;
  };
}

/** Two tabs of which the first has the socket, and both have all. */
export async function twoPages() {
  const parts = setUpPages();
  const one = parts.open();
  await parts.browser.settle();
  accept(parts.network.last);
  save(parts.network.last);
  const other = parts.open();
  await parts.browser.settle();
  return { ...parts, one, other };
}

/**
 * A server with this document lets the client in: it relays nothing by itself.
 *
 * @param generation which of the documents of its name this is; left out where that matters to nobody
 */
export function accept(socket: FakeSocket, doc = new Y.Doc(), generation?: number): void {
  socket.accept();
  if (generation !== undefined) socket.say({ type: 'generation', generation });
  socket.say({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
  socket.say({ type: 'step2', update: Y.encodeStateAsUpdate(doc) });
}

const isDocument = ({ type }: { type: string }) => type === 'update' || type === 'step2';

export const documentsOf = (socket: FakeSocket) => socket.sent.filter(isDocument);

/** Reports all that was sent on it saved. */
export function save(socket: FakeSocket): void {
  socket.say({ type: 'saved', count: documentsOf(socket).length });
}

/** Refuses what was sent on it last. */
export function reject(socket: FakeSocket): void {
  socket.say({ type: 'rejected', count: documentsOf(socket).length, reason: 'read-only' });
}

export const type = ({ doc }: CowriteProvider, text: string) =>
  doc.getText('t').insert(doc.getText('t').length, text);

export const textOf = ({ doc }: CowriteProvider) => doc.getText('t').toString();

export function textIn(updates: readonly Uint8Array[]): string {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc.getText('t').toString();
}

/** The document that a server has after all that was sent to it. */
export function textAt(...sockets: FakeSocket[]): string {
  const messages = sockets.flatMap(documentsOf);
  return textIn(messages.flatMap((message) => ('update' in message ? [message.update] : [])));
}

/** A document with this text. */
export function docOf(text: string): Y.Doc {
  const doc = new Y.Doc();
  doc.getText('t').insert(0, text);
  return doc;
}
