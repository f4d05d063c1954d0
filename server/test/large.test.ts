/** Documents that are too large to merge with the memory there is: served, told of, and not tried for ever. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LmdbStorage, MemoryStorage, type Storage } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import { cutBlock } from '../src/update/admit.js';
import { assemble } from '../src/update/assemble.js';
import { parseOutline } from '../src/update/parse.js';
import { ADMIN, call, governed, post, request } from './administrator.js';
import { cowrite } from './command-line.js';
import { typedByTurns } from './large.js';
import { RawClient, readMetrics, temporaryFolder, typed } from './support.js';

const LITTLE = 72;
const ENOUGH = 120;
const LARGE = typedByTurns({ items: 80_000 });
const FULL_TEXT = 80_000;
/** Items with two references each. */
const MANY = 510_000;

/** A module by which a process kills each that it starts. */
const KILLING = `data:text/javascript,${encodeURIComponent(`
  import { subscribe } from 'node:diagnostics_channel';
  subscribe('child_process', ({ process }) => process.once('spawn', () => process.kill('SIGKILL')));
`)}`;

function lengthIn(update: Uint8Array): number {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  return doc.getText('text').length;
}

/** Without what the last of the clients wrote. */
function withoutLast(update: Uint8Array): Uint8Array {
  const { blocks } = parseOutline(update);
  const kept = blocks.slice(0, -1).map((block) => cutBlock(update, block, block.start, block.end));
  return assemble(kept, []);
}

/** A server with little memory for workers, and the lines of its log. */
async function served(storage: Storage, workerMemoryMb: number) {
  const lines: { msg: string; room?: string; needs?: number; memory?: number }[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });
  const limits = { workerMemoryMb, maxDocumentBytes: 4e6 };
  const server = await governed({ storage, logger, limits });
  return {
    server,
    lines,
    told: () => lines.filter(({ room, msg }) => room === 'large' && msg.includes('too large')),
  };
}

/** A store that counts how often a whole log is read for a merge. */
class Counting extends MemoryStorage {
  reads = 0;
  override since(...args: Parameters<Storage['since']>) {
    this.reads++;
    return super.since(...args);
  }
  override async close(): Promise<void> {
    // It is opened again by the next server.
  }
}

