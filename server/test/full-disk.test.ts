/**
 * A disk that is full, under a real process: a limit on the size of its files stands for it, which
 * fails the same writes. Linux only; elsewhere there is no `prlimit`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { describe, expect, it, type TestContext, vi } from 'vitest';
import * as Y from 'yjs';
import { findProgram } from '../../scripts/find-programs.mjs';
import { ADMIN, call, post } from './administrator.js';
import { cowrite } from './command-line.js';
import { RawClient, type ServerProcess, startProcess, temporaryFolder, typed } from './support.js';

const execute = promisify(execFile);

/** Beyond the journal, which is there from the beginning. */
const FULL = '4300000';
const LETTERS = 100_000;

/** Letters that do not compress. */
function page(n: number): Uint8Array {
  const doc = new Y.Doc();
  const text = Array.from({ length: LETTERS }, (_, i) =>
    String.fromCharCode(33 + ((i * i * (n + 7) + (i >> 3)) % 90)),
  ).join('');
  doc.getText('t').insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

async function onFullDisk({ skip }: TestContext, environment: Record<string, string> = {}) {
  const prlimit = findProgram('prlimit') ?? skip('there is no prlimit(1) on this machine');
  const folder = temporaryFolder();
  const server = await startProcess({
    STORAGE_URL: `lmdb:${folder}`,
    ADMIN_TOKEN: ADMIN,
    ...environment,
  });
  const limit = (size: string) =>
    execute(prlimit, ['--pid', `${server.child.pid}`, `--fsize=${size}:`]);
  return { server, folder, limit };
}

async function isReady(server: ServerProcess): Promise<boolean> {
  return (await fetch(`${server.url}/health/ready`)).ok;
}

/** Not merely late, as on a busy machine. */
async function isFailing(server: ServerProcess): Promise<boolean> {
  const readiness = await fetch(`${server.url}/health/ready`);
  return ((await readiness.json()) as { store: string }).store === 'failing';
}

/** Writes until the store takes no more. @returns how many pages were saved by then */
async function fill(server: ServerProcess): Promise<number> {
  for (let saved = 0; saved < 400; saved++) {
    let answer: number | undefined;
    const asked = call(server, 'rooms/pages/updates', post(page(saved))).then(([status]) => {
      answer = status;
    });
    const isFull = vi.waitUntil(async () => answer !== undefined || (await isFailing(server)), {
      timeout: 120_000,
      interval: 20,
    });
    await isFull;
    if (answer === 200) continue;
    // It is answered once there is room, or not at all.
    void asked.catch(() => undefined);
    return saved;
  }
  throw new Error('it took everything');
}

describe('[STO-61] a full disk', () => {
  it('[STO-61] keeps nothing that was saved from being read, and the server goes on as soon as there is room', async (context) => {
    const { server, folder, limit } = await onFullDisk(context);
    await limit(FULL);
    const saved = await fill(server);
    expect(saved).toBeGreaterThan(10);
    await vi.waitUntil(() => isFailing(server), { timeout: 120_000, interval: 20 });
    expect(await isReady(server)).toBe(false);
    const [status] = await call(server, 'rooms/pages/document?form=json');
    expect(status).toBe(200);
    await limit('unlimited');
    await vi.waitUntil(() => isReady(server), { timeout: 120_000, interval: 20 });
    expect(await call(server, 'rooms/pages/updates', post(page(saved + 1)))).toMatchObject([
      200,
      {},
    ]);
    const exited = once(server.child, 'exit');
    server.child.kill('SIGTERM');
    expect((await exited)[0]).toBe(0);
    const environment = { STORAGE_URL: `lmdb:${folder}` };
    expect((await cowrite(['check'], { environment })).code).toBe(0);
    const { out } = await cowrite(['export', 'pages', '--format', 'text'], { environment });
    // All that was saved, what waited, and what came after it.
    expect(out.trim().length).toBe(LETTERS * (saved + 2));
  });

  it('[DRN-8] ends with 1 when nobody is there any more and the disk stays full', async (context) => {
    const { server, limit } = await onFullDisk(context, { DRAIN_SECONDS: '2' });
    const ada = await RawClient.connect(server, 'room');
    await ada.join(new Y.Doc());
    await ada.untilSaved(1);
    await limit('1000');
    ada.send({ type: 'update', update: typed('never saved') });
    await vi.waitUntil(async () => !(await isReady(server)), { timeout: 120_000, interval: 20 });
    ada.socket.close();
    await ada.untilClosed();
    const exited = once(server.child, 'exit');
    server.child.kill('SIGTERM');
    expect((await exited)[0]).toBe(1);
    expect(server.errors()).toContain('the store did not take everything');
  });
});
