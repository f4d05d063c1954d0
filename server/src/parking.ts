/**
 * A session's updates that wait for what they depend on. Bounded: what is not
 * kept is not lost, because the client's answer to the next step 1 brings it again.
 */
import type { Missing } from './update/admit.js';
import { parseUpdate } from './update/parse.js';
import type { Parsed } from './update/parsed.js';

interface Parked {
  /** The number of the message that brought it. */
  readonly count: number;
  readonly update: Parsed;
  missing: Missing;
}

const MAX_PARKED = 64;
const MAX_PARKED_BYTES = 256 * 1024;

export class Parking {
  #parked: Parked[] = [];

  get isEmpty(): boolean {
    return this.#parked.length === 0;
  }

  /** Keeps a copy. @returns whether there was room for it */
  add(count: number, update: Parsed, missing: Missing): boolean {
    const bytes = this.#parked.reduce((sum, parked) => sum + parked.update.bytes.length, 0);
    if (this.#parked.length >= MAX_PARKED) return false;
    if (bytes + update.bytes.length > MAX_PARKED_BYTES) return false;
    // A copy: the frame lies in a buffer that ws shares among messages.
    this.#parked.push({ count, update: parseUpdate(update.bytes.slice()), missing });
    return true;
  }

  /**
   * @param mayHave whether what is missing may have come
   * @param write tries the update of a message again; returns what is missing still, or as before
   * @param onWritten called with the number of each message that is now whole in the log
   */
  retry(
    mayHave: (missing: Missing) => boolean,
    write: (update: Parsed, count: number, before: Missing) => Missing | undefined,
    onWritten: (count: number) => void,
  ): void {
    for (const parked of [...this.#parked]) {
      if (!mayHave(parked.missing)) continue;
      const missing = write(parked.update, parked.count, parked.missing);
      if (missing !== undefined) {
        parked.missing = missing;
      } else {
        this.#parked = this.#parked.filter((other) => other !== parked);
        onWritten(parked.count);
      }
    }
  }

  clear(): void {
    this.#parked = [];
  }
}
