/** What whoever runs the server sees of it: health, logs, traces. Its metrics: metrics.test.ts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { MemoryStorage } from '@cowrite/server';
import { SpanStatusCode, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { findProgram } from '../../scripts/find-programs.mjs';
import { ManualClock } from '../src/clock.js';
import { Health, type HealthOptions } from '../src/health.js';
import { LoopDelay } from '../src/loop-delay.js';
import { Measures } from '../src/measures.js';
import { traced } from '../src/trace.js';
import { CLI } from './command-line.js';
import { RawClient, settled, socketUrl, startProcess, startServer, typed } from './support.js';
import { enter, guarded, knock, token } from './visitors.js';

function setUp(changes: Partial<HealthOptions> = {}) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const store = { asked: 0, answer: async (): Promise<[]> => [] };
  const health = new Health({
    clock,
    storage: {
      heads: async () => {
        store.asked++;
        return await store.answer();
      },
    },
    log: { full: false, failing: false },
    loop: { mean: 0 },
    relay: () => 'none',
    isDraining: () => false,
    logger: pino({}, { write: (line: string) => lines.push(JSON.parse(line).msg) }),
    ...changes,
  });
  return { health, clock, store, lines };
}

const ADMIN = 'x'.repeat(32);

const READY = { ready: true, draining: false, store: 'ok', relay: 'none', loopDelayMs: 0 };

describe('[OPS] health', () => {
  it('[OPS-1] whether it lives and whether it is ready are two questions', async () => {
    const server = await startServer({ clock: new ManualClock() });
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    const ready = await fetch(`${server.url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([200, READY]);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  it('[OPS-2] it is not ready while it ends, or its store takes nothing', async () => {
    const unready = async (changes: Partial<HealthOptions>) =>
      await setUp(changes).health.readiness();
    expect(await setUp().health.readiness()).toEqual(READY);
    expect(await unready({ isDraining: () => true })).toEqual({
      ...READY,
      ready: false,
      draining: true,
    });
    for (const [log, store] of [
      [{ full: false, failing: true }, 'failing'],
      [{ full: true, failing: true }, 'full'],
    ] as const) {
      expect(await unready({ log })).toEqual({ ...READY, ready: false, store });
    }
  });

  it('[OPS-2] nor while its store does not answer, which it is asked once a second at most', async () => {
    const { health, clock, store } = setUp();
    store.answer = () => Promise.reject(new Error('the store is away'));
    for (let i = 0; i < 3; i++) {
      expect(await health.readiness()).toEqual({ ...READY, ready: false, store: 'away' });
    }
    expect(store.asked).toBe(1);
    clock.advance(1_000);
    store.answer = () => new Promise(() => undefined);
    const asked = health.readiness();
    clock.advance(2_000);
    expect(await asked).toEqual({ ...READY, ready: false, store: 'away' });
    store.answer = async () => [];
    clock.advance(1_000);
    expect(await health.readiness()).toEqual(READY);
    expect(store.asked).toBe(3);
  });

  it('[OPS-7] a store that goes away is told once, also when nobody asks, and so is its return', async () => {
    const { health, clock, store, lines } = setUp();
    const look = async () => {
      clock.advance(5_000);
      // Asked in this moment, it shares that answer.
      await health.readiness();
      return health.isStoreAway;
    };
    expect(await look()).toBe(false);
    store.answer = () => Promise.reject(new Error('the store is away'));
    expect([await look(), await look()]).toEqual([true, true]);
    expect(store.asked).toBe(3);
    store.answer = async () => [];
    expect(await look()).toBe(false);
    expect(lines).toEqual([
      'the store does not answer: no document can be opened',
      'the store answers again',
    ]);
    health.close();
    clock.advance(60_000);
    expect(store.asked).toBe(4);
  });

  it('[OPS-1] whoever names no host is answered as well: HTTP/1.0 has none', async () => {
    const { port } = await startServer();
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('GET /health/ready HTTP/1.0\r\n\r\n'),
    );
    let answer = '';
    for await (const text of socket.setEncoding('utf8')) answer += text;
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('[OPS-2] nor while its loop is late all the time; that the relay is away is told, and no reason', async () => {
    const late = await setUp({ loop: { mean: 201 } }).health.readiness();
    expect(late).toEqual({ ...READY, ready: false, loopDelayMs: 201 });
    const alone = await setUp({ relay: () => 'away' }).health.readiness();
    expect(alone).toEqual({ ...READY, relay: 'away' });
  });

  it('[OPS-2] one long pause is not all the time', () => {
    let now = 0;
    let look: () => void = () => undefined;
    const clock = new ManualClock();
    clock.now = () => now;
    clock.every = (_, call) => {
      look = call;
      return { cancel: () => undefined };
    };
    const { loop: all } = new Measures();
    const loop = new LoopDelay(clock, all);
    const pass = (late: number, looks = 40) => {
      for (let i = 0; i < looks; i++) {
        now += 250 + late;
        look();
      }
    };
    pass(0);
    expect(loop.mean).toBe(0);
    pass(4_000, 1);
    expect(loop.mean).toBe(100);
    expect([all.sum, all.counts[all.bounds.indexOf(5_000)]]).toEqual([4_000, 1]);
    pass(300);
    expect(loop.mean).toBe(300);
    pass(0);
    expect(loop.mean).toBe(0);
  });
});

/** A logger whose lines can be waited for. */
function listening() {
  const lines: Record<string, unknown>[] = [];
  let wake: () => void = () => undefined;
  const write = (line: string) => {
    lines.push(JSON.parse(line));
    wake();
  };
  const until = async (msg: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const found = lines.find((line) => line.msg === msg);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { logger: pino({ level: 'info' }, { write }), lines, until };
}

describe('[OPS] logs', () => {
  it("[OPS-3] a connection's end is one line, with whose it was, what it sent and why it ended", async () => {
    const { logger, lines, until } = listening();
    const server = await guarded({ logger });
    const ada = await enter(server, 'minutes', await token('ada', { minutes: 'write' }));
    await ada.join(new Y.Doc());
    ada.send({ type: 'update', update: typed('x') });
    await ada.untilSaved(2);
    server.kick('minutes', { reason: 'the meeting is over' });
    await ada.untilClosed();
    const line = await until('a connection ended');
    expect(line).toMatchObject({
      room: 'minutes',
      user: 'ada',
      address: '127.0.0.1',
      dialect: 'cowrite.v1',
      code: 4403,
      reason: 'the meeting is over',
      messagesIn: 3,
    });
    expect(line.connection).toBe(1);
    for (const figure of ['seconds', 'bytesIn', 'bytesOut', 'messagesOut']) {
      expect(line[figure], figure).toBeTypeOf('number');
    }
    expect(line.bytesOut).toBeGreaterThan(0);
    expect(lines.filter(({ msg }) => msg === 'a connection ended')).toHaveLength(1);
  });

  it('[OPS-3] a client that closes says its own code; what is refused has a name as well', async () => {
    const { logger, lines, until } = listening();
    const server = await guarded({ logger });
    await knock(server, 'minutes');
    const ada = await enter(server, 'minutes', await token('ada', { minutes: 'write' }));
    ada.socket.close(1001, 'going');
    expect(await until('a connection ended')).toMatchObject({
      connection: 2,
      code: 1001,
      reason: 'going',
    });
    const refused = lines.find(({ msg }) => msg === 'not let in');
    expect(refused).toMatchObject({ connection: 1, room: 'minutes', status: 401 });
  });

  it('[OPS-8] an answer over HTTP has an id, and the line of a request that failed has the same', async () => {
    const { logger, lines } = listening();
    const storage = new MemoryStorage();
    storage.load = () => Promise.reject(new Error('connection refused'));
    const server = await startServer({ logger, storage, adminToken: ADMIN });
    const ids = [];
    for (const brought of [{}, { 'X-Request-Id': 'of-the-proxy' }, { 'X-Request-Id': 'a b' }]) {
      const response = await fetch(`${server.url}/api/rooms/minutes?token=secret`, {
        headers: { Authorization: `Bearer ${ADMIN}`, ...brought },
      });
      expect(response.status).toBe(503);
      ids.push(response.headers.get('X-Request-Id'));
    }
    const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);
    expect(ids).toEqual([uuid, 'of-the-proxy', uuid]);
    const failed = lines.filter(({ msg }) => msg === 'a request failed');
    expect(failed).toEqual(
      ids.map((request) =>
        expect.objectContaining({ request, method: 'GET', path: '/api/rooms/minutes' }),
      ),
    );
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  it('[OPS-8] the lines of a connection have what a proxy calls its upgrade', async () => {
    const { logger, lines, until } = listening();
    const server = await guarded({ logger });
    const open = (id: string, protocols: string[] = []) => {
      const headers = { 'X-Request-Id': id };
      const socket = new WebSocket(`${socketUrl(server)}/minutes`, protocols, { headers });
      onTestFinished(() => socket.terminate());
      return socket.on('error', () => undefined);
    };
    const refusal = async (id: string) => {
      const [, response] = await once(open(id), 'unexpected-response');
      response.resume();
      return [response.statusCode, response.headers['x-request-id']];
    };
    expect(await refusal('first')).toEqual([401, 'first']);
    expect(await refusal('a b')).toEqual([401, undefined]);
    const shown = `cowrite.token.${await token('ada', { minutes: 'write' })}`;
    const client = open('second', ['cowrite.v1', shown]);
    await once(client, 'open');
    client.close(1000);
    expect(await until('a connection ended')).toMatchObject({ connection: 3, request: 'second' });
    const line = lines.find(({ msg }) => msg === 'not let in');
    expect(line).toMatchObject({ connection: 1, request: 'first' });
  });

  it('[OPS-4] logs are JSON unless they are for people', async () => {
    const environment = { STORAGE_URL: 'memory:', LOG_LEVEL: 'info' };
    const [json, pretty] = [
      await startProcess(environment),
      await startProcess({ ...environment, LOG_FORMAT: 'pretty' }),
    ];
    for (const { url } of [json, pretty]) {
      const client = await RawClient.connect({ url }, 'room');
      client.socket.close();
      await client.untilClosed();
    }
    await Promise.all(
      [json, pretty].map(async ({ child }) => {
        const closed = once(child, 'close');
        child.kill('SIGTERM');
        await closed;
      }),
    );
    const lines = json.errors().trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).msg)).toContain('a connection ended');
    expect(pretty.errors()).toMatch(/INFO: a connection ended \{"connection":1,/);
    expect(pretty.errors()).not.toContain('{"level"');
  });

  it('[OPS-4] on a terminal they are for people', async ({ skip }) => {
    // script(1) gives a program a terminal. Others than Linux's take other arguments.
    const script = process.platform === 'linux' ? findProgram('script') : undefined;
    if (script === undefined) return skip('there is no script(1) of Linux on this machine');
    const command = `'${process.execPath}' '${CLI}'`;
    const child = spawn(script, ['--quiet', '--command', command, '/dev/null'], {
      env: { PATH: process.env.PATH, PORT: '0', STORAGE_URL: 'memory:' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    // The server loses its terminal then, and ends.
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    let output = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      output += text;
      if (['ready:', 'only this machine'].every((words) => output.includes(words))) break;
    }
    expect(output).toContain('INFO');
    expect(output).not.toContain('{"level"');
  });
});

describe('[OPS] traces', () => {
  it('[OPS-6] without an SDK no attributes are made, and what was thrown is thrown', async () => {
    const attributes = () => {
      throw new Error('they were made');
    };
    expect(await traced('cowrite.test', attributes, async () => 7)).toBe(7);
    const failed = traced('cowrite.test', attributes, async () => {
      throw new Error('the work failed');
    });
    await expect(failed).rejects.toThrow('the work failed');
  });

  it('[OPS-5] with one, joins, appends and compactions are spans that say what they were about', async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(exporter)],
    });
    trace.setGlobalTracerProvider(provider);
    onTestFinished(() => trace.disable());
    const spans = (name: string) =>
      exporter.getFinishedSpans().filter((span) => span.name === name);
    const server = await startServer({ limits: { idleMs: 1 } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x'.repeat(100_000)) });
    await client.untilSaved(2);
    client.socket.close();
    while (spans('cowrite.compact').length === 0) await settled();
    expect(spans('cowrite.join')[0]?.attributes).toEqual({
      'cowrite.room': 'room',
      'cowrite.snapshot': 0,
    });
    expect(spans('cowrite.append')[0]?.attributes).toEqual({
      'cowrite.commit': 1,
      'cowrite.rooms': 1,
    });
    expect(spans('cowrite.compact')[0]?.attributes).toEqual({
      'cowrite.room': 'room',
      'cowrite.updates': 1,
    });
    const failed = traced(
      'cowrite.test',
      () => ({}),
      async () => {
        throw new Error('the work failed');
      },
    );
    await expect(failed).rejects.toThrow('the work failed');
    const [span] = spans('cowrite.test');
    expect(span?.status.code).toBe(SpanStatusCode.ERROR);
    expect(span?.events[0]?.attributes).toMatchObject({ 'exception.message': 'the work failed' });
  });
});
