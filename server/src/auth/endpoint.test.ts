import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '../clock.js';
import { Endpoint } from './endpoint.js';

interface Asked {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** An application that answers as it is told to. */
async function application(status = 200, answer: unknown = { access: 'write' }) {
  const asked: Asked[] = [];
  const next = { status, answer, headers: {} as Record<string, string> };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      asked.push({ request, body });
      response.writeHead(next.status, next.headers).end(JSON.stringify(next.answer));
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
  const clock = new ManualClock();
  const url = `http://127.0.0.1:${port}/who`;
  return { asked, next, clock, lines, endpoint: new Endpoint({ url, clock, logger }) };
}

const QUESTION = { room: 'minutes', token: 'opaque-secret', cookie: 'session=sesame' };

describe('[AUTH] the application is asked', () => {
  it('[AUTH-5] with the token, the cookies and the room; its answer is who that is', async () => {
    const expiresAt = '2030-01-02T03:04:05Z';
    const user = { id: 'ada', name: 'Ada' };
    const { endpoint, asked } = await application(200, { user, access: 'read', expiresAt });
    expect(await endpoint.ask(QUESTION)).toEqual({
      user,
      access: 'read',
      expiresAt: new Date(expiresAt),
    });
    const [{ request, body }] = asked as [Asked];
    expect(request.method).toBe('POST');
    expect(request.headers).toMatchObject({
      authorization: 'Bearer opaque-secret',
      cookie: 'session=sesame',
    });
    expect(JSON.parse(body)).toEqual({ room: 'minutes' });
  });

  it('[AUTH-5] 401 and 403 are refusals; everything else says nothing, and no token is logged', async () => {
    const { endpoint, next, lines, clock } = await application();
    const kinds: unknown[] = [];
    for (const status of [401, 403, 500, 503, 404, 429, 302]) {
      next.status = status;
      next.headers = status === 302 ? { Location: 'http://127.0.0.1:1/' } : {};
      clock.advance(60_000);
      kinds.push(await endpoint.ask(QUESTION).catch(({ kind }) => kind));
    }
    for (const answer of [
      { access: 'admin' },
      {},
      'write',
      { access: 'write', user: { id: '' } },
    ]) {
      Object.assign(next, { status: 200, answer, headers: {} });
      kinds.push(await endpoint.ask(QUESTION).catch(({ kind }) => kind));
    }
    expect(kinds).toEqual(['unauthenticated', 'forbidden', ...Array(9).fill('unavailable')]);
    // Once that it has begun, and once, at the 401 and 403, that it had not.
    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toMatch(/opaque-secret|sesame/);
  });

  it('[AUTH-23] what one client can cause is no outage, and is told once a minute', async () => {
    const { endpoint, next, lines, clock } = await application();
    const said = () => lines.splice(0).map((line) => JSON.parse(line));
    const ask = async (cookie: string) =>
      await endpoint.ask({ ...QUESTION, cookie }).then(
        () => 'in',
        ({ kind }) => kind,
      );
    let cookies = 0;
    const one = async (status: number, answer: unknown = { access: 'write' }) => {
      Object.assign(next, {
        ...{ status, answer },
        headers: status < 400 && status >= 300 ? { Location: 'http://127.0.0.1:1/' } : {},
      });
      return await ask(`sesame-${cookies++}`);
    };
    for (const status of [400, 404, 405, 408, 413, 422, 429, 431, 302, 307, 204]) {
      expect([status, await one(status)]).toEqual([status, 'unavailable']);
      // Others come in meanwhile.
      expect(await one(200)).toBe('in');
    }
    for (const answer of [{}, { access: 'write', user: { id: 'x'.repeat(1_000) } }]) {
      expect(await one(200, answer)).toBe('unavailable');
    }
    const [line, ...more] = said();
    expect(more).toEqual([]);
    expect(line).toMatchObject({ level: 40, reason: 'it answered with 400' });
    expect(line.msg).toContain('AUTH_URL');
    clock.advance(60_000);
    await one(404);
    expect(said()).toMatchObject([{ level: 40, reason: 'it answered with 404', more: 12 }]);
    // An outage begins and ends once, whatever single clients are answered meanwhile.
    await one(503);
    clock.advance(60_000);
    for (const status of [400, 500, 404]) await one(status);
    await one(200);
    expect(said().map(({ msg }) => msg)).toEqual([
      'AUTH_URL gives no answer that can be used',
      'AUTH_URL answers again',
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/opaque-secret|sesame/);
  });

  it('[AUTH-5] an answer holds for some seconds, for the same question; no answer is asked for again at once', async () => {
    const { endpoint, asked, next, clock } = await application();
    await Promise.all([1, 2, 3].map(() => endpoint.ask(QUESTION)));
    expect(asked).toHaveLength(1);
    await endpoint.ask({ ...QUESTION, room: 'other' });
    await endpoint.ask({ ...QUESTION, token: undefined });
    await endpoint.ask({ ...QUESTION, cookie: undefined });
    expect(asked).toHaveLength(4);
    clock.advance(10_001);
    next.status = 403;
    await expect(endpoint.ask(QUESTION)).rejects.toMatchObject({ kind: 'forbidden' });
    await expect(endpoint.ask(QUESTION)).rejects.toMatchObject({ kind: 'forbidden' });
    expect(asked).toHaveLength(5);
    clock.advance(10_001);
    next.status = 500;
    await expect(endpoint.ask(QUESTION)).rejects.toMatchObject({ kind: 'unavailable' });
    next.status = 200;
    expect(await endpoint.ask(QUESTION)).toMatchObject({ access: 'write' });
    expect(asked).toHaveLength(7);
  });

  it('[AUTH-20] an answer is not remembered beyond what it allows', async () => {
    const { endpoint, asked, next, clock } = await application();
    const expiresAt = (ms: number) => ({ access: 'write', expiresAt: new Date(ms).toISOString() });
    next.answer = expiresAt(3_000);
    await endpoint.ask(QUESTION);
    clock.advance(3_000);
    next.answer = expiresAt(9_000);
    expect(await endpoint.ask(QUESTION)).toMatchObject({ expiresAt: new Date(9_000) });
    expect(await endpoint.ask(QUESTION)).toMatchObject({ expiresAt: new Date(9_000) });
    expect(asked).toHaveLength(2);
  });

  it('[AUTH-5] who cannot be reached says nothing', async () => {
    const logger = pino({ level: 'silent' });
    const endpoint = new Endpoint({ url: 'http://127.0.0.1:1/', clock: new ManualClock(), logger });
    await expect(endpoint.ask(QUESTION)).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
