/** On an HTTP server that the application has: rooms, and nothing that is not Cowrite's. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { createServer as create, type ServerOptions } from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import * as Y from 'yjs';
import { RawClient, startServer, typed } from './support.js';

const ADMIN = 'x'.repeat(32);

async function application(listener?: RequestListener): Promise<{ http: Server; url: string }> {
  const http = createServer(listener).listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(() => {
    http.close();
    http.closeAllConnections();
  });
  return { http, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

const answering: RequestListener = ({ url }, response) => void response.end(`the app: ${url}`);
const textAt = async (url: string) => await (await fetch(url)).text();

/** Writes into a room, and reads it with another client. */
async function writeAndRead(rooms: string, text: string): Promise<string> {
  const open = async () => {
    const client = await RawClient.connect({ url: rooms.replace(/\/ws$/, '') }, 'a/b');
    const doc = new Y.Doc();
    await client.join(doc);
    return { client, doc };
  };
  const { client } = await open();
  client.send({ type: 'update', update: typed(text) });
  await client.untilSaved(2);
  return (await open()).doc.getText('t').toString();
}

/** What is said to these bytes, until the connection ends. */
async function say(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write(bytes);
  let text = '';
  for await (const piece of socket.setEncoding('latin1')) text += piece;
  return text;
}

/** The status with which a WebSocket is refused, or 101. */
async function knock(url: string): Promise<number> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  onTestFinished(() => socket.terminate());
  socket.on('error', () => undefined);
  return await new Promise((resolve) => {
    socket.once('open', () => resolve(101));
    socket.once('unexpected-response', (_, { statusCode }) => resolve(statusCode!));
  });
}

