/**
 * Keeps an instance's own people present: writes them, refreshes them, removes them.
 *
 * Invariants: a newcomer is written at the end of the turn; a state that moves is
 * written at most once a second; everybody is written again, whole, within a third
 * of the time to live, so that a store that was flushed fills up by itself. One
 * write is on its way at a time, and what gathers meanwhile is the next one's.
 */
import type { Logger } from 'pino';
import type { Clock, Timer } from '../clock.js';
import type { Person, Presence } from './presence.js';

export interface KeeperOptions {
  readonly presence: Presence;
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds that a person stays present after this instance has gone. */
  readonly ttl: number;
}

/** Milliseconds between two writes of one client's states. */
const WRITE_EVERY_MS = 1_000;

interface Kept {
  person: Person;
  writtenAt: number;
  isChanged: boolean;
}

export class PresenceKeeper {
  readonly #options: KeeperOptions;
  readonly #kept = new Map<string, Kept>();
  /** Who has left and is still to be removed. */
  #left = new Map<string, Pick<Person, 'room' | 'client'>>();
  readonly #tick: Timer;
  #isWriting = false;
  #isScheduled = false;
  #isFailing = false;
  #isClosed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#tick = options.clock.every(WRITE_EVERY_MS, () => void this.#write());
  }

  /** How many people are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Since when somebody is here is the moment of the first call for them. */
  set(shown: Omit<Person, 'since'>): void {
    const key = keyOf(shown);
    const kept = this.#kept.get(key);
    const person = { ...shown, since: kept?.person.since ?? this.#options.clock.date() };
    this.#left.delete(key);
    if (kept === undefined) {
      const writtenAt = Number.NEGATIVE_INFINITY;
      this.#kept.set(key, { person, writtenAt, isChanged: true });
      this.#soon();
    } else {
      kept.person = person;
      kept.isChanged = true;
      if (this.#options.clock.now() - kept.writtenAt >= WRITE_EVERY_MS) this.#soon();
    }
  }

  remove(room: string, client: number): void {
    const key = keyOf({ room, client });
    if (!this.#kept.delete(key)) return;
    this.#left.set(key, { room, client });
    this.#soon();
  }

  /** Removes everybody. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#tick.cancel();
    const { presence, instance, logger } = this.#options;
    const people = [
      ...this.#left.values(),
      ...[...this.#kept.values()].map(({ person }) => person),
    ];
    this.#kept.clear();
    try {
      if (people.length > 0) await presence.remove(instance, people);
    } catch (error) {
      logger.warn(
        { reason: reasonOf(error) },
        'presence could not be removed; it runs out by itself',
      );
    }
  }

  #soon(): void {
    if (this.#isScheduled || this.#isWriting) return;
    this.#isScheduled = true;
    this.#options.clock.soon(() => {
      this.#isScheduled = false;
      void this.#write();
    });
  }

  /** Never rejects: what was not written is due again at the next tick. */
  async #write(): Promise<void> {
    if (this.#isWriting || this.#isClosed) return;
    const { presence, instance, clock, logger, ttl } = this.#options;
    const now = clock.now();
    const due: Kept[] = [];
    for (const kept of this.#kept.values()) {
      const age = now - kept.writtenAt;
      // A tick early: the next one would be late.
      if (age >= ttl / 3 - WRITE_EVERY_MS || (kept.isChanged && age >= WRITE_EVERY_MS))
        due.push(kept);
    }
    const left = this.#left;
    if (due.length === 0 && left.size === 0) return;
    this.#left = new Map();
    this.#isWriting = true;
    const written = due.map((kept) => kept.person);
    try {
      await Promise.all([
        written.length > 0 && presence.put(instance, written, ttl),
        left.size > 0 && presence.remove(instance, [...left.values()]),
      ]);
      for (const [i, kept] of due.entries()) {
        kept.writtenAt = now;
        // Otherwise it has moved on while this was written.
        if (kept.person === written[i]) kept.isChanged = false;
      }
      if (this.#isFailing) logger.info('presence is written again');
      this.#isFailing = false;
    } catch (error) {
      for (const [key, person] of left) if (!this.#kept.has(key)) this.#left.set(key, person);
      if (!this.#isFailing)
        logger.warn(
          { reason: reasonOf(error) },
          'presence could not be written; it is tried again',
        );
      this.#isFailing = true;
    } finally {
      this.#isWriting = false;
    }
    if (!this.#isFailing && this.#isWaiting()) this.#soon();
  }

  /** Whether somebody has come or gone while a write was on its way. */
  #isWaiting(): boolean {
    if (this.#left.size > 0) return true;
    for (const { writtenAt } of this.#kept.values())
      if (writtenAt === Number.NEGATIVE_INFINITY) return true;
    return false;
  }
}

/** That a store is away is no place for a stack. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A room's name holds no line feed. */
function keyOf({ room, client }: Pick<Person, 'room' | 'client'>): string {
  return `${client}\n${room}`;
}
