/**
 * A TCP proxy that lets so many bytes through in a step, each way, and nothing in between: a slow
 * line whose time is counted, not waited for.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface SlowLine {
  readonly url: string;
  /** Lets at most so many bytes of each connection through. @returns how many there were, up and down */
  step(up: number, down: number): Promise<{ readonly up: number; readonly down: number }>;
}

export async function slowLineTo(server: { readonly url: string }): Promise<SlowLine> {
  const { port, hostname } = new URL(server.url);
  const pairs = new Set<{ readonly client: Socket; readonly upstream: Socket }>();
  const proxy = createServer((client) => {
    const pair = { client, upstream: connect(Number(port), hostname) };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      client.destroy();
      pair.upstream.destroy();
    };
    for (const socket of [client, pair.upstream]) socket.on('error', end).on('close', end);
    // With a listener for `readable` a socket hands out only what is read of it.
    for (const socket of [client, pair.upstream]) socket.on('readable', () => undefined);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(async () => {
    for (const { client, upstream } of pairs) {
      client.destroy();
      upstream.destroy();
    }
    await new Promise((resolve) => proxy.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    async step(up, down) {
      const moved = await Promise.all(
        [...pairs].flatMap(({ client, upstream }) => [
          pass(client, upstream, up),
          pass(upstream, client, down),
        ]),
      );
      const sum = (way: number) =>
        moved.reduce((total, bytes, i) => (i % 2 === way ? total + bytes : total), 0);
      return { up: sum(0), down: sum(1) };
    },
  };
}

async function pass(from: Socket, to: Socket, most: number): Promise<number> {
  const length = Math.min(most, from.readableLength);
  const bytes: Buffer | null = length > 0 ? from.read(length) : null;
  if (bytes === null || !to.writable) return 0;
  await new Promise((resolve) => to.write(bytes, resolve));
  return bytes.length;
}
