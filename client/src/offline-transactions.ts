/**
 * Transactions that read before they write, in a page that may be suspended.
 *
 * Such a transaction ends only if its page runs. One that is open while its page is frozen keeps its
 * stores from all other tabs, in Chromium for about a minute. So a page that is suspended aborts
 * what it has open, and does it once more when it runs again.
 */
import { done } from './offline-database.js';

export class Transactions {
  readonly #open = new Set<IDBTransaction>();
  #suspended: Promise<void> | null = null;
  #go: () => void = () => undefined;

  /** @param work may run more than once: until it has resolved it changes nothing but the database */
  async write<T>(
    database: IDBDatabase,
    stores: string | readonly string[],
    work: (transaction: IDBTransaction) => T | Promise<T>,
  ): Promise<T> {
    for (;;) {
      while (this.#suspended !== null) await this.#suspended;
      const transaction = database.transaction(stores as string | string[], 'readwrite');
      this.#open.add(transaction);
      try {
        const result = await work(transaction);
        await done(transaction);
        return result;
      } catch (error) {
        if (this.#open.has(transaction)) throw error;
      } finally {
        this.#open.delete(transaction);
      }
    }
  }

  /** None is open from now on until {@link Transactions.resume}. */
  suspend(): void {
    this.#suspended ??= new Promise((resolve) => {
      this.#go = resolve;
    });
    for (const transaction of this.#open) {
      try {
        transaction.abort();
        this.#open.delete(transaction);
      } catch {
        // It is being committed, for which the browser does not need the page.
      }
    }
  }

  resume(): void {
    this.#suspended = null;
    this.#go();
  }
}
