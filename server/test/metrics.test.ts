/** What the server counts, and where it shows that. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import {
  type Batch,
  type CowriteServer,
  MemoryHub,
  MemoryPresence,
  MemoryRelay,
  MemoryStorage,
  PresenceHub,
} from '@cowrite/server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { ManualClock } from '../src/clock.js';
import { gate, RawClient, readMetrics, socketUrl, startServer, typed } from './support.js';
import { enter, guarded, knock, presence, token } from './visitors.js';

const ADMIN = 'x'.repeat(32);

/** A series' name with its labels, and its value. */
type Series = ReadonlyMap<string, number>;

function seriesOf(text: string): Series {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

async function measured(server: CowriteServer): Promise<Series> {
  return seriesOf(await readMetrics(server, ADMIN));
}

/** Looks again and again, because a server hears of some things a moment after its client. */
async function untilMeasured(
  server: CowriteServer,
  holds: (series: Series) => boolean,
): Promise<Series> {
  for (;;) {
    const series = await measured(server);
    if (holds(series)) return series;
  }
}

/** A store that takes nothing before it is told to, and fails as often as it is told. */
class HeldStorage extends MemoryStorage {
  readonly asked = gate();
  readonly held = gate();
  failures = 0;

  override async append(batch: Batch): Promise<readonly number[]> {
    this.asked.open();
    await this.held.opened;
    if (this.failures-- > 0) throw new Error('the disk is full');
    return await super.append(batch);
  }
}

const kind = (direction: string, type: Message['type'], of = 'messages') =>
  `cowrite_${of}_total{direction="${direction}",kind="${type}"}`;

async function statusOf(url: string, host: string): Promise<number> {
  const asked = request(url, { headers: { Host: host } }).end();
  const [response] = await once(asked, 'response');
  response.resume();
  return response.statusCode;
}

describe('[MET] metrics', () => {
  it('[MET-1] every metric is in docs/operations/metrics.md, and what is there exists', async () => {
    const path = new URL('../../docs/operations/metrics.md', import.meta.url);
    const documented = new Set(
      [...readFileSync(path, 'utf8').matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map(([, name]) => name!),
    );
    const text = await readMetrics(await startServer({ adminToken: ADMIN }), ADMIN);
    const shown = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
    expect(shown.filter((name) => !documented.has(name))).toEqual([]);
    const own = [...documented].filter((name) => name.startsWith('cowrite_'));
    expect(own.filter((name) => !shown.includes(name))).toEqual([]);
    expect(own.length).toBeGreaterThan(30);
  });

  it('[MET-1] users, rooms and what clients send make no new series', async () => {
    const server = await guarded({ adminToken: ADMIN });
    const before = await measured(server);
    for (const room of ['one', 'two', 'three']) {
      const client = await enter(server, room, await token(`user of ${room}`, { '*': 'write' }));
      await client.join(new Y.Doc());
      client.send({ type: 'update', update: typed(room) });
      await client.untilSaved(2);
      client.socket.close(4_321, room);
      await client.untilClosed();
      await knock(server, room);
    }
    const after = await measured(server);
    const own = (series: Series) => [...series.keys()].filter((key) => key.startsWith('cowrite_'));
    expect(own(after)).toEqual(own(before));
  });

  it('[MET-2] messages and bytes by kind are what was sent and received', async () => {
    const server = await startServer({ adminToken: ADMIN });
    const [author, reader] = [
      await RawClient.connect(server, 'room'),
      await RawClient.connect(server, 'room'),
    ];
    await author.join(new Y.Doc());
    await reader.join(new Y.Doc());
    const update: Message = { type: 'update', update: typed('hello') };
    author.send(update);
    await author.untilSaved(2);
    await reader.next('update');
    const series = await measured(server);
    const bytes = encodeMessage(update).length;
    expect(series.get('cowrite_connections')).toBe(2);
    expect(series.get('cowrite_rooms{state="open"}')).toBe(1);
    expect(series.get('cowrite_rooms{state="loading"}')).toBe(0);
    expect(series.get(kind('received', 'step1'))).toBe(2);
    expect(series.get(kind('received', 'step2'))).toBe(2);
    expect(series.get(kind('received', 'update'))).toBe(1);
    expect(series.get(kind('received', 'update', 'message_bytes'))).toBe(bytes);
    expect(series.get('cowrite_received_message_bytes_count')).toBe(5);
    expect(series.get(kind('sent', 'step1'))).toBe(2);
    expect(series.get(kind('sent', 'update'))).toBe(1);
    // With the head that a frame has on the wire.
    expect(series.get(kind('sent', 'update', 'message_bytes'))).toBe(bytes + 2);
    expect(series.get('cowrite_delivery_lag_seconds_count')).toBe(1);
    expect(series.get('cowrite_fanout_batch_updates_sum')).toBe(1);
    expect(series.get('cowrite_commit_seconds_count')).toBe(1);
  });

  it('[MET-2] upgrades are counted with why they were refused, connections with how they ended', async () => {
    const server = await guarded({ adminToken: ADMIN });
    await knock(server, 'minutes');
    await knock(server, 'minutes', { headers: { Origin: 'https://elsewhere.example' } });
    await knock(server, 'bad*');
    const ada = await token('ada', { minutes: 'write' });
    await knock(server, 'other', { headers: { Authorization: `Bearer ${ada}` } });
    const clients = [
      await enter(server, 'minutes', ada),
      await enter(server, 'minutes', ada),
      await enter(server, 'minutes', ada),
      await enter(server, 'minutes', ada),
    ] as const;
    // What would be answered is no upgrade.
    await fetch(`${server.url}/ws/minutes`);
    clients[0].socket.close(1000);
    clients[1].socket.close(4_999);
    clients[2].socket.terminate();
    clients[3].send({ type: 'drain', delay: 1 });
    const ended = (series: Series) => series.get('cowrite_connections') === 0;
    const series = await untilMeasured(server, ended);
    expect(series.get('cowrite_upgrades_total')).toBe(8);
    for (const reason of ['unauthenticated', 'origin', 'room-name', 'forbidden']) {
      expect(series.get(`cowrite_upgrades_refused_total{reason="${reason}"}`), reason).toBe(1);
    }
    for (const code of ['1000', 'other', '1006', '4400']) {
      expect(series.get(`cowrite_closes_total{code="${code}"}`), code).toBe(1);
    }
    expect(series.get('cowrite_connection_seconds_count')).toBe(4);
  });

  it('[MET-2] a client that had the document already has come back', async () => {
    const server = await startServer({ adminToken: ADMIN });
    const reconnects = async () => (await measured(server)).get('cowrite_reconnects_total');
    const first = await RawClient.connect(server, 'room');
    const doc = new Y.Doc();
    await first.join(doc);
    doc.getText('t').insert(0, 'x');
    first.send({ type: 'update', update: Y.encodeStateAsUpdate(doc) });
    await first.untilSaved(2);
    // What it asks later, it asks with what it has by then.
    await first.join(doc);
    expect(await reconnects()).toBe(0);
    first.socket.close();
    await (await RawClient.connect(server, 'room')).join(doc);
    await (await RawClient.connect(server, 'room')).join(new Y.Doc());
    expect(await reconnects()).toBe(1);
  });

  it('[MET-2] a message that is too large is a close with 1009', async () => {
    const server = await startServer({ adminToken: ADMIN, limits: { maxMessageBytes: 100 } });
    const client = await RawClient.connect(server, 'room');
    client.socket.send(Buffer.alloc(101));
    await client.untilClosed();
    const isCounted = (series: Series) => series.get('cowrite_closes_total{code="1009"}') === 1;
    await untilMeasured(server, isCounted);
  });

  it('[MET-3] what is not on disk is counted and has an age, a commit a time and its failures', async () => {
    const clock = new ManualClock();
    clock.soon = (call) => void setImmediate(call);
    const storage = new HeldStorage();
    storage.failures = 1;
    const server = await startServer({ adminToken: ADMIN, clock, storage });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await storage.asked.opened;
    clock.advance(2_000);
    let series = await measured(server);
    expect(series.get('cowrite_unsaved_updates')).toBe(1);
    expect(series.get('cowrite_unsaved_bytes')).toBeGreaterThan(0);
    expect(series.get('cowrite_unsaved_oldest_seconds')).toBe(2);
    storage.held.open();
    series = await untilMeasured(server, (now) => now.get('cowrite_store_failing') === 1);
    expect(series.get('cowrite_commit_failures_total')).toBe(1);
    expect(series.get('cowrite_unsaved_updates')).toBe(1);
    clock.advance(1_000);
    await client.untilSaved(2);
    series = await measured(server);
    expect(series.get('cowrite_unsaved_updates')).toBe(0);
    expect(series.get('cowrite_unsaved_oldest_seconds')).toBe(0);
    expect(series.get('cowrite_store_failing')).toBe(0);
    expect(series.get('cowrite_append_seconds_count')).toBe(1);
    expect(series.get('cowrite_append_seconds_sum')).toBeGreaterThanOrEqual(2);
    expect(series.get('cowrite_append_seconds_bucket{le="1"}')).toBe(0);
    expect(series.get('cowrite_append_seconds_bucket{le="5"}')).toBe(1);
    expect(series.get('cowrite_append_seconds_bucket{le="+Inf"}')).toBe(1);
  });

  it('[MET-6] compactions are counted with their bytes', async () => {
    const server = await startServer({ adminToken: ADMIN, limits: { idleMs: 1 } });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x'.repeat(100_000)) });
    await client.untilSaved(2);
    client.socket.close();
    const isDone = (now: Series) => now.get('cowrite_compaction_seconds_count')! > 0;
    const series = await untilMeasured(server, isDone);
    expect(series.get('cowrite_compaction_bytes_total')).toBeGreaterThan(100_000);
    expect(series.get('cowrite_compaction_failures_total')).toBe(0);
  });

  it('[MET-6] a compaction that fails is counted, and one in vain', async () => {
    const storage = new MemoryStorage();
    const server = await startServer({ adminToken: ADMIN, storage });
    const compact = async () =>
      await fetch(`${server.url}/api/rooms/room/compact`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${ADMIN}` },
      });
    const client = await RawClient.connect(server, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    storage.compact = () => Promise.reject(new Error('the disk is full'));
    await compact();
    // As if another instance had been first.
    storage.compact = async () => false;
    await compact();
    const series = await measured(server);
    expect(series.get('cowrite_compaction_failures_total')).toBe(1);
    expect(series.get('cowrite_compactions_outrun_total')).toBe(1);
    expect(series.get('cowrite_compaction_seconds_count')).toBe(0);
  });

  it('[MET-7] what is between instances is counted', async () => {
    const [hub, people, storage] = [new MemoryHub(), new PresenceHub(), new MemoryStorage()];
    const start = async () =>
      await startServer({
        adminToken: ADMIN,
        storage: new MemoryStorage(storage),
        redis: { relay: new MemoryRelay(hub), presence: new MemoryPresence(people) },
      });
    const [one, two] = [await start(), await start()];
    const [ada, grace] = [
      await RawClient.connect(one, 'room'),
      await RawClient.connect(two, 'room'),
    ];
    await Promise.all([ada.join(new Y.Doc()), grace.join(new Y.Doc())]);
    ada.send(presence(7, { user: { name: 'Ada' } }));
    ada.send({ type: 'update', update: typed('x') });
    await grace.next('update');
    const series = await untilMeasured(one, (now) => now.get('cowrite_presence_keys') === 1);
    expect(series.get('cowrite_relay_connected')).toBe(1);
    expect(series.get('cowrite_other_instances')).toBe(1);
    const other = await measured(two);
    expect(other.get('cowrite_relay_lag_seconds_count')).toBeGreaterThan(0);
    expect(other.get('cowrite_presence_keys')).toBe(0);
    const alone = await measured(await startServer({ adminToken: ADMIN }));
    expect(alone.has('cowrite_relay_connected')).toBe(false);
  });

  it('[MET-3] a store that is away is seen', async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage();
    const server = await startServer({ adminToken: ADMIN, clock, storage });
    expect((await measured(server)).get('cowrite_store_away')).toBe(0);
    storage.heads = () => Promise.reject(new Error('connection refused'));
    clock.advance(5_000);
    await untilMeasured(server, (now) => now.get('cowrite_store_away') === 1);
  });

  it('[MET-6] what is set aside is counted, and the rooms that it happened in while they are open', async () => {
    const storage = new MemoryStorage();
    const entries = [{ update: Uint8Array.of(255), author: 'nobody' }];
    await storage.append({ number: 1, appends: [{ room: 'room', life: 0, entries }] });
    const server = await startServer({ adminToken: ADMIN, storage, limits: { idleMs: 1 } });
    const whole = await RawClient.connect(server, 'whole');
    await whole.join(new Y.Doc());
    const damaged = await RawClient.connect(server, 'room');
    await damaged.join(new Y.Doc());
    const series = await measured(server);
    expect(series.get('cowrite_quarantined_rooms')).toBe(1);
    expect(series.get('cowrite_quarantined_entries_total')).toBe(1);
    damaged.socket.close();
    await untilMeasured(server, (now) => now.get('cowrite_quarantined_rooms') === 0);
  });

  it('[MET-8] servers in one process count for themselves, and both show the process', async () => {
    const [one, two] = [
      await startServer({ adminToken: ADMIN }),
      await startServer({ adminToken: ADMIN }),
    ];
    await RawClient.connect(one, 'room');
    for (const [server, count] of [
      [one, 1],
      [two, 0],
    ] as const) {
      const series = await measured(server);
      expect(series.get('cowrite_upgrades_total')).toBe(count);
      expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(0);
      expect(series.get('nodejs_heap_size_used_bytes')).toBeGreaterThan(0);
    }
  });

  it('[MET-9] they are on a port of their own, without a token, for this machine under its own names', async () => {
    const server = await startServer({ metrics: { port: 0 } });
    const url = server.metricsUrl!;
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await response.text()).toContain('cowrite_connections 0\n');
    const { host, origin } = new URL(url);
    expect(await statusOf(url, host)).toBe(200);
    expect(await statusOf(url, 'rebound.example')).toBe(403);
    expect((await fetch(url, { method: 'POST' })).status).toBe(404);
    for (const path of ['/', '/health', '/api/rooms/x', '/ws/x', '/metrics/x']) {
      expect((await fetch(origin + path)).status, path).toBe(404);
    }
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/ws/room`);
    onTestFinished(() => socket.terminate());
    await once(socket, 'error');
    expect((await fetch(`${server.url}/metrics`)).status).toBe(403);
    await server.close();
    await expect(fetch(url)).rejects.toThrow();
  });

  it('[MET-9] where that port is taken the server does not start, and leaves nothing open', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const free = await startServer();
    await free.close();
    const starting = startServer({ port: free.port, metrics: { port } });
    await expect(starting).rejects.toThrow('EADDRINUSE');
    const next = await startServer({ port: free.port });
    expect(socketUrl(next)).toBe(socketUrl(free));
  });
});
