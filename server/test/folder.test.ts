/** A store's folder under real servers: one at a time, and none that writes into what is not its own. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, type TestContext, vi } from 'vitest';
import * as Y from 'yjs';
import { CLI, cowrite } from './command-line.js';
import { RawClient, served, startProcess, temporaryFolder, typed } from './support.js';

/** Ada is in a room of it, and all that she wrote is saved. */
async function written(folder: string) {
  const server = await startProcess({ STORAGE_URL: `lmdb:${folder}` });
  const ada = await RawClient.connect(server, 'room');
  await ada.join(new Y.Doc());
  ada.send({ type: 'update', update: typed('saved ') });
  await ada.untilSaved(2);
  return { server, ada };
}

async function isReady(server: { readonly url: string }): Promise<boolean> {
  return (await fetch(`${server.url}/health/ready`)).ok;
}

describe('[STO] a folder', () => {
  it('[STO-75] is open in one server, whatever its temporary folder and the length of the path are', async () => {
    const folder = join(temporaryFolder(), 'x'.repeat(120), 'data');
    const { server } = await written(folder);
    const link = join(temporaryFolder(), 'link');
    symlinkSync(folder, link);
    const other = temporaryFolder();
    await expect(startProcess({ STORAGE_URL: `lmdb:${link}`, TMPDIR: other })).rejects.toThrow(
      /ended with 1: cowrite: another process has the store in .* open/,
    );
    for (const command of [['rooms'], ['check'], ['export', 'room'], ['backup', '-']]) {
      const environment = { STORAGE_URL: `lmdb:${folder}`, TMPDIR: other };
      const { code, errors } = await cowrite(command, { environment });
      expect(code, command[0]).toBe(1);
      expect(errors).toContain(`another process has the store in ${folder} open (process `);
    }
    expect(readdirSync(other)).toEqual([]);
    // A server that was killed is not waited for.
    await server.kill();
    const next = await startProcess({ STORAGE_URL: `lmdb:${link}`, TMPDIR: other });
    expect((await served(next, 'room')).getText('t').toString()).toBe('saved ');
  });

  it('[STO-78] that another process has taken over ends its server, and nothing more is called saved', async () => {
    const folder = temporaryFolder();
    const { server, ada } = await written(folder);
    const exited = once(server.child, 'exit');
    const theirs = { id: 'theirs', host: 'web-2', pid: 7, boot: 'another', beat: 1 };
    writeFileSync(join(folder, 'owner'), `${JSON.stringify(theirs)}\n`);
    ada.send({ type: 'update', update: typed('not saved') });
    expect((await ada.untilClosed()).code).toBe(1012);
    expect((await exited)[0]).toBe(1);
    const counts = ada.received.flatMap((message) =>
      message.type === 'saved' ? [message.count] : [],
    );
    expect(Math.max(...counts)).toBe(2);
    expect(server.errors()).toMatch(
      /the store in .* has been taken from this process: process 7 on web-2/,
    );
    // The other's record stays.
    expect(readFileSync(join(folder, 'owner'), 'utf8')).toContain('web-2');
  });

  it('[STO-78] that was moved takes nothing, which is told, and goes on once it is back', async () => {
    const folder = join(temporaryFolder(), 'data');
    const { server, ada } = await written(folder);
    renameSync(folder, `${folder}-moved`);
    ada.send({ type: 'update', update: typed('and kept') });
    await vi.waitUntil(async () => !(await isReady(server)), { timeout: 30_000, interval: 20 });
    await vi.waitUntil(() => server.errors().includes('is not where it was'), { timeout: 30_000 });
    // Nothing is made where it was.
    expect(existsSync(folder)).toBe(false);
    const saved = () =>
      ada.received.some((message) => message.type === 'saved' && message.count === 3);
    expect(saved()).toBe(false);
    renameSync(`${folder}-moved`, folder);
    await ada.untilSaved(3);
    await vi.waitUntil(() => isReady(server), { timeout: 30_000, interval: 20 });
    await server.kill();
    const next = await startProcess({ STORAGE_URL: `lmdb:${folder}` });
    const text = (await served(next, 'room')).getText('t').toString();
    expect(['saved and kept', 'and keptsaved ']).toContain(text);
  });

  it('[STO-78] in whose place another one was put is not written to', async () => {
    const folder = join(temporaryFolder(), 'data');
    const { server, ada } = await written(folder);
    const exited = once(server.child, 'exit');
    renameSync(folder, `${folder}-old`);
    mkdirSync(folder);
    const next = await startProcess({ STORAGE_URL: `lmdb:${folder}` });
    ada.send({ type: 'update', update: typed('not saved') });
    expect((await exited)[0]).toBe(1);
    expect(ada.received.some((message) => message.type === 'saved' && message.count === 3)).toBe(
      false,
    );
    expect((await served(next, 'room')).getText('t').toString()).toBe('');
  });

  it('[STO-79] and all that is in it, damaged copies and backups too, is for its user alone', async ({
    skip,
  }: TestContext) => {
    if (process.platform === 'win32') skip('Windows has no modes');
    const root = temporaryFolder();
    const folder = join(root, 'made', 'data');
    // As wide as a process may be told to be.
    const wide = `process.umask(0); await import(${JSON.stringify(pathToFileURL(CLI).href)});`;
    const args = ['--input-type=module', '-e', wide, CLI];
    const start = () => startProcess({ STORAGE_URL: `lmdb:${folder}` }, args);
    const modes = () =>
      Object.fromEntries(
        ['', ...(readdirSync(root, { recursive: true }) as string[])].map((name) => [
          name.replace(/damaged-.*/, 'damaged'),
          statSync(join(root, name)).mode & 0o777,
        ]),
      );
    const server = await start();
    const ada = await RawClient.connect(server, 'room');
    await ada.join(new Y.Doc());
    ada.send({ type: 'update', update: typed('saved') });
    await ada.untilSaved(2);
    await server.kill();
    const data = join(folder, 'data.mdb');
    truncateSync(data, statSync(data).size - 4096);
    const again = await start();
    expect(again.errors()).toContain('the store was damaged');
    // It was there before, and open to all: what is written in its place is not.
    writeFileSync(join(root, 'monday.partial'), '', { mode: 0o666 });
    chmodSync(join(root, 'monday.partial'), 0o666);
    await again.kill();
    execFileSync(process.execPath, [...args, 'backup', join(root, 'monday')], {
      env: { PATH: process.env.PATH, STORAGE_URL: `lmdb:${folder}` },
    });
    const [F, D] = [0o600, 0o700];
    expect(modes()).toEqual({
      '': D,
      made: D,
      'made/data': D,
      'made/data/data.mdb': F,
      'made/data/data.mdb.damaged': F,
      'made/data/journal-0': F,
      'made/data/lock': F,
      'made/data/lock.mdb': F,
      monday: F,
    });
    expect(again.errors()).not.toContain('not only this user');
  });

  it('[STO-79] that is wider is used as it is, and that is told in one line', async ({
    skip,
  }: TestContext) => {
    if (process.platform === 'win32') skip('Windows has no modes');
    const folder = temporaryFolder();
    chmodSync(folder, 0o2775);
    const server = await startProcess({ STORAGE_URL: `lmdb:${folder}` });
    await vi.waitUntil(() => server.errors().includes('not only this user'), { timeout: 30_000 });
    const line = `not only this user can use the store's files: ${folder} 0775; chmod -R go= ${folder} takes that from others`;
    expect(JSON.parse(server.errors().split('\n')[0]!)).toMatchObject({ level: 40, msg: line });
    expect(statSync(folder).mode & 0o7777).toBe(0o2775);
    expect(statSync(join(folder, 'data.mdb')).mode & 0o777).toBe(0o600);
  });
});
