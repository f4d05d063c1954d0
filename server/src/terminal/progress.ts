/** How far long work is, for a person who watches; nothing where nobody does. And how many, in words. */
import { Presets, SingleBar } from 'cli-progress';
import { everyRoom } from '../storage/copy.js';
import type { Storage } from '../storage/storage.js';
import { complain, say } from './output.js';

export interface Progress {
  /** One more is done, or so many. */
  step(by?: number): void;
  /** Writes a line to stdout, or a complaint to stderr, above the bar where there is one. */
  line(text: string): void;
  complain(text: string): void;
  end(): void;
}

/** @param count asked for only where somebody watches; left out where nobody knows */
export async function progress(unit: string, count?: () => Promise<number>): Promise<Progress> {
  const { stderr } = process;
  const line = (text: string): void => say(`${text}\n`);
  if (!stderr.isTTY) return { step: () => undefined, line, complain, end: () => undefined };
  const format =
    count === undefined
      ? `{value} ${unit}  {duration_formatted}`
      : `{bar} {value}/{total} ${unit}  {duration_formatted}, {eta_formatted} left`;
  const bar = new SingleBar({ format, stream: stderr, clearOnComplete: true }, Presets.rect);
  bar.start((await count?.()) ?? Number.MAX_SAFE_INTEGER, 0);
  const above = (write: (text: string) => void) => (text: string) => {
    // The bar is drawn anew at its next step.
    stderr.write('\r\x1b[K');
    write(text);
  };
  return {
    step: (by = 1) => bar.increment(by),
    line: above(line),
    complain: above(complain),
    end: () => bar.stop(),
  };
}

export async function countRooms(store: Storage, prefix = ''): Promise<number> {
  let rooms = 0;
  for await (const _ of everyRoom(store, { prefix })) rooms++;
  return rooms;
}

export function counted(count: number, what: 'room' | 'update'): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
