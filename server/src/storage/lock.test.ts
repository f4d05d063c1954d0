import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { findProgram } from '../../../scripts/find-programs.mjs';
import { ManualClock } from '../clock.js';
import { FolderUnusable } from './file-system.js';
import {
  BEAT_MS,
  FolderLock,
  type LockOptions,
  STALE_MS,
  StorageInUse,
  StorageLost,
} from './lock.js';

const BUILT = new URL('../../dist/storage/lock.js', import.meta.url).href;
const NETWORK = { name: 'NFS', isNetwork: true };

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-lock-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A process that has the folder, until it is killed. @param around what starts it, such as `unshare` */
async function hold(folder: string, around: readonly string[] = [], environment = {}) {
  const script = `
    import { FolderLock } from ${JSON.stringify(BUILT)};
    await FolderLock.take(${JSON.stringify(folder)});
    console.log('locked');
    setInterval(() => undefined, 1e6);
  `;
  const [program, ...args] = [...around, process.execPath, '--input-type=module', '-e', script];
  const holder = spawn(program!, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, ...environment },
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  const exited = once(holder, 'exit');
  const [said] = await Promise.race([once(holder.stdout, 'data'), exited]);
  expect(String(said)).toBe('locked\n');
  return async () => {
    holder.kill('SIGKILL');
    await exited;
  };
}

/** Locks that were taken: their owners live. */
const held = new Set<FolderLock>();

/** Lets time pass until something has ended. No owner misses a beat, however slow the disk is. */
async function passing<T>(clock: ManualClock, wait: Promise<T>): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  wait.then(over, over);
  while (!isOver) {
    clock.advance(100);
    await Promise.all([...held].map((lock) => lock.beat()));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await wait;
}

/** What a lock says while it is there. */
function listening(clock = new ManualClock()) {
  const warnings: string[] = [];
  const lost: StorageLost[] = [];
  const options: LockOptions = {
    clock,
    onWarning: (line) => warnings.push(line),
    onLost: (error) => lost.push(error),
  };
  return { clock, warnings, lost, options };
}

async function take(folder: string, options: LockOptions = {}): Promise<FolderLock> {
  const lock = await FolderLock.take(folder, options);
  held.add(lock);
  onTestFinished(async () => {
    held.delete(lock);
    await lock.release();
  });
  return lock;
}

async function isFree(folder: string): Promise<void> {
  await (await FolderLock.take(folder)).release();
}

/** A record as an owner on another machine has written it. */
function foreign(folder: string, beat = 1): void {
  const record = { id: 'theirs', host: 'web-2', pid: 7, boot: 'another', device: '1', inode: '2' };
  writeFileSync(join(folder, 'owner'), `${JSON.stringify({ ...record, beat })}\n`);
}

