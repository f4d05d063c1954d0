/** An address whose server changes: it leads connections to a port, and new ones to another when it is told so. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Switch {
  readonly port: number;
  /** New connections only; -1 refuses them. */
  lead(port: number): void;
  /** Ends all connections that are open. */
  cut(): void;
  readonly open: number;
}

export async function startSwitch(first: number): Promise<Switch> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let target = first;
  const server = createServer((near) => {
    if (target < 0) {
      near.destroy();
      return;
    }
    const pair = [near, connect(target, '127.0.0.1')] as const;
    const [, far] = pair;
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  onTestFinished(() => {
    server.close();
    cut();
  });
  return {
    port: (server.address() as AddressInfo).port,
    lead(port) {
      target = port;
    },
    cut,
    get open() {
      return pairs.size;
    },
  };
}
