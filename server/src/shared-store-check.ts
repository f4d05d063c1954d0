/**
 * Whether another server uses the same store, where no Redis is set in which the two would meet.
 *
 * Nothing is lost then: seqs are the store's. But people at one do not see what people at the other
 * write, and both are told "Saved". For a moment that is a deploy, the old server and the new one; it
 * becomes a fault when it lasts.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';
import type { Storage } from './storage/storage.js';

/** At how many looks in a row another must have gone on: longer than a deploy takes. */
const LOOKS = 6;

/** A store in which servers can note that they are there; one that belongs to a process has no others. */
type MeetingStore = Storage & Required<Pick<Storage, 'heartbeat'>>;

export interface SharedStoreCheckOptions {
  readonly storage: MeetingStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds for which a note in the store counts; another is made after half of that. */
  readonly ttl: number;
}

export class SharedStoreCheck {
  readonly #options: SharedStoreCheckOptions;
  readonly #instance = randomUUID();
  readonly #timer: Timer;
  /** What the others had noted at the last look. */
  #counts = new Map<string, number>();
  #count = 0;
  #looks = 0;
  #isTold = false;
  #isLooking = false;

  /** @returns undefined, and no timer, where there is nothing to look at */
  static of(
    options: Omit<SharedStoreCheckOptions, 'storage'> & { readonly storage: Storage },
  ): SharedStoreCheck | undefined {
    const { storage } = options;
    return canMeet(storage) ? new SharedStoreCheck({ ...options, storage }) : undefined;
  }

  private constructor(options: SharedStoreCheckOptions) {
    this.#options = options;
    this.#timer = options.clock.every(options.ttl / 2, () => void this.look());
  }

  close(): void {
    this.#timer.cancel();
  }

  /** Never rejects: a store that does not answer is health's to tell. */
  async look(): Promise<void> {
    const { storage, ttl, logger } = this.#options;
    if (this.#isLooking) return;
    this.#isLooking = true;
    const own = { instance: this.#instance, count: ++this.#count, isRelayed: false };
    try {
      const others = await storage.heartbeat(own, ttl);
      const counts = new Map(others.map(({ instance, count }) => [instance, count]));
      // Of one that is new, or stands still, nothing is known yet.
      const goOn = others.filter(({ instance, count }) => {
        const before = this.#counts.get(instance);
        return before !== undefined && count > before;
      });
      this.#counts = counts;
      this.#consider(goOn.length, counts.size);
    } catch (error) {
      logger.debug({ err: error }, 'the store could not be asked which other servers use it');
    } finally {
      this.#isLooking = false;
    }
  }

  #consider(goOn: number, there: number): void {
    const { logger } = this.#options;
    if (goOn > 0) this.#looks++;
    else if (there === 0) this.#looks = 0;
    if (this.#looks >= LOOKS && !this.#isTold) {
      this.#isTold = true;
      logger.warn(
        { servers: there },
        'other servers use the same store, and no REDIS_URL is set here: people at one do not see what people at another write. Set the same REDIS_URL for all of them, or stop all but one',
      );
    }
    if (this.#looks === 0 && this.#isTold) {
      this.#isTold = false;
      logger.info('no other server uses the same store any more');
    }
  }
}

function canMeet(storage: Storage): storage is MeetingStore {
  return storage.heartbeat !== undefined;
}
