import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { encodeMessage, type Message } from '@cowrite/client/protocol';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
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
  onTooLarge: () => undefined,
  onPing: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
  onHeartbeat: () => undefined,
};

/** Somewhere to connect to, and the next connection that is made to it. */
async function listening(): Promise<{
  port: number;
  opened: Promise<Connection>;
  socket: Promise<Socket>;
  clock: ManualClock;
  cutOffs: readonly number[];
}> {
  const clock = new ManualClock();
  const cutOffs: number[] = [];
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
      onCutOff: (_, silence) => void cutOffs.push(silence),
      measures: new Measures().sockets,
    },
    http,
    async () => open,
  );
  const socket = once(http, 'connection').then(([accepted]) => accepted as Socket);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  onTestFinished(async () => {
    await transport.close(0);
    http.close();
  });
  return { port, opened, socket, clock, cutOffs };
}

/** A client, and the server's end of its socket. */
async function connected(): Promise<{
  client: WebSocket;
  connection: Connection;
  clock: ManualClock;
  cutOffs: readonly number[];
}> {
  const { port, opened, clock, cutOffs } = await listening();
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws/room`);
  onTestFinished(() => client.terminate());
  const [connection] = await Promise.all([opened, once(client, 'open')]);
  return { client, connection, clock, cutOffs };
}

interface Raw {
  peer: Socket;
  connection: Connection;
  /** The server's end of it. */
  socket: Socket;
  clock: ManualClock;
}

/** As {@link connected}, with a peer that speaks TCP only and answers no ping. */
async function rawlyConnected(): Promise<Raw> {
  const { port, opened, socket: accepted, clock } = await listening();
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  onTestFinished(() => {
    peer.destroy();
  });
  peer.write(
    'GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  const [connection, socket] = await Promise.all([opened, accepted, once(peer, 'data')]);
  connection.events = DEAF;
  return { peer, connection, socket, clock };
}

/** As {@link rawlyConnected}, with a peer that has sent the header of a message that is too large. */
async function tooLarge(): Promise<Raw> {
  const raw = await rawlyConnected();
  const { peer } = raw;
  const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4]);
  peer.write(header);
  const [answer] = await once(peer, 'data');
  expect(answer).toEqual(Buffer.from([0x88, 2, 1009 >> 8, 1009 & 0xff]));
  return raw;
}

describe('[OPS] how a socket ends', () => {
  it('[OPS-11] one that is cut off is told of with how long it was silent, and no other', async () => {
    const far = await connected();
    const closed = new Promise<void>((resolve) => {
      far.connection.events = { ...DEAF, onClose: resolve };
    });
    far.clock.advance(5_000);
    far.client.terminate();
    await closed;
    expect(far.cutOffs).toEqual([5_000]);
    for (const end of [
      ({ client }: { client: WebSocket }) => client.close(),
      ({ connection }: { connection: Connection }) => connection.terminate('for a reason'),
    ]) {
      const other = await connected();
      const gone = new Promise<void>((resolve) => {
        other.connection.events = { ...DEAF, onClose: resolve };
      });
      end(other);
      await gone;
      expect(other.cutOffs).toEqual([]);
    }
  });
});

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

  it('[JOIN-13] what the socket has room for of a large answer is given to it in one call', async () => {
    const { peer, connection, socket } = await rawlyConnected();
    const single = vi.spyOn(socket, '_write');
    const many = vi.spyOn(socket, '_writev');
    const pieces = Array.from({ length: 4 }, () =>
      encodeFrame({ type: 'update', update: new Uint8Array(256_000) }),
    );
    const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
    let received = 0;
    const finished = new Promise<void>((resolve) => {
      peer.on('data', ({ length }: Buffer) => {
        received += length;
        if (received > size) resolve();
      });
    });
    for (const piece of pieces) connection.send(piece);
    // The question how far it has read comes on top.
    await finished;
    expect(received - size).toBe(2 + 6);
    expect(single).not.toHaveBeenCalled();
    // Each has a fragment of 128 KB at least.
    expect(many.mock.calls.length).toBeLessThanOrEqual(Math.ceil(size / (128 * 1024)));
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
  it('[THR-3] a peer that still sends its message when it is told that it is too large is not reset', async () => {
    const { peer, connection } = await tooLarge();
    const closed = new Promise<void>((resolve) => {
      connection.events = { ...DEAF, onClose: resolve };
    });
    await once(peer, 'end');
    for (let part = 0; part < 10; part++) {
      await new Promise((resolve) => peer.write(Buffer.alloc(50_000), resolve));
    }
    peer.end();
    const [hadError] = await once(peer, 'close');
    expect(hadError).toBe(false);
    await closed;
  });

  it('[THR-3] one that goes on and on is not read, and cut off after 5 s', async () => {
    const { peer, connection, socket, clock } = await tooLarge();
    let isClosed = false;
    const closed = new Promise<void>((resolve) => {
      connection.events = {
        ...DEAF,
        onClose: () => {
          isClosed = true;
          resolve();
        },
      };
    });
    peer.on('error', () => undefined);
    const paused = once(socket, 'pause');
    // Far more than is read of it and both kernels hold.
    peer.write(Buffer.alloc(100 << 20));
    await paused;
    expect(socket.bytesRead).toBeLessThan(2 << 20);
    clock.advance(4_999);
    expect(isClosed).toBe(false);
    clock.advance(1);
    await closed;
  });

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

  it('[LIVE-5] bytes that arrive are life, though they make up a message only minutes later', async () => {
    const { peer, connection, socket, clock } = await rawlyConnected();
    const messages: number[] = [];
    connection.events = { ...DEAF, onMessage: ({ length }) => messages.push(length) };
    const send = async (bytes: Buffer): Promise<void> => {
      const before = socket.bytesRead;
      peer.write(bytes);
      await vi.waitFor(() => expect(socket.bytesRead).toBe(before + bytes.length), 30_000);
    };
    await send(Buffer.from([0x82, 0xfe, 600 >> 8, 600 & 0xff, 0, 0, 0, 0]));
    for (let sent = 0; sent < 600; sent += 50) {
      clock.advance(14_000);
      expect([connection.isOpen, connection.isArriving]).toEqual([true, true]);
      await send(Buffer.alloc(50));
    }
    expect(messages).toEqual([600]);
    clock.advance(29_000);
    expect([connection.isOpen, connection.isArriving]).toEqual([true, false]);
    clock.advance(6_000);
    expect(connection.isOpen).toBe(false);
  });

  it('[LIVE-5] one whose bytes stop in the midst of a message is cut off', async () => {
    const { peer, connection, socket, clock } = await rawlyConnected();
    const before = socket.bytesRead;
    peer.write(Buffer.from([0x82, 0xfe, 600 >> 8, 600 & 0xff, 0, 0, 0, 0, 1, 2, 3]));
    await vi.waitFor(() => expect(socket.bytesRead).toBe(before + 11), 30_000);
    clock.advance(29_000);
    expect(connection.isOpen).toBe(true);
    clock.advance(11_000);
    expect(connection.isOpen).toBe(false);
  });
});
