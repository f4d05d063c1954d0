/**
 * Awareness between this client and the others, through a socket or another tab.
 *
 * Owns what is sent of this client's own state, and what is kept of the others.
 * Invariants: of itself only the own client id is sent; two sends are at least
 * `interval` apart, and the last state always is sent; those whom only a socket
 * showed are not shown without it.
 */
import {
  Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  outdatedTimeout,
  removeAwarenessStates,
} from 'y-protocols/awareness';
import * as Y from 'yjs';
import { Alarm } from './alarm.js';
import { continueClock, rememberClock } from './awareness-clock.js';
import type { Clock } from './clock.js';
import { isHidden } from './page.js';
import { reportUncaught, shielded } from './uncaught.js';

/** Milliseconds; with the 18 s at most after which others are heard again it is less than they wait. */
const RENEWAL = outdatedTimeout / 3;

interface Changes {
  readonly added: readonly number[];
  readonly updated: readonly number[];
  readonly removed: readonly number[];
}

export class Presence {
  readonly #awareness: Awareness;
  readonly #interval: number;
  readonly #clock: Clock;
  /** Sends an awareness update; null while nobody could get it. */
  #send: ((update: Uint8Array) => void) | null = null;
  #sentAt = Number.NEGATIVE_INFINITY;
  /** Rings when what has changed since then may be sent. */
  readonly #alarm: Alarm;

  /** @param interval milliseconds. */
  constructor(awareness: Awareness, interval: number, clock: Clock) {
    this.#awareness = awareness;
    this.#interval = interval;
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => this.#sendOwn());
    continueClock(awareness);
    awareness.on('update', this.#onUpdate);
  }

  /** There is a new way to the others; shows the own state on it. */
  opened(send: (update: Uint8Array) => void): void {
    this.#send = send;
    this.show();
  }

  /**
   * Shows the own state now, whatever was shown before: those who have seen its
   * clock would ignore it, so it gets a new one.
   */
  show(): void {
    const state = this.#awareness.getLocalState();
    if (this.#send === null || state === null) return;
    this.#sentAt = Number.NEGATIVE_INFINITY;
    shielded(() => this.#awareness.setLocalState(state));
    // A listener that threw kept the change from the ones after it, maybe from ours.
    if (this.#sentAt === Number.NEGATIVE_INFINITY) shielded(() => this.#sendOwn());
  }

  /**
   * Applies what the server sent. A listener of the application that throws is
   * no reason to drop the connection; so after an exception the bytes are tried
   * once more where nobody listens.
   *
   * @throws when the update is malformed.
   */
  receive(update: Uint8Array, origin: unknown): void {
    try {
      applyAwarenessUpdate(this.#awareness, update, origin);
    } catch (error) {
      const scratch = new Awareness(new Y.Doc());
      try {
        applyAwarenessUpdate(scratch, update, origin);
      } finally {
        scratch.destroy();
      }
      reportUncaught(error);
    }
  }

  /** What is known of these clients, as an awareness update; of those without a state, nothing. */
  of(clients: Iterable<number>): Uint8Array {
    const { states } = this.#awareness;
    return encodeAwarenessUpdate(
      this.#awareness,
      [...clients].filter((id) => states.has(id)),
    );
  }

  /**
   * Tells the others that this client is gone. The own state stays as it is, for
   * other providers of the same awareness and for the next socket; its clock
   * moves on, so that the next socket's state counts as newer than this one.
   */
  farewell(): void {
    const { clientID, meta } = this.#awareness;
    const known = meta.get(clientID);
    if (this.#send === null || known === undefined) return;
    this.#alarm.set(null);
    meta.set(clientID, { clock: known.clock + 1, lastUpdated: known.lastUpdated });
    rememberClock(this.#awareness);
    this.#send(encodeAwarenessUpdate(this.#awareness, [clientID], new Map()));
  }

  /** There is no way to the others any more. */
  closed(): void {
    this.#send = null;
    this.#alarm.set(null);
  }

  /**
   * Forgets the others, with their clocks: the next socket may show them with
   * clocks that were seen on this one.
   *
   * @param known client ids of those who are here without a socket
   */
  lost(origin: unknown, known: ReadonlySet<number> = new Set()): void {
    const { clientID, states, meta } = this.#awareness;
    const others = [...states.keys()].filter((id) => id !== clientID && !known.has(id));
    shielded(() => removeAwarenessStates(this.#awareness, others, origin));
    // Only now: those who are told of the removal look the clocks up.
    for (const id of meta.keys()) {
      if (id !== clientID && !states.has(id)) meta.delete(id);
    }
  }

  /**
   * Forgets somebody of whom nobody else will say that they are gone.
   *
   * @returns that they are gone, as an awareness update; null if nothing was known of them
   */
  remove(client: number, origin: unknown): Uint8Array | null {
    if (client === this.#awareness.clientID || !this.#awareness.states.has(client)) return null;
    shielded(() => removeAwarenessStates(this.#awareness, [client], origin));
    return encodeAwarenessUpdate(this.#awareness, [client]);
  }

  destroy(): void {
    this.closed();
    this.#awareness.off('update', this.#onUpdate);
  }

  /** Not only local changes: who is told that it has gone, and has not, says so with a new clock. */
  readonly #onUpdate = ({ added, updated, removed }: Changes): void => {
    const { clientID, meta } = this.#awareness;
    const isOwn = [added, updated, removed].some((ids) => ids.includes(clientID));
    if (!isOwn) this.#renew(meta.get(clientID)?.lastUpdated);
    if (!isOwn || this.#send === null) return;
    const next = this.#sentAt + this.#interval;
    if (next <= this.#clock.now()) this.#sendOwn();
    else this.#alarm.set(next);
  };

  /**
   * In a hidden page that hears of others: its timers ring once a minute, and the one of
   * y-protocols, which says that somebody is still here, is too late for them.
   *
   * @param at when the own state was last renewed, in milliseconds since 1970
   */
  #renew(at: number | undefined): void {
    const state = this.#awareness.getLocalState();
    if (state === null || at === undefined || this.#send === null || !isHidden()) return;
    const age = Date.now() - at;
    // Below 0 the page's clock was set back since.
    if (age >= 0 && age < RENEWAL) return;
    shielded(() => this.#awareness.setLocalState(state));
  }

  #sendOwn(): void {
    this.#alarm.set(null);
    this.#sentAt = this.#clock.now();
    rememberClock(this.#awareness);
    this.#send?.(encodeAwarenessUpdate(this.#awareness, [this.#awareness.clientID]));
  }
}
