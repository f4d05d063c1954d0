import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { ManualClock } from './clock.js';
import { encodeFrame } from './frame.js';
import { Measures } from './measures.js';
import { type Connection, type ConnectionEvents, Transport } from './transport.js';

/** As in transport.ts: a connection gives its socket no more while this much lies there. */
const SOCKET_BUFFER = 256 * 1024;

const DEAF: ConnectionEvents = {
  onMessage: () => undefined,
  onText: () => undefined,
  onPing: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
  onHeartbeat: () => undefined,
};

/** A client, and the server's end of its socket. */
async function connected(): Promise<{
  client: WebSocket;
  connection: Connection;
  clock: ManualClock;
}> {
  const clock = new ManualClock();
  const http = createServer();
  let open: (connection: Connection) => void = () => undefined;
  const opened = new Promise<Connection>((resolve) => {
    open = resolve;
  });
  const transport = new Transport(
    {
      clock,
      logger: pino({ level: 'silent' }),
      maxMessageBytes: 1_000,
      heartbeat: 15_000,
      onTooLarge: () => undefined,
      measures: new Measures().sockets,
    },
    http,
    async () => open,
  );
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws/room`);
  onTestFinished(async () => {
    client.terminate();
    await transport.close(0);
    http.close();
  });
  const [connection] = await Promise.all([opened, once(client, 'open')]);
  return { client, connection, clock };
}

describe('[WIRE] frames on a socket', () => {
  it('[WIRE-1] a ping passes between the fragments of a message that waits, and never inside one', async () => {
    const { client, connection } = await connected();
    const sent: Uint8Array[] = [];
    const received: Uint8Array[] = [];
    let pings = 0;
    const finished = new Promise<void>((resolve, reject) => {
      client.on('error', reject);
      client.on('message', (data: Buffer) => {
        received.push(data);
        if (received.length === sent.length) resolve();
      });
    });
    client.on('ping', () => {
      pings++;
      if (received.length < sent.length) connection.ping();
    });
    const send = (size: number): void => {
      const update = new Uint8Array(size).map((_, i) => i * 31 + sent.length);
      const message: Message = { type: 'update', update };
      sent.push(encodeMessage(message));
      connection.send(encodeFrame(message));
    };
    const overhead = encodeFrame({ type: 'update', update: new Uint8Array(30_000) }).size - 30_000;

    client.pause();
    // All in one turn, in which the socket takes nothing more once the kernel is full.
    while (connection.untaken === 0) send(30_000);
    const left = () => SOCKET_BUFFER - 1 - connection.untaken;
    while (left() > 60_000) send(30_000);
    send(left() - overhead);
    expect(left()).toBe(0);
    // There is room for a byte: with the next header the socket is full.
    send(1_000_000);
    for (let i = 0; i < 3; i++) connection.ping();
    client.resume();
    await finished;
    expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true);
    expect(pings).toBeGreaterThanOrEqual(3);
    expect(connection.isOpen).toBe(true);
  });

  it('[FAN-4] what a peer leaves unread in the kernel counts as waiting, until it has read it', async () => {
    const { client, connection } = await connected();
    let drains = 0;
    const drained = new Promise<void>((resolve) => {
      connection.events = {
        ...DEAF,
        onDrain: () => {
          drains++;
          resolve();
        },
      };
    });
    client.pause();
    const frame = encodeFrame({ type: 'update', update: new Uint8Array(50_000) });
    const sent = 20 * frame.size;
    for (let i = 0; i < 20; i++) {
      connection.send(frame);
      // The kernel has taken it, or not: that makes no difference here.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(connection.buffered).toBe(sent - 256 * 1024);
    expect(drains).toBe(0);
    client.resume();
    await drained;
    expect(connection.buffered).toBe(0);
  });

  it('[FAN-4] a peer that says it has read more than it was sent is not believed', async () => {
    const { client, connection } = await connected();
    client.pause();
    const frame = encodeFrame({ type: 'update', update: new Uint8Array(50_000) });
    for (let i = 0; i < 20; i++) connection.send(frame);
    const before = connection.buffered;
    const heard = new Promise<void>((resolve) => {
      connection.events = { ...DEAF, onMessage: () => resolve() };
    });
    for (const lie of [Buffer.alloc(6, 0xff), Buffer.alloc(3), Buffer.alloc(0)]) client.pong(lie);
    client.send(Buffer.from([1]));
    await heard;
    expect(connection.buffered).toBe(before);
  });
});

describe('[LIVE] dead peers', () => {
  it('[LIVE-4] a server that stood still cuts nobody off for what it could not hear; who stays silent is cut off after all', async () => {
    const { client, connection, clock } = await connected();
    // So that nothing of it is heard.
    client.pause();
    clock.advance(10_000);
    const now = clock.now.bind(clock);
    clock.now = () => now() + 60_000;
    clock.advance(29_000);
    expect(connection.isOpen).toBe(true);
    clock.advance(31_000);
    expect(connection.isOpen).toBe(false);
  });
});
