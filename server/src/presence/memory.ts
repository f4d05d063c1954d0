/**
 * Presence in this process's memory: for a server that is alone, and for tests
 * with several servers in one process, which share a {@link PresenceHub}.
 */
import { type Clock, systemClock } from '../clock.js';
import type { Person, Presence, PresentPerson } from './presence.js';

/** What the instances share. */
export class PresenceHub {
  /** While true every call rejects. */
  isAway = false;
  readonly #clock: Clock;
  readonly #rooms = new Map<string, Map<number, PresentPerson & { readonly until: number }>>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Forgets everybody, as a Redis does that was flushed. */
  flush(): void {
    this.#rooms.clear();
  }

  /** For {@link MemoryPresence}. */
  put(instance: string, { room, client, clock, since, state }: Person, ttl: number): void {
    let people = this.#rooms.get(room);
    if (people === undefined) {
      people = new Map();
      this.#rooms.set(room, people);
    }
    const until = this.#clock.now() + ttl;
    people.set(client, { client, clock, since, state: state.slice(), instance, until });
  }

  /** For {@link MemoryPresence}. */
  remove(instance: string, room: string, client: number): void {
    const people = this.#rooms.get(room);
    if (people?.get(client)?.instance !== instance) return;
    people.delete(client);
    if (people.size === 0) this.#rooms.delete(room);
  }

  /** For {@link MemoryPresence}. */
  list(room: string): PresentPerson[] {
    const people = this.#rooms.get(room);
    if (people === undefined) return [];
    const now = this.#clock.now();
    for (const [client, { until }] of people) if (until <= now) people.delete(client);
    if (people.size === 0) this.#rooms.delete(room);
    return [...people.values()].map(({ until: _, state, ...person }) => ({
      ...person,
      state: state.slice(),
    }));
  }
}

export class MemoryPresence implements Presence {
  readonly name = 'memory';
  readonly #hub: PresenceHub;

  constructor(hub: PresenceHub = new PresenceHub()) {
    this.#hub = hub;
  }

  async put(instance: string, people: readonly Person[], ttl: number): Promise<void> {
    this.#reach();
    for (const person of people) this.#hub.put(instance, person, ttl);
  }

  async remove(
    instance: string,
    people: readonly Pick<Person, 'room' | 'client'>[],
  ): Promise<void> {
    this.#reach();
    for (const { room, client } of people) this.#hub.remove(instance, room, client);
  }

  async list(room: string): Promise<readonly PresentPerson[]> {
    this.#reach();
    return this.#hub.list(room);
  }

  async close(): Promise<void> {
    // The hub is not its own.
  }

  #reach(): void {
    if (this.#hub.isAway) throw new Error('the presence hub is away');
  }
}
