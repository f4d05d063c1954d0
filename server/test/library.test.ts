/** The server as a library and as a command: options, hooks, settings, HTTP. */

import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthRefused, createServer, MemoryStorage, type Quarantined } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { ConfigError, LIMIT_SETTINGS, readConfig } from '../src/config.js';
import { LIMIT_NAMES } from '../src/limits.js';
import { turn } from './ledger.js';
import {
  gate,
  RawClient,
  readMetrics,
  socketUrl,
  startProcess,
  startServer,
  synced,
  temporaryFolder,
  typed,
  untilCompacted,
  yWebsocket,
} from './support.js';

describe('[LIB] the library', () => {
  it('[LIB-1] listens on a free port and says where; close() can be called twice', async () => {
    const server = await startServer();
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    await Promise.all([server.close(), server.close()]);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
  });

  it('[LIB-2] a port that is taken is an error, and nothing stays open', async () => {
    const server = await startServer();
    const storage = new MemoryStorage();
    let closed = false;
    storage.close = async () => {
      closed = true;
    };
    await expect(createServer({ port: server.port, storage, logger: 'silent' })).rejects.toThrow(
      'EADDRINUSE',
    );
    expect(closed).toBe(true);
  });

  it('[LIB-1] close() opens no session for a socket that authenticate has not decided about, nor waits for it', async () => {
    const storage = new MemoryStorage();
    const [writing, disk] = [gate(), gate()];
    const append = storage.append.bind(storage);
    storage.append = async (batch) => {
      writing.open();
      await disk.opened;
      return await append(batch);
    };
    const loads: string[] = [];
    const load = storage.load.bind(storage);
    storage.load = async (room) => {
      loads.push(room);
      return await load(room);
    };
    const asked = { soon: gate(), never: gate() };
    const decided = { soon: gate(), never: gate() };
    const server = await startServer({
      storage,
      hooks: {
        authenticate: async ({ room }) => {
          if (room === 'soon' || room === 'never') {
            asked[room].open();
            await decided[room].opened;
          }
          return { access: 'write' };
        },
      },
    });
    const writer = await RawClient.connect(server, 'room');
    await writer.join(new Y.Doc());
    writer.send({ type: 'update', update: typed('x') });
    await writing.opened;
    const ended = ['soon', 'never'].map((room) =>
      once(new WebSocket(`${socketUrl(server)}/${room}`), 'error'),
    );
    await Promise.all([asked.soon.opened, asked.never.opened]);

    const closed = server.close();
    decided.soon.open();
    const [refused] = await ended[0]!;
    expect(refused.message).toBe('Unexpected server response: 503');
    disk.open();
    await closed;
    const [cutOff] = await ended[1]!;
    expect(cutOff.code).toBe('ECONNRESET');
    decided.never.open();
    await turn();
    expect(loads).toEqual(['room']);
  });

  it('[LIB-3] authenticate refuses before the handshake, or makes a session read-only', async () => {
    const server = await startServer({
      hooks: {
        authenticate: async ({ room, token }) => {
          if (room === 'closed') throw new AuthRefused('forbidden', 'not yours');
          return { access: token === 'w' ? 'write' : 'read' };
        },
      },
    });
    const refused = await RawClient.connect(server, 'closed');
    expect(refused.socket.readyState).not.toBe(refused.socket.OPEN);

    const reader = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await reader.join(doc);
    await reader.untilSaved(1);
    for (const type of ['update', 'step2'] as const) {
      reader.send({ type, update: typed('graffiti') });
      expect(await reader.next('rejected')).toEqual({
        type: 'rejected',
        count: 2,
        reason: 'read-only',
      });
    }
    const writer = yWebsocket(server, 'room?token=w');
    await synced(writer);
    expect(writer.doc.getText('t').toString()).toBe('');
    writer.doc.getText('t').insert(0, 'mine');
    Y.applyUpdate(doc, (await reader.next('update')).update);
    // What it only repeats is no attempt to write.
    const rejections = reader.received.filter(({ type }) => type === 'rejected').length;
    reader.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc) });
    await reader.untilSaved(4);
    expect(reader.received.filter(({ type }) => type === 'rejected').length).toBe(rejections);
  });

  it('[LIB-4] a hook that throws or rejects closes at most its own session', async () => {
    const server = await startServer({
      hooks: {
        authenticate: ({ room }) => {
          if (room === 'throws') throw new Error('hook');
          if (room === 'rejects') return Promise.reject(new Error('hook'));
          return { access: 'write' };
        },
        onSaved: () => {
          throw new Error('hook');
        },
        onQuarantine: () => {
          throw new Error('hook');
        },
      },
    });
    for (const room of ['throws', 'rejects']) {
      const client = await RawClient.connect(server, room);
      expect(client.socket.readyState).not.toBe(client.socket.OPEN);
    }
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    client.send({ type: 'update', update: typed('y') });
    await client.untilSaved(3);
  });

  it('[LIB-4] an async hook that rejects, and an answer that is none, cost one session at most', async () => {
    const answers: Record<string, unknown> = {
      nothing: undefined,
      text: 'write',
      admin: { access: 'admin' },
      seconds: { access: 'write', expiresAt: 60 },
      never: { access: 'write', expiresAt: new Date(Number.NaN) },
      soon: { access: 'write', expiresAt: 'soon' },
      user: { access: 'write', user: 'ada' },
      nobody: { access: 'write', user: {} },
      empty: { access: 'write', user: { id: '' } },
      named: { access: 'write', user: { id: 'ada', name: 7 } },
    };
    const lines: string[] = [];
    const logger = pino({ level: 'error' }, { write: (line) => void lines.push(line) });
    const server = await startServer({
      logger,
      hooks: {
        authenticate: ({ room }) =>
          (room in answers
            ? answers[room]
            : { access: 'write', user: null, expiresAt: null }) as never,
        onSaved: async () => {
          throw new Error('later');
        },
      },
    });
    for (const room of Object.keys(answers)) {
      const client = await RawClient.connect(server, room);
      expect(client.socket.readyState, room).not.toBe(client.socket.OPEN);
    }
    expect(lines).toHaveLength(Object.keys(answers).length);
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    client.send({ type: 'update', update: typed('y') });
    await client.untilSaved(3);
    expect(lines.at(-1)).toContain('later');
  });

  it('[AUTH-13] settings and a hook that both decide are refused', async () => {
    const authenticate = () => ({ access: 'write' }) as const;
    await expect(startServer({ auth: 'none', hooks: { authenticate } })).rejects.toThrow(TypeError);
  });

  it('[LIB-5] onSaved names the room and the seq that is on disk', async () => {
    const saved: { room: string; seq: number }[] = [];
    const server = await startServer({ hooks: { onSaved: (about) => void saved.push(about) } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    expect(saved).toEqual([{ room: 'room', seq: 1 }]);
  });

  it('[LIB-6] a room that is empty is compacted, forgotten, and loads again', async () => {
    const storage = new MemoryStorage();
    const compacted = untilCompacted(storage);
    let loads = 0;
    const load = storage.load.bind(storage);
    storage.load = async (room) => {
      loads++;
      return await load(room);
    };
    const server = await startServer({ storage, limits: { idleMs: 1 } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('kept') });
    await client.untilSaved(2);
    client.socket.close();
    await compacted;
    let again: Y.Doc;
    do {
      again = new Y.Doc();
      const reader = await RawClient.connect(server, 'room');
      await reader.join(again);
      reader.socket.close();
      await reader.untilClosed();
    } while (loads < 2);
    expect(again.getText('t').toString()).toBe('kept');
    const { snapshot, tail } = await storage.load('room');
    expect([snapshot?.seq, tail.length]).toEqual([1, 0]);
  });

  it('[LIB-7] quarantined entries come with their author', async () => {
    const storage = new MemoryStorage();
    const gap = new Y.Doc();
    gap.getText('t').insert(0, 'a');
    const vector = Y.encodeStateVector(gap);
    gap.getText('t').insert(1, 'b');
    const beyond = Y.encodeStateAsUpdate(gap, vector);
    const entries = [
      { update: typed('kept'), author: 'ada' },
      { update: beyond, author: 'mallory' },
      { update: Uint8Array.of(1, 2, 3), author: 'eve' },
      { update: Y.mergeUpdates([typed('half'), beyond]), author: 'mallory' },
    ];
    await storage.append({ number: 0, appends: [{ room: 'room', entries }] });
    const found: Quarantined[] = [];
    const server = await startServer({
      storage,
      hooks: { onQuarantine: ({ entries }) => void found.push(...entries) },
    });
    const reader = yWebsocket(server, 'room');
    await synced(reader);
    expect(reader.doc.getText('t').toString()).toBe('kept');
    expect(found.map(({ seq, author }) => [seq, author])).toEqual([
      [2, 'mallory'],
      [3, 'eve'],
      [4, 'mallory'],
    ]);
  });
});

