/** One socket of an attacker's: what it sends may be anything, as fast as the server takes it. */
import { decodeMessage, encodeMessage } from '@cowrite/client/protocol';
import { Sender } from 'ws';

/**
 * Bytes written at a time, and waiting to be written. On this machine the kernel delivers them
 * while it takes them, and nothing else of the core is served meanwhile, the prober neither.
 */
const PIECE = 32 * 1024;
const DEADLINE_MS = 10_000;

export class Peer {
  #socket;
  #waiters = new Set();
  wasOpen = false;
  isLeaving = false;
  closed;
  /** Hears each message's bytes, if anybody wants them. */
  onBytes;

  constructor(socket) {
    this.#socket = socket;
    socket.once('open', () => {
      this.wasOpen = true;
    });
    socket.on('message', (bytes) => {
      this.onBytes?.(bytes);
      if (this.#waiters.size === 0) return;
      const message = decodeMessage(bytes);
      for (const waiter of this.#waiters) waiter(message);
    });
    this.ended = new Promise((resolve) => {
      socket.once('close', (code) => {
        this.closed = code;
        resolve(code);
      });
    });
  }

  get isOpen() {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** @param message bytes, a text, or one of the protocol */
  send(message) {
    const isRaw = typeof message === 'string' || message instanceof Uint8Array;
    this.#socket.send(isRaw ? message : encodeMessage(message));
  }

  /** Writes bytes that are frames already, at the rate at which the server reads them. @returns false once it is closed */
  async pour(bytes) {
    const raw = this.#socket._socket;
    for (let at = 0; at < bytes.length; at += PIECE) {
      if (!this.isOpen || raw.destroyed) return false;
      const isTaken = raw.write(bytes.subarray(at, at + PIECE));
      // Also where it is taken: others of this process want to be served.
      if (isTaken) await new Promise((resolve) => setImmediate(resolve));
      else if (raw.writableLength >= PIECE) {
        await Promise.race([new Promise((resolve) => raw.once('drain', resolve)), this.ended]);
      }
    }
    return this.isOpen;
  }

  /** Waits for a message. @throws {Error} when the socket is closed, or nothing comes in time */
  async until(holds) {
    let waiter;
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        waiter = (message) => {
          if (holds(message)) resolve(message);
        };
        this.#waiters.add(waiter);
        void this.ended.then((code) => reject(new Error(`closed with ${code}`)));
        timer = setTimeout(reject, DEADLINE_MS, new Error('what was waited for did not come'));
      });
    } finally {
      this.#waiters.delete(waiter);
      clearTimeout(timer);
    }
  }

  /** Stops reading. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** Its end is not the server's doing. */
  leave() {
    this.isLeaving = true;
    this.#socket.close();
  }

  cut() {
    this.isLeaving = true;
    this.#socket.terminate();
  }
}

/** Messages as they lie in a masked frame each, one behind the other. */
export function framed(messages) {
  return Buffer.concat(
    messages.flatMap((message) =>
      Sender.frame(message instanceof Uint8Array ? message : encodeMessage(message), {
        fin: true,
        rsv1: false,
        opcode: 2,
        mask: true,
        readOnly: true,
      }),
    ),
  );
}
