/** What the command does with a store that no server has open. Each run is a real process. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { LmdbStorage, MemoryStorage, type NewEntry, type Storage } from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { findProgram } from '../../scripts/find-programs.mjs';
import { ADMIN, governed, post, request } from './administrator.js';
import { type Around, CLI, cowrite, type Ending } from './command-line.js';
import { startRedis } from './redis-service.js';
import { RawClient, startProcess, temporaryFolder, typed } from './support.js';

const COMMANDS = [
  ...[
    'serve',
    'token',
    'rooms',
    'export',
    'import',
    'check',
    'backup',
    'restore',
    'migrate',
    'top',
  ],
];

/** The updates by which somebody types these, one after the other. */
function typing(...words: string[]): NewEntry[] {
  const doc = new Y.Doc();
  const entries: NewEntry[] = [];
  doc.on('update', (update: Uint8Array) => entries.push({ update, author: 'ada' }));
  for (const word of words) doc.getText('t').insert(doc.getText('t').length, word);
  return entries;
}

/** A store that is made, filled and closed. @returns a folder with the store in `data` */
async function stored(fill: (store: Storage) => Promise<unknown>): Promise<string> {
  const folder = temporaryFolder();
  await within(folder, fill);
  return folder;
}

async function within<T>(folder: string, use: (store: Storage) => Promise<T>): Promise<T> {
  const store = await LmdbStorage.open(join(folder, 'data'));
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

let batches = 0;
async function write(store: Storage, room: string, ...entries: NewEntry[]): Promise<void> {
  await store.append({ number: ++batches, appends: [{ room, entries }] });
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function textOf(update: Uint8Array): string {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  return doc.getText('t').toString();
}

/** A snapshot as a compaction makes it. */
function snapshotOf(seq: number, text: string) {
  const doc = new Y.Doc();
  doc.clientID = 1;
  doc.getText('t').insert(0, text);
  const update = Y.encodeStateAsUpdate(doc);
  return {
    seq,
    update,
    stateVector: Y.encodeStateVector(doc),
    deletes: Uint8Array.of(0, 0),
  };
}

/** Overwrites a text wherever it lies in the store. */
function damage(folder: string, text: string): void {
  const file = join(folder, 'data', 'data.mdb');
  const bytes = readFileSync(file);
  let found = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    bytes[at]! ^= 1;
    found++;
  }
  expect(found).toBeGreaterThan(0);
  writeFileSync(file, bytes);
}

/** One line of complaint, which says what to do. */
function isOneLine({ errors }: Ending): void {
  expect(errors).toMatch(/^cowrite: [^\n]+\n$/);
}

describe('[CMD] the command line', () => {
  it('[CMD-1] the command and each of its commands say what they do', async () => {
    const all = await cowrite(['--help']);
    expect([all.code, all.errors]).toEqual([0, '']);
    expect((await cowrite(['help'])).out).toBe(all.out);
    const helps = await Promise.all(
      COMMANDS.map(async (name) => [name, await cowrite([name, '--help'])] as const),
    );
    for (const [name, { code, out, errors }] of helps) {
      expect(all.out).toMatch(new RegExp(`^  ${name} +[A-Z]`, 'm'));
      expect([code, errors], name).toEqual([0, '']);
      expect(out).toMatch(new RegExp(`^cowrite ${name} \\[options\\]`));
      expect(out).toContain('  --help ');
    }
  });

  it('[CMD-1] what cannot be ends with 2 and one line, and touches nothing', async () => {
    const folder = temporaryFolder();
    const ends = async (code: number, all: readonly string[][]) =>
      await Promise.all(
        all.map(async (args) => {
          const ending = await cowrite(args, { folder });
          expect(ending.code, args.join(' ')).toBe(code);
          isOneLine(ending);
        }),
      );
    await ends(2, [
      ['nothing'],
      ['rooms', '--nothing'],
      ['rooms', 'too much'],
      ['rooms', '--prefix', 'é'.repeat(129)],
      ['check', '--prefix', 'x'.repeat(257)],
      ['export'],
      ['export', 'a', '--format', 'pdf'],
      ['export', 'a', '--type', 't'],
      ['export', 'a*'],
      ['import', 'a'],
      ['rooms', '--storage', 'mongodb://localhost'],
      ['rooms', '--storage', 'memory:'],
      ['migrate', 'lmdb:./a'],
      ['migrate', 'lmdb:./a', 'lmdb:./a'],
      ['backup', 'b', '--server', 'http://127.0.0.1:1'],
      ['top'],
      ['top', '--interval', 'often'],
      ['token', '--user', 'ada', '--room', 'a'],
    ]);
    await ends(1, [
      ['rooms'],
      ['check'],
      ['backup', 'b'],
      ['export', 'a'],
      ['migrate', 'lmdb:./a', 'lmdb:./b'],
      ['restore', 'not-there', '--storage', 'lmdb:./made'],
    ]);
    expect((await cowrite(['rooms'], { folder })).errors).toContain('there is no store');
    // Nor by a file that is a folder, or no backup.
    writeFileSync(join(folder, 'text'), 'hello');
    await ends(1, [
      ['restore', '.', '--storage', 'lmdb:./made'],
      ['restore', 'text', '--storage', 'lmdb:./made'],
    ]);
    expect(readdirSync(folder)).toEqual(['text']);
  });

  it('[CMD-1] a store that a server has open is told as such', async () => {
    const folder = temporaryFolder();
    const environment = { STORAGE_URL: `lmdb:${folder}` };
    await startProcess(environment);
    for (const args of [['rooms'], ['check'], ['export', 'a'], ['backup', join(folder, 'b')]]) {
      const ending = await cowrite(args, { environment });
      expect(ending.code).toBe(1);
      isOneLine(ending);
      expect(ending.errors).toContain('another process has the store');
    }
    expect((await cowrite(['backup', 'b'], { environment })).errors).toContain('--server');
  });

  it('[CMD-2] rooms lists names, by prefix, deleted ones if asked, and as JSON', async () => {
    const folder = await stored(async (store) => {
      for (const room of ['a', 'team/1', 'team/2', 'gone']) {
        await write(store, room, ...typing('one', 'two'));
      }
      await store.compact('team/1', { base: 0, snapshot: snapshotOf(1, 'x'), quarantined: [] });
      await store.remove('gone');
    });
    // As in a container, where the server's host is set, and who may come in only for the server.
    const environment = { HOST: '0.0.0.0' };
    const names = async (...args: string[]) => {
      const { code, out } = await cowrite(['rooms', '--json', ...args], { folder, environment });
      expect(code).toBe(0);
      return out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    };
    expect((await names()).map(({ name }) => name)).toEqual(['a', 'team/1', 'team/2']);
    expect((await names('--deleted')).map(({ name }) => name)).toContain('gone');
    const [one] = await names('--prefix', 'team/');
    expect(one).toMatchObject({ name: 'team/1', lastSeq: 2, snapshotSeq: 1, isDeleted: false });
    const { out } = await cowrite(['rooms', '--deleted'], { folder });
    expect(out).toMatch(/^ +2 +1 +\d+ {2}team\/1$/m);
    expect(out).toMatch(/gone {2}\(deleted\)$/m);
  });

  it('[CMD-3] export writes a document as an update, as JSON and as text', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'a', ...typing('one ', 'two ', 'three'));
      await write(store, 'gone', ...typing('x'));
      await store.remove('gone');
    });
    const update = await cowrite(['export', 'a'], { folder });
    expect(textOf(update.bytes)).toBe('one two three');
    const json = await cowrite(['export', 'a', '--format', 'json'], { folder });
    expect(JSON.parse(json.out)).toEqual({ t: 'one two three' });
    const file = join(folder, 'a.txt');
    expect((await cowrite(['export', 'a', file, '--format', 'text'], { folder })).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('one two three');
    for (const [room, says] of [
      ['gone', 'was deleted'],
      ['never', 'there is no room'],
    ] as const) {
      const ending = await cowrite(['export', room], { folder });
      expect([ending.code, ending.out]).toEqual([1, '']);
      expect(ending.errors).toContain(says);
    }
  });

  it('[CMD-4] import adds what is new of an update, once, and says so', async () => {
    const folder = temporaryFolder();
    const [first, second] = typing('one', 'two') as [NewEntry, NewEntry];
    const file = join(folder, 'a.yjs');
    writeFileSync(file, first.update);
    const import_ = async (input: Uint8Array): Promise<Ending> =>
      await cowrite(['import', 'a', '-'], { folder, input });
    const added = await cowrite(['import', 'a', file], { folder });
    expect([added.code, added.out]).toEqual([0, expect.stringContaining('update 1 of a')]);
    expect((await import_(first.update)).out).toBe('a has all of it already\n');
    const both = Y.mergeUpdates([first.update, second.update]);
    expect((await import_(both)).out).toContain(`of ${both.length} bytes were new`);
    const { bytes } = await cowrite(['export', 'a'], { folder });
    expect(textOf(bytes)).toBe('onetwo');
    await within(folder, async (store) => {
      const { tail } = await store.load('a');
      expect(tail.map(({ author }) => author)).toEqual(['cowrite import', 'cowrite import']);
    });
  });

  it('[CMD-4] import refuses what the parser refuses, what depends on something else, and a deleted room', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'a', ...typing('x'));
      await store.remove('gone');
    });
    const [, second] = typing('one', 'two') as [NewEntry, NewEntry];
    for (const [room, input, says] of [
      ['a', Buffer.from('this is no update'), 'it is refused'],
      ['a', Buffer.concat([typed('x'), Buffer.of(7)]), 'it is refused'],
      ['a', second.update, 'which is not in the room'],
      ['gone', typed('x'), 'was deleted'],
    ] as const) {
      const ending = await cowrite(['import', room, '-'], { folder, input });
      expect(ending.code).toBe(1);
      isOneLine(ending);
      expect(ending.errors).toContain(says);
    }
    await within(folder, async (store) => expect((await store.load('a')).lastSeq).toBe(1));
  });

  it('[CMD-2] [CMD-5] [CMD-9] names and prefixes may be typed in any Unicode form', async () => {
    const [stands, types] = ['Caf\u00e9/1', 'Cafe\u0301/1'];
    const folder = await stored(async (store) => await write(store, stands, ...typing('one')));
    const prefix = types.slice(0, -2);
    const rooms = await cowrite(['rooms', '--json', '--prefix', prefix], { folder });
    expect(JSON.parse(rooms.out).name).toBe(stands);
    const check = await cowrite(['check', '--prefix', prefix], { folder });
    expect(check.out).toBe('1 room: all is well\n');
    await cowrite(['backup', 'b'], { folder });
    const args = ['restore', 'b', '--room', types, '--storage', 'lmdb:./other'];
    expect((await cowrite(args, { folder })).out).toMatch(/^1 room written/);
  });

  it('[CMD-3] a file that is exported never takes the place of the one before in parts, nor that of a link or a pipe', async () => {
    const folder = await stored(async (store) => await write(store, 'a', ...typing('one')));
    const file = join(folder, 'a.txt');
    writeFileSync(file, 'the one before', { mode: 0o600 });
    symlinkSync('a.txt', join(folder, 'link'));
    // Whoever has it open goes on with what it was.
    const before = openSync(file, 'r');
    onTestFinished(() => closeSync(before));
    const text = ['--format', 'text'];
    expect((await cowrite(['export', 'a', 'link', ...text], { folder })).code).toBe(0);
    expect(readFileSync(before, 'utf8')).toBe('the one before');
    expect(readFileSync(file, 'utf8')).toContain('one');
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(lstatSync(file).mode & 0o777).toBe(0o600);
    const pipe = join(folder, 'pipe');
    spawnSync('mkfifo', [pipe]);
    const reading = readFile(pipe, 'utf8');
    expect((await cowrite(['export', 'a', 'pipe', ...text], { folder })).code).toBe(0);
    expect(await reading).toContain('one');
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    const nowhere = await cowrite(['export', 'a', 'not/there'], { folder });
    expect(nowhere.code).toBe(1);
    isOneLine(nowhere);
    expect(readdirSync(folder).sort()).toEqual(['a.txt', 'data', 'link', 'pipe']);
  });

  it('[CMD-4] import refuses what makes a document larger than MAX_DOCUMENT_BYTES, but for deletions', async () => {
    const folder = await stored(async (store) => await write(store, 'a', ...typing('x')));
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'y'.repeat(200));
    const input = Y.encodeStateAsUpdate(doc);
    const import_ = (bytes: Uint8Array, most: number) =>
      cowrite(['import', 'a', '-'], {
        folder,
        input: bytes,
        environment: { MAX_DOCUMENT_BYTES: `${most}` },
      });
    // The room's own update is counted, too.
    const refused = await import_(input, input.length);
    expect(refused.code).toBe(1);
    isOneLine(refused);
    expect(refused.errors).toContain(`MAX_DOCUMENT_BYTES allows ${input.length}`);
    await within(folder, async (store) => expect((await store.load('a')).lastSeq).toBe(1));
    expect((await import_(input, 1_000)).code).toBe(0);
    const before = Y.encodeStateVector(doc);
    doc.getText('t').delete(0, 100);
    expect((await import_(Y.encodeStateAsUpdate(doc, before), 1)).code).toBe(0);
  });

  it('[CMD-15] when nobody reads stdout, lists end with 0, documents with 1, and everything else goes on', async () => {
    const folder = await stored(async (store) => {
      for (const room of ['a', 'b', 'c']) {
        await write(store, room, ...typing('one'), { update: bytes(9, 9, 9), author: 'mallory' });
      }
      await write(store, 'well', ...typing('well'));
    });
    const unread = async (...args: string[]) => await cowrite(args, { folder, stdout: 'closed' });
    for (const [code, args] of [
      [0, ['rooms']],
      [1, ['export', 'well']],
      [1, ['backup', '-']],
      [3, ['check']],
      [0, ['backup', 'b']],
      [0, ['migrate', 'lmdb:./data', 'lmdb:./other']],
      [0, ['restore', 'b', '--storage', 'lmdb:./restored']],
      [0, ['check', '--repair', '--verbose']],
    ] as const) {
      const ending = await unread(...args);
      expect([ending.code, ending.out], args.join(' ')).toEqual([code, '']);
      if (code === 1)
        expect(ending.errors).toBe('cowrite: stdout was closed before all of it was written\n');
      else expect(ending.errors).toBe('');
    }
    for (const [code, storage] of [
      [0, 'data'],
      [3, 'other'],
      [3, 'restored'],
    ] as const) {
      const ending = await cowrite(['check', '--storage', `lmdb:./${storage}`], { folder });
      expect([ending.code, ending.out], storage).toEqual([
        code,
        expect.stringMatching(/^4 rooms/m),
      ]);
    }
  });

  it.skipIf(!existsSync('/dev/full'))(
    '[CMD-15] a full disk behind stdout is one line and 1, and a repair is not stopped by it',
    async () => {
      const folder = await stored(async (store) => {
        await write(store, 'a', ...typing('one'), { update: bytes(9, 9, 9), author: 'mallory' });
        await write(store, 'b', ...typing('one'), { update: bytes(9, 9, 9), author: 'mallory' });
        await write(store, 'well', ...typing('well'));
      });
      const full = openSync('/dev/full', 'w');
      onTestFinished(() => closeSync(full));
      for (const args of [
        ['--help'],
        ['rooms'],
        ['check'],
        ['export', 'well'],
        ['backup', '-'],
        ['backup', 'b'],
        ['check', '--repair'],
      ]) {
        const ending = await cowrite(args, { folder, stdout: full });
        expect(ending.code, args.join(' ')).toBe(1);
        expect(ending.errors, args.join(' ')).toMatch(/^cowrite: stdout: ENOSPC[^\n]+\n$/);
      }
      expect((await cowrite(['check'], { folder })).out).toBe('3 rooms: all is well\n');
    },
    60_000,
  );
});

