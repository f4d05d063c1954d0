/**
 * Whether this server should be given new sockets, and why not.
 *
 * The store is asked a question of its own: that it does not answer would otherwise be noticed
 * when somebody opens a room. Once a second at most, whoever asks how often. The relay's being
 * away is told and is no reason: people here are served, and the store brings what it loses.
 */
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';
import type { Storage } from './storage/storage.js';
import { within } from './within.js';

export interface Readiness {
  readonly ready: boolean;
  readonly draining: boolean;
  /** `full`: so much is unsaved that no more is taken; `failing`: it did not take the last commit; `away`: it does not answer. */
  readonly store: 'ok' | 'full' | 'failing' | 'away';
  /** `split`: other instances are there, and what they say does not get through. */
  readonly relay: 'none' | 'connected' | 'away' | 'split';
  /** Milliseconds by which the event loop is late, on average over the last seconds. */
  readonly loopDelayMs: number;
}

export interface HealthOptions {
  readonly clock: Clock;
  readonly storage: Pick<Storage, 'heads'>;
  readonly log: { readonly full: boolean; readonly failing: boolean };
  readonly loop: { readonly mean: number };
  readonly relay: () => Readiness['relay'];
  /** From the beginning of its end on. */
  readonly isDraining: () => boolean;
  readonly logger: Pick<Logger, 'error' | 'info'>;
}

/** Milliseconds that everybody here waits already; whoever comes is better off elsewhere. */
const LATE_MS = 200;
/** Any room's name: whether there is such a room does not matter. */
const ASKED_ABOUT = 'health';
const ASK_EVERY_MS = 1_000;
/** Also when nobody asks: a store that goes away while nobody types is to be told of. */
const LOOK_EVERY_MS = 5_000;
const PATIENCE_MS = 2_000;

export class Health {
  readonly #options: HealthOptions;
  readonly #look: Timer;
  #isStoreAway = false;
  #asked: Promise<boolean> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#look = options.clock.every(LOOK_EVERY_MS, () => void this.#storeAnswers());
  }

  /** Whether it did not answer when it was asked last. */
  get isStoreAway(): boolean {
    return this.#isStoreAway;
  }

  close(): void {
    this.#look.cancel();
  }

  async readiness(): Promise<Readiness> {
    const { log, loop, relay, isDraining } = this.#options;
    const answers = await this.#storeAnswers();
    const store = !answers ? 'away' : log.full ? 'full' : log.failing ? 'failing' : 'ok';
    const draining = isDraining();
    const isLate = loop.mean > LATE_MS;
    return {
      ready: store === 'ok' && !draining && !isLate,
      draining,
      store,
      relay: relay(),
      loopDelayMs: Math.round(loop.mean),
    };
  }

  async #storeAnswers(): Promise<boolean> {
    const now = this.#options.clock.now();
    if (this.#asked === undefined || now - this.#askedAt >= ASK_EVERY_MS) {
      this.#askedAt = now;
      this.#asked = this.#askStore();
    }
    return await this.#asked;
  }

  /** Never rejects. */
  async #askStore(): Promise<boolean> {
    const { storage, clock } = this.#options;
    let problem: unknown = new Error(`there was no answer in ${PATIENCE_MS} ms`);
    const heads = await within(PATIENCE_MS, clock, storage.heads([ASKED_ABOUT])).catch(
      (error: unknown) => {
        problem = error;
      },
    );
    this.#tell(heads === undefined, problem);
    return heads !== undefined;
  }

  #tell(isAway: boolean, err: unknown): void {
    if (isAway === this.#isStoreAway) return;
    this.#isStoreAway = isAway;
    const { logger } = this.#options;
    if (isAway) logger.error({ err }, 'the store does not answer: no document can be opened');
    else logger.info('the store answers again');
  }
}
