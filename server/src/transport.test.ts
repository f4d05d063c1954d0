import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { ManualClock } from './clock.js';
import { encodeFrame } from './frame.js';
import { type Connection, Transport } from './transport.js';

/** As in transport.ts: a connection gives its socket no more while this much lies there. */
const SOCKET_BUFFER = 256 * 1024;

/** A client, and the server's end of its socket. */
async function connected(): Promise<{ client: WebSocket; connection: Connection }> {
  const http = createServer();
  let open: (connection: Connection) => void = () => undefined;
  const opened = new Promise<Connection>((resolve) => {
    open = resolve;
  });
  const transport = new Transport(
    { clock: new ManualClock(), maxMessageBytes: 1_000, heartbeat: 15_000 },
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
  return { client, connection };
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
    while (connection.buffered === 0) send(30_000);
    const left = () => SOCKET_BUFFER - 1 - connection.buffered;
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
});
