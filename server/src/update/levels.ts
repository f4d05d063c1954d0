/**
 * How deep stored items lie, as far as it matters: ids with their level. Of a snapshot only
 * those are kept that lie deeper than `SHALLOW` levels; of all others only that is known.
 *
 * An item never moves, so its level is known for good once its id is. Most documents have
 * nothing that deep; of theirs there is nothing to keep.
 */
import { type Reader, uintSize, Writer } from './bytes.js';

/** Numbers per run: first clock, end, level. */
const RUN = 3;

export class Levels {
  /** Undefined for none, as in most rooms. Flat runs, ascending. */
  #clients: Map<number, number[]> | undefined;
  /** Level of the deepest type, if any level is kept; else 0. */
  deepest = 0;

  get isEmpty(): boolean {
    return this.#clients === undefined;
  }

  /** To be called in the order of a client's clocks. */
  add(client: number, start: number, end: number, level: number): void {
    this.#clients ??= new Map();
    const runs = this.#clients.get(client);
    if (runs === undefined) {
      this.#clients.set(client, [start, end, level]);
      return;
    }
    const last = runs.length - RUN;
    if (runs[last + 1] === start && runs[last + 2] === level) runs[last + 1] = end;
    else runs.push(start, end, level);
  }

  /** @returns undefined where it is not known */
  at(client: number, clock: number): number | undefined {
    const runs = this.#clients?.get(client);
    if (runs === undefined) return undefined;
    let low = 0;
    let high = runs.length / RUN;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (runs[middle * RUN]! <= clock) low = middle + 1;
      else high = middle;
    }
    const run = (low - 1) * RUN;
    return low > 0 && clock < runs[run + 1]! ? runs[run + 2] : undefined;
  }

  /** @returns a new array, which is empty where there is nothing deep */
  encode(): Uint8Array {
    const clients = this.#clients ?? new Map<number, number[]>();
    if (clients.size === 0) return new Uint8Array(0);
    let size = uintSize(this.deepest) + uintSize(clients.size);
    for (const [client, runs] of clients) {
      size += uintSize(client) + uintSize(runs.length / RUN);
      forEachNumber(runs, (number) => {
        size += uintSize(number);
      });
    }
    const writer = new Writer(size);
    writer.uint(this.deepest);
    writer.uint(clients.size);
    for (const [client, runs] of clients) {
      writer.uint(client);
      writer.uint(runs.length / RUN);
      forEachNumber(runs, (number) => writer.uint(number));
    }
    return writer.bytes;
  }

  /** All that is left of the reader, as {@link encode} wrote it. */
  static decode(reader: Reader): Levels {
    const levels = new Levels();
    if (reader.left === 0) return levels;
    levels.deepest = reader.uint();
    for (let clients = reader.uint(); clients > 0; clients--) {
      const client = reader.uint();
      let clock = 0;
      for (let runs = reader.uint(); runs > 0; runs--) {
        const start = clock + reader.uint();
        clock = start + reader.uint();
        levels.add(client, start, clock, reader.uint());
      }
    }
    return levels;
  }
}

/** As they are written: the distance from the last run, the length, the level. */
function forEachNumber(runs: readonly number[], write: (number: number) => void): void {
  let clock = 0;
  for (let i = 0; i < runs.length; i += RUN) {
    write(runs[i]! - clock);
    write(runs[i + 1]! - runs[i]!);
    write(runs[i + 2]!);
    clock = runs[i + 1]!;
  }
}
