/**
 * The tab with the socket is frozen while people type in the others: how long, by the clocks, until one
 * of them has a socket and all is saved. The frozen one goes on at any moment; another page may
 * have the browser's database, and the server may ask the old socket for a sign of life before it
 * takes what the new one brings. Seeded: a failure prints its seed.
 */
import { afterEach, expect, test } from 'vitest';
import * as Y from 'yjs';
import { holdCopies } from './copies.js';
import type { FakeSocket } from './fake-socket.js';
import { ManualClock } from './manual-clock.js';
import { closePages, type Page, setUpPages } from './pages.js';

const SEEDS = Number(process.env.SEEDS ?? 25);
const FIRST = process.env.SEED === undefined ? 1 : Number(process.env.SEED);

/** Seconds that the server waits for an answer of the old socket (LIVE-3). */
const PROBE = 3;
/** Seconds until all is saved: that one, and those in which the server takes and reports. */
const BOUND = PROBE + 3;

afterEach(closePages);

/** https://en.wikipedia.org/wiki/Lehmer_random_number_generator */
function randomOf(seed: number): () => number {
  let state = seed * 7_919 + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const wordsOf = (doc: Y.Doc) => Object.keys(doc.getMap('words').toJSON()).sort();

/** It takes what comes, and says once a second what of it is on disk. */
class Server {
  readonly doc = new Y.Doc();
  /** Seconds for which it takes nothing from sockets that are new. */
  probing = 0;
  /** Of this one it hears nothing more. */
  deaf: FakeSocket | undefined;
  readonly #read = new Map<FakeSocket, { messages: number; documents: number; age: number }>();

  second(sockets: readonly FakeSocket[]): void {
    for (const socket of sockets) if (socket !== this.deaf) this.#serve(socket, sockets);
  }

  #serve(socket: FakeSocket, sockets: readonly FakeSocket[]): void {
    const known = this.#read.get(socket);
    if (known === undefined) {
      this.#read.set(socket, { messages: 0, documents: 0, age: 0 });
      socket.accept();
      socket.say({ type: 'step1', stateVector: Y.encodeStateVector(this.doc) });
      socket.say({ type: 'step2', update: Y.encodeStateAsUpdate(this.doc) });
      return;
    }
    if (known.age++ < this.probing) return;
    while (known.messages < socket.sent.length) {
      const message = socket.sent[known.messages++];
      if (message?.type === 'probe') socket.say({ type: 'awareness', update: Uint8Array.of(0) });
      if (message?.type !== 'step2' && message?.type !== 'update') continue;
      known.documents++;
      Y.applyUpdate(this.doc, message.update);
      for (const other of sockets) {
        if (other !== socket && other !== this.deaf && this.#read.has(other)) {
          other.say({ type: 'update', update: message.update });
        }
      }
    }
    socket.say({ type: 'saved', count: known.documents });
  }
}

async function run(seed: number): Promise<number> {
  const life = `seed ${seed}`;
  const random = randomOf(seed);
  const { browser, network, open, settle, page: events } = setUpPages({ offline: true, random });
  const server = new Server();
  const pages: { page: Page; clock: ManualClock; events: EventTarget }[] = [];
  let frozen: Page | undefined;
  let word = 0;
  const others = () => pages.filter(({ page }) => page !== frozen);
  const add = async () => {
    const clock = new ManualClock();
    const own = new EventTarget();
    // Each page hears of its own life only.
    const { addEventListener } = events;
    events.addEventListener = own.addEventListener.bind(own);
    pages.push({ page: open({ clock }), clock, events: own });
    events.addEventListener = addEventListener;
    await settle();
  };
  const type = ({ doc }: Page) => doc.getMap('words').set(String(++word), true);
  const second = async () => {
    for (const { clock } of others()) clock.advance(1_000);
    server.second(network.live);
    await settle();
  };
  const someOf = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;

  const count = 2 + Math.floor(random() * 3);
  for (let i = 0; i < count; i++) await add();
  for (let i = 0; i < 3; i++) await second();
  for (let i = 0; i < 5; i++) type(someOf(pages).page);
  for (let i = 0; i < 2; i++) await second();
  expect(pages.map(({ page }) => [page.status, page.unsaved])).toEqual(
    pages.map(() => ['online', false]),
  );

  // The network is gone first, and then the tab with the socket, at any moment.
  const holder = pages[0]!;
  server.deaf = network.last;
  for (let steps = Math.floor(random() * 12); steps > 0; steps--) {
    if (random() < 0.5) type(someOf(pages).page);
    await browser.step(random());
  }
  const release = random() < 0.5 ? await holdCopies() : undefined;
  if (random() < 0.5) server.probing = PROBE;
  holder.events.dispatchEvent(new Event('freeze'));
  frozen = holder.page;
  browser.freeze(frozen.tab);
  const thawsAt = Math.floor(random() * 2 * BOUND);
  let saved: number | undefined;
  for (let at = 1; at <= 2 * BOUND; at++) {
    if (at < BOUND - PROBE) type(someOf(others()).page);
    await second();
    if (others().every(({ page }) => !page.unsaved)) saved ??= at;
    else if (at < BOUND) saved = undefined;
    if (at === thawsAt) {
      frozen = undefined;
      browser.thaw(holder.page.tab);
      holder.events.dispatchEvent(new Event('resume'));
      await settle();
    }
    const lacking = others()
      .filter(({ page }) => !page.unsaved)
      .flatMap(({ page }) =>
        wordsOf(page.doc).filter((each) => !server.doc.getMap('words').has(each)),
      );
    expect(lacking, `${life}, second ${at}: shown as saved, and not at the server`).toEqual([]);
  }
  expect(saved, `${life}: seconds until all is saved`).toBeLessThanOrEqual(BOUND);
  release?.();
  for (let i = 0; i < 3; i++) await second();
  if (frozen !== undefined) {
    browser.thaw(frozen.tab);
    frozen = undefined;
    holder.events.dispatchEvent(new Event('resume'));
  }
  for (let i = 0; i < 5; i++) await second();
  for (const { page } of pages) {
    expect([wordsOf(page.doc), page.status, page.unsaved], life).toEqual([
      wordsOf(server.doc),
      'online',
      false,
    ]);
  }
  expect(wordsOf(server.doc).length, life).toBe(word);
  expect(network.live.filter((socket) => socket !== server.deaf).length, life).toBe(1);
  closePages();
  return saved!;
}

test(`[CLI-47] ${SEEDS} takeovers from seed ${FIRST}: all is saved within ${BOUND} s of the freeze`, async () => {
  const seconds: number[] = [];
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) seconds.push(await run(seed));
  if (process.env.SEEDS !== undefined) console.log(`seconds: ${seconds.sort((a, b) => a - b)}`);
}, 300_000);
