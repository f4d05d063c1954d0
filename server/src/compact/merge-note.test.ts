import { describe, expect, it } from 'vitest';
import type { MergeNote } from '../storage/storage.js';
import { type Attempt, judge } from './merge-note.js';

const attempt: Attempt = {
  ...{ memory: 500, size: 100, life: 3, by: 'me', now: 1_000, isShared: false },
};
const note: MergeNote = {
  ...{ state: 'too-large', life: 3, size: 100, memory: 500, needs: 800, deaths: 0 },
  ...{ by: 'another', until: 0 },
};

describe('[CMP] what is remembered of a merge', () => {
  it('[CMP-17] a document that was too large is tried again with more memory, and not before', () => {
    expect(judge(undefined, attempt)).toEqual({ is: 'go', deaths: 0 });
    expect(judge(note, attempt)).toEqual({ is: 'too-large', needs: 800, memory: 500 });
    expect(judge(note, { ...attempt, size: 1_000 }).is).toBe('too-large');
    expect(judge(note, { ...attempt, memory: 510 }).is).toBe('too-large');
    expect(judge(note, { ...attempt, memory: 900 }).is).toBe('go');
    // Another document has the name.
    expect(judge(note, { ...attempt, life: 5 }).is).toBe('go');
  });

  it('[CMP-17] the second process in a row that does not survive a merge says that it is too large', () => {
    const begun: MergeNote = { ...note, state: 'begun', needs: 0 };
    expect(judge(begun, attempt)).toEqual({ is: 'go', deaths: 1 });
    const again: MergeNote = { ...begun, deaths: 1 };
    expect(judge(again, attempt)).toEqual({ is: 'too-large', needs: 0, memory: 500 });
    expect(judge(again, { ...attempt, memory: 900 }).is).toBe('go');
    // This process is alive: it was the store that failed.
    expect(judge({ ...again, by: 'me' }, attempt)).toEqual({ is: 'go', deaths: 1 });
  });

  it('[CMP-17] where a store is shared, one that has just been begun is left to who began it', () => {
    const begun: MergeNote = { ...note, state: 'begun', until: 2_000 };
    const shared = { ...attempt, isShared: true };
    expect(judge(begun, shared)).toEqual({ is: 'busy' });
    expect(judge(begun, { ...shared, now: 2_000 })).toEqual({ is: 'go', deaths: 1 });
  });

  it('[CMP-17] one that took too long is tried again later, when it is twice as large, or with more memory', () => {
    const slow: MergeNote = { ...note, state: 'too-slow', until: 5_000 };
    expect(judge(slow, attempt)).toEqual({ is: 'too-slow' });
    expect(judge(slow, { ...attempt, now: 5_000 }).is).toBe('go');
    expect(judge(slow, { ...attempt, size: 200 }).is).toBe('go');
    expect(judge(slow, { ...attempt, memory: 1_000 }).is).toBe('go');
  });
});
