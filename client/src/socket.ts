/**
 * The one WebSocket of a provider.
 *
 * Invariant: at most one socket is live, that is, connecting or open and not
 * yet told to close; and only that one is heard. A socket that is let go may
 * take its time to close, or never say that it did: whatever it still reports
 * is ignored, by identity.
 */

/** What is used of a WebSocket; that of browsers, of Node 22 and of `ws` all fit. */
export interface SocketLike {
  binaryType: string;
  readonly protocol: string;
  /** Bytes that were given to it and that the network has not taken. */
  readonly bufferedAmount?: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
  addEventListener(
    type: 'close',
    listener: (event: { code: number; reason: string }) => void,
  ): void;
}

/** `WebSocket`, or what is used instead of it. */
export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** Called for the live socket only. After `closed` there is none. */
export interface SocketListener {
  /** @param protocol the subprotocol that the server chose; empty if none. */
  opened(protocol: string): void;
  /** @param frame null for a text frame, which the protocol does not have. */
  frame(frame: Uint8Array | null): void;
  failed(error: Error): void;
  closed(code: number, reason: string): void;
}

export class Socket {
  readonly #listener: SocketListener;
  readonly #WebSocket: SocketConstructor;
  #live: SocketLike | null = null;
  #isOpen = false;
  /** Bytes given to the live socket, and what the network had taken of them at the last look. */
  #given = 0;
  #taken = 0;

  constructor(WebSocket: SocketConstructor, listener: SocketListener) {
    this.#WebSocket = WebSocket;
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Lets go of the live socket, if any, and starts a new one.
   *
   * @throws whatever the WebSocket's constructor throws; then no socket is live.
   */
  open(url: string, protocols: string[]): void {
    this.close(1000, 'replaced');
    const socket = new this.#WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    this.#live = socket;

    // Never removed: `ws` throws an error event that nobody listens to.
    socket.addEventListener('error', (event) => {
      if (this.#live === socket) this.#listener.failed(errorOf(event));
    });
    socket.addEventListener('open', () => {
      if (this.#live !== socket) return;
      this.#isOpen = true;
      this.#listener.opened(socket.protocol);
    });
    socket.addEventListener('message', ({ data }) => {
      if (this.#live === socket) this.#listener.frame(bytesOf(data));
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (this.#live !== socket) return;
      this.#forget();
      this.#listener.closed(code, reason);
    });
  }

  /** Lets go of the live socket without waiting for its close event; does nothing if there is none. */
  close(code: number, reason: string): void {
    const socket = this.#live;
    if (socket === null) return;
    this.#forget();
    socket.close(code, reason);
  }

  /** @returns whether the frame was handed to an open socket. */
  send(frame: Uint8Array): boolean {
    if (this.#live === null || !this.#isOpen) return false;
    this.#live.send(frame as Uint8Array<ArrayBuffer>);
    this.#given += frame.length;
    return true;
  }

  /** Bytes that were given to it and that the network has not taken. */
  get waiting(): number {
    return this.#live?.bufferedAmount ?? 0;
  }

  /**
   * Whether the network has taken more of what waits to be sent since the last call. Nothing waits of
   * what is small: a dead line takes that, too, and says nothing by it.
   */
  isDraining(): boolean {
    const { waiting } = this;
    const taken = this.#given - waiting;
    const isMore = taken > this.#taken;
    this.#taken = taken;
    return isMore && waiting > 0;
  }

  #forget(): void {
    this.#live = null;
    this.#isOpen = false;
    this.#given = 0;
    this.#taken = 0;
  }
}

function bytesOf(data: unknown): Uint8Array | null {
  if (typeof data === 'string') return null;
  if (ArrayBuffer.isView(data))
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array(data as ArrayBuffer);
}

/** Browsers tell nothing about the failure; `ws` puts the error on the event. */
function errorOf(event: object): Error {
  const error = 'error' in event ? event.error : undefined;
  return error instanceof Error ? error : new Error('the WebSocket failed');
}
