/**
 * What was admitted to rooms that ended because the store failed over, and was never written.
 *
 * It cannot be written as it is: what it depends on may be gone, and the log would not be
 * causally closed. The room that is loaded in the place of the one that ended admits it again,
 * as far as it can. What it lacks, those bring who wrote it.
 */
import type { NewEntry } from './storage/storage.js';

export interface StrandedRoom {
  readonly name: string;
  /** Of the document that they were admitted to. */
  readonly generation: number;
  readonly entries: readonly NewEntry[];
  /** When the oldest of them was admitted. */
  readonly since: number;
}

export class Stranded {
  readonly #rooms = new Map<string, StrandedRoom[]>();

  get isEmpty(): boolean {
    return this.#rooms.size === 0;
  }

  get names(): readonly string[] {
    return [...this.#rooms.keys()];
  }

  get all(): readonly StrandedRoom[] {
    return [...this.#rooms.values()].flat();
  }

  add(room: StrandedRoom): void {
    this.#rooms.set(room.name, [...(this.#rooms.get(room.name) ?? []), room]);
  }

  /** In the order in which it was admitted. */
  take(name: string): readonly StrandedRoom[] {
    const rooms = this.#rooms.get(name) ?? [];
    this.#rooms.delete(name);
    return rooms;
  }
}
