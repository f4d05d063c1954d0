/** One socket of an attacker's: what it sends may be anything, as fast as the server takes it. */
import { decodeMessage, encodeMessage } from '@cowrite/client/protocol';
import { Sender } from 'ws';
import { sleep } from '../bench/helper.mjs';

/**
 * Bytes written at a time, and waiting to be written. On this machine the kernel delivers them
 * while it takes them, and nothing else of the core is served meanwhile, the prober neither.
 */
const PIECE = 32 * 1024;
const DEADLINE_MS = 10_000;
const LOOK_MS = 2;
const SAVED = 100;

export class Peer {
  #socket;
  #waiters = new Set();
  wasOpen = false;
  isLeaving = false;
  closed;
  /** Document messages of this socket that are on disk. */
  saved = 0;
  /** Hears each message's bytes, if anybody wants them. */
  onBytes;

  constructor(socket) {
    this.#socket = socket;
    socket.once('open', () => {
      this.wasOpen = true;
    });
    socket.on('message', (bytes) => {
      this.onBytes?.(bytes);
      if (bytes[0] === SAVED) this.saved = decodeMessage(bytes).count;
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

  /**
   * Writes bytes that are frames already, at the rate at which the server reads them.
   *
   * @param isOver whether to leave off, also while the server reads nothing
   * @returns false once it is closed
   */
  async pour(bytes, isOver = () => false) {
    const raw = this.#socket._socket;
    for (let at = 0; at < bytes.length; at += PIECE) {
      if (!this.isOpen || raw.destroyed) return false;
      const isTaken = raw.write(bytes.subarray(at, at + PIECE));
      // Also where it is taken: others of this process want to be served.
      if (isTaken) await new Promise((resolve) => setImmediate(resolve));
      else if (raw.writableLength >= PIECE) {
        await this.#drained(raw, isOver);
      }
    }
    return this.isOpen;
  }

  /** Looks up now and then: what is over may be so while nothing drains. */
  async #drained(raw, isOver) {
    while (raw.writableNeedDrain && this.isOpen && !isOver()) {
      await sleep(LOOK_MS);
    }
  }

  /** Waits for a message. @throws {Error} when the socket is closed, or nothing comes in time */
  async until(holds, ms = DEADLINE_MS) {
    let waiter;
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        waiter = (message) => {
          if (holds(message)) resolve(message);
        };
        this.#waiters.add(waiter);
        void this.ended.then((code) => reject(new Error(`closed with ${code}`)));
        timer = setTimeout(reject, ms, new Error('what was waited for did not come'));
      });
    } finally {
      this.#waiters.delete(waiter);
      clearTimeout(timer);
    }
  }

  async untilSaved(count, ms) {
    if (this.saved < count) await this.until(() => this.saved >= count, ms);
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