describe('[HTTP] plain HTTP', () => {
  it('[HTTP-1] serves a built app, its index for every path of the app, and 404 for a missing asset', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'assets'));
    writeFileSync(join(folder, 'index.html'), '<title>app</title>');
    writeFileSync(join(folder, 'assets', 'a-1.js'), 'let a;');
    const server = await startServer({ staticDir: folder });
    for (const path of ['/', '/d/some-room', '/d/a%2Fb']) {
      const response = await fetch(server.url + path);
      expect([response.status, await response.text()]).toEqual([200, '<title>app</title>']);
    }
    const asset = await fetch(`${server.url}/assets/a-1.js`);
    expect(asset.headers.get('cache-control')).toContain('immutable');
    expect((await fetch(`${server.url}/assets/none.js`)).status).toBe(404);
    const outside = await fetch(`${server.url}/%2e%2e/%2e%2e/etc/passwd`);
    expect(await outside.text()).not.toContain('root:');
  });

  it('[HTTP-2] without an app there is health and nothing else', async () => {
    const server = await startServer();
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect((await fetch(server.url)).status).toBe(404);
  });
});

describe('[CFG] settings', () => {
  it('[CFG-1] have defaults, and an empty value is none', () => {
    expect(readConfig({ PORT: '', HOME: '/root' })).toEqual({
      port: 8080,
      host: '127.0.0.1',
      storageUrl: 'lmdb:./data',
      redisUrl: undefined,
      auth: undefined,
      allowedOrigins: [],
      areReadersPresent: true,
      trustedProxies: [],
      limits: {},
      allowNetworkFolder: false,
      adminToken: undefined,
      logLevel: 'info',
      logFormat: undefined,
      metrics: undefined,
      staticDir: undefined,
    });
  });

  it('[CFG-2] a wrong one is one line that names it and what it may be', () => {
    for (const [name, value] of [
      ['PORT', 'eighty'],
      ['PORT', '70000'],
      ['PORT', '1.5'],
      ['PORT', '-1'],
      ['STORAGE_URL', 'mysql://x'],
      ['STORAGE_URL', 'lmdb:'],
      ['LOG_LEVEL', 'loud'],
      ['LOG_FORMAT', 'xml'],
      ['METRICS_PORT', '70000'],
      ['REDIS_URL', 'localhost:6379'],
      ['AUTH', 'yes'],
      ['AUTH_JWKS_URL', 'keys.json'],
      ['AUTH_URL', 'ftp://app/who'],
      ['AUTH_CLOCK_TOLERANCE', '-1'],
      ['ALLOWED_ORIGINS', 'app.example'],
      ['ALLOWED_ORIGINS', 'https://app.example/path'],
      ['READER_PRESENCE', 'yes'],
      ['TRUSTED_PROXIES', 'my-proxy'],
      ['MAX_CONNECTIONS', '0'],
      ['MAX_UPDATE_RATE', '500'],
      ['MAX_UPDATE_RATE', '0:500'],
      ['MAX_STEP1_RATE', '1:x'],
    ] as const) {
      let message = '';
      try {
        readConfig({ [name]: value });
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        message = (error as Error).message;
      }
      const shown = name.endsWith('_URL') ? 'what it is' : `"${value}"`;
      expect(message).toMatch(new RegExp(`^${name} must be .+, not ${shown}$`));
    }
  });

  it('[AUTH-35] the origins that may connect are taken as meant, or refused with the reason', async () => {
    const origins = (list: string) => readConfig({ ALLOWED_ORIGINS: list }).allowedOrigins;
    expect(origins('HTTPS://Docs.Example:443/, capacitor://localhost/,')).toEqual([
      'https://docs.example',
      'capacitor://localhost',
    ]);
    expect(() => origins('https://docs.example,https://*.example')).toThrow(
      /^ALLOWED_ORIGINS must be origins such as .*https:\/\/\*\.example: \* stands alone/,
    );
    expect(() => origins('null')).toThrow(/null: files and sandboxed pages say so/);
    expect(() => origins(',')).toThrow(/^ALLOWED_ORIGINS must be origins such as /);
    await expect(createServer({ allowedOrigins: ['docs.example'] })).rejects.toThrow(
      'docs.example: an origin begins with a scheme',
    );
  });

  it('[MET-9] the metrics have no port unless one is set; a host alone is a mistake', () => {
    expect(readConfig({ METRICS_PORT: '9464' }).metrics).toEqual({ port: 9464 });
    const both = { METRICS_PORT: '9464', METRICS_HOST: '0.0.0.0' };
    expect(readConfig(both).metrics).toEqual({ port: 9464, host: '0.0.0.0' });
    expect(() => readConfig({ METRICS_HOST: '0.0.0.0' })).toThrow(/^METRICS_HOST .*METRICS_PORT$/);
  });

  it('[AUTH-13] who may come in is said in one way; a secret is not repeated', () => {
    const AUTH_SECRET = 'a secret of more than thirty-two bytes';
    const AUTH_URL = 'https://app.example/who';
    expect(readConfig({ AUTH: 'none' }).auth).toBe('none');
    expect(readConfig({ AUTH_URL }).auth).toEqual({ url: AUTH_URL });
    expect(readConfig({ AUTH_SECRET, AUTH_ISSUER: 'us', AUTH_CLOCK_TOLERANCE: '0' }).auth).toEqual({
      secret: AUTH_SECRET,
      issuer: 'us',
      clockTolerance: 0,
    });
    const origins = readConfig({ ALLOWED_ORIGINS: 'https://a.example, http://b.example:81' });
    expect(origins.allowedOrigins).toEqual(['https://a.example', 'http://b.example:81']);
    for (const settings of [
      { AUTH: 'none', AUTH_SECRET },
      { AUTH: 'none', AUTH_URL },
      { AUTH_URL, AUTH_JWKS_URL: AUTH_URL },
      { AUTH_SECRET: 'short and secret' },
      { ADMIN_TOKEN: 'short-and-secret' },
      { ADMIN_TOKEN: `${AUTH_SECRET} with spaces` },
      { AUTH_URL: 'https://us:secret@app.example/who' },
      { AUTH_JWKS_URL: 'https://us:secret@app.example/keys' },
      { AUTH_ISSUER: 'us' },
      { AUTH_AUDIENCE: 'us' },
      { AUTH_CLOCK_TOLERANCE: '1', AUTH_URL },
    ]) {
      expect(() => readConfig(settings)).toThrow(ConfigError);
      expect(() => readConfig(settings)).not.toThrow(/secret of|short/);
    }
    for (const HOST of ['0.0.0.0', '::', 'docs.example']) {
      expect(() => readConfig({ HOST })).toThrow(/^HOST=.* lets others connect.*AUTH=none$/);
      expect(readConfig({ HOST, AUTH: 'none' }).host).toBe(HOST);
    }
  });

  it('[LIM-10] every bound has a setting, which the README explains, and a metric of its own', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const names = Object.keys(LIMIT_SETTINGS);
    // What its work costs the loop is no setting, and the depth is what Yjs can bear.
    const withSetting = LIMIT_NAMES.filter((name) => !['work-per-session', 'depth'].includes(name));
    expect(names).toHaveLength(withSetting.length);
    for (const name of names) expect(readme, name).toContain(`| \`${name}\` |`);
    const rates = names.filter((name) => name.endsWith('_RATE'));
    const { limits } = readConfig(
      Object.fromEntries(names.map((name) => [name, rates.includes(name) ? '7:9' : '7'])),
    );
    expect(Object.keys(limits)).toEqual(Object.values(LIMIT_SETTINGS));
    expect(limits).toMatchObject({
      maxDocumentBytes: 7,
      updatesPerSession: { perSecond: 7, burst: 9 },
    });
    const server = await startServer({ adminToken: 'x'.repeat(32) });
    const metrics = await readMetrics(server, 'x'.repeat(32));
    for (const name of LIMIT_NAMES) {
      expect(metrics).toContain(`cowrite_limits_reached_total{limit="${name}"} 0`);
    }
  });

  it('[CFG-3] ends the command with code 2', async () => {
    await expect(startProcess({ PORT: 'eighty' })).rejects.toThrow(
      'ended with 2: cowrite: PORT must be a whole number from 0 to 65535, not "eighty"\n',
    );
    await expect(startProcess({ STORAGE_URL: 'mysql://x' })).rejects.toThrow(
      'ended with 2: cowrite: STORAGE_URL',
    );
  });

  it('[CFG-5] with a Redis alone documents are kept there; a store that is not shared is refused beside it', () => {
    const REDIS_URL = 'redis://one:6379';
    expect(readConfig({ REDIS_URL }).storageUrl).toBe(REDIS_URL);
    const STORAGE_URL = 'postgres://two/documents';
    expect(readConfig({ REDIS_URL, STORAGE_URL }).storageUrl).toBe(STORAGE_URL);
    expect(() => readConfig({ REDIS_URL, STORAGE_URL: 'lmdb:./data' })).toThrow(
      /^REDIS_URL is for instances .* set STORAGE_URL to postgres:.*, or leave one of the two out$/,
    );
  });

  it('[CFG-6] a store that cannot be opened is one line without its password', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    const away = ['postgres', 'redis'].map((kind) => `${kind}://ada:secret@127.0.0.1:1/0`);
    for (const STORAGE_URL of [...away, `lmdb:${file}`]) {
      const error = await startProcess({ STORAGE_URL, LOG_LEVEL: 'silent' }).then(
        () => undefined,
        (reason: Error) => reason.message,
      );
      expect(error).toMatch(/ended with 1: cowrite: the store at .* cannot be used: .*\n$/);
      expect(error).not.toContain('secret');
      expect(error?.trim().split('\n')).toHaveLength(1);
    }
    const wrong = () => readConfig({ STORAGE_URL: 'postgress://ada:secret@one/documents' });
    expect(wrong).toThrow('STORAGE_URL must be');
    expect(wrong).not.toThrow('secret');
  });

  it('[CFG-4] the command ends with 0 on SIGTERM and SIGINT', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const server = await startProcess({ STORAGE_URL: 'memory:' });
      const exited = once(server.child, 'exit');
      server.child.kill(signal);
      expect(await exited).toEqual([0, null]);
    }
  });
});
