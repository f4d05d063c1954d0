/** Who may come in, what they may do there, as whom they appear, and until when: on real sockets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { decodeMessage, encodeMessage } from '@cowrite/client/protocol';
import { createServer } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { RawClient, startProcess, startServer, synced, typed, yWebsocket } from './support.js';

import { enter, guarded, knock, presence, SECRET, shownTo, token } from './visitors.js';

const COMMAND = fileURLToPath(new URL('../bin/cowrite.js', import.meta.url));
describe('[AUTH] at the door', () => {
  it('[AUTH-6] 401 without a token that is good, 403 for a room that it does not open, before the handshake ends', async () => {
    const server = await guarded();
    const good = await token('ada', { minutes: 'write' });
    const bad = await token('ada', { minutes: 'write' }, '1h', `not ${SECRET}`);
    const expired = await token('ada', { minutes: 'write' }, '-1h');
    expect(await knock(server, 'minutes')).toEqual({ status: 401, text: 'there is no token' });
    expect((await knock(server, `minutes?token=${bad}`)).status).toBe(401);
    expect(await knock(server, `minutes?token=${expired}`)).toEqual({
      status: 401,
      text: 'the token has expired',
    });
    expect(
      (await knock(server, `minutes?token=${good}`, { protocols: [`cowrite.token.${bad}`] }))
        .status,
    ).toBe(401);
    expect(await knock(server, `other?token=${good}`)).toEqual({
      status: 403,
      text: 'this room is not open to you',
    });
    // Wherever a token may stand.
    expect((await knock(server, `minutes?token=${good}`)).status).toBe(101);
    expect(
      (await knock(server, 'minutes', { headers: { Authorization: `Bearer ${good}` } })).status,
    ).toBe(101);
    const protocols = [`cowrite.token.${good}`, 'cowrite.v1'];
    expect(await knock(server, 'minutes', { protocols })).toEqual({
      status: 101,
      text: 'cowrite.v1',
    });
    expect(await knock(server, 'minutes', { protocols: [protocols[0]!, 'x'] })).toEqual({
      status: 101,
      text: 'x',
    });
    expect((await knock(server, 'minutes', { protocols: [protocols[0]!] })).text).toBe(
      protocols[0],
    );
  });

  it('[AUTH-17] says over plain HTTP what it would say to an upgrade, also to pages that may connect', async () => {
    const server = await startServer({
      auth: { secret: SECRET },
      allowedOrigins: ['https://app.example'],
    });
    const good = await token('ada', { minutes: 'write' });
    const ask = async (room: string, shown?: string, origin?: string) => {
      const headers = new Headers();
      if (shown !== undefined) headers.set('Authorization', `Bearer ${shown}`);
      if (origin !== undefined) headers.set('Origin', origin);
      const { status, headers: said } = await fetch(`${server.url}/ws/${room}`, { headers });
      const names = ['Cowrite-Refusal', 'Access-Control-Allow-Origin', 'Cache-Control'];
      return [status, ...names.map((name) => said.get(name))];
    };
    expect(await ask('minutes')).toEqual([401, 'token', null, 'no-store']);
    expect(await ask('minutes', `${good}x`)).toEqual([401, 'token', null, 'no-store']);
    expect(await ask('other', good)).toEqual([403, 'forbidden', null, 'no-store']);
    expect(await ask('minutes', good)).toEqual([426, null, null, 'no-store']);
    expect(await ask('%ff', good)).toEqual([400, null, null, 'no-store']);
    const app = 'https://app.example';
    expect(await ask('minutes', undefined, app)).toEqual([401, 'token', app, 'no-store']);
    // Of others it tells nothing but that they may not connect (AUTH-34).
    const evil = 'https://evil.example';
    expect(await ask('minutes', good, evil)).toEqual([403, 'forbidden', '*', 'no-store']);
    const preflight = await fetch(`${server.url}/ws/minutes`, {
      method: 'OPTIONS',
      headers: { Origin: app, 'Access-Control-Request-Headers': 'Authorization' },
    });
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toBe('Authorization');
    expect(preflight.headers.get('Access-Control-Allow-Credentials')).toBe('true');
  });

  it('[AUTH-6] a name in another Unicode form is the room that the token opens, and no other', async () => {
    const server = await guarded();
    const good = await token('ada', { café: 'write' });
    expect((await knock(server, `${encodeURIComponent('cafe\u0301')}?token=${good}`)).status).toBe(
      101,
    );
    for (const name of ['Café', 'café ', 'café/', 'caf', 'café%00'.replace('%00', '\u200b')]) {
      expect((await knock(server, `${encodeURIComponent(name)}?token=${good}`)).status).toBe(403);
    }
  });

  it('[AUTH-6] a y-websocket client, unchanged, shows its token as a parameter or a subprotocol', async () => {
    const server = await guarded();
    const good = await token('ada', { '*': 'write' });
    const [one, other] = [yWebsocket(server, `room?token=${good}`), yWebsocket(server, 'room')];
    other.disconnect();
    other.protocols = [`cowrite.token.${good}`];
    other.connect();
    await Promise.all([synced(one), synced(other)]);
  });

  it('[AUTH-11] a page of another site cannot connect, whatever its token', async () => {
    const server = await guarded({ allowedOrigins: ['https://app.example'] });
    const good = await token('ada', { '*': 'write' });
    const from = async (Origin: string) =>
      (await knock(server, `room?token=${good}`, { headers: { Origin } })).status;
    expect(await from('https://evil.example')).toBe(403);
    expect(await from('null')).toBe(403);
    expect(await from('https://app.example')).toBe(101);
    expect(await from(server.url)).toBe(101);
  });

  it('[AUTH-12] without authentication only this machine can connect, by its own name', async () => {
    await expect(createServer({ port: 0, host: '0.0.0.0', storage: 'memory:' })).rejects.toThrow(
      /set auth, or say auth: 'none'/,
    );
    const local = await startServer();
    expect((await knock(local, 'room', { headers: { Host: 'rebound.example' } })).status).toBe(403);
    expect(
      (
        await knock(local, 'room', {
          headers: { Host: 'rebound.example', Origin: 'http://rebound.example' },
        })
      ).status,
    ).toBe(403);
    expect((await knock(local, 'room')).status).toBe(101);
    const open = await startServer({ host: '0.0.0.0', auth: 'none' });
    expect(
      (
        await knock({ url: `http://127.0.0.1:${open.port}` }, 'room', {
          headers: { Host: 'docs.example' },
        })
      ).status,
    ).toBe(101);
  });

  it('[AUTH-12] plain HTTP has nothing behind the door but health, files, and what the door says', async () => {
    const server = await guarded();
    for (const [path, status] of [
      ['/health', 200],
      ['/ws/minutes', 401],
      ['/', 404],
      ['/api/rooms', 403],
    ] as const) {
      const response = await new Promise<IncomingMessage>((resolve) =>
        httpRequest(`${server.url}${path}`, resolve).end(),
      );
      response.resume();
      expect([path, response.statusCode]).toEqual([path, status]);
    }
  });
});

describe('[AUTH] in the room', () => {
  it('[AUTH-7] who may only read is told so, sees everything, and changes nothing with any kind of message', async () => {
    const server = await guarded();
    const writer = await enter(server, 'minutes', await token('ada', { '*': 'write' }));
    const doc = new Y.Doc();
    await writer.join(doc);
    writer.send({ type: 'update', update: typed('agenda') });
    await writer.untilSaved(2);

    const reader = await enter(server, 'minutes', await token('bob', { '*': 'read' }));
    const seen = new Y.Doc();
    await reader.join(seen);
    expect(await reader.next('access')).toEqual({ type: 'access', access: 'read' });
    const order = reader.received.map(({ type }) => type);
    expect(order.indexOf('access')).toBeLessThan(order.indexOf('step2'));
    expect(seen.getText('t').toString()).toBe('agenda');
    for (const [n, type] of (['update', 'step2'] as const).entries()) {
      reader.send({ type, update: typed('graffiti') });
      await reader.until(
        () => reader.received.filter(({ type }) => type === 'rejected').length > n,
      );
    }
    reader.send({ type: 'queryAwareness' });
    reader.send(presence(7, { user: { name: 'Bob' } }));
    await writer.until(() => shownTo(writer).has(7));
    const later = await enter(server, 'minutes', await token('eve', { '*': 'write' }));
    const stored = new Y.Doc();
    await later.join(stored);
    expect(stored.getText('t').toString()).toBe('agenda');
    expect(later.received.some(({ type }) => type === 'access')).toBe(false);
  });

  it('[AUTH-7] readers are not shown where that is turned off', async () => {
    const server = await guarded({ areReadersPresent: false });
    const reader = await enter(server, 'minutes', await token('bob', { '*': 'read' }));
    await reader.join(new Y.Doc());
    reader.send(presence(7, { user: { name: 'Bob' } }));
    reader.send({ type: 'step2', update: Uint8Array.of(0, 0) });
    await reader.untilSaved(2);
    const writer = await enter(server, 'minutes', await token('ada', { '*': 'write' }));
    await writer.join(new Y.Doc());
    writer.send(presence(8, { user: { name: 'Ada' } }));
    await reader.until(() => shownTo(reader).has(8));
    expect([...shownTo(reader).keys()]).toEqual([8]);
  });

  it('[AUTH-8] nobody appears as somebody else', async () => {
    const server = await guarded();
    const [ada, bob] = [
      await enter(server, 'minutes', await token('ada', { '*': 'write' })),
      await enter(server, 'minutes', await token('bob', { '*': 'write' })),
    ];
    await Promise.all([ada.join(new Y.Doc()), bob.join(new Y.Doc())]);
    const claims: [number, object, unknown][] = [
      [
        1,
        { user: { id: 'ada', name: 'Ada', color: '#123456' }, cursor: 3 },
        { user: { id: 'bob', name: 'bob!', color: '#123456' }, cursor: 3 },
      ],
      [2, { user: 'ada' }, { user: { id: 'bob', name: 'bob!' } }],
      [3, { user: null }, { user: { id: 'bob', name: 'bob!' } }],
      [4, {}, { user: { id: 'bob', name: 'bob!' } }],
      [5, { user: ['ada'] }, { user: { id: 'bob', name: 'bob!' } }],
    ];
    for (const [client, state] of claims) bob.send(presence(client, state));
    // Two members of one name: some readers take the first, some the last.
    const twice = decodeMessage(encodeMessage(presence(6, { user: { id: '000' }, tail: 1 }))) as {
      update: Uint8Array;
    };
    const text = Buffer.from(twice.update)
      .toString('latin1')
      .replace('{"user":{"id":"000"},"tail":1}', '{"user":{"id":"a"},"user":{} }');
    bob.send({ type: 'awareness', update: Uint8Array.from(Buffer.from(text, 'latin1')) });
    await ada.until(() => shownTo(ada).size === 6);
    for (const [client, , shown] of claims) expect(shownTo(ada).get(client)).toEqual(shown);
    const raw = ada.received
      .map((message) =>
        message.type === 'awareness' ? Buffer.from(message.update).toString('latin1') : '',
      )
      .join('');
    expect(raw).not.toMatch(/"ada"|"id":"a"/);
    expect(shownTo(ada).get(6)).toEqual({ user: { id: 'bob', name: 'bob!' } });
  });

  it('[AUTH-8] a guest, whom the hook does not name, cannot say who it is', async () => {
    const server = await startServer({ hooks: { authenticate: () => ({ access: 'write' }) } });
    const [one, other] = [
      await RawClient.connect(server, 'room'),
      await RawClient.connect(server, 'room'),
    ];
    await Promise.all([one.join(new Y.Doc()), other.join(new Y.Doc())]);
    one.send(presence(1, { user: { id: 'x', color: '#fff' } }));
    await other.until(() => shownTo(other).has(1));
    expect(shownTo(other).get(1)).toEqual({ user: { color: '#fff' } });
  });
});

describe('[AUTH] secrets', () => {
  it('[AUTH-15] no token is in a log, whatever its level', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
    const server = await guarded({ logger });
    const good = await token('ada', { minutes: 'write' });
    const bad = await token('ada', { minutes: 'write' }, '1h', `not ${SECRET}`);
    for (const shown of [good, bad]) {
      await knock(server, `minutes?token=${shown}`);
      await knock(server, 'minutes', { headers: { Authorization: `Bearer ${shown}` } });
      await knock(server, 'other', { protocols: [`cowrite.token.${shown}`] });
    }
    const client = await enter(server, 'minutes', good);
    client.send({ type: 'token', token: bad });
    await client.untilClosed();
    const broken = await enter(server, 'minutes', good);
    broken.send({ type: 'update', update: Uint8Array.of(255) });
    await broken.untilClosed();
    expect(lines.length).toBeGreaterThan(0);
    for (const shown of [good, bad]) {
      for (const part of shown.split('.').slice(1)) expect(lines.join('')).not.toContain(part);
    }
  });

  it('[AUTH-14] the command makes tokens that the server takes, and says what it lacks', async () => {
    const run = async (args: readonly string[], AUTH_SECRET = SECRET) => {
      const child = spawn(process.execPath, [COMMAND, ...args], { env: { AUTH_SECRET } });
      const [out, errors] = [child.stdout, child.stderr].map((stream) => {
        const parts: string[] = [];
        stream.setEncoding('utf8').on('data', (part: string) => parts.push(part));
        return parts;
      });
      const [code] = await once(child, 'close');
      return { code, out: out!.join(''), errors: errors!.join('') };
    };
    const server = await guarded();
    const made = await run([
      'token',
      '--user',
      'ada',
      '--room',
      'a=b=write',
      '--room',
      'c=d=none',
      '--expires',
      '5m',
    ]);
    expect(made).toMatchObject({ code: 0, errors: '' });
    const shown = made.out.trim();
    expect((await knock(server, `a%3Db?token=${shown}`)).status).toBe(101);
    expect((await knock(server, `c%3Dd?token=${shown}`)).status).toBe(403);
    for (const [args, message, secret] of [
      [['token'], /^cowrite: --user is missing; cowrite token --help\n$/, SECRET],
      [['token', '--user', 'ada', '--room', '*'], /^cowrite: set AUTH_SECRET/, ''],
      [
        ['token', '--user', 'ada', '--room', '*', '--expires', 'soon'],
        /^cowrite: --expires soon is no span/,
        SECRET,
      ],
      [['token', '--who', 'ada'], /^cowrite: Unknown option '--who'/, SECRET],
      [['tokens'], /^cowrite: there is no command tokens; cowrite --help lists them\n$/, SECRET],
    ] as const) {
      const failed = await run(args, secret);
      expect(failed).toMatchObject({ code: 2, out: '' });
      expect(failed.errors).toMatch(message);
    }
  });

  it('[AUTH-13] the command listens elsewhere only when it is said who may come in', async () => {
    await expect(startProcess({ STORAGE_URL: 'memory:', HOST: '0.0.0.0' })).rejects.toThrow(
      /ended with 2: cowrite: HOST=0\.0\.0\.0 lets others connect.*AUTH=none\n$/,
    );
    const open = await startProcess({ STORAGE_URL: 'memory:', HOST: '0.0.0.0', AUTH: 'none' });
    await expect.poll(() => open.errors()).toContain('AUTH=none');
    const closed = await startProcess({
      STORAGE_URL: 'memory:',
      HOST: '0.0.0.0',
      AUTH_SECRET: SECRET,
    });
    const { port } = new URL(closed.url);
    const local = { url: `http://127.0.0.1:${port}` };
    expect((await knock(local, 'minutes')).status).toBe(401);
    expect(
      (await knock(local, `minutes?token=${await token('ada', { '*': 'read' })}`)).status,
    ).toBe(101);
  });
});
