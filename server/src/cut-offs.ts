/**
 * Says that connections are cut off after the same silence again and again: something on the way has
 * a timeout that is shorter than the pause between two signs of life.
 *
 * Invariant: each time is told once, and there are no more of them than seconds in such a pause.
 */
import type { Logger } from 'pino';

/** As many in a row: those that a network cuts off have been silent for any time. */
const RUN = 6;
/** Milliseconds by which proxies are early and late. */
const NEAR = 350;
/** Seconds. Shorter silence is common; after longer ones something is sent. */
const [SHORTEST, LONGEST] = [2, 30];

export class CutOffs {
  readonly #logger: Logger;
  readonly #told = new Set<number>();
  #seconds = 0;
  #run = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * A connection has ended without a close frame, and not by this side.
   *
   * @param silence milliseconds in which neither side had sent anything
   */
  note(address: string | undefined, silence: number): void {
    const seconds = Math.round(silence / 1_000);
    const isWhole = Math.abs(silence - seconds * 1_000) <= NEAR;
    this.#run = isWhole && seconds === this.#seconds ? this.#run + 1 : 1;
    this.#seconds = isWhole ? seconds : 0;
    if (this.#run < RUN || seconds < SHORTEST || seconds > LONGEST) return;
    if (this.#told.has(seconds)) return;
    this.#told.add(seconds);
    this.#logger.warn(
      {
        seconds,
        connections: RUN,
        address,
        hint: 'set the timeout of the proxy in front to a minute or more (nginx: proxy_read_timeout 60s; HAProxy: timeout tunnel 2m)',
      },
      `connections are cut off when nothing was sent for ${seconds} s: something on the way ends them before the next sign of life`,
    );
  }
}
