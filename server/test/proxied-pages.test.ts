/** Pages behind proxies that change the `Host`, or are not trusted: what is believed, and what the log and the page are told. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { CowriteServer, ServerOptions } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { TrustedProxies } from '../src/address.js';
import { ManualClock } from '../src/clock.js';
import { Doors, type DoorsOptions } from '../src/doors.js';
import { startServer } from './support.js';
import { guarded, knock, token } from './visitors.js';

const PAGE = 'https://docs.example';

type Line = Readonly<Record<string, unknown>>;

/** A logger, and what it has written. */
function overheard() {
  const lines: Line[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const saying = (msg: string) => lines.filter((line) => line.msg === msg);
  return { logger, lines, saying };
}

async function open(options: ServerOptions = {}) {
  const heard = overheard();
  const server = await guarded({ logger: heard.logger, ...options });
  const good = await token('ada', { '*': 'write' });
  const from = async (headers: Record<string, string>, room = 'r') =>
    await knock(server, `${room}?token=${good}`, { headers });
  return { ...heard, server, good, from };
}

/** As a page asks why; `fetch` of Node names its own host. */
async function ask(
  server: CowriteServer,
  headers: Record<string, string>,
  method = 'GET',
  room = 'r',
) {
  const asked = request(`${server.url}/ws/${room}`, { method, headers });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const part of answer) text += part;
  return { status: answer.statusCode, headers: answer.headers, text: text.trim() };
}