describe('[CMD] serve', () => {
  it('[CFG-4] a signal before it is ready ends it with 0, once it has opened its store', async () => {
    const redis = await startRedis();
    const held: Socket[] = [];
    let isOpen = false;
    const pass = (socket: Socket) => {
      const other = connect(redis.port, '127.0.0.1');
      for (const end of [socket, other]) end.on('error', () => undefined);
      socket.pipe(other).pipe(socket);
    };
    const door = createServer((socket) => {
      if (isOpen) pass(socket);
      else held.push(socket);
    }).listen(0, '127.0.0.1');
    await once(door, 'listening');
    onTestFinished(() => void door.close());
    const { port } = door.address() as AddressInfo;
    const child = spawn(process.execPath, [CLI], {
      env: { PATH: process.env.PATH, PORT: '0', STORAGE_URL: `redis://127.0.0.1:${port}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    let out = '';
    child.stdout.on('data', (part) => {
      out += String(part);
    });
    await Promise.race([once(door, 'connection'), exited]);
    child.kill('SIGTERM');
    let errors = '';
    for await (const part of child.stderr) {
      errors += String(part);
      if (!errors.includes('stopping') || isOpen) continue;
      isOpen = true;
      for (const socket of held) pass(socket);
    }
    expect([await exited, out]).toEqual([[0, null], '']);
  });

  it('[CMD-1] a port that is taken is told with the setting that chose it', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const port = `${(taken.address() as AddressInfo).port}`;
    for (const [environment, says] of [
      [{ PORT: port }, 'PORT'],
      [{ PORT: '0', METRICS_PORT: port }, 'METRICS_PORT'],
      [{ PORT: port, METRICS_PORT: port }, 'PORT or METRICS_PORT'],
    ] as const) {
      const settings = { STORAGE_URL: 'memory:', LOG_LEVEL: 'silent', ...environment };
      const ending = await cowrite([], { environment: settings });
      expect(ending.code).toBe(1);
      isOneLine(ending);
      expect(ending.errors).toMatch(new RegExp(`: choose another ${says}\n$`));
    }
  });
});

describe('[CMD] a damaged store', () => {
  it('[CMD-3] [CMD-14] is copied as far as it can be read; what cannot is told, and the end is 3', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'log', ...typing('one', 'DAMAGED-HERE'), ...typing('three'));
      const snapshot = snapshotOf(1, 'SNAPSHOT-DAMAGED');
      await store.compact('snapshot', { base: 0, snapshot, quarantined: [] });
      await write(store, 'well', ...typing('well'));
    });
    damage(folder, 'DAMAGED-HERE');
    damage(folder, 'SNAPSHOT-DAMAGED');
    const exported = await cowrite(['export', 'log'], { folder });
    expect(exported.code).toBe(3);
    isOneLine(exported);
    expect(textOf(exported.bytes)).toContain('three');
    const backup = await cowrite(['backup', 'b.cowrite'], { folder });
    expect(backup.code).toBe(3);
    const piped = await cowrite(['backup', '-'], { folder });
    expect([piped.code, piped.bytes.length]).toEqual([
      3,
      (await readFile(join(folder, 'b.cowrite'))).length,
    ]);
    const migration = await cowrite(['migrate', 'lmdb:./data', 'lmdb:./migrated'], { folder });
    expect(migration.code).toBe(3);
    for (const { errors } of [backup, piped, migration]) {
      expect(errors).toContain('"snapshot"');
      expect(errors).toContain('1 update');
    }
    const restored = await cowrite(['restore', 'b.cowrite', '--storage', 'lmdb:./restored'], {
      folder,
    });
    expect([restored.code, restored.out]).toEqual([3, expect.stringMatching(/^2 rooms written/)]);
    expect(restored.errors).toContain('"log": 1 update could not be backed up');
    expect(restored.errors).toContain('room "snapshot" could not be backed up');
    // Of one room only what is missing there.
    for (const [room, code] of [
      ['well', 0],
      ['log', 3],
      ['snapshot', 3],
    ] as const) {
      const args = ['restore', 'b.cowrite', '--room', room, '--storage', 'lmdb:./restored'];
      const one = await cowrite(args, { folder });
      expect(one.code, room).toBe(code);
      if (code === 0) expect(one.errors).toBe('');
      else isOneLine(one);
    }
    for (const storage of ['lmdb:./migrated', 'lmdb:./restored']) {
      const names = await cowrite(['rooms', '--json', '--storage', storage], { folder });
      expect(names.out.trim().split('\n').length).toBe(2);
      // An empty update stands where one could not be read, and nothing is damaged there.
      expect((await cowrite(['check', '--storage', storage], { folder })).code).toBe(0);
    }
  });
});

describe('[CMD] check', () => {
  const check = (folder: string, ...args: string[]) => cowrite(['check', ...args], { folder });
  const reports = ({ out }: Ending) =>
    out
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));

  it('[CMD-5] a store in which all is well', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'a', ...typing('one', 'two'));
      await store.compact('a', { base: 0, snapshot: snapshotOf(1, 'x'), quarantined: [] });
      await write(store, 'b', ...typing('one', 'two'));
      await store.remove('gone');
      await store.remove('back');
      await store.revive('back');
    });
    // The second update of room a continues what its snapshot does not have.
    await within(folder, async (store) => {
      await store.remove('a');
      await store.revive('a');
    });
    const ending = await check(folder);
    expect([ending.code, ending.out]).toEqual([0, '4 rooms: all is well\n']);
    expect((await check(folder, '--prefix', 'b', '--verbose')).out).toContain('"b": all is well');
  });

  it('[CMD-5] ends with 3 where the data file was damaged and what is whole was taken over, once', async () => {
    const folder = await stored(async (store) => await write(store, 'a', ...typing('one')));
    truncateSync(join(folder, 'data', 'data.mdb'), 100);
    const ending = await check(folder);
    expect(ending.code).toBe(3);
    expect(ending.errors).toMatch(
      /^cowrite: the store was damaged \(.*\): it lies in .* were kept/,
    );
    expect((await check(folder)).code).toBe(0);
  });

  it('[CMD-5] says what is damaged, by room, and ends with 3', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'checksum', ...typing('one', 'DAMAGED-HERE', 'three'));
      const [first, , third] = typing('one', 'two', 'three') as [NewEntry, NewEntry, NewEntry];
      await write(store, 'cause', first, third);
      await write(store, 'nonsense', { update: Uint8Array.of(9, 9, 9), author: 'mallory' });
      await write(store, 'well', ...typing('one', 'two'));
      const described = { ...snapshotOf(1, 'x'), stateVector: Uint8Array.of(1, 1, 9) };
      await store.compact('described', { base: 0, snapshot: described, quarantined: [] });
      const unloadable = { ...snapshotOf(1, 'x'), update: Uint8Array.of(9, 9, 9) };
      await store.compact('unloadable', { base: 0, snapshot: unloadable, quarantined: [] });
      const snapshot = snapshotOf(1, 'SNAPSHOT-DAMAGED');
      await store.compact('snapshot', { base: 0, snapshot, quarantined: [] });
    });
    damage(folder, 'DAMAGED-HERE');
    damage(folder, 'SNAPSHOT-DAMAGED');
    const ending = await check(folder, '--json');
    expect(ending.code).toBe(3);
    const problems = Object.fromEntries(
      reports(ending).map(({ room, problems }) => [room, problems.join('\n')]),
    );
    expect(problems).toEqual({
      checksum: expect.stringMatching(/^update 2: checksum.*\nupdate 3: it needs client/),
      cause: expect.stringMatching(/^update 2: it needs client/),
      nonsense: expect.stringMatching(/^update 1: /),
      described: 'the snapshot is not what its description says',
      unloadable: expect.stringContaining('the snapshot does not load'),
      snapshot: expect.stringContaining('is damaged'),
    });
    const words = await check(folder);
    expect(words.out).toContain('"checksum": DAMAGED\n  update 2: checksum');
    expect(words.out).toContain('7 rooms, 6 of them damaged, 0 repaired');
  });

  it('[CMD-6] a repair sets aside what is damaged, keeps the rest, and says what it cannot mend', async () => {
    const folder = await stored(async (store) => {
      await write(store, 'checksum', ...typing('one', 'DAMAGED-HERE'), ...typing('three'));
      const described = { ...snapshotOf(1, 'x'), stateVector: Uint8Array.of(1, 1, 9) };
      await store.compact('described', { base: 0, snapshot: described, quarantined: [] });
      const snapshot = snapshotOf(1, 'SNAPSHOT-DAMAGED');
      await store.compact('snapshot', { base: 0, snapshot, quarantined: [] });
      await write(store, 'well', ...typing('one'));
    });
    const backup = join(folder, 'b.cowrite');
    expect((await cowrite(['backup', backup], { folder })).code).toBe(0);
    damage(folder, 'DAMAGED-HERE');
    damage(folder, 'SNAPSHOT-DAMAGED');
    const repair = await check(folder, '--repair', '--json');
    expect(repair.code).toBe(3);
    expect(reports(repair).map(({ room, isRepaired }) => [room, isRepaired])).toEqual([
      ['checksum', true],
      ['described', true],
      ['snapshot', false],
    ]);
    await within(folder, async (store) => {
      const [set] = await store.quarantined('checksum');
      expect(set).toMatchObject({ seq: 2, reason: 'checksum does not match' });
      expect((await store.load('well')).snapshot).toBe(undefined);
    });
    const text = textOf((await cowrite(['export', 'checksum'], { folder })).bytes);
    expect([text.includes('one'), text.includes('three')]).toEqual([true, true]);
    expect((await check(folder)).out).toContain('4 rooms, 1 of them damaged');

    // What cannot be mended is restored by itself.
    const around: Around = { folder };
    const refused = await cowrite(['restore', backup, '--room', 'snapshot'], around);
    expect(refused.code).toBe(1);
    const restored = await cowrite(['restore', backup, '--room', 'snapshot', '--replace'], around);
    expect([restored.code, restored.out]).toEqual([0, expect.stringMatching(/^1 rooms? written/)]);
    expect((await check(folder)).code).toBe(0);
    const again = await cowrite(['export', 'snapshot'], around);
    expect(textOf(again.bytes)).toBe('SNAPSHOT-DAMAGED');
  });
});

describe('[CMD] top', () => {
  const environment = { ADMIN_TOKEN: ADMIN };
  const lookOnce = async (url: string): Promise<Ending> =>
    await cowrite(['top', '--server', url, '--interval', '0.1', '--once'], { environment });

  /** Whatever it shows, in frames. The last is whole when the next begins. */
  async function* framesOf(output: AsyncIterable<unknown>): AsyncGenerator<string, undefined> {
    let text = '';
    for await (const part of output) {
      const frames = `${text}${part}`.split(/^(?=Cowrite at )/m);
      text = frames.pop()!;
      yield* frames;
    }
  }

  /** The view that goes on. */
  function watch(url: string) {
    const child = spawn(process.execPath, [CLI, 'top', '--server', url, '--interval', '0.1'], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let errors = '';
    child.stderr.on('data', (part) => {
      errors += String(part);
    });
    const closed = once(child, 'close');
    const frames = framesOf(child.stdout);
    const next = async (says: RegExp): Promise<string> => {
      for (;;) {
        const { value } = await frames.next();
        if (value === undefined) throw new Error(`it has ended: ${errors}`);
        if (says.test(value)) return value;
      }
    };
    const ending = async () => {
      while ((await frames.next()).done !== true);
      const [code] = await closed;
      return [code, errors];
    };
    return { next, ending };
  }

  it('[CMD-12] says in one line that the store is away, takes nothing, or both', async () => {
    const storage = new MemoryStorage();
    const { heads, append } = storage;
    const away = async () => Promise.reject(new Error('the store is away'));
    const server = await governed({ storage });
    const ada = await RawClient.connect(server, 'minutes');
    await ada.join(new Y.Doc());
    const view = watch(server.url);
    const untilIt = async (shouts: string) => {
      await view.next(new RegExp(`^Cowrite at \\S+\n\n${shouts && `${shouts}\n\n`}connections `));
    };
    await untilIt('');
    storage.append = away;
    ada.send({ type: 'update', update: typed('x') });
    await untilIt('THE STORE DOES NOT TAKE WHAT IT IS GIVEN');
    storage.heads = away;
    await untilIt('THE STORE DOES NOT ANSWER: NOTHING IS SAVED OR OPENED');
    storage.append = append;
    await untilIt('THE STORE DOES NOT ANSWER: NO DOCUMENT CAN BE OPENED');
    storage.heads = heads;
    await untilIt('');
  });

  it('[CMD-12] lists the rooms with the most sockets, of the first 2,000 by name, and how many more there are', async () => {
    const server = await governed({ limits: { idleMs: 600_000, maxApiRequests: 100 } });
    const names = Array.from({ length: 2_003 }, (_, i) => `room ${String(i).padStart(4, '0')}`);
    const update = typed('x');
    for (let at = 0; at < names.length; at += 100) {
      const made = names
        .slice(at, at + 100)
        .map((name) => request(server, `rooms/${encodeURIComponent(name)}`, post(update)));
      expect((await Promise.all(made)).every(({ ok }) => ok)).toBe(true);
    }
    for (const [room, sockets] of [
      ['room 0700', 1],
      ['room 0011', 2],
      ['room 1500', 3],
      // Beyond those that are read.
      ['room 2001', 4],
    ] as const) {
      for (let i = 0; i < sockets; i++) {
        await (await RawClient.connect(server, room)).join(new Y.Doc());
      }
    }
    const { out } = await lookOnce(server.url);
    const [, list] = out.split('sessions  people  room\n');
    expect(list?.trimEnd().split('\n')).toEqual([
      '       3       0  room 1500',
      '       2       0  room 0011',
      '       1       0  room 0700',
      ...names.slice(0, 7).map((name) => `       0       0  ${name}`),
      'of the first 2000 rooms by name; 3 more are open',
    ]);
  });

  it('[CMD-12] while the server does not answer it says since when, and goes on; with another token it ends', async () => {
    const settings = { STORAGE_URL: `lmdb:${temporaryFolder()}`, ADMIN_TOKEN: ADMIN };
    const server = await startProcess(settings);
    const ada = await RawClient.connect(server, 'minutes');
    await ada.join(new Y.Doc());
    const view = watch(server.url);
    await view.next(/^connections +1 /m);
    const silent =
      /^THE SERVER DOES NOT ANSWER SINCE ([\d:]{8}); the figures are of [\d:]{8}\n([^\n]+)\n\nconnections +1 .* minutes\n/ms;
    server.child.kill('SIGSTOP');
    const [, , why] = silent.exec(await view.next(silent))!;
    expect(why).toContain('did not answer in 5 s');
    server.child.kill('SIGCONT');
    await view.next(/^Cowrite at \S+\n\nconnections +1 /);

    await server.kill();
    const begins = new Set<string>();
    // More than a second of them.
    for (let looks = 0; looks < 15; looks++) {
      const [, since, why] = silent.exec(await view.next(silent))!;
      expect(why).toContain(`no server answers at ${server.url}`);
      begins.add(since!);
    }
    expect(begins.size).toBe(1);
    const unanswered = await lookOnce(server.url);
    expect([unanswered.code, unanswered.out]).toEqual([1, '']);
    isOneLine(unanswered);

    const { port } = new URL(server.url);
    const again = await startProcess({ ...settings, PORT: port });
    const frame = await view.next(/^Cowrite at \S+\n\nconnections +0 /);
    // What the one before had counted is not taken from it.
    expect(frame).not.toContain('-');
    await again.kill();
    await startProcess({ ...settings, PORT: port, ADMIN_TOKEN: ADMIN.toUpperCase() });
    expect(await view.ending()).toEqual([
      1,
      expect.stringMatching(/^cowrite: .* answered with 401: /),
    ]);
  });
});

describe('[CMD] on a terminal', () => {
  it('[CMD-16] long work shows how far it is', async ({ skip }) => {
    // As for the log on a terminal, in operations.test.ts.
    const script = process.platform === 'linux' ? findProgram('script') : undefined;
    if (script === undefined) return skip('there is no script(1) of Linux on this machine');
    const folder = await stored(async (store) => {
      for (let i = 0; i < 100; i++) await write(store, `room ${i}`, ...typing('one'));
    });
    const shown = async (args: string): Promise<string> => {
      const command = `'${process.execPath}' '${CLI}' ${args}`;
      const child = spawn(script, ['--quiet', '--return', '--command', command, '/dev/null'], {
        cwd: folder,
        env: { PATH: process.env.PATH },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      onTestFinished(() => void child.kill('SIGKILL'));
      let output = '';
      for await (const text of child.stdout.setEncoding('utf8')) output += text;
      expect((await closed)[0], output).toBe(0);
      return output;
    };
    expect(await shown('backup b')).toMatch(/\b0\/100 rooms/);
    // This takes long enough for a bar that has moved.
    expect(await shown('check')).toMatch(/■.* (?!0)\d+\/100 rooms/);
  });
});
