/** Requests that offer an upgrade, as raw bytes: each is answered as the same request without the offer. */
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { isKnown, listenForUpgrades, READS_BODIES, UPGRADES } from '../src/upgrade-offers.js';
import { ADMIN } from './administrator.js';
import { gate, startServer } from './support.js';
import { guarded } from './visitors.js';

const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'];

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What is answered to all of it on one socket, in order, until as many answers are there. */
async function say(url: string, bytes: string | Buffer, count: number): Promise<Answer[]> {
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write(bytes);
  let text = '';
  for await (const piece of socket.setEncoding('latin1')) {
    text += piece;
    const answers = read(text);
    if (answers.length >= count) return answers;
  }
  return read(text);
}

/** All at once on one socket; what a server that closes it has left unanswered, on the next. */
async function sayAll(url: string, requests: readonly Buffer[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let sockets = 0;
  while (answers.length < requests.length) {
    const rest = requests.slice(answers.length);
    answers.push(...(await say(url, Buffer.concat(rest), rest.length)));
    sockets++;
  }
  // Each of those with an offer and a body may end its connection, where Node reads that body.
  expect(sockets).toBeLessThanOrEqual(READS_BODIES ? 3 : 1);
  return answers;
}

function read(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; ; ) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return answers;
    const head = text.slice(at, headEnd);
    let end: number;
    let body: string;
    if (/transfer-encoding: chunked/i.test(head)) {
      end = text.indexOf('0\r\n\r\n', headEnd) + 5;
      if (end < 5) return answers;
      body = text.slice(headEnd + 4, end);
    } else {
      end = headEnd + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < end) return answers;
      body = text.slice(headEnd + 4, end);
    }
    answers.push({ status: Number(head.slice(9, 12)), body });
    at = end;
  }
}

function request(line: string, headers: readonly string[] = [], body?: string): string {
  const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
  const all = [`${line} HTTP/1.1`, 'Host: localhost', ...headers, ...length];
  return `${all.join('\r\n')}\r\n\r\n${body ?? ''}`;
}

