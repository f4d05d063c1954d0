/**
 * Backups of stores that servers are writing to, and what is left of documents when
 * all the rest is lost. Servers and commands are real processes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import { LmdbStorage, PostgresStorage, RedisStorage, type Storage } from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { everyRoom, readRoom } from '../src/storage/copy.js';
import { type Around, CLI, cowrite } from './command-line.js';
import { same, turn, union } from './ledger.js';
import { startPostgres } from './postgres-service.js';
import { startRedis } from './redis-service.js';
import {
  type ServerProcess,
  served,
  socketUrl,
  startProcess,
  temporaryFolder,
  typed,
} from './support.js';

const ADMIN_TOKEN = 'the-administrator-has-this-long-one';
const TYPISTS = 6;
const QUIET = 150;

/** People who type, each into a room of their own, as fast as the loop turns, but for pauses. */
class Typists {
  readonly providers: readonly CowriteProvider[];
  edits = 0;
  #isTyping = false;
  #typing = Promise.resolve();

  constructor(server: ServerProcess) {
    this.providers = Array.from({ length: TYPISTS }, (_, i) => {
      const url = socketUrl(server);
      const provider = new CowriteProvider({ url, room: roomOf(i), WebSocket });
      onTestFinished(() => provider.destroy());
      return provider;
    });
    onTestFinished(() => this.pause());
  }

  go(): void {
    this.#isTyping = true;
    this.#typing = this.#type();
  }

  async #type(): Promise<void> {
    while (this.#isTyping) {
      const { doc } = this.providers[this.edits % TYPISTS]!;
      const text = doc.getText('t');
      if (text.length > 2_000) text.delete(0, 1_000);
      text.insert(text.length, `${this.edits++} `);
      await turn();
    }
  }

  async pause(): Promise<void> {
    this.#isTyping = false;
    await this.#typing;
  }

  /** So many edits later. */
  async more(edits: number): Promise<void> {
    const due = this.edits + edits;
    while (this.edits < due) await turn();
  }

  /** Pauses until all is saved. @returns what that is */
  async saved(): Promise<Y.Doc[]> {
    await this.pause();
    await Promise.all(this.providers.map((provider) => provider.whenSaved()));
    return this.providers.map(({ doc }) => copyOf(doc));
  }
}

function roomOf(typist: number): string {
  return `typed ${typist}`;
}

function copyOf(doc: Y.Doc): Y.Doc {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return copy;
}

/** Everything of one document is in the other. */
function isWithin(part: Y.Doc, whole: Y.Doc): boolean {
  return same(union([part, whole]), whole);
}

/** Rooms in which nothing happens, so that a backup takes its time; one was deleted. */
async function fill(store: Storage): Promise<void> {
  const appends = Array.from({ length: QUIET }, (_, i) => ({
    room: `quiet ${i}`,
    entries: [{ update: typed(`quiet ${i} `.repeat(500)), author: 'ada' }],
  }));
  await store.append({ number: 1, appends });
  await store.remove('quiet 0');
}

interface Backed {
  /** What was saved before the backup began. */
  readonly before: readonly Y.Doc[];
  /** What was there when everything else was lost. */
  readonly after: readonly Y.Doc[];
}

/** Something that saves a copy while people type; then the server is killed. */
async function whileTyping(server: ServerProcess, act: () => Promise<void>): Promise<Backed> {
  const typists = new Typists(server);
  typists.go();
  await typists.more(500);
  const before = await typists.saved();
  typists.go();
  const begun = typists.edits;
  await act();
  expect(typists.edits).toBeGreaterThan(begun);
  await typists.more(200);
  await typists.pause();
  await server.kill();
  const after = typists.providers.map(({ doc }) => copyOf(doc));
  for (const provider of typists.providers) provider.destroy();
  return { before, after };
}

async function backedUp(
  server: ServerProcess,
  file: string,
  args: readonly string[],
  around: Around,
): Promise<Backed> {
  return await whileTyping(server, async () => {
    const ending = await cowrite(['backup', file, ...args], around);
    expect([ending.code, ending.errors]).toEqual([0, '']);
    expect(ending.out).toContain(`${QUIET - 1 + TYPISTS} rooms, 1 deleted`);
  });
}

