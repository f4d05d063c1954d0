/**
 * The presence port: who is in a room, on all instances, each with a time to live.
 *
 * What an instance writes disappears by itself when the instance does. Like the
 * relay it is a hint: it may be away, or empty after it was flushed, and comes
 * back with the next refresh of those who are there.
 */

/** One client of a room, as an instance holds it. */
export interface Person {
  readonly room: string;
  /** Awareness client id. */
  readonly client: number;
  /** The awareness clock of the state. */
  readonly clock: number;
  /** Since when its instance holds it, in milliseconds since 1970 by that instance's clock. */
  readonly since: number;
  /** The awareness state: JSON as bytes. */
  readonly state: Uint8Array;
}

/** A client as another reads it. */
export interface PresentPerson extends Omit<Person, 'room'> {
  /** The instance that holds it. */
  readonly instance: string;
}

export interface Presence {
  /** For logs and metrics: `redis`, `memory`. */
  readonly name: string;

  /**
   * Writes all of these with a fresh time to live, in one round trip.
   *
   * @param instance who holds them
   * @param ttl milliseconds that they stay without another write
   */
  put(instance: string, people: readonly Person[], ttl: number): Promise<void>;

  /** Removes these, where it is still this instance that holds them. In one round trip. */
  remove(instance: string, people: readonly Pick<Person, 'room' | 'client'>[]): Promise<void>;

  /** Everybody in the room whose time has not run out. */
  list(room: string): Promise<readonly PresentPerson[]>;

  close(): Promise<void>;
}
