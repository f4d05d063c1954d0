/** What a page of another site may use of its visitor: only what it was given by name. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startServer } from './support.js';
import { guarded, knock, SECRET, token } from './visitors.js';

const APP = 'https://app.example';
const EVIL = 'https://evil.example';
const COOKIE = 'session=ada';

/** An application that knows its people by their cookies, and keeps what it was asked with. */
async function application() {
  const asked: IncomingHttpHeaders[] = [];
  const server = createServer(({ headers }, response) => {
    asked.push(headers);
    const isKnown = headers.cookie === COOKIE || headers.authorization === 'Bearer of-ada';
    response.writeHead(isKnown ? 200 : 401, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ access: 'write', user: { id: 'ada' } }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

describe('[AUTH] cookies', () => {
  it('[AUTH-18] count for pages of this host and of origins that are named, not where only * matched', async () => {
    const app = await application();
    const server = await startServer({ auth: { url: app.url }, allowedOrigins: ['*', APP] });
    const from = async (origin: string | undefined, path = 'minutes') =>
      (
        await knock(server, path, {
          headers: { Cookie: COOKIE, ...(origin !== undefined && { Origin: origin }) },
        })
      ).status;
    for (const origin of [EVIL, 'null', 'file://', 'evil://127.0.0.1', `${APP}.evil`]) {
      expect(await from(origin), origin).toBe(401);
    }
    // It is known by what its page gives it.
    expect(await from(EVIL, 'minutes?token=of-ada')).toBe(101);
    expect(app.asked.filter(({ cookie }) => cookie !== undefined)).toEqual([]);
    for (const origin of [APP, server.url, undefined]) expect(await from(origin)).toBe(101);
  });

  it('[AUTH-18] the hook is shown none either, nor a password that a browser sends by itself', async () => {
    const shown: IncomingHttpHeaders[] = [];
    const raw: string[] = [];
    const server = await startServer({
      allowedOrigins: ['*'],
      hooks: {
        authenticate: ({ request }) => {
          shown.push(request?.headers ?? {}, request?.headersDistinct as IncomingHttpHeaders);
          raw.push(...(request?.rawHeaders ?? []));
          return { access: 'write' };
        },
      },
    });
    const headers = { Origin: EVIL, cookie: COOKIE, Authorization: 'Basic YWRhOnNlY3JldA==' };
    expect((await knock(server, 'minutes', { headers })).status).toBe(101);
    await fetch(`${server.url}/ws/minutes`, { headers });
    expect(shown).toHaveLength(4);
    for (const { cookie, authorization } of shown) {
      expect([cookie, authorization]).toEqual([undefined, undefined]);
    }
    expect(raw.join()).toContain(EVIL);
    expect(raw.join()).not.toMatch(/cookie|session|Basic/i);
    const bearer = { Origin: EVIL, Authorization: 'Bearer given' };
    expect((await knock(server, 'minutes', { headers: bearer })).status).toBe(101);
    expect(shown.at(-2)?.authorization).toBe('Bearer given');
  });

  it('[AUTH-18] the door says over plain HTTP whom it took no cookies of, and lets those pages send none', async () => {
    const app = await application();
    const server = await startServer({ auth: { url: app.url }, allowedOrigins: ['*', APP] });
    const ask = async (Origin: string, method = 'GET') => {
      const headers = { Origin, Cookie: COOKIE, 'Access-Control-Request-Headers': 'Authorization' };
      const response = await fetch(`${server.url}/ws/minutes`, { method, headers });
      const names = ['Allow-Origin', 'Allow-Credentials', 'Expose-Headers'];
      return [
        response.status,
        response.headers.get('Cowrite-Credentials'),
        ...names.map((name) => response.headers.get(`Access-Control-${name}`)),
      ];
    };
    const exposed = 'Cowrite-Refusal,Cowrite-Credentials,Retry-After';
    expect(await ask(EVIL)).toEqual([401, 'ignored', '*', null, exposed]);
    expect(await ask('null')).toEqual([401, 'ignored', '*', null, exposed]);
    expect(await ask(APP)).toEqual([426, null, APP, 'true', exposed]);
    expect((await ask(EVIL, 'OPTIONS')).slice(2, 4)).toEqual(['*', null]);
    expect((await ask(APP, 'OPTIONS')).slice(2, 4)).toEqual([APP, 'true']);
    expect(app.asked.filter(({ cookie }) => cookie !== undefined)).toHaveLength(1);
  });

  it('[AUTH-19] a page of this host is one that was fetched over HTTP from it, on the same port', async () => {
    const server = await guarded();
    const good = await token('ada', { '*': 'write' });
    const from = async (Origin: string, Host: string) =>
      (await knock(server, `room?token=${good}`, { headers: { Origin, Host } })).status;
    expect(await from('https://docs.example', 'docs.example:443')).toBe(101);
    expect(await from('http://docs.example', 'docs.example:80')).toBe(101);
    expect(await from('https://docs.example', 'docs.example')).toBe(101);
    expect(await from('https://docs.example:8443', 'docs.example')).toBe(403);
    expect(await from('https://docs.example', 'docs.example:8443')).toBe(403);
    for (const scheme of ['evil', 'capacitor', 'chrome-extension', 'file']) {
      expect(await from(`${scheme}://localhost`, 'localhost'), scheme).toBe(403);
    }
    const app = await startServer({
      auth: { secret: SECRET },
      allowedOrigins: ['capacitor://localhost'],
    });
    const headers = { Origin: 'capacitor://localhost', Host: 'docs.example' };
    expect((await knock(app, `room?token=${good}`, { headers })).status).toBe(101);
  });
});
