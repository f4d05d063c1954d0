import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockFolder, StorageInUse, type Unlock } from './lock.js';

const BUILT = new URL('../../dist/storage/lock.js', import.meta.url).href;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-lock-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What a process that held the lock leaves behind when it is killed: a socket that nobody answers at. */
async function leaveStaleSocket(folder: string): Promise<void> {
  const hold = `
    import { lockFolder } from ${JSON.stringify(BUILT)};
    await lockFolder(${JSON.stringify(folder)});
    console.log('locked');
    setInterval(() => undefined, 1e6);
  `;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', hold], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void holder.kill('SIGKILL'));
  const exited = once(holder, 'exit');
  const [said] = await Promise.race([once(holder.stdout, 'data'), exited]);
  expect(String(said)).toBe('locked\n');
  await expect(lockFolder(folder)).rejects.toThrow(StorageInUse);
  holder.kill('SIGKILL');
  await exited;
  expect(existsSync(join(folder, 'lock.sock'))).toBe(true);
}

/** Eight at once. @returns the lock of the one that got it */
async function race(folder: string): Promise<Unlock> {
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
  const got = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(got.length).toBe(1);
  for (const { reason } of refused) expect(reason).toBeInstanceOf(StorageInUse);
  return got[0]!.value;
}

/** The lock stands where others look for it, until it is let go. */
async function holds(folder: string, unlock: Unlock): Promise<void> {
  await expect(lockFolder(folder)).rejects.toThrow(StorageInUse);
  await unlock();
  const next = await lockFolder(folder);
  await next();
}

describe('[STO] the lock of a folder', () => {
  it('[STO-19] one of many that come at once gets it', async () => {
    const folder = temporaryFolder();
    await holds(folder, await race(folder));
  });

  it('[STO-19] one of many gets it also where a killed process has left its socket', async () => {
    const folder = temporaryFolder();
    await leaveStaleSocket(folder);
    await holds(folder, await race(folder));
  });

  it('[STO-19] a process that was killed while it took over a stale lock is not waited for', async () => {
    const folder = temporaryFolder();
    await leaveStaleSocket(folder);
    const turnstile = join(folder, 'lock.sock.turn');
    mkdirSync(turnstile);
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(turnstile, longAgo, longAgo);
    await holds(folder, await race(folder));
    expect(existsSync(turnstile)).toBe(false);
  });
});
