import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { watchArrival } from './arrival.js';
import { ManualClock } from './clock.js';

const PATIENCE = 10_000;
const WAIT = { timeout: 60_000, interval: 5 };

/** A request of which the test sends the body. */
async function sent(isTrusted: boolean, { length = 1_000, maxBytes = 6_400_000 } = {}) {
  const clock = new ManualClock();
  const late: number[] = [];
  let arrived = 0;
  let request: IncomingMessage | undefined;
  const server = createServer({ requestTimeout: 0 }, (received) => {
    request = received;
    received.on('data', ({ length: bytes }: Buffer) => {
      arrived += bytes;
    });
    received.on('error', () => undefined);
    watchArrival(received, {
      clock,
      patience: PATIENCE,
      maxBytes,
      isTrusted: () => isTrusted,
      onLate: ({ socket }) => {
        late.push(clock.now());
        socket.destroy();
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  onTestFinished(async () => {
    socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
  await vi.waitFor(() => expect(request).toBeDefined(), WAIT);
  return {
    clock,
    late,
    /** Sends so many bytes, and lets the time of a look go by once they are there. */
    async part(bytes: number): Promise<void> {
      const before = arrived;
      socket.write('x'.repeat(bytes));
      await vi.waitFor(() => expect(arrived).toBe(before + bytes), WAIT);
      clock.advance(PATIENCE);
    },
    isWhole: () => request?.complete === true,
  };
}

describe('[LIM-20] the body of a request', () => {
  it('[LIM-20] has as long as bytes of it arrive, where the administrator sends it', async () => {
    const { clock, late, part, isWhole } = await sent(true, { length: 11 });
    for (let i = 0; i < 10; i++) await part(1);
    expect(late).toEqual([]);
    await part(1);
    expect(isWhole()).toBe(true);
    clock.advance(10 * PATIENCE);
    expect(late).toEqual([]);
  });

  it('[LIM-20] of which nothing arrives any more is late', async () => {
    const { clock, late, part } = await sent(true);
    await part(1);
    clock.advance(PATIENCE - 1);
    expect(late).toEqual([]);
    clock.advance(1);
    expect(late).toEqual([2 * PATIENCE]);
  });

  it('[LIM-20] that comes in single bytes is late once the largest one would be there', async () => {
    const { late, part } = await sent(true, { maxBytes: 640_000 });
    for (let i = 0; i < 2; i++) await part(1);
    // Ten seconds at 64 KB/s, and those that everybody has.
    expect(late).toEqual([2 * PATIENCE]);
  });

  it('[LIM-20] of somebody else is late when a request is', async () => {
    const { late, part } = await sent(false);
    await part(1);
    expect(late).toEqual([PATIENCE]);
  });
});
