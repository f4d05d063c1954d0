/** TLS to Postgres and Redis, of real servers with certificates of an authority of their own. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PostgresStorage, RedisRelay, RedisStorage } from '@cowrite/server';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { findPostgres } from '../../scripts/find-programs.mjs';
import { connectRedis, endConnection, firstAttempt } from '../src/redis.js';
import { readRedisUrl } from '../src/service-url.js';
import {
  type Authority,
  authorityIn,
  lockedKey,
  openssl,
  ownKey,
  type Signed,
} from './authority.js';
import { cowrite } from './command-line.js';
import { freePort } from './free-port.js';
import { type PostgresService, startPostgres } from './postgres-service.js';
import { startRedis } from './redis-service.js';
import { startProcess } from './support.js';
import { knock } from './visitors.js';

const run = describe.skipIf(openssl === undefined);
if (openssl === undefined) console.warn('server/test/tls.test.ts: there is no openssl');

let folder: string;
let authority: Authority;
let other: Authority;
let server: Signed;
let client: Signed;

beforeAll(() => {
  if (openssl === undefined) return;
  folder = mkdtempSync(join(tmpdir(), 'cowrite-tls-'));
  chmodSync(folder, 0o755);
  authority = authorityIn(folder);
  other = authorityIn(folder, 'other');
  server = authority.sign('localhost');
  client = authority.sign('cowrite');
});
afterAll(() => {
  if (openssl !== undefined) rmSync(folder, { recursive: true, force: true });
});

const message = (promise: Promise<unknown>) =>
  promise.then(
    () => 'connected',
    (error: Error) => error.message,
  );

run('[CFG] TLS to a Postgres', () => {
  let postgres: PostgresService;
  let port: string;

  /** Who may come in how. */
  const ACCESS = `
hostssl   only_tls   all 127.0.0.1/32 trust
hostnossl only_plain all 127.0.0.1/32 trust
hostssl   by_cert    all 127.0.0.1/32 cert
host      postgres   all 127.0.0.1/32 trust
`;

  beforeAll(async () => {
    const access = join(folder, 'hba.conf');
    writeFileSync(access, ACCESS);
    // What a hook registers with `afterAll` is never called.
    const until = () => undefined;
    postgres = await startPostgres({ until, settings: { hba_file: access } });
    port = new URL(postgres.url).port;
    for (const name of ['only_tls', 'only_plain', 'by_cert']) {
      await postgres.query(`CREATE DATABASE ${name}`);
    }
  });

  afterAll(() => postgres?.stop());

  async function offerTls(): Promise<void> {
    for (const [name, value] of [
      ['ssl_cert_file', server.cert],
      ['ssl_key_file', ownKey(server.key)],
      ['ssl_ca_file', authority.ca],
      ['ssl', 'on'],
    ] as const) {
      await postgres.query(`ALTER SYSTEM SET ${name} = '${value}'`);
    }
    await postgres.query('SELECT pg_reload_conf()');
    await vi.waitFor(async () => {
      const [row] = await postgres.query('SHOW ssl');
      expect(row).toEqual({ ssl: 'on' });
    });
  }

  const urlOf = (database: string, query: string, host = '127.0.0.1') =>
    `postgres://cowrite@${host}:${port}/${database}?${query}`;

  /** Whether its connection is encrypted; `refused` where there is none. */
  async function ours(url: string): Promise<string> {
    let storage: PostgresStorage;
    try {
      storage = await PostgresStorage.open(url);
    } catch {
      return 'refused';
    }
    const database = new URL(url).pathname.slice(1);
    const rows = await postgres.query(
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
       WHERE application_name = 'cowrite' AND datname = '${database}'`,
    );
    await storage.close();
    await vi.waitFor(async () => {
      const left = await postgres.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'cowrite' AND datname = '${database}'`,
      );
      expect(left).toHaveLength(0);
    });
    expect(rows).toHaveLength(1);
    return rows[0]!.ssl ? 'encrypted' : 'plain';
  }

  /** The same of libpq. */
  async function libpq(url: string): Promise<string> {
    const question = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    // Without a home there is no file with authorities in it.
    const env = { HOME: join(folder, 'nobody'), LC_ALL: 'C' };
    try {
      const args = ['-X', '-A', '-t', '-c', question, url];
      const { stdout } = await promisify(execFile)(join(findPostgres()!, 'psql'), args, { env });
      return stdout.trim() === 't' ? 'encrypted' : 'plain';
    } catch (error) {
      expect((error as { code?: number }).code, String(error)).toBe(2);
      return 'refused';
    }
  }

  const MODES = ['', 'disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
  const queries = () => [
    ...MODES.flatMap((mode) => {
      const sslmode = mode && `sslmode=${mode}`;
      return [sslmode, `${sslmode}&sslrootcert=${authority.ca}`].map((query) =>
        query.replace(/^&/, ''),
      );
    }),
    `sslmode=require&sslrootcert=${other.ca}`,
    `sslmode=prefer&sslrootcert=${other.ca}`,
    'ssl=true',
  ];

  async function isAsLibpq(urls: readonly string[]): Promise<Map<string, string>> {
    const seen = new Map<string, string>();
    for (const url of urls) {
      const [mine, its] = [await ours(url), await libpq(url)];
      expect([url, mine]).toEqual([url, its]);
      seen.set(url, mine);
    }
    return seen;
  }

  it('[CFG-11] every sslmode does what psql does, at a server without TLS and with it', async () => {
    const without = await isAsLibpq(queries().map((query) => urlOf('postgres', query)));
    expect(new Set(without.values())).toEqual(new Set(['plain', 'refused']));
    const refused = await message(PostgresStorage.open(urlOf('postgres', 'sslmode=require')));
    expect(refused).toBe('the server does not offer TLS, and sslmode asks for it');

    await offerTls();
    const locked = `sslmode=require&sslcert=${client.cert}&sslkey=${lockedKey(client.key, 'opens')}`;
    const seen = await isAsLibpq([
      ...queries().map((query) => urlOf('postgres', query)),
      ...MODES.flatMap((mode) =>
        ['only_tls', 'only_plain'].map((database) => urlOf(database, mode && `sslmode=${mode}`)),
      ),
      // The certificate is for this name, and not for the address.
      ...['verify-ca', 'verify-full'].map((mode) =>
        urlOf('postgres', `sslmode=${mode}&sslrootcert=${authority.ca}`, 'localhost'),
      ),
      urlOf('postgres', `sslmode=verify-ca&sslrootcert=${other.ca}`, 'localhost'),
      urlOf('by_cert', 'sslmode=require'),
      urlOf('by_cert', `sslmode=require&sslcert=${client.cert}&sslkey=${client.key}`),
      urlOf('by_cert', `${locked}&sslpassword=opens`),
      urlOf('by_cert', `${locked}&sslpassword=opens-not`),
      urlOf('postgres', 'sslmode=require&ssl_max_protocol_version=TLSv1.2'),
      // Older than the server allows.
      urlOf(
        'postgres',
        'sslmode=require&ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=TLSv1.1',
      ),
    ]);
    for (const [url, is] of [
      [urlOf('postgres', ''), 'encrypted'],
      [urlOf('only_tls', 'sslmode=allow'), 'encrypted'],
      [urlOf('only_plain', 'sslmode=prefer'), 'plain'],
      [urlOf('only_plain', 'sslmode=require'), 'refused'],
      [urlOf('by_cert', `${locked}&sslpassword=opens`), 'encrypted'],
      [urlOf('by_cert', `${locked}&sslpassword=opens-not`), 'refused'],
      [urlOf('postgres', `sslmode=verify-ca&sslrootcert=${authority.ca}`), 'encrypted'],
      [urlOf('postgres', `sslmode=verify-full&sslrootcert=${authority.ca}`), 'refused'],
      [urlOf('postgres', `sslmode=require&sslrootcert=${other.ca}`), 'refused'],
      [
        urlOf('by_cert', `sslmode=require&sslcert=${client.cert}&sslkey=${client.key}`),
        'encrypted',
      ],
    ] as const) {
      expect([url, seen.get(url)]).toEqual([url, is]);
    }
  });

  it('[CFG-12] a certificate that is not believed, and a file that cannot be used, are one line', async () => {
    await offerTls();
    const nothing = join(folder, 'nothing.pem');
    writeFileSync(nothing, 'no certificate');
    for (const [query, says] of [
      [
        'sslmode=verify-full',
        /^its certificate is not believed \(.*sslrootcert=<file>.*NODE_EXTRA/,
      ],
      [
        `sslmode=verify-full&sslrootcert=${authority.ca}`,
        /^127\.0\.0\.1 is not a name in its certificate, which has DNS:.*: have the address name/,
      ],
      [
        `sslmode=require&sslrootcert=${folder}/SECRET`,
        /^the file that sslrootcert names cannot be read \(ENOENT\)$/,
      ],
      [`sslrootcert=${nothing}`, /^the file that sslrootcert names holds no certificate in PEM$/],
      [`sslcert=${client.cert}&sslkey=${nothing}`, /^the file that sslkey names holds no private/],
    ] as const) {
      const said = await message(PostgresStorage.open(urlOf('postgres', query)));
      expect(said).toMatch(says);
      expect(said).not.toMatch(/SECRET|\n/);
    }
    const url = urlOf('postgres', `sslmode=require&sslrootcert=${folder}/SECRET`);
    const { code, errors } = await cowrite(['rooms', '--storage', url]);
    expect(code).toBe(1);
    expect(errors).toMatch(/^cowrite: the store at postgres:[^\n]* sslrootcert names [^\n]*\n$/);
    expect(errors).not.toContain('SECRET');
    const misspelt = await cowrite(['rooms', '--storage', urlOf('postgres', 'sslmode=requrie')]);
    expect(misspelt.code).toBe(2);
    expect(misspelt.errors).toContain('sslmode is one of disable, allow, prefer');
  });

  it('[CFG-14] authorities of NODE_EXTRA_CA_CERTS count where the address names none', async () => {
    await offerTls();
    const args = ['rooms', '--storage', urlOf('postgres', 'sslmode=verify-full', 'localhost')];
    const environment = { NODE_EXTRA_CA_CERTS: authority.ca };
    expect(await cowrite(args, { environment })).toMatchObject({ code: 0, errors: '' });
    expect((await cowrite(args)).errors).toContain('its certificate is not believed');
  });
});

