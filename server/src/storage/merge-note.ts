/** How adapters write down what is remembered of a merge. */
import type { MergeNote } from './storage.js';

/** @returns undefined for what is none, such as one that was damaged: then nothing is remembered */
export function parsedNote(text: string): MergeNote | undefined {
  try {
    const note = JSON.parse(text) as MergeNote | null;
    return typeof note?.state === 'string' ? note : undefined;
  } catch {
    return undefined;
  }
}
