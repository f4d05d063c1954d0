/** Time as an argument: the server takes all of it from here, so that a test can move it. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds that only go forward; not the time of day. */
  now(): number;
  /** Milliseconds since 1970, for stamps that other machines read. */
  date(): number;
  /** Calls once after `ms` milliseconds. Does not keep the process alive. */
  after(ms: number, call: () => void): Timer;
  /** Calls again and again, `ms` milliseconds apart. Does not keep the process alive. */
  every(ms: number, call: () => void): Timer;
  /** Calls at the end of this turn of the event loop. */
  soon(call: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(ms, call) {
    const timer = setInterval(call, ms).unref();
    return { cancel: () => clearInterval(timer) };
  },
  soon(call) {
    setImmediate(call);
  },
};

/** A clock that stands still until it is told to go. */
export class ManualClock implements Clock {
  #now = 0;
  #soon: (() => void)[] = [];
  readonly #timers = new Set<{ at: number; every: number | undefined; call: () => void }>();

  now(): number {
    return this.#now;
  }

  date(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): Timer {
    const timer = { at: this.#now + ms, every: undefined, call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  every(ms: number, call: () => void): Timer {
    const timer = { at: this.#now + ms, every: ms, call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  soon(call: () => void): void {
    this.#soon.push(call);
  }

  /** Ends the turn: runs what was to be called soon, and what that asks for in its turn. */
  turn(): void {
    while (this.#soon.length > 0) for (const call of this.#soon.splice(0)) call();
  }

  /** Moves the time on and runs everything that falls due, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    this.turn();
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = due.at;
      if (due.every === undefined) this.#timers.delete(due);
      else due.at += due.every;
      due.call();
      this.turn();
    }
    this.#now = until;
  }

  /** How many timers are set: none may be left behind by what was closed. */
  get pending(): number {
    return this.#timers.size;
  }
}
