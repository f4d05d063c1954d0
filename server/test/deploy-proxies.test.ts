/**
 * What is in `deploy/` to stand in front of Cowrite: real proxies with these files, where this
 * machine has them. More of nginx, in browsers, is in `e2e/instances.test.ts`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import * as Y from 'yjs';
import { findCaddy } from '../../scripts/find-programs.mjs';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { needed, read, secondsOf } from './deploy-files.js';
import { ALL, ASKING, caddyfile, local, PATIENCE, untilAnswering } from './proxies.js';
import { RawClient, startServer, typed } from './support.js';

interface Overheard {
  readonly port: number;
  /** The first bytes of whatever somebody said to it. */
  readonly heads: string[];
}

/** Passes everything on to a port, from that address, and hears what is asked. */
async function overhearing(port: number, localAddress = '127.0.0.1'): Promise<Overheard> {
  const heads: string[] = [];
  const relay = createTcpServer((near) => {
    const far = connect({ port, host: '127.0.0.1', localAddress });
    near.on('data', (head) => void heads.push(head.toString('latin1')));
    const drop = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', drop).once('close', drop);
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  onTestFinished(() => void relay.close());
  return { port: (relay.address() as AddressInfo).port, heads };
}

describe('[DEP-7] a proxy', () => {
  /** Answers health checks as told, and everything else with its name. */
  async function standIn(name: string): Promise<{ port: number; isReady: boolean }> {
    const state = { port: 0, isReady: true };
    const http = createHttpServer(({ url }, answer) => {
      answer.statusCode = url === '/health/ready' && !state.isReady ? 503 : 200;
      answer.end(name);
    }).listen(0, '127.0.0.1');
    await once(http, 'listening');
    state.port = (http.address() as AddressInfo).port;
    onTestFinished(() => {
      http.close();
      http.closeAllConnections();
    });
    return state;
  }

  test.for(ASKING)('%s finds Cowrite ready', async ([, start], context) => {
    const one = await overhearing((await startServer()).port);
    const two = await overhearing((await startServer()).port);
    const proxy = await start(context, [one.port, two.port]);
    const asked = ({ heads }: Overheard) =>
      heads.filter((head) => head.startsWith('GET /health/ready ')).length;
    // When they are asked again, it has had the first answer.
    const looks = () => Math.min(asked(one), asked(two));
    await vi.waitFor(() => expect(looks()).toBeGreaterThanOrEqual(2), PATIENCE);
    expect((await fetch(`${proxy}/health/live`)).status).toBe(200);
  });

  test.for(ASKING)(
    '%s sends nobody new to an instance that is not ready',
    async ([, start], context) => {
      const [one, two] = [await standIn('one'), await standIn('two')];
      const proxy = await start(context, [one.port, two.port]);
      const ask = async () => await fetch(`${proxy}/`).then((answer) => answer.text(), String);
      const served = async () => new Set(await Promise.all(Array.from({ length: 6 }, ask)));
      await vi.waitFor(
        async () => expect(await served()).toEqual(new Set(['one', 'two'])),
        PATIENCE,
      );
      one.isReady = false;
      await vi.waitFor(async () => expect(await served()).toEqual(new Set(['two'])), PATIENCE);
      one.isReady = true;
      await vi.waitFor(
        async () => expect(await served()).toEqual(new Set(['one', 'two'])),
        PATIENCE,
      );
    },
  );

  test('Caddy has no port here but its own, so that it meets no other Caddy', async (context) => {
    const program = needed('caddy', context, findCaddy);
    const { stdout } = await promisify(execFile)(program, ['adapt', ...caddyfile()]);
    expect(JSON.parse(stdout).admin).toEqual({ disabled: true });
  });
});

describe('[DEP-12] through a proxy', () => {
  test.for(ALL)(
    '%s a client writes and is told "saved", and the log has its own address',
    async ([, start], context) => {
      context.skip(process.platform !== 'linux', 'only Linux has a second address by itself');
      const lines: Record<string, unknown>[] = [];
      const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
      const { port } = await startServer({ trustedProxies: ['127.0.0.1'], logger });
      const proxy = await start(context, [port, port]);
      await untilAnswering(proxy);
      // Far away, as far as a machine alone goes.
      const client = '127.0.0.2';
      const way = await overhearing(Number(new URL(proxy).port), client);

      const writer = await RawClient.connect({ url: `http://${local(way.port)}` }, 'minutes');
      await writer.join(new Y.Doc());
      writer.send({ type: 'update', update: typed('hello') });
      await writer.untilSaved(2);
      const reader = await RawClient.connect({ url: proxy }, 'minutes');
      const doc = new Y.Doc();
      await reader.join(doc);
      expect(doc.getText('t').toString()).toBe('hello');

      writer.socket.close(1000);
      await vi.waitFor(
        () =>
          expect(lines).toContainEqual(
            expect.objectContaining({ msg: 'a connection ended', address: client, code: 1000 }),
          ),
        PATIENCE,
      );
    },
  );

  test.for(ALL)(
    "%s a request has an id, which is the proxy's at the server and in the answer",
    async ([, start], context) => {
      const server = await overhearing((await startServer()).port);
      const proxy = await start(context, [server.port, server.port]);
      await untilAnswering(proxy);
      const ids: (string | null)[] = [];
      for (const brought of [{}, { 'X-Request-Id': 'the-clients-own' }]) {
        const { headers } = await fetch(`${proxy}/health/live`, { headers: brought });
        ids.push(headers.get('X-Request-Id'));
      }
      const asked = server.heads.filter((head) => head.startsWith('GET /health/live '));
      const arrived = asked.map((head) =>
        [...head.matchAll(/^x-request-id: (.*)\r$/gim)].map(([, id]) => id),
      );
      expect(arrived).toEqual(ids.map((id) => [id]));
      for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{32,36}$/);
      expect(new Set(ids).size).toBe(2);
    },
  );

  /** By then the server has cut off a client of which it hears nothing: no proxy has to. */
  const SILENCE = (2 * DEFAULT_LIMITS.heartbeatMs) / 1_000;
  /** A request may take this long to arrive, and as long until it is answered. */
  const HANDSHAKE = DEFAULT_LIMITS.handshakeMs / 1_000;

  const withoutComments = (path: string) => read(path).replace(/^\s*#.*$/gm, '');

  /** The seconds that follow the only mention of that name. */
  function secondsAfter(name: string, text: string): number {
    const found = [...text.matchAll(new RegExp(`^\\s*${name} (\\w+);?$`, 'gm'))];
    expect(found, name).toHaveLength(1);
    // Without a unit it would be milliseconds in one proxy, and seconds in another.
    expect(found[0]![1], name).toMatch(/[a-z]$/);
    return secondsOf(found[0]![1]!);
  }

  test('HAProxy does not cut who is silent, and waits for what takes long', () => {
    const file = withoutComments('deploy/haproxy.cfg');
    expect(secondsAfter('timeout tunnel', file)).toBeGreaterThan(SILENCE);
    for (const side of ['client', 'server']) {
      const seconds = secondsAfter(`timeout ${side}`, file);
      expect(seconds, side).toBeGreaterThan(HANDSHAKE);
      expect(seconds, side).toBeLessThanOrEqual(secondsAfter('timeout tunnel', file));
    }
    expect(secondsAfter('timeout connect', file)).toBeLessThanOrEqual(HANDSHAKE);
  });

  test('nginx does not cut who is silent', () => {
    const file = withoutComments('deploy/nginx.conf.template');
    for (const name of ['proxy_read_timeout', 'proxy_send_timeout']) {
      expect(secondsAfter(name, file), name).toBeGreaterThan(SILENCE);
    }
  });

  test('Caddy does not cut who is silent, and gives up an address before it gives up', () => {
    const file = withoutComments('deploy/Caddyfile');
    expect(file).not.toMatch(/\b(read_timeout|write_timeout|stream_timeout)\b/);
    expect(secondsAfter('dial_timeout', file)).toBeLessThan(
      secondsAfter('lb_try_duration', file) / 2,
    );
  });
});