/** All of it is in the store, and a server that is started there serves it. */
async function isRestored(storage: string, { before, after }: Backed): Promise<void> {
  const environment = { STORAGE_URL: storage };
  const check = await cowrite(['check'], { environment });
  expect([check.code, check.out]).toEqual([0, `${QUIET + TYPISTS} rooms: all is well\n`]);
  const server = await startProcess(environment);
  for (const [i, saved] of before.entries()) {
    const doc = await served(server, roomOf(i));
    expect(isWithin(saved, doc), `what was saved of ${roomOf(i)}`).toBe(true);
    expect(isWithin(doc, after[i]!), `nothing else in ${roomOf(i)}`).toBe(true);
    expect([doc.store.pendingStructs, doc.store.pendingDs]).toEqual([null, null]);
  }
  for (let i = 1; i < QUIET; i += 37) {
    const doc = await served(server, `quiet ${i}`);
    expect(doc.getText('t').toString()).toBe(`quiet ${i} `.repeat(500));
  }
  await server.kill();
}

async function openStore(url: string): Promise<Storage> {
  const store = url.startsWith('postgres')
    ? await PostgresStorage.open(url)
    : url.startsWith('redis')
      ? await RedisStorage.open(url)
      : await LmdbStorage.open(url.slice('lmdb:'.length));
  return store;
}