describe('[AUTH] behind a proxy', () => {
  it('[AUTH-33] a trusted one is believed what host the page named; what others say of it is not', async () => {
    const { from } = await open({ trustedProxies: ['loopback'] });
    const Host = 'cowrite:8080';
    const told = { Host, Origin: PAGE, 'X-Forwarded-Host': 'docs.example' };
    expect((await from(told)).status).toBe(101);
    expect((await from({ ...told, 'X-Forwarded-Host': 'docs.example., inner' })).status).toBe(101);
    expect((await from({ ...told, 'X-Forwarded-Host': 'docs.example:443' })).status).toBe(101);
    expect((await from({ ...told, 'X-Forwarded-Host': 'other.example' })).status).toBe(403);
    // It says which host it was, in the place of the one that it asked.
    const other = { Host: 'docs.example', Origin: PAGE, 'X-Forwarded-Host': 'other.example' };
    expect((await from(other)).status).toBe(403);
    expect((await from({ Host, Origin: PAGE, 'X-Forwarded-Host': '' })).status).toBe(403);
    const untrusted = await open();
    expect((await untrusted.from(told)).status).toBe(403);
    expect((await untrusted.from({ ...told, Host: 'docs.example' })).status).toBe(101);
  });

  it('[AUTH-33] without authentication a foreign name is refused also where a trusted proxy passes it on', async () => {
    const { logger, saying } = overheard();
    const server = await startServer({ trustedProxies: ['loopback'], logger });
    const foreign = { 'X-Forwarded-Host': 'rebound.example' };
    expect((await knock(server, 'r', { headers: foreign })).status).toBe(403);
    expect(saying('not let in')).toEqual([expect.objectContaining({ host: 'rebound.example' })]);
    const own = { 'X-Forwarded-Host': 'localhost:3000', Origin: 'http://localhost:3000' };
    expect((await knock(server, 'r', { headers: own })).status).toBe(101);
  });

  it('[AUTH-34] one line of log names the page, the host that it was compared with, and the setting', async () => {
    const { from, saying } = await open();
    const Host = 'cowrite:8080';
    // The same in every room, and for everybody.
    for (const room of ['a', 'b', 'c']) await from({ Host, Origin: PAGE }, room);
    expect(saying('not let in')).toEqual([
      expect.objectContaining({
        status: 403,
        origin: PAGE,
        host: Host,
        hint: expect.stringMatching(
          /set ALLOWED_ORIGINS=https:\/\/docs\.example, or .*proxy_set_header Host \$http_host/,
        ),
      }),
    ]);
    expect(saying('not let in')[0]).not.toHaveProperty('room');
    await from({ Host, Origin: PAGE, 'X-Forwarded-Host': 'docs.example' });
    expect(saying('not let in')[1]).toMatchObject({
      host: Host,
      forwardedHost: 'docs.example',
      hint: expect.stringContaining('set TRUSTED_PROXIES=127.0.0.1 to believe it'),
    });
    await from({ Host, Origin: 'capacitor://localhost' });
    await from({ Host, Origin: 'null' });
    expect(saying('not let in').map(({ hint }) => hint)).toEqual([
      expect.anything(),
      expect.anything(),
      'if this page is yours, set ALLOWED_ORIGINS=capacitor://localhost',
      expect.stringContaining('ALLOWED_ORIGINS cannot name files and sandboxed pages'),
    ]);
    const long = `https://${'x'.repeat(5_000)}.example`;
    await from({ Host, Origin: long });
    expect(JSON.stringify(saying('not let in')[4]).length).toBeLessThan(2_000);
  });

  it('[AUTH-34] the page can read why, also of another origin, and also where its browser does not say which it is', async () => {
    const { server, good } = await open();
    const Host = 'cowrite:8080';
    const Authorization = `Bearer ${good}`;
    const why = {
      status: 403,
      text: 'pages of https://docs.example may not connect (ALLOWED_ORIGINS)',
      headers: expect.objectContaining({ 'cowrite-refusal': 'forbidden' }),
    };
    const far = await ask(server, { Origin: PAGE, Host, Authorization });
    expect(far).toEqual(why);
    expect(far.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-expose-headers': expect.stringContaining('Cowrite-Refusal'),
      'cowrite-credentials': 'ignored',
    });
    expect(far.headers).not.toHaveProperty('access-control-allow-credentials');
    // What is refused for another reason, such as a store that is full, it cannot read.
    const { status, headers } = await ask(server, { Origin: PAGE, Host }, 'GET', 'a*');
    expect([status, headers['access-control-allow-origin']]).toEqual([400, undefined]);
    const asked = { Origin: PAGE, Host, 'Access-Control-Request-Headers': 'authorization' };
    const preflight = await ask(server, asked, 'OPTIONS');
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'Authorization',
    });
    // To its own host, as it takes it, a browser sends no `Origin`.
    expect(await ask(server, { 'Cowrite-Origin': PAGE, Host, Authorization })).toEqual(why);
    const own = { 'Cowrite-Origin': PAGE, Host: 'docs.example', Authorization };
    expect((await ask(server, own)).status).toBe(426);
    // What the browser says counts.
    const both = { 'Cowrite-Origin': PAGE, Origin: 'https://evil.example', Host: 'docs.example' };
    expect((await ask(server, { ...both, Authorization })).status).toBe(403);
  });

  it('[AUTH-36] that a proxy is not trusted is said once, at its first request', async () => {
    const { from, saying, lines } = await open();
    const Host = 'docs.example';
    await from({ Host });
    expect(lines.filter(({ level }) => level === 40)).toEqual([]);
    for (let i = 0; i < 5; i++) {
      await from({ Host, 'X-Forwarded-For': `203.0.113.${i}`, 'X-Forwarded-Host': 'x' });
    }
    expect(lines.filter(({ level }) => level === 40)).toEqual([
      expect.objectContaining({
        address: '127.0.0.1',
        header: 'x-forwarded-for',
        setting: 'TRUSTED_PROXIES=127.0.0.1',
        msg: expect.stringMatching(/^a proxy is not trusted: .*count as one address$/),
      }),
    ]);
    const trusting = await open({ trustedProxies: ['loopback'] });
    await trusting.from({ Host, 'X-Forwarded-For': '203.0.113.1' });
    expect(trusting.lines.filter(({ level }) => level === 40)).toEqual([]);
    expect(saying('not let in')).toEqual([]);
  });

  it('[AUTH-36] that a trusted proxy names no client is said once, and so at the bounds of its address', async () => {
    for (const headers of [
      { 'X-Forwarded-For': 'unknown' },
      { 'X-Forwarded-For': '203.0.113.1, ' },
      { 'X-Real-IP': '203.0.113.1' },
    ]) {
      const { from, lines } = await open({ trustedProxies: ['loopback'] });
      const [[name, value]] = Object.entries(headers) as [[string, string]];
      for (let i = 0; i < 3; i++) await from(headers);
      expect(lines.filter(({ level }) => level === 40)).toEqual([
        expect.objectContaining({
          address: '127.0.0.1',
          header: name.toLowerCase(),
          value: expect.stringContaining(value.trim()),
          hint: expect.stringContaining('X-Forwarded-For $proxy_add_x_forwarded_for'),
          msg: expect.stringMatching(/^a proxy in TRUSTED_PROXIES names no client .*one address$/),
        }),
      ]);
    }
    const { from, saying } = await open({
      trustedProxies: ['loopback', '10.0.0.0/8'],
      limits: { attemptsPerAddress: { perSecond: 1, burst: 1 } },
    });
    for (let i = 0; i < 3; i++) await from({ 'X-Forwarded-For': '10.0.0.7' });
    expect(saying('not let in')).toEqual([
      expect.objectContaining({ hint: expect.stringMatching(/^this address is in TRUSTED_PROX/) }),
    ]);
  });

  it('[AUTH-34] a trusted proxy that passes Host on and says another one is told to say the same', async () => {
    const { from, saying } = await open({ trustedProxies: ['loopback'] });
    const headers = { Host: 'docs.example', Origin: PAGE, 'X-Forwarded-Host': 'inner' };
    expect((await from(headers)).status).toBe(403);
    expect(saying('not let in')).toEqual([
      expect.objectContaining({
        host: 'inner',
        hint: expect.stringMatching(/says another one in X-Forwarded-Host, which counts/),
      }),
    ]);
  });

  it('[AUTH-36] everybody behind one address who is too many is one line of log, of IPv6 by its net', async () => {
    const clock = new ManualClock();
    const { from, saying } = await open({
      clock,
      trustedProxies: ['loopback'],
      limits: { attemptsPerAddress: { perSecond: 1, burst: 1 } },
    });
    for (let i = 1; i <= 50; i++) {
      await from({ 'X-Forwarded-For': '203.0.113.1' }, `room ${i}`);
      await from({ 'X-Forwarded-For': `2001:db8::${i}` }, `room ${i}`);
    }
    expect(saying('not let in')).toEqual(
      ['203.0.113.1', '2001:db8:0:0::/64'].map((address) =>
        expect.objectContaining({
          address,
          status: 429,
          reason: 'too many attempts from your address',
          hint: expect.stringContaining('set TRUSTED_PROXIES'),
        }),
      ),
    );
  });

  it('[AUTH-36] so are sockets that are closed unread because an address has too many', () => {
    const { logger, saying } = overheard();
    const proxies = new TrustedProxies([]);
    const options: Partial<DoorsOptions> = { clock: new ManualClock(), logger, proxies };
    const doors = new Doors(options as DoorsOptions);
    for (let i = 1; i <= 50; i++) doors.tooManySockets(`2001:db8::${i}`);
    expect(saying('not let in')).toEqual([
      expect.objectContaining({
        address: '2001:db8:0:0::/64',
        reason: 'too many sockets of this address',
        hint: expect.stringContaining('set TRUSTED_PROXIES'),
      }),
    ]);
  });
});
