/**
 * Real input: keystrokes that people made, replayed by real clients through a real
 * server process, which is killed and started again before the text is read.
 *
 * The traces (josephg/editing-traces, CC BY 4.0) are not part of this repository.
 * They are looked for in the folder that `TRACES` names, else in `../shared/data`
 * beside it; where neither has them the tests are left out.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { CowriteProvider } from '@cowrite/client';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { WebSocket } from 'ws';
import type { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { same, turn, union } from './ledger.js';
import {
  RawClient,
  type ServerProcess,
  socketUrl,
  startProcess,
  synced,
  temporaryFolder,
  untilDoc,
  yWebsocket,
} from './support.js';

/** Position and number of deleted characters in code points, and what is inserted. */
type Patch = readonly [position: number, deleted: number, inserted: string];

interface Transaction {
  readonly patches: readonly Patch[];
  /** Indexes of the transactions that its author had seen; all that those had seen counts as seen. */
  readonly parents?: readonly number[];
  readonly agent?: number;
}

interface Trace {
  readonly startContent?: string;
  readonly endContent: string;
  readonly txns: readonly Transaction[];
}

const FOLDER =
  process.env.TRACES ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));
/** Keystrokes between two turns of the loop. */
const BATCH = 200;
/** Nobody types like this. */
const FULL_SPEED = '1000000:1000000';
const FULL_WIDTH = '1000000000:1000000000';
/** Bytes that may wait in a client's socket before it pauses. */
const HIGH_WATER = 64 * 1024;

describe('[TRC] traces of real people', () => {
  it('[TRC-1] a paper of 259,778 keystrokes, typed at full speed, survives SIGKILL', async (ctx) => {
    const trace = readTrace(ctx, 'automerge-paper');
    const watch = new Stopwatch('[TRC-1]');
    const environment = {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      MAX_UPDATE_RATE: FULL_SPEED,
      MAX_UPDATE_BYTES_RATE: FULL_WIDTH,
    };
    const before = await startProcess(environment);
    const writer = yWebsocket(before, 'paper');
    const reader = yWebsocket(before, 'paper');
    await Promise.all([synced(writer), synced(reader)]);
    watch.lap('connected');

    await type(writer, trace);
    const { endContent } = trace;
    expect(textOf(writer.doc)).toBe(endContent);
    watch.lap('typed');

    await untilDoc(reader.doc, () => equal(reader.doc, writer.doc));
    expect(textOf(reader.doc)).toBe(endContent);
    watch.lap('the other has all of it');

    await onDisk(before, 'paper', writer.doc);
    watch.lap('on disk');

    writer.disconnect();
    reader.disconnect();
    await before.kill();
    const after = await startProcess(environment);
    watch.lap('killed and started');

    const third = yWebsocket(after, 'paper');
    await synced(third);
    expect(textOf(third.doc)).toBe(endContent);
    watch.lap('loaded by a third');
    watch.print();
  });

  it('[TRC-2] two people in one text, each seeing what they had seen, over both dialects', async (ctx) => {
    const trace = readTrace(ctx, 'friendsforever');
    const watch = new Stopwatch('[TRC-2]');
    const { parts, end } = asWritten(trace);
    watch.lap('written apart');

    const environment = {
      STORAGE_URL: `lmdb:${temporaryFolder()}`,
      MAX_UPDATE_RATE: FULL_SPEED,
      MAX_UPDATE_BYTES_RATE: FULL_WIDTH,
    };
    const before = await startProcess(environment);
    const first = yWebsocket(before, 'friends');
    const second = cowrite(before, 'friends');
    await Promise.all([synced(first), second.whenSynced()]);
    watch.lap('connected');

    await Promise.all([
      inject(first.doc, parts[0]!, () => first.ws?.bufferedAmount ?? 0),
      inject(second.doc, parts[1]!, () => 0),
    ]);
    await untilDoc(first.doc, () => equal(first.doc, end));
    await untilDoc(second.doc, () => equal(second.doc, end));
    expect(textOf(first.doc)).toBe(trace.endContent);
    expect(textOf(second.doc)).toBe(trace.endContent);
    watch.lap('exchanged');

    await Promise.all([second.whenSaved(), onDisk(before, 'friends', first.doc)]);
    watch.lap('on disk');

    first.disconnect();
    second.disconnect();
    await before.kill();
    const after = await startProcess(environment);
    watch.lap('killed and started');
    const third = cowrite(after, 'friends');
    await third.whenSynced();
    expect(textOf(third.doc)).toBe(trace.endContent);
    watch.lap('loaded by a third');
    watch.print();
  });

  it('[TRC-3] positions in code points are found in UTF-16 text', () => {
    const doc = new Y.Doc();
    const text = doc.getText('text');
    const put = typist();
    for (const patch of [
      [0, 0, 'a𝒳b'],
      [3, 0, '😀c'],
      [2, 1, ''],
      [1, 2, 'é'],
      [2, 0, '𝒴'],
      [3, 1, 'd'],
    ] as const) {
      put(text, patch);
    }
    expect(text.toString()).toBe('aé𝒴d');
  });
});