async function withStore<T>(url: string, use: (store: Storage) => Promise<T>): Promise<T> {
  const store = await openStore(url);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

describe('[CMD] backup and restore', () => {
  it('[CMD-7] lmdb: backed up hot through its server, killed, its folder destroyed, restored: everything is there', async () => {
    const folder = temporaryFolder();
    const storage = `lmdb:${join(folder, 'data')}`;
    await withStore(storage, fill);
    const server = await startProcess({ STORAGE_URL: storage, ADMIN_TOKEN });
    const file = join(folder, 'b.cowrite');
    const backed = await backedUp(server, file, ['--server', server.url], {
      environment: { ADMIN_TOKEN },
    });
    rmSync(join(folder, 'data'), { recursive: true });
    const restored = `lmdb:${join(folder, 'other')}`;
    const restore = () => cowrite(['restore', file, '--storage', restored]);
    expect((await restore()).out).toMatch(`${QUIET + TYPISTS} rooms written`);
    expect((await restore()).out).toMatch(`0 rooms written, ${QUIET + TYPISTS} were there already`);
    await isRestored(restored, backed);
  });

  it('[CMD-7] postgres: backed up hot beside its server, and restored into a Redis, and from there into an lmdb', async () => {
    const postgres = await startPostgres();
    await withStore(postgres.url, fill);
    const environment = { STORAGE_URL: postgres.url };
    const server = await startProcess(environment);
    const folder = temporaryFolder();
    const file = join(folder, 'b.cowrite');
    const backed = await backedUp(server, file, [], { environment });
    await postgres.kill();
    const { url } = await startRedis();
    expect((await cowrite(['restore', file, '--storage', url])).code).toBe(0);
    await isRestored(url, backed);
    const again = await cowrite(['backup', file, '--force'], { environment: { STORAGE_URL: url } });
    expect([again.code, again.errors]).toEqual([0, '']);
    const restored = `lmdb:${join(folder, 'data')}`;
    expect((await cowrite(['restore', file, '--storage', restored])).code).toBe(0);
    await isRestored(restored, backed);
  });

  it('[CMD-8] a backup that fails leaves the one before as it was, and nothing else', async () => {
    const folder = temporaryFolder();
    const server = await startProcess({ STORAGE_URL: 'memory:', ADMIN_TOKEN });
    const file = join(folder, 'b.cowrite');
    writeFileSync(file, 'the one before');
    const args = ['backup', file, '--force', '--server'];
    const wrong = { ADMIN_TOKEN: ADMIN_TOKEN.toUpperCase() };
    for (const [ending, says] of [
      [await cowrite([...args, server.url], { environment: wrong }), '401'],
      [
        await cowrite([...args, 'http://127.0.0.1:1'], { environment: { ADMIN_TOKEN } }),
        'no server',
      ],
    ] as const) {
      expect(ending.code).toBe(1);
      expect(ending.errors).toContain(says);
    }
    // What answers there is another server, or one that is cut off.
    const half = createServer((_, response) => {
      response.writeHead(200).write('CWR1');
      response.once('error', () => undefined);
      setImmediate(() => response.destroy());
    }).listen(0, '127.0.0.1');
    await once(half, 'listening');
    onTestFinished(() => void half.close());
    const { port } = half.address() as AddressInfo;
    const environment = { ADMIN_TOKEN };
    const cut = await cowrite([...args, `http://127.0.0.1:${port}`], { environment });
    expect(cut.code).toBe(1);
    expect(readFileSync(file, 'utf8')).toBe('the one before');
    expect(existsSync(`${file}.partial`)).toBe(false);
  });

  it('[CMD-8] a backup that is cut off restores what is before, and says that it is', async () => {
    const folder = temporaryFolder();
    const storage = `lmdb:${join(folder, 'data')}`;
    await withStore(storage, fill);
    const whole = await cowrite(['backup', '-'], { environment: { STORAGE_URL: storage } });
    const cut = whole.bytes.subarray(0, whole.bytes.length / 2);
    const target = ['--storage', `lmdb:${join(folder, 'other')}`];
    const ending = await cowrite(['restore', '-', ...target], { input: cut });
    expect(ending.code).toBe(1);
    expect(ending.errors).toMatch(/^cowrite: -: it is cut off; until there \d+ rooms written/);
    // The whole one goes on where that ended.
    const rest = await cowrite(['restore', '-', ...target], { input: whole.bytes });
    expect(rest.code).toBe(0);
    expect(rest.out).not.toMatch(/ 0 were there already/);
    // All of it is there by then, and still it is not what was written.
    const more = Buffer.concat([whole.bytes, whole.bytes]);
    const twice = await cowrite(['restore', '-', ...target], { input: more });
    expect(twice.code).toBe(1);
    expect(twice.errors).toMatch(/^cowrite: -: it is damaged: something follows its end; until/);
  });
});

describe('[CMD] migrate', () => {
  it('[CMD-10] copies from any kind of store to any other, with all there is', async () => {
    const folder = temporaryFolder();
    const [postgres, redis] = [await startPostgres(), await startRedis()];
    const stores = [
      `lmdb:${join(folder, 'first')}`,
      postgres.url,
      redis.url,
      `lmdb:${join(folder, 'last')}`,
    ];
    await withStore(stores[0]!, async (store) => {
      await fill(store);
      const doc = new Y.Doc();
      doc.getText('t').insert(0, 'compacted');
      const snapshot = {
        seq: 1,
        update: Y.encodeStateAsUpdate(doc),
        stateVector: Y.encodeStateVector(doc),
        deletes: Uint8Array.of(0, 0),
      };
      const set = { seq: 1, reason: 'it threw', author: 'mallory', update: Uint8Array.of(9) };
      await store.compact('quiet 1', { base: 0, snapshot, quarantined: [set] });
      const entries = [{ update: typed('more'), author: 'ada' }];
      await store.append({ number: 2, appends: [{ room: 'quiet 1', entries }] });
      await store.remove('back');
      await store.revive('back');
    });
    const contents = async (url: string): Promise<unknown> =>
      await withStore(url, async (store) => {
        const rooms = [];
        for await (const { name } of everyRoom(store)) {
          const { snapshot, tail, quarantined, ...rest } = await readRoom(store, name);
          const update = snapshot && Buffer.from(snapshot.update).toString('hex');
          const entries = [...tail, ...quarantined].map((entry) => ({
            ...entry,
            update: Buffer.from(entry.update).toString('hex'),
          }));
          rooms.push({ ...rest, seq: snapshot?.seq, update, entries });
        }
        return rooms;
      });
    const first = await contents(stores[0]!);
    for (const [i, to] of stores.entries()) {
      if (i === 0) continue;
      const from = stores[i - 1]!;
      const { code, out } = await cowrite(['migrate', from, to]);
      expect([code, out]).toEqual([0, expect.stringMatching(`^${QUIET + 1} rooms written`)]);
      expect(await contents(to)).toEqual(first);
    }
    const again = await cowrite(['migrate', stores[0]!, stores[1]!]);
    expect(again.out).toMatch(new RegExp(`^0 rooms written, ${QUIET + 1} were there already`));
  });

  it('[CMD-9] goes on after SIGKILL, and leaves what is something else', async () => {
    const folder = temporaryFolder();
    const from = `lmdb:${join(folder, 'a')}`;
    await withStore(from, fill);
    let to = '';
    for (let attempt = 1, written = 0; written === 0; attempt++) {
      // Where this process has to wait for the machine, the other one is done meanwhile.
      expect(attempt).toBeLessThan(20);
      to = `lmdb:${join(folder, `b${attempt}`)}`;
      const child = spawn(process.execPath, [CLI, 'migrate', from, to], { stdio: 'ignore' });
      onTestFinished(() => void child.kill('SIGKILL'));
      const exited = once(child, 'exit');
      const journal = join(folder, `b${attempt}`, 'journal-0');
      // As soon as a part of it is written there.
      while (lengthOf(journal) < 200_000 && child.exitCode === null) await turn();
      child.kill('SIGKILL');
      await exited;
      const rest = await cowrite(['migrate', from, to]);
      expect(rest.code).toBe(0);
      const counts = /^(\d+) rooms written, (\d+) were there/.exec(rest.out)!.slice(1).map(Number);
      expect(counts[0]! + counts[1]!).toBe(QUIET);
      expect(counts[1]).toBeGreaterThan(0);
      written = counts[0]!;
    }
    await withStore(to, async (store) => {
      await store.append({
        number: 1,
        appends: [{ room: 'quiet 5', entries: [{ update: typed('other'), author: 'eve' }] }],
      });
    });
    const conflict = await cowrite(['migrate', from, to]);
    expect(conflict.code).toBe(1);
    expect(conflict.errors).toContain('"quiet 5"');
    expect((await cowrite(['migrate', from, to, '--replace'])).code).toBe(0);
  });
});

describe("[CMD] the stores' own backups", () => {
  it('[CMD-13] lmdb: a copy of the folder of a server that was stopped, as the papers say', async () => {
    const folder = temporaryFolder();
    const data = join(folder, 'data');
    await withStore(`lmdb:${data}`, fill);
    const server = await startProcess({ STORAGE_URL: `lmdb:${data}` });
    const copy = join(folder, 'copy');
    const backed = await whileTyping(server, async () => {
      const exited = once(server.child, 'exit');
      server.child.kill('SIGTERM');
      await exited;
      mkdirSync(copy);
      for (const name of ['data.mdb', 'journal-0', 'journal-1']) {
        if (existsSync(join(data, name))) copyFileSync(join(data, name), join(copy, name));
      }
    });
    rmSync(data, { recursive: true });
    await isRestored(`lmdb:${copy}`, backed);
  });

  it.skipIf(!isThere('pg_dump'))(
    '[CMD-13] postgres: pg_dump beside a running server, and pg_restore, as the papers say',
    async ({ skip }) => {
      skip(process.env.LONG !== '1', 'LONG=1 npm test runs it');
      const postgres = await startPostgres();
      await withStore(postgres.url, fill);
      const server = await startProcess({ STORAGE_URL: postgres.url });
      const file = join(temporaryFolder(), 'b.dump');
      const args = ['--format=custom', '--schema=cowrite', `--file=${file}`, postgres.url];
      const backed = await whileTyping(server, () => execute('pg_dump', ...args));
      const other = await startPostgres();
      await execute('pg_restore', '--no-owner', `--dbname=${other.url}`, file);
      await isRestored(other.url, backed);
    },
    120_000,
  );

  it.skipIf(!isThere('redis-cli'))(
    '[CMD-13] redis: a copy as RDB, made beside a running server, as the papers say',
    async ({ skip }) => {
      skip(process.env.LONG !== '1', 'LONG=1 npm test runs it');
      const redis = await startRedis();
      await withStore(redis.url, fill);
      const server = await startProcess({ STORAGE_URL: redis.url });
      const folder = temporaryFolder();
      const file = join(folder, 'monday.rdb');
      const args = ['-u', redis.url, '--rdb', file];
      const backed = await whileTyping(server, () => execute('redis-cli', ...args));
      await redis.kill();
      const place = ['--dir', folder, '--dbfilename', 'monday.rdb', '--appendonly', 'no'];
      const other = await startRedis({ settings: place });
      await execute('redis-cli', '-u', other.url, 'config', 'set', 'appendonly', 'yes');
      await isRestored(other.url, backed);
    },
    120_000,
  );
});

describe('[CMD] top', () => {
  it('[CMD-12] shows what a server does, once or again and again', async () => {
    const server = await startProcess({ STORAGE_URL: 'memory:', ADMIN_TOKEN });
    const typists = new Typists(server);
    await Promise.all(typists.providers.map((provider) => provider.whenSynced()));
    typists.go();
    const environment = { ADMIN_TOKEN };
    const args = ['top', '--server', server.url, '--interval', '0.3'];
    const once = await cowrite([...args, '--once'], { environment });
    expect([once.code, once.errors]).toEqual([0, '']);
    expect(once.out).toMatch(new RegExp(`^connections +${TYPISTS} `, 'm'));
    expect(once.out).toMatch(new RegExp(`^rooms +${TYPISTS} open`, 'm'));
    expect(once.out).toMatch(/^in +(?!0\/)[\d.]+\/s/m);
    expect(once.out).toMatch(/^commits +(?!0\/)[\d.]+\/s/m);
    expect(once.out).toMatch(/^ +1 +\d+ {2}typed 0$/m);
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let frames = 0;
    for await (const part of child.stdout) {
      frames += String(part).split('connections ').length - 1;
      if (frames >= 3) break;
    }
    expect(frames).toBeGreaterThanOrEqual(3);
    const wrong = await cowrite(args, { environment: { ADMIN_TOKEN: ADMIN_TOKEN.toUpperCase() } });
    expect([wrong.code, wrong.errors]).toEqual([1, expect.stringContaining('401')]);
  });
});

/** Not everywhere that there are servers are there their tools. */
function isThere(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

async function execute(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  expect(code, program).toBe(0);
}

/** Of a file that is made as long as it will ever be. */
function lengthOf(path: string): number {
  if (!existsSync(path)) return 0;
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}
