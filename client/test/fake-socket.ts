/**
 * WebSockets without a network: the test says when each opens, hears something,
 * or closes, which may be late or never.
 */
import { decodeMessage, encodeMessage, type Message } from '../src/protocol/index.js';
import type { SocketConstructor, SocketLike } from '../src/socket.js';

type Listener = (event: never) => void;

export class FakeSocket implements SocketLike {
  binaryType = 'blob';
  protocol = '';
  readyState = 0;
  /** What the test says; nothing waits by itself. */
  bufferedAmount = 0;
  readonly url: string;
  readonly protocols: readonly string[];
  readonly sent: Message[] = [];
  closedWith: { code: number | undefined; reason: string | undefined } | null = null;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(url: string, protocols: readonly string[]) {
    this.url = url;
    this.protocols = protocols;
  }

  get isLive(): boolean {
    return this.readyState <= 1;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(data: Uint8Array): void {
    if (this.readyState === 0) throw new Error('still connecting');
    // Behind what waits, all waits.
    if (this.bufferedAmount > 0) this.bufferedAmount += data.length;
    this.sent.push(decodeMessage(data));
  }

  close(code?: number, reason?: string): void {
    this.closedWith = { code, reason };
    this.readyState = Math.max(this.readyState, 2);
  }

  /** As a server that accepts; a socket that was told to close may still report it. */
  accept(protocol = this.protocols[0] ?? ''): void {
    this.protocol = protocol;
    this.readyState = Math.max(this.readyState, 1);
    this.#fire('open', {});
  }

  say(message: Message): void {
    this.sayBytes(encodeMessage(message));
  }

  sayBytes(frame: Uint8Array): void {
    this.#fire('message', { data: frame.slice().buffer });
  }

  sayText(data: string): void {
    this.#fire('message', { data });
  }

  fail(error?: Error): void {
    this.#fire('error', { error });
  }

  drop(code = 1006, reason = ''): void {
    this.readyState = 3;
    this.#fire('close', { code, reason });
  }

  #fire(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}

/** A WebSocket constructor that keeps what it made. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];
  readonly WebSocket: SocketConstructor;

  constructor() {
    const { sockets } = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    };
  }

  get live(): FakeSocket[] {
    return this.sockets.filter(({ isLive }) => isLive);
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }
}
