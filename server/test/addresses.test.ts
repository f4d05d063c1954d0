/** Addresses of services that cannot be, and what the command says of those that can. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../src/config.js';
import { cowrite, type Ending } from './command-line.js';
import { temporaryFolder } from './support.js';

const LINE = /^cowrite: [^\n]+\n$/;
const WRONG = ['a/b', 'a#b', 'a?b', 'a%b', '12/b'].map(
  (password) => `postgres://u:${password}@127.0.0.1:1/db`,
);

/** Every command that opens a store, with the rest of a command line that could be. */
const ON_STORES = [
  ['rooms'],
  ['check'],
  ['export', 'a'],
  ['import', 'a', 'file'],
  ['backup', 'copy'],
  ['restore', 'file'],
];

/** All at once would take a small machine longer than a test may take. */
async function inTurn<T>(all: readonly T[], use: (one: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < all.length; i += 4) await Promise.all(all.slice(i, i + 4).map(use));
}

function isRefused({ code, errors, out }: Ending, what: string): void {
  expect([code, out], `${what}: ${errors}`).toEqual([2, '']);
  expect(errors, what).toMatch(LINE);
}

describe('[CFG] addresses', () => {
  it('[CFG-7] one that cannot be read ends every command with 2 and one line', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    await inTurn(
      [...WRONG, 'postgres://u:p@127.0.0.1:99999/db', 'redis://h:abc'],
      async (STORAGE_URL) =>
        isRefused(await cowrite(['serve'], { environment: { STORAGE_URL } }), STORAGE_URL),
    );
    const environment = { STORAGE_URL: WRONG[0]! };
    await inTurn(ON_STORES, async (args) =>
      isRefused(await cowrite(args, { folder, environment }), `${args}`),
    );
    isRefused(await cowrite(['backup', 'copy', '--storage', WRONG[1]!], { folder }), '--storage');
    isRefused(await cowrite(['migrate', WRONG[0]!, 'lmdb:./b'], { folder }), 'migrate from');
    isRefused(await cowrite(['migrate', 'lmdb:./a', WRONG[0]!], { folder }), 'migrate to');
    for (const file of ['copy', 'a', 'b']) expect(existsSync(join(folder, file))).toBe(false);
  }, 120_000);

  it('[CFG-8] no value of an address is told but its hosts, ports and database', async () => {
    const memory = { STORAGE_URL: 'memory:' };
    const user = 'u:SECRET1@SECRET2';
    const settings: Readonly<Record<string, string>>[] = [
      ...[
        `postgres://${user}@127.0.0.1:1/db`,
        'postgres://u:SECRET1/SECRET2@127.0.0.1:1/db',
        'postgres://127.0.0.1:1/db?user=u&password=SECRET',
        'postgres:u:SECRET@h/db',
        `redis://${user}@127.0.0.1:1`,
        'redis://u:SECRET1#SECRET2@127.0.0.1:1',
        `mysql://${user}@h/db`,
      ].map((STORAGE_URL) => ({ STORAGE_URL })),
      ...[
        'u:SECRET@h:6379',
        'redis:/u:SECRET@h:6379',
        `http://${user}@h`,
        `redis://${user}@127.0.0.1:1`,
      ].map((REDIS_URL) => ({ REDIS_URL, STORAGE_URL: 'postgres://127.0.0.1:1/db' })),
      { REDIS_URL: 'redis://127.0.0.1:1', STORAGE_URL: 'memory:SECRET' },
      { ...memory, AUTH_URL: `https://${user}@h/x` },
      { ...memory, AUTH_JWKS_URL: 'ftp://SECRET' },
      { ...memory, ALLOWED_ORIGINS: `https://${user}@h` },
      { ...memory, PORT: `postgres://${user}@h/db` },
      { ...memory, ADMIN_TOKEN: 'SECRET' },
    ];
    await inTurn(settings, async (environment) => {
      let told = '';
      try {
        readConfig(environment);
        // It can be read, and leads nowhere.
        const { code, errors, out } = await cowrite(['serve'], { environment });
        expect(code, JSON.stringify(environment)).toBe(1);
        told = errors + out;
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        told = (error as Error).message;
      }
      expect(told).toMatch(/\S/);
      expect(told).not.toContain('SECRET');
    });
    const ADMIN_TOKEN = 'x'.repeat(32);
    await inTurn(
      [
        [`postgres://${user}@h/db`],
        ['rooms', `postgres://${user}@h/db`],
        ['migrate', 'lmdb:./a', 'lmdb:./b', `postgres://${user}@h/db`],
        ['rooms', '--storage', `mysql://${user}@h/db`],
        ['top', '--once', '--server', `http://${user}@127.0.0.1:1`],
        ['top', '--once', '--server', 'http://127.0.0.1:1/?token=SECRET'],
      ],
      async (args) => {
        const { code, errors } = await cowrite(args, { environment: { ADMIN_TOKEN } });
        expect(code, args[0]).toBeGreaterThan(0);
        expect(errors).toMatch(LINE);
        expect(errors).not.toContain('SECRET');
      },
    );
  }, 120_000);

  it.each([
    [
      'a command that waits for what never comes',
      ['restore', 'file'],
      `import fs from 'node:fs/promises';
       import { syncBuiltinESMExports } from 'node:module';
       fs.open = () => new Promise(() => undefined);
       syncBuiltinESMExports();`,
    ],
    [
      'a server that nothing keeps running',
      ['serve'],
      `import { Server } from 'node:net';
       const { listen } = Server.prototype;
       Server.prototype.listen = function (...args) {
         return listen.apply(this, args).unref();
       };`,
    ],
  ])('[CMD-17] %s ends with 1 and says so', async (_, args, script) => {
    const folder = temporaryFolder();
    const before = join(folder, 'before.mjs');
    writeFileSync(before, script);
    const environment = {
      STORAGE_URL: `lmdb:${folder}`,
      PORT: '0',
      LOG_LEVEL: 'fatal',
      NODE_OPTIONS: `--import=${before}`,
    };
    const ending = await cowrite(args, { folder, environment });
    expect(ending.code).toBe(1);
    expect(ending.errors).toMatch(LINE);
    expect(ending.errors).toContain('before its work was done');
    // A server was ready.
    if (args[0] !== 'serve') expect(ending.out).toBe('');
  });
});
