/**
 * The log's lines about refused upgrades: of each kind one at once, and those that follow within
 * a minute in one line together, because a client that is refused for good may come back for ever.
 *
 * Invariant: the lines of a minute are bounded, whoever comes how often with which names.
 */
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';

/** What a line says. */
export interface Rejection {
  /** Left out where it would have been the same in any. */
  readonly room?: string;
  readonly address: string;
  /** Left out for what was not answered. */
  readonly status?: number;
  readonly reason: string;
  /** What was compared, and what can be done about it. */
  readonly explanation?: Readonly<Record<string, string>>;
}

const PERIOD_MS = 60_000;
/** Kinds that have lines of their own in a minute; the others have one together. */
const MAX_KINDS = 100;

export class RejectionLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** How many there were since the last line about each kind. */
  #counts = new Map<string, { readonly rejection: Rejection; count: number }>();
  #others = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** @param names what else the log calls it, if it has a line of its own */
  add(rejection: Rejection, names: object): void {
    this.#timer ??= this.#clock.after(PERIOD_MS, () => this.#summarize());
    const key = JSON.stringify(Object.values(rejection));
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else if (this.#counts.size >= MAX_KINDS) this.#others++;
    else {
      this.#counts.set(key, { rejection, count: 0 });
      this.#logger.info({ ...names, ...fieldsOf(rejection) }, 'not let in');
    }
  }

  #summarize(): void {
    this.#timer = undefined;
    const last = this.#counts;
    this.#counts = new Map();
    const seconds = PERIOD_MS / 1_000;
    for (const [key, { rejection, count }] of last) {
      if (count === 0) continue;
      this.#logger.info({ ...fieldsOf(rejection), count, seconds }, 'not let in, again and again');
      // Who goes on has one line a minute.
      this.#counts.set(key, { rejection, count: 0 });
    }
    if (this.#others > 0) {
      this.#logger.info({ count: this.#others, seconds }, 'others were not let in');
    }
    this.#others = 0;
    if (this.#counts.size > 0) {
      this.#timer = this.#clock.after(PERIOD_MS, () => this.#summarize());
    }
  }

  close(): void {
    this.#timer?.cancel();
    if (this.#timer !== undefined) this.#summarize();
    this.#timer?.cancel();
  }
}

function fieldsOf({ explanation, ...rejection }: Rejection): object {
  return { ...rejection, ...explanation };
}
