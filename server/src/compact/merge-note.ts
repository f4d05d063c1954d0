/**
 * What is to be made of what is remembered of a room's merges: whether to try it. Pure.
 *
 * A merge that was too large is not tried with the same memory again, however often the room is
 * opened; with more it is. One that a process did not survive may have been ended by anything: the
 * second in a row counts as too large.
 */
import type { MergeNote } from '../storage/storage.js';

/** What whoever wants to try it has. */
export interface Attempt {
  /** Bytes of memory. */
  readonly memory: number;
  /** Bytes of snapshot and log. */
  readonly size: number;
  readonly life: number;
  /** The process. */
  readonly by: string;
  /** In milliseconds since 1970. */
  readonly now: number;
  /** Whether other processes may be at it. */
  readonly isShared: boolean;
}

export type Verdict =
  | { readonly is: 'go'; readonly deaths: number }
  /** Another process may be at it. */
  | { readonly is: 'busy' }
  | { readonly is: 'too-large'; readonly needs: number; readonly memory: number }
  | { readonly is: 'too-slow' };

const MOST_DEATHS = 2;
/** Less more is no reason to try again. */
const MORE = 1.1;
const LARGER = 2;

export function judge(note: MergeNote | undefined, attempt: Attempt): Verdict {
  const { memory, size, life, by, now, isShared } = attempt;
  if (note === undefined || note.life !== life) return { is: 'go', deaths: 0 };
  const hasMore = memory >= note.memory * MORE;
  if (note.state === 'too-slow') {
    const isWorthIt = now >= note.until || size >= note.size * LARGER || hasMore;
    return isWorthIt ? { is: 'go', deaths: 0 } : { is: 'too-slow' };
  }
  if (note.state === 'begun') {
    if (note.by === by) return { is: 'go', deaths: note.deaths };
    if (isShared && now < note.until) return { is: 'busy' };
    const deaths = note.deaths + 1;
    if (deaths < MOST_DEATHS || hasMore) return { is: 'go', deaths };
    return { is: 'too-large', needs: note.needs, memory: note.memory };
  }
  if (hasMore) return { is: 'go', deaths: 0 };
  return { is: 'too-large', needs: note.needs, memory: note.memory };
}