// Workers are polite, and on a machine with other work that takes its time.
describe('[CMP] a document that is too large', { timeout: 180_000 }, () => {
  it('[CMP-17] [CMP-19] [MET-10] is served from its log, told of, and not tried again by the next process with no more memory', async () => {
    const storage = new Counting();
    const first = await served(storage, LITTLE);
    expect(await call(first.server, 'rooms/large', post(LARGE))).toEqual([201, { seq: 1 }]);
    const declined = await call(first.server, 'rooms/large/compact', post());
    expect(declined).toEqual([200, { isCompacted: false }]);
    expect(storage.reads).toBe(1);
    // Others are merged as ever.
    await call(first.server, 'rooms/small', post(typed('small')));
    const compacted = await call(first.server, 'rooms/small/compact', post());
    expect(compacted).toEqual([200, { isCompacted: true }]);

    const [line] = first.told();
    expect(line).toMatchObject({ room: 'large', memory: LITTLE * 1024 * 1024 });
    expect(line!.needs).toBeGreaterThan(LITTLE * 1024 * 1024);
    const metrics = await readMetrics(first.server, ADMIN);
    expect(metrics).toContain('\ncowrite_too_large_rooms 1\n');
    expect(metrics).toMatch(/\ncowrite_compactions_too_large_total (?!0\n)/);
    expect(metrics).toContain('\ncowrite_compaction_failures_total 0\n');
    expect(metrics).toContain(`\ncowrite_worker_memory_bytes ${LITTLE * 1024 * 1024}\n`);
    const [, described] = await call(first.server, 'rooms/large');
    expect(described).toMatchObject({
      merge: { problem: 'too-large', needsBytes: line!.needs, memoryBytes: line!.memory },
    });
    expect((await call(first.server, 'rooms/small'))[1]).toMatchObject({ merge: null });

    const reader = new Y.Doc();
    const client = await RawClient.connect(first.server, 'large');
    await client.join(reader);
    expect(reader.getText('text').length).toBe(FULL_TEXT);
    const update = await request(first.server, 'rooms/large/document');
    const read = new Y.Doc();
    Y.applyUpdate(read, new Uint8Array(await update.arrayBuffer()));
    expect(read.getText('text').length).toBe(FULL_TEXT);
    const text = await call(first.server, 'rooms/large/document?form=text');
    expect(text).toEqual([503, 'over-budget']);
    await first.server.close();

    storage.reads = 0;
    const second = await served(storage, LITTLE);
    const again = await call(second.server, 'rooms/large/compact', post());
    expect(again).toEqual([200, { isCompacted: false }]);
    expect(storage.reads).toBe(0);
    expect(second.told().length).toBeGreaterThan(0);
    await second.server.close();

    const third = await served(storage, ENOUGH);
    const merged = await call(third.server, 'rooms/large/compact', post());
    expect(merged).toEqual([200, { isCompacted: true }]);
    expect(third.told()).toEqual([]);
    expect((await call(third.server, 'rooms/large'))[1]).toMatchObject({ merge: null });
    expect(await storage.mergeNote('large')).toBeUndefined();
  });

  it('[CMP-17] a merge that a process did not survive is tried once more, and then no more', async () => {
    const storage = new Counting();
    const { server, told } = await served(storage, ENOUGH);
    // As a process leaves it that the kernel has ended.
    const left = {
      ...{ state: 'begun' as const, life: 0, size: 1, memory: ENOUGH * 1024 * 1024, needs: 0 },
      ...{ by: 'a process that is gone', until: Date.now() + 1e6 },
    };
    await storage.noteMerge('large', { ...left, deaths: 1 });
    await call(server, 'rooms/large', post(LARGE));
    const declined = await call(server, 'rooms/large/compact', post());
    expect(declined).toEqual([200, { isCompacted: false }]);
    expect(storage.reads).toBe(0);
    expect(await storage.mergeNote('large')).toMatchObject({ state: 'too-large', needs: 0 });
    expect(told().length).toBeGreaterThan(0);
    expect((await call(server, 'rooms/large'))[1]).toMatchObject({ merge: { needsBytes: null } });
    await storage.noteMerge('large', { ...left, deaths: 0 });
    const merged = await call(server, 'rooms/large/compact', post());
    expect(merged).toEqual([200, { isCompacted: true }]);
  });

  it('[CMP-17] a merge that is interrupted because the server closes counts for nothing', async () => {
    const storage = new Counting();
    const { server } = await served(storage, ENOUGH);
    await call(server, 'rooms/large', post(typedByTurns({ items: 110_000 })));
    const asked = request(server, 'rooms/large/compact', post()).catch((error: unknown) => error);
    await vi.waitFor(async () => expect((await storage.mergeNote('large'))?.state).toBe('begun'));
    await server.close();
    await asked;
    expect(await storage.mergeNote('large')).toBeUndefined();
  });

  it('[CMD-24] check says so, and that it is no damage', async () => {
    const folder = temporaryFolder();
    const store = await LmdbStorage.open(join(folder, 'data'));
    const entries = [{ update: LARGE, author: 'ada' }];
    await store.append({ number: 1, appends: [{ room: 'large', entries }] });
    await store.append({
      number: 2,
      appends: [{ room: 'small', entries: [{ update: typed('small'), author: 'ada' }] }],
    });
    await store.close();
    const little = { folder, environment: { WORKER_MEMORY_MB: String(LITTLE) } };
    const told = await cowrite(['check'], little);
    expect([told.code, told.errors]).toEqual([0, '']);
    expect(told.out).toMatch(
      /^"large":\n {2}the document is too large to merge here: it needs about \d+ MB/,
    );
    expect(told.out).toContain('2 rooms, 1 of them too large to merge, otherwise all is well\n');
    expect((await cowrite(['check'], { folder })).out).toBe('2 rooms: all is well\n');
    // What servers found out is told also where there is more memory.
    const again = await LmdbStorage.open(join(folder, 'data'));
    await again.noteMerge('large', {
      ...{ state: 'too-large', life: 0, size: 1, memory: 100e6, needs: 200e6, deaths: 0 },
      ...{ by: 'a server', until: 0 },
    });
    await again.close();
    const { out } = await cowrite(['check', '--json'], { folder });
    expect(JSON.parse(out)).toMatchObject({
      room: 'large',
      problems: [],
      remarks: [
        'the servers do not merge it: it needs about 191 MB of memory, and their workers could take 96 MB',
      ],
    });
    // A document is exported all the same.
    const exported = await cowrite(['export', 'large'], little);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, new Uint8Array(exported.bytes));
    expect(doc.getText('text').length).toBe(FULL_TEXT);
    const shown = await cowrite(['export', 'large', '--format', 'text'], little);
    expect(shown).toMatchObject({ code: 1, out: '' });
    expect(shown.errors).toMatch(/^cowrite: the document is too large to merge here: .*\n$/);
    // The kernel kills the process that is at it: nothing is known of the document then.
    const killed = await cowrite(['check'], {
      folder,
      environment: { WORKER_MEMORY_MB: String(ENOUGH), NODE_OPTIONS: `--import=${KILLING}` },
    });
    expect(killed).toMatchObject({ code: 1, out: '' });
    expect(killed.errors).toMatch(
      /^cowrite: room "large" could not be looked at: .* it was killed, as the kernel does where memory is short\n$/,
    );
  });

  it('[CMP-18] a document with more than a million references is imported as a whole', async () => {
    const whole = typedByTurns({ items: MANY, isBetween: true });
    // On a busy machine this process reads the document for longer than a connection is kept.
    const server = await governed({ limits: { keepAliveMs: 600_000 } });
    const cut = withoutLast(whole);
    expect(await call(server, 'rooms/part', post(cut))).toEqual([409, 'incomplete']);
    expect((await call(server, 'rooms/part'))[1]).toMatchObject({ seq: 0 });
    const made = await request(server, 'rooms/many', post(whole));
    const { seq } = (await made.json()) as { seq: number };
    expect(made.status).toBe(201);
    // In pieces, so that others are served in between.
    expect(seq).toBeGreaterThan(10);
    const read = await request(server, 'rooms/many/document');
    expect(lengthIn(new Uint8Array(await read.arrayBuffer()))).toBe(MANY);
    expect(await call(server, 'rooms/many', post(whole))).toEqual([409, 'exists']);
  });

  it('[CMP-18] so it is by the command', async ({ skip }) => {
    if (process.env.LONG !== '1') skip('it takes half a minute: LONG=1 runs it');
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'many.yjs'), typedByTurns({ items: MANY, isBetween: true }));
    const imported = await cowrite(['import', 'many', 'many.yjs'], { folder });
    expect(imported.errors).toBe('');
    expect(imported.out).toMatch(/^\d+ of \d+ bytes were new, and are updates 1 to \d+ of many\n$/);
    const again = await cowrite(['import', 'many', 'many.yjs'], { folder });
    expect(again.out).toBe('many has all of it already\n');
    const exported = await cowrite(['export', 'many'], { folder });
    expect(lengthIn(new Uint8Array(exported.bytes))).toBe(MANY);
  });

  it('[OPS-10] a server says at its start when documents may become too large for it', async () => {
    const open = async (maxDocumentBytes: number) => {
      const lines: { level: number; msg: string }[] = [];
      const logger = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });
      await governed({ logger, limits: { workerMemoryMb: 200, maxDocumentBytes } });
      return lines.filter(({ msg }) => msg.includes('too large to merge'));
    };
    const [line, ...others] = await open(64e6);
    expect(others).toEqual([]);
    expect(line?.level).toBe(40);
    const most = Number(/MAX_DOCUMENT_BYTES to (\d+) at most/.exec(line!.msg)?.[1]);
    expect(most).toBeGreaterThan(1e6);
    expect(await open(most)).toEqual([]);
    expect(await open(most + 1e5)).toHaveLength(1);
  });
});
