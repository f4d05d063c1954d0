/**
 * What one socket sends, in its order, one after another. While one of its messages takes
 * its time, or has to be earned first, those behind it wait: the few that were read with it
 * here, the others in the kernel, which in the end keeps the peer from sending.
 */
import type { Connection } from './transport.js';

/** Whose intake it is; not a closure, which every session would keep. */
export interface IntakeListener {
  onTurn(bytes: Uint8Array): void;
}

export class Intake {
  readonly #connection: Connection;
  readonly #listener: IntakeListener;
  /** Reasons to wait. */
  #holds = 0;
  #waiting: Uint8Array[] | undefined;

  constructor(connection: Connection, listener: IntakeListener) {
    this.#connection = connection;
    this.#listener = listener;
  }

  push(bytes: Uint8Array): void {
    if (this.#holds === 0) this.#listener.onTurn(bytes);
    else {
      this.#waiting ??= [];
      this.#waiting.push(bytes);
    }
  }

  /** Nothing is handled until this is {@link release}d as often as it was held. */
  hold(): void {
    if (this.#holds++ === 0) this.#connection.pause();
  }

  release(): void {
    // What waits when the server closes is not taken any more, and nobody was told that it is.
    if (--this.#holds > 0 || this.#connection.isStopped) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    // One of them may make the others wait again.
    let next = 0;
    while (next < waiting.length && this.#holds === 0) this.#listener.onTurn(waiting[next++]!);
    if (this.#holds === 0) this.#connection.resume();
    else if (next < waiting.length) this.#waiting = waiting.slice(next);
  }
}