describe('[ROOM-5] offers to go on in another protocol', () => {
  it.each([
    ['h2c', H2C],
    ['TLS', ['Connection: upgrade', 'Upgrade: TLS/1.0, HTTP/1.1']],
    ['one in another case', ['connection: UPGRADE', 'UPGRADE: H2C']],
    [
      'several headers',
      ['Connection: keep-alive', 'Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: foo/2'],
    ],
    ['websocket, elsewhere', ['Connection: Upgrade', 'Upgrade: websocket']],
    ['nothing by name', ['Connection: Upgrade', 'Upgrade: ']],
  ])('[ROOM-5] %s: the answer is that without the offer', async (_, headers) => {
    const server = await startServer();
    for (const line of ['GET /health/live', 'GET /nowhere', 'POST /health', 'OPTIONS *']) {
      const [plain] = await say(server.url, request(line), 1);
      const [offered] = await say(server.url, request(line, headers), 1);
      if (headers.includes('Upgrade: websocket') && offered!.status === 404) {
        expect([line, offered!.body]).toEqual([line, 'rooms are at /ws/<room>\n']);
      } else expect([line, offered]).toEqual([line, plain]);
    }
  });

  it('[ROOM-5] the body of a request that makes one arrives, and what follows on its socket is answered in order', async () => {
    const server = await startServer({ adminToken: ADMIN });
    const authorization = `Authorization: Bearer ${ADMIN}`;
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'x'.repeat(100_000));
    const update = Buffer.from(Y.encodeStateAsUpdate(doc));
    const requests = [
      Buffer.from(request('GET /health/ready', H2C)),
      Buffer.concat([
        Buffer.from(
          `POST /api/rooms/minutes HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n` +
            `${H2C.join('\r\n')}\r\nContent-Type: application/octet-stream\r\n` +
            `Content-Length: ${update.length}\r\n\r\n`,
        ),
        update,
      ]),
      Buffer.from(request('GET /health/live', H2C)),
      Buffer.from(
        request(
          `POST /api/rooms/minutes/kick`,
          [authorization, ...H2C, 'Content-Type: application/json'],
          '{}',
        ),
      ),
      Buffer.from(request('GET /health/live')),
      Buffer.from(request('GET /api/rooms/minutes/document?form=text', [authorization, ...H2C])),
    ];
    const answers = await sayAll(server.url, requests);
    expect(answers.map(({ status }) => status)).toEqual([200, 201, 200, 200, 200, 200]);
    expect(answers[2]!.body).toBe('ok\n');
    expect(answers[5]!.body).toContain('x'.repeat(1_000));
  });

  it('[ROOM-5] one whose body comes later, in chunks, is answered', async () => {
    const server = await startServer({ adminToken: ADMIN });
    const { port } = new URL(server.url);
    const socket = connect(Number(port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.write(
      `POST /api/rooms/minutes/kick HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN}\r\n` +
        `${H2C.join('\r\n')}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n`,
    );
    let text = '';
    let isSent = false;
    for await (const piece of socket.setEncoding('latin1')) {
      text += piece;
      if (text.startsWith('HTTP/1.1 100 Continue') && !isSent) {
        isSent = true;
        socket.write('1\r\n{\r\n1\r\n}\r\n0\r\n\r\n');
      }
      if (text.includes('HTTP/1.1 200')) break;
    }
    expect(text).toContain('HTTP/1.1 200');
  });

  it('[ROOM-5] a socket is opened by one that offers websocket in any case, and among others', async () => {
    const server = await startServer();
    for (const offers of [
      ['Connection: Upgrade', 'Upgrade: WebSocket'],
      ['connection: keep-alive, upgrade', 'upgrade: websocket, h2c'],
      ['Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: WEBSOCKET'],
    ]) {
      const key = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];
      const [answer] = await say(server.url, request('GET /ws/room', [...offers, ...key]), 1);
      expect([offers, answer!.status]).toEqual([offers, 101]);
    }
    // Its request line may name the server, as it does to a proxy.
    const offer = ['Connection: Upgrade', 'Upgrade: websocket'];
    for (const host of ['http://localhost', 'http://LOCALHOST:80', 'https://localhost']) {
      const line = `GET ${host}/ws/room?a=/ws/other`;
      const handshake = [
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13',
      ];
      const [opened] = await say(server.url, request(line, [...offer, ...handshake]), 1);
      expect([line, opened!.status]).toEqual([line, 101]);
      expect((await say(server.url, request(line), 1))[0]!.status).toBe(426);
      const [elsewhere] = await say(server.url, request(`GET ${host}/else/ws/room`, offer), 1);
      expect(elsewhere!.status).toBe(404);
    }
    // After a request with an offer that was ignored, on the same socket.
    const key = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];
    const bytes =
      request('GET /health/live', H2C) +
      request('GET /ws/room', ['Connection: Upgrade', 'Upgrade: websocket', ...key]);
    const statuses = (await say(server.url, bytes, 2)).map(({ status }) => status);
    expect(statuses).toEqual([200, 101]);
  });

  it('[ROOM-5] under /ws/ other offers are asked what any GET is', async () => {
    const server = await guarded();
    const [answer] = await say(server.url, request('GET /ws/room', H2C), 1);
    expect(answer!.status).toBe(401);
    const open = await startServer();
    const [invited] = await say(open.url, request('GET /ws/room', H2C), 1);
    expect(invited!.status).toBe(426);
    const [post] = await say(
      open.url,
      request('POST /ws/room', ['Connection: Upgrade', 'Upgrade: websocket']),
      1,
    );
    expect(post!.status).toBe(404);
  });

  it('[ROOM-5] on the port for metrics, too', async () => {
    const server = await startServer({ metrics: { port: 0 } });
    const bytes = request('GET /metrics', H2C) + request('GET /elsewhere') + request('GET /', H2C);
    const answers = await say(server.metricsUrl!, bytes, 3);
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 404]);
  });

  it('[ROOM-5] an answer waits for those before it, and its socket is counted once', async () => {
    const { opened, open } = gate();
    let sockets = 0;
    const http = createServer(UPGRADES, async (request, response) => {
      if (request.url === '/slow') await opened;
      response.end(request.url);
    });
    http.on('connection', (socket) => {
      if (!isKnown(socket)) sockets++;
    });
    const offers: string[] = [];
    let isSlowAnswered = false;
    opened.then(() => {
      isSlowAnswered = true;
    });
    listenForUpgrades(http, ({ url }) => {
      // Also one that somebody takes, such as a WebSocket, comes behind the answers before it.
      expect(isSlowAnswered).toBe(true);
      offers.push(url!);
      return false;
    });
    // Once the one that overtakes would have been answered.
    http.on('upgrade', () => setImmediate(open));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      http.closeAllConnections();
      http.close();
    });
    const { port } = http.address() as AddressInfo;
    const bytes =
      request('GET /slow') + request('GET /a', H2C) + request('GET /b', H2C) + request('GET /c');
    const answers = await say(`http://127.0.0.1:${port}`, bytes, 4);
    expect(answers.map(({ body }) => body)).toEqual(['/slow', '/a', '/b', '/c']);
    expect([offers, sockets]).toEqual([['/a', '/b'], 1]);
  });

  it('[ROOM-5] a socket that fails while an offer waits ends alone', async () => {
    const http = createServer(UPGRADES, (request, response) => {
      response.once('close', () => request.socket.destroy(new Error('reset')));
      http.once('upgrade', () => response.end());
    });
    listenForUpgrades(http, () => {
      throw new Error('nobody is there any more');
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void http.close());
    const { port } = http.address() as AddressInfo;
    // It would end the process.
    await say(`http://127.0.0.1:${port}`, request('GET /slow') + request('GET /a', H2C), 2);
  });
});