function readTrace(ctx: TestContext, name: string): Trace {
  const path = join(FOLDER, `${name}.json.gz`);
  if (!existsSync(path)) ctx.skip(`there is no trace ${path}; TRACES names the folder`);
  return JSON.parse(gunzipSync(readFileSync(path)).toString()) as Trace;
}

function textOf(doc: Y.Doc): string {
  return doc.getText('text').toString();
}

function cowrite(server: ServerProcess, room: string): CowriteProvider {
  const provider = new CowriteProvider({ url: socketUrl(server), room, WebSocket });
  onTestFinished(() => provider.destroy());
  return provider;
}

/** How long each step took. */
class Stopwatch {
  readonly #tag: string;
  readonly #laps: string[] = [];
  #last = performance.now();

  constructor(tag: string) {
    this.#tag = tag;
  }

  lap(name: string): void {
    const now = performance.now();
    this.#laps.push(`${name} ${Math.round(now - this.#last)} ms`);
    this.#last = now;
  }

  print(): void {
    console.log(`${this.#tag} ${this.#laps.join(', ')}`);
  }
}

/**
 * Applies patches to one text. As long as every character is one UTF-16 unit,
 * positions are the same in both; from the first that is not, they are counted.
 */
function typist(): (text: Y.Text, patch: Patch) => void {
  let isPlain = true;
  return (text, [position, deleted, inserted]) => {
    let from = position;
    let length = deleted;
    if (!isPlain) {
      const points = [...text.toString()];
      from = points.slice(0, position).join('').length;
      length = points.slice(position, position + deleted).join('').length;
    }
    if (length > 0) text.delete(from, length);
    if (inserted !== '') text.insert(from, inserted);
    isPlain &&= !/[\ud800-\udfff]/.test(inserted);
  };
}

/** One transaction a keystroke, as fast as the socket takes them. */
async function type(writer: WebsocketProvider, trace: Trace): Promise<void> {
  const { doc } = writer;
  const text = doc.getText('text');
  const put = typist();
  if (trace.startContent) text.insert(0, trace.startContent);
  let typed = 0;
  for (const { patches } of trace.txns) {
    doc.transact(() => {
      for (const patch of patches) put(text, patch);
    });
    if (++typed % BATCH === 0) await turn();
    while ((writer.ws?.bufferedAmount ?? 0) > HIGH_WATER) await turn();
  }
}

/**
 * Resolves once all that `doc` has is on disk, also what was sent by clients that
 * nobody reports to: a client that brings nothing new is told "saved" when all
 * that came before it is. Whether the server has received it by then is the
 * first thing that is waited for.
 */