describe('[STO] the lock of a folder', () => {
  it('[STO-19] one of many that come at once gets it', async () => {
    const folder = temporaryFolder();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => FolderLock.take(folder)),
    );
    const got = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(got.length).toBe(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(StorageInUse);
    }
    await expect(FolderLock.take(folder)).rejects.toThrow(
      `another process has the store in ${folder} open (process ${process.pid} on `,
    );
    await got[0]!.value.release();
    expect(readdirSync(folder)).toEqual(['lock']);
    await isFree(folder);
  });

  it('[STO-19] a process that is killed lets go of it at once', async () => {
    const folder = temporaryFolder();
    const kill = await hold(folder);
    await expect(FolderLock.take(folder)).rejects.toThrow(StorageInUse);
    await kill();
    expect(existsSync(join(folder, 'owner'))).toBe(true);
    const { options, warnings } = listening();
    // The clock stands still: nothing is waited for.
    await take(folder, options);
    expect(warnings).toEqual([]);
  });

  it('[STO-75] holds for any path of the folder, whatever the temporary folder is', async () => {
    const root = temporaryFolder();
    const folder = join(root, 'long'.repeat(60), 'x'.repeat(100), 'data');
    mkdirSync(folder, { recursive: true });
    const link = join(root, 'link');
    symlinkSync(folder, link);
    const temporary = temporaryFolder();
    await hold(folder, [], { TMPDIR: temporary });
    for (const path of [folder, link, `${folder}/../data/`]) {
      await expect(FolderLock.take(path), path).rejects.toThrow(StorageInUse);
    }
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(folder).sort()).toEqual(['lock', 'owner']);
  });

  it('[STO-75] holds between two containers: other processes, hosts and networks', async ({
    skip,
  }: TestContext) => {
    const unshare = findProgram('unshare') ?? skip('there is no unshare(1) on this machine');
    if (process.getuid?.() !== 0) skip('only root makes namespaces');
    const folder = temporaryFolder();
    const args = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--ipc', '--uts'];
    const kill = await hold(folder, [unshare, ...args]);
    await expect(FolderLock.take(folder)).rejects.toThrow(StorageInUse);
    await kill();
    await expect
      .poll(
        () =>
          isFree(folder).then(
            () => true,
            () => false,
          ),
        { timeout: 150_000 },
      )
      .toBe(true);
  });

  it('[STO-75] needs no socket, and minds none that lies there', async () => {
    const folder = temporaryFolder();
    const server = createServer().listen(join(folder, 'lock.sock'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    await isFree(folder);
  });

  it('[STO-76] an owner on another machine is seen by its record, for as long as that changes', async () => {
    const folder = temporaryFolder();
    foreign(folder);
    const { clock, options, warnings } = listening();
    const taking = FolderLock.take(folder, options);
    clock.every(BEAT_MS, () => foreign(folder, clock.now()));
    await expect(passing(clock, taking)).rejects.toThrow(
      /another process has the store in .* open \(process 7 on web-2\): stop it first/,
    );
    expect(warnings).toEqual([
      `process 7 on web-2 has not closed the store in ${folder}: looking for 10 s whether it still writes there`,
    ]);
    expect(clock.now()).toBeLessThan(STALE_MS);
    expect(readFileSync(join(folder, 'owner'), 'utf8')).toContain('theirs');
  });

  it.each([
    ['stands still', foreign],
    ['is damaged', (folder: string) => writeFileSync(join(folder, 'owner'), '\0\0{"id":')],
    ['is empty', (folder: string) => writeFileSync(join(folder, 'owner'), '')],
    ['is JSON of something else', (folder: string) => writeFileSync(join(folder, 'owner'), 'null')],
  ])('[STO-76] a record that %s is taken over, and that is told', async (_, leave) => {
    const folder = temporaryFolder();
    leave(folder);
    const { clock, options, warnings } = listening();
    const taking = passing(clock, take(folder, options));
    const lock = await taking;
    expect(clock.now()).toBeGreaterThanOrEqual(STALE_MS);
    expect(warnings.at(-1)).toMatch(/is not heard of any more: the store in .* is taken over/);
    lock.check();
  });

  it('[STO-76] a record that goes while it is looked at was that of an owner who has closed the store', async () => {
    const folder = temporaryFolder();
    foreign(folder);
    const { clock, options } = listening();
    const taking = take(folder, options);
    clock.after(BEAT_MS, () => rmSync(join(folder, 'owner')));
    await passing(clock, taking);
    expect(clock.now()).toBeLessThan(STALE_MS);
  });

  it('[STO-76] an owner changes its record, and two do not miss each other where another file took the lock', async () => {
    const folder = temporaryFolder();
    const { clock, options } = listening();
    const first = await take(folder, options);
    const record = () => readFileSync(join(folder, 'owner'), 'utf8');
    const before = record();
    clock.advance(BEAT_MS);
    await expect.poll(record).not.toBe(before);
    expect(record().length).toBe(before.length);
    first.check();
    // With the lock's file gone the kernel keeps nobody apart. The owner stops, and is waited for.
    renameSync(join(folder, 'lock'), join(folder, 'elsewhere'));
    const second = await passing(clock, take(folder, options));
    expect(() => first.check()).toThrow(StorageLost);
    second.check();
  });

  it('[STO-76] an owner that has the folder by another mount of this kernel is seen by its record', async () => {
    const folder = temporaryFolder();
    const { clock, options } = listening();
    const first = await FolderLock.take(folder, options);
    const path = join(folder, 'owner');
    const record = JSON.parse(readFileSync(path, 'utf8'));
    await first.release();
    let beat = 0;
    const beatThere = () =>
      writeFileSync(path, `${JSON.stringify({ ...record, device: '4711', beat: ++beat })}\n`);
    beatThere();
    clock.every(BEAT_MS, beatThere);
    await expect(passing(clock, FolderLock.take(folder, options))).rejects.toThrow(StorageInUse);
  });

  it('[STO-77] a folder on a network is refused, and taken where a setting says so', async () => {
    const folder = temporaryFolder();
    const { clock, options } = listening();
    const network = { ...options, fileSystem: NETWORK };
    await expect(FolderLock.take(folder, network)).rejects.toThrow(FolderUnusable);
    await expect(FolderLock.take(folder, network)).rejects.toThrow(
      /is on a file system of a network, or one that may be \(NFS\): .*ALLOW_NETWORK_FOLDER=on/,
    );
    expect(readdirSync(folder)).toEqual([]);
    const lock = await passing(clock, take(folder, { ...network, allowNetwork: true }));
    clock.advance(BEAT_MS);
    lock.check();
    await expect(FolderLock.take(folder, { ...network, allowNetwork: true })).rejects.toThrow(
      StorageInUse,
    );
  });

  it.each([
    ['excludes nobody', () => true, 'a lock excludes nobody'],
    [
      'is none',
      () => {
        throw Object.assign(new Error('ENOLCK: no locks available'), { code: 'ENOLCK' });
      },
      'ENOLCK: no locks available',
    ],
  ])(
    '[STO-77] so is one where a lock %s; the record alone keeps two apart then',
    async (_, tryLock, reason) => {
      const folder = temporaryFolder();
      const { clock, options } = listening();
      const loose = { ...options, tryLock };
      await expect(FolderLock.take(folder, loose)).rejects.toThrow(
        `files in ${folder} cannot be locked (${reason})`,
      );
      const allowed = { ...loose, allowNetwork: true };
      const first = await passing(clock, take(folder, allowed));
      await expect(passing(clock, FolderLock.take(folder, allowed))).rejects.toThrow(StorageInUse);
      first.check();
      // Of two that find no record in the same moment the later one has it.
      await first.release();
      const outcomes = await passing(
        clock,
        Promise.allSettled([take(folder, allowed), take(folder, allowed)]),
      );
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    },
  );

  it.each<[string, (folder: string) => void]>([
    ['another has written its record', foreign],
    [
      'its record is another file',
      (folder) => {
        cpSync(join(folder, 'owner'), join(folder, 'copy'));
        renameSync(join(folder, 'copy'), join(folder, 'owner'));
      },
    ],
    ['its record is empty', (folder) => truncateSync(join(folder, 'owner'))],
    [
      'its lock is another file',
      (folder) => {
        rmSync(join(folder, 'lock'));
        writeFileSync(join(folder, 'lock'), '');
      },
    ],
    [
      'another folder is in its place',
      (folder) => {
        renameSync(folder, `${folder}-moved`);
        cpSync(`${folder}-moved`, folder, { recursive: true });
      },
    ],
  ])('[STO-78] where %s, nothing is written any more', async (_, replace) => {
    const folder = join(temporaryFolder(), 'data');
    mkdirSync(folder);
    const { clock, options, lost } = listening();
    const lock = await FolderLock.take(folder, options);
    lock.check();
    replace(folder);
    // A write that begins in the same moment is found out when it ends.
    lock.checkBefore();
    clock.advance(101);
    expect(() => lock.checkBefore()).toThrow(StorageLost);
    const there = existsSync(join(folder, 'owner')) && readFileSync(join(folder, 'owner'), 'utf8');
    expect(() => lock.assume()).toThrow(StorageLost);
    expect(() => lock.check()).toThrow(StorageLost);
    expect(lost.length).toBe(1);
    clock.advance(10 * BEAT_MS);
    await lock.release();
    // Whatever is there is another's, and stays.
    expect(readFileSync(join(folder, 'owner'), 'utf8')).toBe(there);
  });

  it('[STO-78] on a network too, though inodes say nothing there', async () => {
    const folder = temporaryFolder();
    const { clock, options, lost } = listening();
    const network = { ...options, fileSystem: NETWORK, allowNetwork: true };
    const lock = await passing(clock, take(folder, network));
    lock.check();
    foreign(folder);
    expect(() => lock.check()).toThrow('process 7 on web-2');
    expect(lost.length).toBe(1);
  });

  it('[STO-78] while the folder is elsewhere nothing is written; once it is back, writing goes on', async () => {
    const folder = join(temporaryFolder(), 'data');
    mkdirSync(folder);
    const { clock, options, warnings, lost } = listening();
    const lock = await take(folder, options);
    renameSync(folder, `${folder}-moved`);
    // Also when nobody writes.
    clock.advance(2 * BEAT_MS);
    expect(() => lock.assume()).toThrow(/is not where it was .*put it back/);
    expect(() => lock.check()).toThrow(StorageLost);
    renameSync(`${folder}-moved`, folder);
    lock.check();
    lock.assume();
    expect(lost).toEqual([]);
    expect(warnings).toEqual([
      expect.stringMatching(/^nothing is saved: the folder .* is not where it was/),
      `the folder ${folder} is back: writing goes on`,
    ]);
  });
});