describe('[RUN] on a server of the application', () => {
  it('[RUN-5] rooms are at /ws, and every other request is the application’s', async () => {
    const { http, url } = await application(answering);
    const server = await startServer({ server: http });
    expect([server.url, server.port]).toEqual([url, Number(new URL(url).port)]);
    expect(await writeAndRead(`${url}/ws`, 'hello')).toBe('hello');
    for (const path of ['/', '/health', '/api/rooms', '/ws', '/wsx/room', '/a/ws/room']) {
      expect(await textAt(url + path), path).toBe(`the app: ${path}`);
    }
    // A page asks this why its upgrade was refused.
    const asked = await fetch(`${url}/ws/room`, { headers: { Origin: url } });
    expect([asked.status, asked.headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(asked.headers.get('access-control-allow-origin')).toBe(url);
  });

  it('[RUN-5] [ROOM-6] the path of rooms leads to nothing else of Cowrite’s', async () => {
    const { http, url } = await application(answering);
    await startServer({ server: http, path: '/my/rooms', adminToken: ADMIN });
    const authorization = `Authorization: Bearer ${ADMIN}`;
    for (const path of ['/my/rooms/../api/rooms', '/my/rooms/%2e%2e/metrics', '/my/rooms/..']) {
      const asked = `GET ${path} HTTP/1.1\r\nHost: x\r\n${authorization}\r\nConnection: close\r\n\r\n`;
      expect(await say(url, asked), path).toMatch(/^HTTP\/1.1 400 /);
    }
  });

  it('[RUN-5] at another path, before the application listens, and with a listener that it adds later', async () => {
    const http = createServer();
    const server = await startServer({ server: http, path: '/my/rooms' });
    expect([server.url, server.port]).toEqual(['', 0]);
    http.on('request', answering);
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    onTestFinished(() => void http.close());
    const { url } = server;
    const room = await RawClient.connect({ url }, 'room');
    expect(room.socket.readyState).not.toBe(WebSocket.OPEN);
    expect(await knock(`${url}/my/rooms/room`)).toBe(101);
    expect((await fetch(`${url}/my/rooms/room`)).status).toBe(426);
    expect(await textAt(`${url}/my`)).toBe('the app: /my');
    expect(await textAt(`${url}/ws/room`)).toBe('the app: /ws/room');
  });

  it('[RUN-5] others’ WebSockets are theirs, and offers that nobody takes are answered', async () => {
    const { http, url } = await application(answering);
    await startServer({ server: http });
    const offer = (path: string, rest = '') =>
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n${rest}\r\n`;
    expect(await say(url, offer('/plain'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*the app: \/plain/);
    const body = 'Content-Length: 2\r\n';
    expect(await say(url, `${offer('/body', body)}{}`)).toMatch(
      /^HTTP\/1\.1 200 [\s\S]*the app: \/body/,
    );
    expect(await knock(`${url}/elsewhere`)).toBe(200);

    const others = new WebSocketServer({ noServer: true });
    http.on('upgrade', (request, socket, head) => {
      if (request.url !== '/echo') return;
      others.handleUpgrade(request, socket, head, (echo) =>
        echo.on('message', (m) => echo.send(m)),
      );
    });
    const echo = new WebSocket(`${url.replace('http', 'ws')}/echo`);
    onTestFinished(() => echo.terminate());
    await once(echo, 'open');
    echo.send('back');
    expect(String((await once(echo, 'message'))[0])).toBe('back');
    expect(await writeAndRead(`${url}/ws`, 'hello')).toBe('hello');
  });

  it('[RUN-5] what else a server answers is where the application puts it', async () => {
    const { http, url } = await application((request, response) => {
      const [, path] = /^\/cowrite(\/.*)$/.exec(request.url ?? '') ?? [];
      if (path === undefined) return answering(request, response);
      request.url = path;
      server.handleRequest(request, response);
    });
    const server = await startServer({ server: http, adminToken: ADMIN });
    expect(await textAt(`${url}/cowrite/health`)).toBe('ok\n');
    expect(await textAt(`${url}/cowrite/admin`)).toContain('src="./admin/assets/');
    const headers = { Authorization: `Bearer ${ADMIN}` };
    const body = '{"to": "copy"}';
    const copied = await fetch(`${url}/cowrite/api/rooms/none/copy`, {
      method: 'POST',
      headers,
      body,
    });
    expect(copied.status).toBe(404);
    expect((await fetch(`${url}/cowrite/metrics`, { headers })).status).toBe(200);
    expect(await textAt(`${url}/health`)).toBe('the app: /health');
  });

  it('[RUN-5] close() leaves the application its server, as it was', async () => {
    const { http, url } = await application(answering);
    const server = await startServer({ server: http });
    const client = await RawClient.connect({ url }, 'room');
    await client.join(new Y.Doc());
    await server.close();
    expect((await client.untilClosed()).code).toBe(1012);
    expect(await textAt(`${url}/ws/room`)).toBe('the app: /ws/room');
    expect([http.listening, http.listenerCount('upgrade'), http.listenerCount('request')]).toEqual([
      true,
      0,
      1,
    ]);
    // So that it can be attached again.
    await startServer({ server: http });
    expect(await writeAndRead(`${url}/ws`, 'again')).toBe('again');
  });

  it('[RUN-5] without authentication only this machine may connect, wherever the application listens', async () => {
    let remoteAddress = '192.0.2.1';
    const { http, url } = await application(answering);
    http.prependListener('connection', (socket) => {
      Object.defineProperty(socket, 'remoteAddress', { get: () => remoteAddress });
    });
    await startServer({ server: http });
    for (const [address, status] of [
      ['192.0.2.1', 403],
      ['2001:db8::1', 403],
      ['::ffff:192.0.2.1', 403],
      ['127.0.0.1', 101],
      ['::ffff:127.0.0.1', 101],
      ['::1', 101],
    ] as const) {
      remoteAddress = address;
      expect(await knock(`${url}/ws/room`), address).toBe(status);
    }
    const { http: open, url: at } = await application(answering);
    open.prependListener('connection', (socket) => {
      Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' });
    });
    await startServer({ server: open, auth: 'none' });
    expect(await knock(`${at}/ws/room`)).toBe(101);
  });

  it('[RUN-6] an option that there is none of throws, and one that has no effect', async () => {
    const http = createServer();
    for (const [options, problem] of [
      [{ prot: 8080 }, 'there is no option "prot"'],
      [{ limits: { maxConections: 5 } }, 'there is no limit "maxConections"'],
      [{ hooks: { authentication: () => undefined } }, 'there is no hook "authentication"'],
      [{ auth: { secrets: 'x'.repeat(32) } }, 'there is no option of auth "secrets"'],
      [{ auth: { url: 'http://a', secret: 'x' } }, 'there is no option of auth "secret"'],
      [{ metrics: { prot: 1 } }, 'there is no option of metrics "prot"'],
      [{ path: '/ws' }, 'set server'],
      [{ server: http, port: 8080 }, 'port is for the server that is given to say'],
      [{ server: http, host: '127.0.0.1' }, 'host is for the server that is given to say'],
      ...['ws', '', '/', '/ws/', '/a//b', '/a/../b', '/ü', '/a?b'].map((path) => [
        { server: http, path },
        'path must be such as /ws',
      ]),
    ] as const) {
      const made = create({
        storage: 'memory:',
        logger: 'silent',
        port: 0,
        ...(options as ServerOptions),
      });
      await expect(made, JSON.stringify(options)).rejects.toThrow(problem as string);
    }
    expect(http.listenerCount('upgrade')).toBe(0);
    // One that is there and undefined is not set.
    await startServer({ nothing: undefined, limits: { no: undefined } } as ServerOptions);
    const { metricsUrl } = await startServer({
      limits: { maxConnections: undefined },
      metrics: { port: 0, host: undefined },
      hooks: { authenticate: async () => ({ access: 'write', user: undefined }) },
      adminToken: undefined,
    });
    expect(new URL(metricsUrl!).hostname).toBe('127.0.0.1');
  });
});
