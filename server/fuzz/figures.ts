/** What was sent, and what became of it. */

export class Figures {
  sessions = 0;
  /** Sent on sockets that were open; upgrades count as one. */
  frames = 0;
  /** Frames by what they are. */
  readonly kinds = new Counts();
  /** Frames by what followed: an answer to the ping behind them, or the close code. */
  readonly outcomes = new Counts();
  /** Upgrades by the status of their answer. */
  readonly statuses = new Counts();
}

export class Counts extends Map<string, number> {
  add(key: string, count = 1): void {
    this.set(key, (this.get(key) ?? 0) + count);
  }

  /** The most frequent first. */
  override toString(): string {
    const entries = [...this].sort(([, a], [, b]) => b - a);
    return entries.map(([key, count]) => `${count} ${key}`).join('; ');
  }
}

/** The server did not hold to what it has to. */
export class Broken extends Error {
  override readonly name = 'Broken';
}