async function onDisk(server: ServerProcess, room: string, doc: Y.Doc): Promise<void> {
  const copy = new Y.Doc();
  const witness = await RawClient.connect(server, room);
  await witness.join(copy);
  await untilMessages(witness, copy, () => equal(copy, doc));
  // Its second document message, behind the step 2 of joining; it changes nothing.
  witness.send({ type: 'update', update: Uint8Array.of(0, 0) });
  await witness.untilSaved(2);
  witness.socket.terminate();
}

/** Applies what arrives until something holds. */
async function untilMessages(client: RawClient, doc: Y.Doc, holds: () => boolean): Promise<void> {
  let applied = 0;
  await client.until(() => {
    for (const message of client.received.slice(applied)) {
      if (message.type === 'update' || message.type === 'step2') {
        Y.applyUpdate(doc, message.update);
      }
    }
    applied = client.received.length;
    return holds() || client.closed !== undefined;
  });
  if (!holds()) throw new Error(`closed with ${JSON.stringify(client.closed)}`);
}

function covers(doc: Y.Doc, stateVector: ReadonlyMap<number, number>): boolean {
  for (const [client, clock] of stateVector) {
    if (Y.getState(doc.store, client) < clock) return false;
  }
  return true;
}

/** Looks at the clocks first: the deletions are compared only when these agree. */
function equal(doc: Y.Doc, other: Y.Doc): boolean {
  return covers(doc, vectorOf(other)) && same(doc, other);
}

function vectorOf(doc: Y.Doc): ReadonlyMap<number, number> {
  return Y.decodeStateVector(Y.encodeStateVector(doc));
}

/** One person's update, and the state that it was made on. */
interface Step {
  readonly update: Uint8Array;
  readonly needs: ReadonlyMap<number, number>;
}

/**
 * Writes the trace on two documents, each of which is given the other's
 * transactions only when the trace says that its author had seen them.
 *
 * @returns each agent's updates, in order, and a document that has all of them
 */
function asWritten({ txns }: Trace): { parts: Step[][]; end: Y.Doc } {
  const agents = [0, 1].map((agent) => {
    const doc = new Y.Doc();
    // Where both had typed at one place at once, Yjs puts the lower id first, as the recorded text has it.
    doc.clientID = 1 + agent;
    const steps: Step[] = [];
    let needs = vectorOf(doc);
    doc.on('beforeTransaction', () => {
      needs = vectorOf(doc);
    });
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === 'typed') steps.push({ update, needs });
    });
    return { doc, put: typist(), steps, seen: 0 };
  });
  /** By transaction: how many of each agent's transactions had been seen after it. */
  const seenAfter: number[][] = [];
  for (const { agent = 0, parents = [], patches } of txns) {
    const { doc, put, steps } = agents[agent]!;
    const other = agents[1 - agent]!;
    const seen = [0, 0];
    for (const parent of parents) {
      for (const a of [0, 1]) seen[a] = Math.max(seen[a]!, seenAfter[parent]![a]!);
    }
    // Nobody forgets what they wrote themselves.
    expect(seen[agent]).toBe(steps.length);
    while (agents[agent]!.seen < seen[1 - agent]!) {
      Y.applyUpdate(doc, other.steps[agents[agent]!.seen++]!.update);
    }
    doc.transact(() => {
      for (const patch of patches) put(doc.getText('text'), patch);
    }, 'typed');
    seen[agent] = steps.length;
    seenAfter.push(seen);
  }
  expect(agents.map(({ steps }) => steps.length).reduce((a, b) => a + b)).toBe(txns.length);
  return { parts: agents.map(({ steps }) => steps), end: union(agents.map(({ doc }) => doc)) };
}

/** Makes one person's edits, each as soon as what its author had seen has arrived. */
async function inject(doc: Y.Doc, steps: readonly Step[], buffered: () => number): Promise<void> {
  let done = 0;
  for (const { update, needs } of steps) {
    await untilDoc(doc, () => covers(doc, needs));
    Y.applyUpdate(doc, update, 'typed');
    if (++done % BATCH === 0) await turn();
    while (buffered() > HIGH_WATER) await turn();
  }
}
