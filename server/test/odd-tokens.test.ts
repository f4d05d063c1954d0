/** Tokens that no subprotocol can hold as they are, and long ones. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { CowriteProvider } from '@cowrite/client';
import { MAX_TOKEN_BYTES } from '@cowrite/client/protocol';
import { AuthRefused, type CowriteServer, type ServerOptions } from '@cowrite/server';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { COOKIES, longToken } from './long-tokens.js';
import { socketUrl, startServer } from './support.js';
import { guarded, knock } from './visitors.js';

const ODD = [
  randomBytes(32).toString('base64'),
  `${Buffer.from('?>?>').toString('base64')}==`,
  'v2.local.abc/def',
  'user:secret',
  '{"opaque":"json","of":[1,2]}',
  '"quoted", and=with;all(of)<these>@?\\'.replace(' ', ''),
];

/** A server that lets in who brings one of these tokens, and what tokens it was shown. */
async function knowing(
  tokens: readonly string[],
  options: ServerOptions = {},
): Promise<{ server: CowriteServer; shown: (string | undefined)[] }> {
  const shown: (string | undefined)[] = [];
  const server = await startServer({
    hooks: {
      authenticate: ({ token }) => {
        shown.push(token);
        if (tokens.includes(token ?? '')) return { access: 'write', user: { id: 'ada' } };
        throw new AuthRefused('unauthenticated', 'nobody knows this token');
      },
    },
    ...options,
  });
  return { server, shown };
}

function provider(server: CowriteServer, token: string | (() => string)): CowriteProvider {
  const made = new CowriteProvider({ url: socketUrl(server), room: 'r', token, WebSocket });
  onTestFinished(() => made.destroy());
  return made;
}

describe('[AUTH] odd tokens', () => {
  it('[AUTH-30] base64 and whatever else is visible ASCII comes in as it is, as a text and of a function', async () => {
    const { server, shown } = await knowing(ODD);
    for (const token of ODD) {
      for (const source of [token, () => token]) {
        await provider(server, source).whenSynced();
        expect(shown.splice(0)).toEqual([token]);
      }
    }
  });

  it('[AUTH-30] in a subprotocol that begins so, from any client; the same token elsewhere is no second one', async () => {
    const token = 'a+b/c==';
    const { server, shown } = await knowing([token]);
    const encoded = `cowrite.token-base64url.${Buffer.from(token).toString('base64url')}`;
    // A client of y-websocket that offers nothing else is answered with it.
    expect(await knock(server, 'r', { protocols: [encoded] })).toEqual({
      status: 101,
      text: encoded,
    });
    expect((await knock(server, 'r', { protocols: [encoded, 'x'] })).text).toBe('x');
    const headers = { Authorization: `Bearer ${token}` };
    expect((await knock(server, 'r', { protocols: [encoded], headers })).status).toBe(101);
    expect(new Set(shown)).toEqual(new Set([token]));
    for (const wrong of ['a', 'YQ.', 'YR', '!', 'w7w']) {
      const protocols = [`cowrite.token-base64url.${wrong}`];
      const { status, text } = await knock(server, 'r', { protocols });
      expect([status, text], wrong).toEqual([401, expect.stringMatching(/^the token /)]);
    }
  });

  it('[AUTH-31] one of 4 to 16 KB comes in with 6 KB of cookies; who has a longer one is told so', async () => {
    const server = await guarded();
    const headers = { Cookie: COOKIES };
    const sizes = [4, 8, 12, 16];
    for (const kilobytes of sizes) {
      const protocols = ['cowrite.v1', `cowrite.token.${await longToken(kilobytes * 1024)}`];
      expect((await knock(server, 'r', { protocols, headers })).status, `${kilobytes} KB`).toBe(
        101,
      );
    }
    const protocols = [`cowrite.token.${await longToken(17 * 1024)}`];
    expect(await knock(server, 'r', { protocols, headers })).toEqual({
      status: 401,
      text: 'the token is longer than 16384 bytes',
    });
  });

  it('[AUTH-31] also one of which every character has to be encoded; the bound is exact', async () => {
    const longest = '='.repeat(MAX_TOKEN_BYTES);
    const { server, shown } = await knowing([longest]);
    const headers = { Cookie: COOKIES };
    const encoded = (token: string) =>
      `cowrite.token-base64url.${Buffer.from(token).toString('base64url')}`;
    const ask = async (token: string) =>
      (await knock(server, 'r', { protocols: ['cowrite.v1', encoded(token)], headers })).status;
    expect(await ask(longest)).toBe(101);
    expect(await ask(`${longest}=`)).toBe(401);
    expect(shown).toEqual([longest]);
    // As its page asks why, and as it goes on with a new one.
    const answer = await fetch(`${server.url}/ws/r`, {
      headers: { ...headers, Authorization: `Bearer ${longest}` },
    });
    expect(answer.status).toBe(426);
    await provider(server, longest).whenSynced();
  });

  it('[AUTH-31] headers that are longer than all that are 431, which says what is too long, and one line of log', async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const server = await startServer({ logger });
    for (let i = 0; i < 3; i++) {
      const socket = connect(server.port, '127.0.0.1');
      let answer = '';
      socket.setEncoding('latin1').on('data', (text: string) => {
        answer += text;
      });
      // The end of it may be refused before it is sent.
      socket.on('error', () => undefined);
      socket.write(`GET /ws/r HTTP/1.1\r\nHost: localhost\r\nCookie: c=${'c'.repeat(66_000)}\r\n`);
      await once(socket, 'close');
      expect(answer).toMatch(/^HTTP\/1\.1 431 /);
      expect(answer).toMatch(/the headers are longer than 65536 bytes: .*cookies, token/);
    }
    expect(lines.filter(({ status }) => status === 431)).toEqual([
      expect.objectContaining({
        msg: 'not let in',
        address: '127.0.0.1',
        reason: expect.stringMatching(/^the headers are longer than 65536 bytes/),
      }),
    ]);
  });
});
