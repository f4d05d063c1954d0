/**
 * What becomes of open rooms when another server takes the place of the one that the store was at.
 *
 * The new one may lack what the old one had confirmed, and may have given the same seqs to other
 * entries. So nothing that is known here counts any more: every room ends, and its sessions with
 * it, with 1012. They come back to the room as the new server has it, and bring what that lacks.
 */
import type { Logger } from 'pino';
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import type { Rooms } from './rooms.js';
import type { Snapshots } from './snapshots.js';
import type { Storage } from './storage/storage.js';
import { within } from './within.js';

export interface FailoverOptions {
  readonly storage: Storage;
  readonly log: Pick<Log, 'strand' | 'stranded'>;
  readonly snapshots: Pick<Snapshots, 'clear'>;
  readonly rooms: Pick<Rooms, 'reload' | 'open' | 'size'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds until a room that could not be opened is tried again. */
const RETRY_MS = 1_000;

export class Failover {
  readonly #options: FailoverOptions;
  #isReopening = false;
  #isClosed = false;

  constructor(options: FailoverOptions) {
    this.#options = options;
    options.storage.onFailover?.(() => this.#failedOver());
  }

  close(): void {
    this.#isClosed = true;
  }

  #failedOver(): void {
    const { log, snapshots, rooms, logger } = this.#options;
    logger.warn(
      { rooms: rooms.size },
      'the store has failed over: all rooms are loaded again, and clients bring what it may have lost',
    );
    log.strand();
    snapshots.clear();
    rooms.reload();
    void this.#reopen();
  }

  /** What was not written must not depend on anybody's coming back. Never rejects. */
  async #reopen(): Promise<void> {
    if (this.#isReopening) return;
    this.#isReopening = true;
    const { log, rooms, clock } = this.#options;
    while (log.stranded.length > 0 && !this.#isClosed) {
      for (const name of log.stranded) {
        // Whoever opens a room tells why it could not be opened.
        await rooms.open(name).catch(() => undefined);
      }
      if (log.stranded.length > 0) await within(RETRY_MS, clock, new Promise(() => undefined));
    }
    this.#isReopening = false;
  }
}
