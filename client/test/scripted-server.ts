/**
 * A real `ws` server on a free port that does only what the test tells it to:
 * it says nothing by itself, and keeps what it hears until it is asked for.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import * as Y from 'yjs';
import { decodeMessage, encodeMessage, type Message } from '../src/protocol/index.js';

type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;

/** Values that arrive before or after someone waits for them. */
class Mailbox<T> {
  readonly #values: T[] = [];
  readonly #waiting: { accepts: (value: T) => boolean; resolve: (value: T) => void }[] = [];

  put(value: T): void {
    const index = this.#waiting.findIndex(({ accepts }) => accepts(value));
    const [waiting] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (waiting === undefined) this.#values.push(value);
    else waiting.resolve(value);
  }

  /** The first value that is accepted, and was not taken before. */
  take(accepts: (value: T) => boolean = () => true): Promise<T> {
    const index = this.#values.findIndex(accepts);
    if (index >= 0) return Promise.resolve(this.#values.splice(index, 1)[0] as T);
    return new Promise((resolve) => this.#waiting.push({ accepts, resolve }));
  }
}

export class Connection {
  readonly received: Message[] = [];
  readonly closed: Promise<number>;
  readonly path: string;
  readonly #socket: WebSocket;
  readonly #mailbox = new Mailbox<Message>();

  constructor(socket: WebSocket, path: string) {
    this.#socket = socket;
    this.path = path;
    this.closed = once(socket, 'close').then(([code]) => code as number);
    socket.on('message', (data: Buffer) => {
      const message = decodeMessage(new Uint8Array(data));
      this.received.push(message);
      this.#mailbox.put(message);
    });
  }

  /** The next message of this type that was not taken before. */
  take<T extends Message['type']>(type: T): Promise<MessageOf<T>> {
    return this.#mailbox.take((message) => message.type === type) as Promise<MessageOf<T>>;
  }

  send(message: Message): void {
    this.#socket.send(encodeMessage(message));
  }

  sendRaw(data: string | Uint8Array): void {
    this.#socket.send(data);
  }

  /** Both directions, on behalf of `doc`. Resolves once the client's step 2 is applied to it. */
  async sync(doc: Y.Doc): Promise<void> {
    this.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
    const { stateVector } = await this.take('step1');
    this.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc, stateVector) });
    const { update } = await this.take('step2');
    Y.applyUpdate(doc, update);
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason);
  }

  /** Gone without a word. */
  terminate(): void {
    this.#socket.terminate();
  }
}

export class ScriptedServer {
  readonly url: string;
  readonly connections: Connection[] = [];
  readonly #server: WebSocketServer;
  readonly #mailbox = new Mailbox<Connection>();

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
    server.on('connection', (socket, request) => {
      const connection = new Connection(socket, request.url ?? '');
      this.connections.push(connection);
      this.#mailbox.put(connection);
    });
  }

  /** @param choose which of the offered subprotocols to answer with; the first if left out. */
  static async start(choose?: (offered: Set<string>) => string | false): Promise<ScriptedServer> {
    const server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      ...(choose === undefined ? {} : { handleProtocols: choose }),
    });
    await once(server, 'listening');
    return new ScriptedServer(server);
  }

  /** How many sockets are open, by the server's own count. */
  get open(): number {
    return this.#server.clients.size;
  }

  /** The next connection that was not taken before. */
  accept(): Promise<Connection> {
    return this.#mailbox.take();
  }

  async stop(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
