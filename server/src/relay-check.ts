/**
 * Whether the relay carries what the other instances say.
 *
 * An instance that hears itself need not hear the others: after a failover they may be connected
 * to another server than it is. So each notes in the store that all share how often it was there.
 * Who goes on noting that and is not heard meanwhile is alive, and out of the relay's reach. One
 * whose note stands still may be dead, and one that says that its relay is away cannot be heard.
 */
import type { Logger } from 'pino';
import type { Clock } from './clock.js';
import type { Relay } from './relay/relay.js';
import type { Heartbeat, Storage } from './storage/storage.js';

/** At how many looks an instance may be found to be there without being heard once. */
const UNHEARD = 3;
/** From one new connection that did not help to the next. */
const LAST_PAUSE_MS = 60_000;

interface Other {
  /** Its count when it was last noted. */
  noted: number;
  /** At how many looks its count had grown since it was last heard. */
  looks: number;
  isUnheard: boolean;
}

/** Who is heard, and who ought to be. */
export class Hearing {
  readonly #others = new Map<string, Other>();

  /** Something of this instance has come through the relay. */
  heard(instance: string): void {
    const other = this.#others.get(instance);
    if (other === undefined) return;
    other.looks = 0;
    other.isUnheard = false;
  }

  /**
   * By how much a count has grown says nothing: the store may have been away, or what answered
   * before is a primary that was left, with notes that stood still.
   *
   * @param others what all others have noted by now
   */
  noted(others: readonly Heartbeat[]): void {
    const there = new Set(others.map(({ instance }) => instance));
    for (const instance of this.#others.keys()) {
      if (!there.has(instance)) this.#others.delete(instance);
    }
    for (const { instance, count, isRelayed } of others) {
      const other = this.#others.get(instance) ?? { noted: count, looks: 0, isUnheard: false };
      this.#others.set(instance, other);
      if (count > other.noted) other.looks++;
      other.noted = count;
      if (!isRelayed) this.heard(instance);
      if (other.looks >= UNHEARD) other.isUnheard = true;
    }
  }

  /** Those that are there and out of reach. */
  get unheard(): readonly string[] {
    return [...this.#others].filter(([, { isUnheard }]) => isUnheard).map(([instance]) => instance);
  }

  /** The own connection was away: that nothing was heard meanwhile says nothing. */
  forgive(): void {
    for (const [instance, { isUnheard }] of this.#others) if (!isUnheard) this.heard(instance);
  }
}

export interface RelayCheckOptions {
  readonly instance: string;
  readonly storage: Storage;
  readonly relay: Relay;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds for which a note in the store counts. */
  readonly ttl: number;
}

export class RelayCheck {
  readonly hearing = new Hearing();
  readonly #options: RelayCheckOptions;
  #count = 0;
  #isNoting = false;
  #isStoreFailing = false;
  #isSplit = false;
  #pause = 0;
  #reconnectFrom = Number.NEGATIVE_INFINITY;

  constructor(options: RelayCheckOptions) {
    this.#options = options;
  }

  /** Whether there are instances that cannot be heard. */
  get isSplit(): boolean {
    return this.#isSplit;
  }

  /** Notes that this instance is there, and looks whether those that are can be heard. Never rejects. */
  async beat(): Promise<void> {
    const { instance, storage, relay, logger, ttl } = this.#options;
    if (storage.heartbeat === undefined || this.#isNoting) return;
    this.#isNoting = true;
    const own = { instance, count: ++this.#count, isRelayed: relay.isConnected };
    try {
      this.hearing.noted(await storage.heartbeat(own, ttl));
      this.#isStoreFailing = false;
    } catch (error) {
      // Once: it is tried with every beat, and health tells when the store is back.
      const line = 'the store could not be told that this instance is there; it is told again';
      if (!this.#isStoreFailing) logger.warn({ err: error }, line);
      this.#isStoreFailing = true;
    } finally {
      this.#isNoting = false;
    }
    if (!relay.isConnected) this.hearing.forgive();
    this.#consider();
  }

  #consider(): void {
    const { relay, clock, logger, ttl } = this.#options;
    const { unheard } = this.hearing;
    if (unheard.length === 0) {
      if (this.#isSplit) logger.info('the relay carries what all other instances say again');
      this.#isSplit = false;
      this.#pause = ttl / 2;
      this.#reconnectFrom = Number.NEGATIVE_INFINITY;
      return;
    }
    if (!this.#isSplit) {
      logger.warn(
        { instances: unheard },
        'the relay does not carry what these instances say, though they are there: is their REDIS_URL another? Its connections are made again',
      );
    }
    this.#isSplit = true;
    const now = clock.now();
    if (now < this.#reconnectFrom) return;
    this.#reconnectFrom = now + this.#pause;
    this.#pause = Math.min(LAST_PAUSE_MS, 2 * this.#pause);
    relay.reconnect();
  }
}