run('[CFG] TLS to a Redis', () => {
  /** On two ports: the one with TLS, and the one that tests look through. */
  async function secured(wants: 'yes' | 'no') {
    const port = await freePort();
    const tls = ['--tls-port', `${port}`, '--tls-auth-clients', wants];
    const about = ['--tls-cert-file', server.cert, '--tls-key-file', server.key];
    const service = await startRedis({
      settings: [...tls, ...about, '--tls-ca-cert-file', authority.ca],
    });
    return { service, url: `rediss://localhost:${port}` };
  }

  const open = async (url: string) => {
    const storage = await RedisStorage.open(url);
    await storage.close();
  };

  it('[CFG-13] cacert, cert and key of an address are those of every connection to it', async () => {
    const { url } = await secured('yes');
    const identity = `cert=${client.cert}&key=${client.key}`;
    const all = `${url}/0?cacert=${authority.ca}&${identity}`;
    await open(all);
    expect(await message(open(`${url}/0?cacert=${authority.ca}`))).toMatch(
      // Whether Redis's reason arrives before it has closed the connection is not certain.
      /^no connection to Redis: (TLS failed: .*certificate required|.*ECONNRESET|.*closed|.*EPIPE)$/,
    );
    expect(await message(open(`${url}?${identity}`))).toMatch(
      /its certificate is not believed .* with cacert=<file> .*NODE_EXTRA_CA_CERTS$/,
    );
    expect(await message(open(`${url}?cacert=${other.ca}&${identity}`))).toContain('not believed');
    const address = all.replace('localhost', '127.0.0.1');
    expect(await message(open(address))).toMatch(
      /127\.0\.0\.1 is not a name in its certificate, which has DNS:.*: have the address name/,
    );
    // Two servers that share it.
    const servers = [
      await startProcess({ REDIS_URL: all, LOG_LEVEL: 'info' }),
      await startProcess({ REDIS_URL: all, LOG_LEVEL: 'info' }),
    ];
    for (const { url, errors } of servers) {
      await vi.waitFor(async () => {
        const ready = await fetch(`${url}/health/ready`);
        expect(await ready.json(), errors()).toMatchObject({ store: 'ok', relay: 'connected' });
      });
      expect(errors()).not.toMatch(/pem|is away/);
    }
  });

  it('[CFG-13] a certificate that was renewed counts from the next connection on', async () => {
    const { service, url } = await secured('yes');
    const own = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') };
    const take = ({ cert, key }: Signed) => {
      copyFileSync(cert, own.cert);
      copyFileSync(key, own.key);
    };
    take(other.sign('cowrite'));
    const all = `${url}?cacert=${authority.ca}&cert=${own.cert}&key=${own.key}`;
    let connections = 0;
    const redis = connectRedis(all, 'test', {}, () => connections++);
    onTestFinished(() => endConnection(redis));
    expect(await firstAttempt(redis)).toBeInstanceOf(Error);
    expect(connections).toBe(0);
    take(client);
    await vi.waitFor(() => expect([redis.status, connections > 0]).toEqual(['ready', true]));
    // One of them is gone, as while it is replaced: those that were read last go on.
    rmSync(own.cert);
    const before = connections;
    await service.restart();
    await vi.waitFor(() => expect([redis.status, connections > before]).toEqual(['ready', true]));
  });

  it('[CFG-13] a file that cannot be used is one line at the start; what cannot be meant is refused', async () => {
    const missing = `rediss://localhost:1?cacert=${folder}/SECRET`;
    await expect(RedisStorage.open(missing)).rejects.toThrow(
      /^the file that cacert names cannot be read \(ENOENT\)$/,
    );
    await expect(RedisRelay.open(missing)).rejects.toThrow(/cacert names cannot be read/);
    const { code, errors } = await cowrite(['serve'], {
      environment: { REDIS_URL: missing, STORAGE_URL: 'postgres://127.0.0.1:1/db', PORT: '0' },
    });
    expect([code, errors.trim().split('\n')]).toEqual([1, [expect.not.stringContaining('SECRET')]]);
    for (const query of ['cacert=', 'cert=a', 'key=a', 'ca=a', 'family=6', 'cacert=a&x=y']) {
      expect(readRedisUrl(`rediss://one?${query}`), query).toBeUndefined();
    }
    // Without TLS nothing is asked for a certificate.
    expect(readRedisUrl('redis://one?cacert=a')).toBeUndefined();
    expect(readRedisUrl('rediss://one/1?cacert=%2Fa%20b')?.parameters.get('cacert')).toBe('/a b');
  });

  it('[CFG-13] so is an address without TLS of a server that has it', async () => {
    const { url } = await secured('no');
    expect(await message(open(url.replace('rediss:', 'redis:')))).toMatch(
      /^no connection to Redis: .+; where it speaks TLS, its address is rediss:\/\/…$/,
    );
  });

  it('[CFG-13] where something answers without TLS it is said', async () => {
    const web = createHttpServer().listen(0, '127.0.0.1');
    await once(web, 'listening');
    onTestFinished(() => void web.close());
    const { port } = web.address() as AddressInfo;
    expect(await message(open(`rediss://127.0.0.1:${port}`))).toBe(
      'no connection to Redis: what answers there does not speak TLS',
    );
  });

  it('[CFG-14] authorities of NODE_EXTRA_CA_CERTS are those of Redis and of AUTH_URL, too', async () => {
    const { url } = await secured('no');
    const asked: string[] = [];
    const application = createServer(
      { cert: readFileSync(server.cert), key: readFileSync(server.key) },
      (request, response) => {
        asked.push(request.method!);
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ user: { id: 'ada' }, access: 'write' }));
      },
    ).listen(0, 'localhost');
    await once(application, 'listening');
    onTestFinished(() => void application.close());
    const AUTH_URL = `https://localhost:${(application.address() as AddressInfo).port}/who`;
    const environment = { STORAGE_URL: url, AUTH_URL, NODE_EXTRA_CA_CERTS: authority.ca };
    const process = await startProcess(environment);
    const { status, text } = await knock(process, 'minutes?token=x');
    expect([status, text, asked.length], process.errors()).toEqual([101, '', 1]);
    await expect(startProcess({ STORAGE_URL: url })).rejects.toThrow('is not believed');
  });
});
