/** A TCP proxy in front of a server: tells when the server took a WebSocket, and can lose what is said on them. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  isSilent: boolean;
}

export class WatchedWire {
  readonly url: string;
  readonly #webSockets: Set<Pair>;
  readonly #opened: number[];

  private constructor(port: number, webSockets: Set<Pair>, opened: number[]) {
    this.url = `http://127.0.0.1:${port}`;
    this.#webSockets = webSockets;
    this.#opened = opened;
  }

  static async before(server: { readonly port: number }): Promise<WatchedWire> {
    const webSockets = new Set<Pair>();
    const opened: number[] = [];
    const sockets = new Set<Socket>();
    const proxy = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      const pair: Pair = { near, far, isSilent: false };
      const drop = () => {
        webSockets.delete(pair);
        far.destroy();
        if (!pair.isSilent) near.destroy();
      };
      far.once('data', (head) => {
        if (!head.toString('latin1').startsWith('HTTP/1.1 101')) return;
        webSockets.add(pair);
        opened.push(performance.now());
      });
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket
          .on('error', drop)
          .on('close', drop)
          .on('close', () => sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    });
    return new WatchedWire((proxy.address() as { port: number }).port, webSockets, opened);
  }

  /** Those that the server has taken, by `performance.now()`, also those that are closed by now. */
  get opened(): readonly number[] {
    return this.#opened;
  }

  get openWebSockets(): number {
    return this.#webSockets.size;
  }

  /**
   * As when a cable is pulled: what is said from now on on those that are open is lost, and the
   * client does not hear that the server ends them.
   *
   * @returns what tells the client that they have ended
   */
  silence(): () => void {
    const pairs = [...this.#webSockets];
    for (const pair of pairs) {
      pair.isSilent = true;
      pair.near.unpipe(pair.far).resume();
      pair.far.unpipe(pair.near).resume();
    }
    return () => {
      for (const { near } of pairs) near.destroy();
    };
  }
}
