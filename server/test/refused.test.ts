/** Clients of which the server refuses something: in the end each shows what all others show. */
import { CowriteProvider } from '@cowrite/client';
import type { Access } from '@cowrite/client/protocol';
import { IDBFactory } from 'fake-indexeddb';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { chosenSeed, Dice } from './seeded.js';
import { served, socketUrl, startServer } from './support.js';

const NAMES = ['ada', 'bob', 'eve'];
const STEPS = 60;
const RUNS = Number(process.env.RUNS ?? 12);
const MAX_MESSAGE_BYTES = 4096;
/** Milliseconds after which something that does not come is missing. */
const PATIENCE = 60_000;

/** What there is to see of a document, as text; of a map in the order of its keys. */
function shown(doc: Y.Doc): string {
  const map = doc.getMap('m').toJSON();
  const sorted = (_: string, value: unknown) =>
    value instanceof Object && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value;
  const [text, list] = [doc.getText('t').toDelta(), doc.getArray('l').toJSON()];
  return JSON.stringify([text, map, list, doc.getXmlFragment('x').toString()], sorted);
}

type Below = (end: number) => number;

/** What an editor does, each at a random place. */
const EDITS: ((doc: Y.Doc, below: Below, name: string) => void)[] = [
  (doc, below, name) => {
    const text = doc.getText('t');
    text.insert(below(text.length + 1), `${name[0]}${below(10)} `);
  },
  (doc, below) => {
    const text = doc.getText('t');
    if (text.length > 3) text.delete(below(text.length - 2), 1 + below(3));
  },
  (doc, below) => {
    const text = doc.getText('t');
    if (text.length > 3) text.format(below(text.length - 2), 2, { b: below(2) === 0 || null });
  },
  (doc, below, name) => doc.getMap('m').set(`k${below(3)}`, `${name}${below(10)}`),
  (doc, below) => doc.getMap('m').delete(`k${below(3)}`),
  (doc, below, name) => {
    const map = doc.getMap('m').get('nested');
    if (map instanceof Y.Map && below(4) > 0) map.set(`k${below(3)}`, `${name}${below(10)}`);
    else doc.getMap('m').set('nested', new Y.Map([['by', name]]));
  },
  (doc, below, name) => doc.getArray('l').insert(below(doc.getArray('l').length + 1), [name]),
  (doc, below) => {
    const list = doc.getArray('l');
    if (list.length > 0) list.delete(below(list.length), 1);
  },
  (doc, below, name) => {
    const root = doc.getXmlFragment('x');
    root.insert(below(root.length + 1), [new Y.XmlText(`${name}${below(10)}`)]);
  },
  (doc, below) => {
    const root = doc.getXmlFragment('x');
    if (root.length > 0) root.delete(below(root.length), 1);
  },
  (doc, below, name) => {
    const root = doc.getXmlFragment('x');
    if (root.length === 0) return;
    const text = root.get(below(root.length)) as Y.XmlText;
    if (text.length > 4 && below(2) === 0) text.delete(below(text.length - 2), 2);
    else text.insert(below(text.length + 1), name[0]!);
  },
  // More than the server takes, or nearly.
  (doc, below) => doc.getText('t').insert(0, 'L'.repeat(below(2 * MAX_MESSAGE_BYTES))),
];

/** Resolves when something about it is different. */
async function news(provider: CowriteProvider): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const name of ['status', 'unsaved', 'rejected'] as const)
      provider.once(name, () => resolve());
  });
}

async function settled(provider: CowriteProvider): Promise<void> {
  while (provider.unsaved || provider.status !== 'online') await news(provider);
}

/** Resolves once the document shows this, or does not in time. */
async function untilShown(doc: Y.Doc, wanted: string): Promise<void> {
  const isShown = () => shown(doc) === wanted;
  if (isShown()) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    doc.on('update', () => {
      if (!isShown()) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** @param isKept whether browsers keep copies, and pages are loaded anew */
async function simulate(dice: Dice, isKept: boolean): Promise<void> {
  Object.assign(globalThis, { indexedDB: new IDBFactory() });
  const accesses = new Map<string, Access>(NAMES.map((name) => [name, 'write']));
  const server = await startServer({
    limits: { maxMessageBytes: MAX_MESSAGE_BYTES },
    hooks: {
      authenticate: ({ token: id = '' }) => ({ access: accesses.get(id) ?? 'read', user: { id } }),
    },
  });
  const below = (end: number) => Math.floor(dice.next() * end);
  const open = (name: string) =>
    new CowriteProvider({
      url: socketUrl(server),
      room: 'room',
      token: name,
      user: name,
      offline: isKept,
      WebSocket,
      random: () => 0,
    });
  const providers = NAMES.map(open);
  onTestFinished(() => {
    for (const provider of providers) provider.destroy();
  });
  await Promise.all(providers.map(settled));
  const acts: ((who: number) => unknown)[] = [
    (who) => providers[who]!.disconnect(),
    (who) => providers[who]!.connect(),
    (who) => providers[who]!.status === 'online' && settled(providers[who]!),
    (who) => {
      accesses.set(NAMES[who]!, below(2) === 0 ? 'read' : 'write');
      server.recheck(NAMES[who]!);
    },
  ];
  if (isKept) {
    acts.push(async (who) => {
      const isAway = providers[who]!.status === 'offline';
      providers[who]!.destroy();
      providers[who] = open(NAMES[who]!);
      if (isAway) providers[who]!.disconnect();
      await providers[who]!.whenLoaded();
    });
  }
  for (let step = 0; step < STEPS; step++) {
    const who = below(NAMES.length);
    if (below(4) === 0) await acts[below(acts.length)]!(who);
    else EDITS[below(EDITS.length)]!(providers[who]!.doc, below, NAMES[who]!);
  }
  for (const provider of providers) provider.connect();
  await Promise.all(providers.map(settled));
  const wanted = shown(await served(server, 'room', 'reader'));
  for (const [at, { doc }] of providers.entries()) {
    await untilShown(doc, wanted);
    expect(shown(doc), `${NAMES[at]}, seed ${dice.seed}`).toBe(wanted);
  }
}

it.each([
  ['all show the same in the end', false],
  ['so it is with copies in browsers, and pages that are loaded anew', true],
])('[CLI-17] whatever is refused, %s', async (_, isKept) => {
  const first = chosenSeed();
  console.log(`CLI-17 SEED=${first}`);
  for (let run = 0; run < RUNS; run++) await simulate(new Dice(first + run), isKept);
});
