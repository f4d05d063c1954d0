/** How many may come in, from where and as whom. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { ManualClock } from '../src/clock.js';
import { readConfig } from '../src/config.js';
import { ADMIN, governed } from './administrator.js';
import { served, socketUrl, startServer, typed } from './support.js';

/** Knocks from an address, as a proxy on this machine says. @returns the socket, or the status it was refused with */
async function from(
  server: { url: string },
  address: string,
  query = '',
): Promise<WebSocket | number> {
  const socket = new WebSocket(`${socketUrl(server)}/room${query}`, {
    headers: { 'X-Forwarded-For': address },
  });
  onTestFinished(() => socket.terminate());
  socket.on('error', () => undefined);
  return await new Promise((resolve) => {
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (_, response) => {
      response.resume();
      resolve(response.statusCode!);
    });
  });
}

const statusOf = (answer: WebSocket | number) => (typeof answer === 'number' ? answer : 101);

async function leave(socket: WebSocket | number | undefined): Promise<void> {
  if (!(socket instanceof WebSocket)) throw new Error('nobody is there');
  socket.terminate();
  await once(socket, 'close');
}

describe('[LIM] the crowd', () => {
  it('[LIM-3] is bounded in all, by address and by user, and a place is free again once it is left', async () => {
    const server = await startServer({
      trustedProxies: ['loopback'],
      limits: { maxConnections: 5, maxConnectionsPerAddress: 2, maxConnectionsPerUser: 3 },
      hooks: {
        authenticate: ({ token }) => ({ access: 'write', user: { id: token ?? 'anybody' } }),
      },
    });
    const here = [
      await from(server, '192.0.2.1', '?token=a'),
      await from(server, '192.0.2.1', '?token=b'),
    ];
    expect(here.map(statusOf)).toEqual([101, 101]);
    expect(await from(server, '192.0.2.1', '?token=c')).toBe(429);
    here.push(
      await from(server, '192.0.2.2', '?token=a'),
      await from(server, '192.0.2.3', '?token=a'),
    );
    expect(here.map(statusOf)).toEqual([101, 101, 101, 101]);
    expect(await from(server, '192.0.2.4', '?token=a')).toBe(429);
    here.push(await from(server, '192.0.2.4', '?token=d'));
    expect(await from(server, '192.0.2.5', '?token=e')).toBe(503);
    for (const socket of here) await leave(socket);
    const again = ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
    for (const [n, address] of again.entries()) {
      // The server hears of a socket's end a moment after its client.
      let answer = await from(server, address, `?token=${n}`);
      while (typeof answer === 'number') answer = await from(server, address, `?token=${n}`);
    }
  });

  it('[LIM-3] those who are refused take no place', async () => {
    const server = await startServer({
      trustedProxies: ['loopback'],
      limits: { maxConnectionsPerAddress: 1 },
      hooks: { authenticate: ({ token }) => ({ access: token === 'in' ? 'write' : 'none' }) },
    });
    for (let i = 0; i < 5; i++) expect(await from(server, '192.0.2.1')).toBe(403);
    expect(statusOf(await from(server, '192.0.2.1', '?token=in'))).toBe(101);
  });

  it('[LIM-4] who tries too often has to wait, whether or not it would be let in', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const server = await startServer({
      clock,
      trustedProxies: ['loopback'],
      limits: { attemptsPerAddress: { perSecond: 1, burst: 3 } },
      hooks: {
        authenticate: () => {
          asked++;
          return { access: 'none' };
        },
      },
    });
    const knock = async (address: string) => statusOf(await from(server, address));
    const answers: number[] = [];
    for (let i = 0; i < 5; i++) answers.push(await knock('192.0.2.1'));
    expect(answers).toEqual([403, 403, 403, 429, 429]);
    expect(asked).toBe(3);
    expect(await knock('192.0.2.2')).toBe(403);
    // One who has many addresses of IPv6 is one.
    for (const n of [1, 2, 3]) expect(await knock(`2001:db8::${n}`)).toBe(403);
    expect(await knock('2001:db8::4')).toBe(429);
    clock.advance(1_000);
    expect(await knock('192.0.2.1')).toBe(403);
  });

  it('[LIM-3] [LIM-4] who is one too many is told when to come again, pages that ask over plain HTTP as well', async () => {
    const app = 'https://app.example';
    const server = await startServer({
      clock: new ManualClock(),
      allowedOrigins: [app],
      trustedProxies: ['loopback'],
      limits: {
        maxConnectionsPerAddress: 2,
        maxRoomsPerUser: 1,
        attemptsPerAddress: { perSecond: 1, burst: 4 },
      },
      hooks: { authenticate: ({ token }) => ({ access: 'write', user: { id: token ?? 'any' } }) },
    });
    const ask = async (room: string, address: string, token: string) => {
      const said = await fetch(`${server.url}/ws/${room}`, {
        headers: { 'X-Forwarded-For': address, Authorization: `Bearer ${token}`, Origin: app },
      });
      const names = ['Retry-After', 'Access-Control-Expose-Headers'];
      return [said.status, await said.text(), ...names.map((name) => said.headers.get(name))];
    };
    const named = expect.stringContaining('Retry-After');
    expect(statusOf(await from(server, '192.0.2.1', '?token=ada'))).toBe(101);
    // Nothing that is asked takes a place.
    for (const address of ['192.0.2.2', '192.0.2.3', '192.0.2.4']) {
      expect(await ask('room', address, 'ada')).toEqual([426, expect.anything(), null, named]);
      const answer = await ask('other', address, 'ada');
      expect(answer).toEqual([429, 'too many rooms of yours are open\n', '5', named]);
    }
    const response = await new Promise<IncomingMessage>((resolve) => {
      const headers = { 'X-Forwarded-For': '192.0.2.5' };
      const socket = new WebSocket(`${socketUrl(server)}/other?token=ada`, { headers });
      socket.on('error', () => undefined);
      socket.once('unexpected-response', (_, refused) => resolve(refused.resume()));
    });
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe('5');
    expect(statusOf(await from(server, '192.0.2.1', '?token=bob'))).toBe(101);
    const crowded = 'too many connections from your address\n';
    expect(await ask('room', '192.0.2.1', 'eve')).toEqual([429, crowded, '5', named]);
    await ask('room', '192.0.2.1', 'eve');
    const hasty = 'too many attempts from your address\n';
    expect(await ask('room', '192.0.2.1', 'eve')).toEqual([429, hasty, '5', named]);
  });

  it('[LIM-4] nobody can say that they are somebody else unless their proxy is trusted', async () => {
    const server = await startServer({
      limits: { attemptsPerAddress: { perSecond: 1, burst: 1 } },
    });
    for (let i = 0; i < 5; i++) expect(statusOf(await from(server, '192.0.2.1'))).toBe(101);
    await expect(startServer({ trustedProxies: ['my proxy'] })).rejects.toThrow(TypeError);
  });

  it('[LIM-5] a connection without a request is kept for longer than proxies keep theirs', async () => {
    const kept = async ({ url }: { url: string }) =>
      (await fetch(`${url}/health`)).headers.get('keep-alive');
    expect(await kept(await startServer())).toBe('timeout=75');
    const { limits } = readConfig({ KEEP_ALIVE_SECONDS: '90' });
    expect(await kept(await startServer({ limits }))).toBe('timeout=90');
    for (const KEEP_ALIVE_SECONDS of ['0', '-1', 'long', '3601']) {
      expect(() => readConfig({ KEEP_ALIVE_SECONDS })).toThrow('seconds from 1 to 3600');
    }
  });

  it('[LIM-5] a request that does not come to an end is cut off', async () => {
    const server = await startServer({ limits: { handshakeMs: 200 } });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write('GET /ws/room HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('[LIM-5] also one whose sender never closes its side', async () => {
    const server = await startServer({ limits: { handshakeMs: 200 } });
    const socket = connect({
      port: Number(new URL(server.url).port),
      host: '127.0.0.1',
      allowHalfOpen: true,
    });
    onTestFinished(() => void socket.destroy());
    socket.write('GET /ws/room HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ');
    socket.resume();
    await once(socket, 'end');
    // A server that still has the socket would take what comes, for as long as it comes.
    const error = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    const more = setInterval(() => socket.write('x'), 10);
    onTestFinished(() => clearInterval(more));
    expect((await error).code).toMatch(/EPIPE|ECONNRESET/);
  });

  it('[LIM-20] a document reaches the API on a slow line, and one that stops on its way is cut off', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const server = await governed({ clock });
    /** Nine seconds after each part. */
    const put = async (parts: readonly Uint8Array[], length: number): Promise<string> => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      let answer = '';
      socket.setEncoding('latin1').on('data', (text: string) => {
        answer += text;
      });
      const closed = once(socket, 'close');
      const head = [
        'PUT /api/rooms/room/document HTTP/1.1',
        'Host: localhost',
        'Connection: close',
      ];
      const headers = [...head, `Authorization: Bearer ${ADMIN}`, `Content-Length: ${length}`];
      for (const part of [`${headers.join('\r\n')}\r\n\r\n`, ...parts]) {
        await new Promise((resolve) => socket.write(part, resolve));
        // What the kernel has taken is read in the next turns of the loop.
        for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve));
        clock.advance(9_000);
      }
      const isWhole = parts.length === length;
      while (!(await Promise.race([closed.then(() => true), tick()]))) {
        if (!isWhole) clock.advance(1_000);
      }
      return answer;
    };
    const body = typed('as good as a book');
    const parts = Array.from(body, (byte) => Uint8Array.of(byte));
    expect(await put(parts, body.length)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await put(parts.slice(0, 3), body.length)).toMatch(/^HTTP\/1\.1 408 /);
    expect((await served(server, 'room')).getText('t').toString()).toBe('as good as a book');
  });

  it('[LIM-21] who is refused while a body is on its way is told so behind it, on a connection that stays', async () => {
    const server = await governed();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    const half = Buffer.alloc(300_000);
    const name = 'x'.repeat(300);
    for (const length of ['Content-Length: 600000', 'Transfer-Encoding: chunked']) {
      answer = '';
      const isChunked = length.startsWith('Transfer');
      const send = (bytes: Buffer) =>
        new Promise((resolve) => {
          if (isChunked) socket.write(`${bytes.length.toString(16)}\r\n`);
          socket.write(bytes);
          socket.write(isChunked ? '\r\n' : '', resolve);
        });
      socket.write(`PUT /api/rooms/${name}/document HTTP/1.1\r\nHost: localhost\r\n`);
      socket.write(`Authorization: Bearer ${ADMIN}\r\n${length}\r\n\r\n`);
      await send(half);
      // Others are answered long since.
      for (let i = 0; i < 5; i++) expect((await fetch(`${server.url}/health/live`)).ok).toBe(true);
      expect(answer).toBe('');
      await send(half);
      if (isChunked) socket.write('0\r\n\r\n');
      await vi.waitUntil(() => answer.includes('bad-request'));
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    }
    answer = '';
    socket.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await vi.waitUntil(() => answer.endsWith('ok\n'));
    // Larger than any body may be: why wait?
    answer = '';
    socket.write(`PUT /api/rooms/room/document HTTP/1.1\r\nHost: localhost\r\n`);
    socket.write(`Authorization: Bearer ${ADMIN}\r\nContent-Length: 6000000000\r\n\r\n`);
    await vi.waitUntil(() => answer.includes('too-large'));
  });

  it('[LIM-5] a client about which nobody can decide is not kept waiting for ever', async () => {
    const clock = new ManualClock();
    const server = await startServer({
      clock,
      hooks: { authenticate: () => new Promise(() => undefined) },
    });
    const answer = from(server, '192.0.2.1');
    let status: number | undefined;
    void answer.then((result) => {
      status = statusOf(result);
    });
    while (status === undefined) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(status).toBe(503);
  });
});

async function tick(): Promise<false> {
  await new Promise<void>((resolve) => setTimeout(resolve));
  return false;
}
