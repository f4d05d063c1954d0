/**
 * Lists rooms in pages. Names are compared by their bytes in UTF-8, which is not
 * the order of JavaScript's strings.
 */
import { type Listing, MAX_LISTED, type RoomSummary } from './storage.js';

/** What is asked of an adapter: the next names, deleted or not. */
export interface Page {
  /** The first name that may come: the first that may be in it, or the one that must not. */
  readonly start: string;
  /** Whether {@link start} itself may be in it. */
  readonly isInclusive: boolean;
  readonly prefix: string;
  readonly count: number;
  /** Whether a name belongs to what is left to list. */
  isIn(this: void, name: string): boolean;
}

/**
 * @param next fewer names than `count`, but not none, are no end of the list: an adapter may take small steps
 * @throws {RangeError} when the limit is none
 */
export async function listPages(
  listing: Listing,
  next: (page: Page) => Promise<readonly RoomSummary[]>,
): Promise<readonly RoomSummary[]> {
  const { prefix = '', limit, withDeleted = false } = listing;
  checkLimit(limit);
  const found: RoomSummary[] = [];
  let { after } = listing;
  for (;;) {
    const rooms = await next(pageOf(prefix, after, limit - found.length));
    found.push(...rooms.filter(({ isDeleted }) => withDeleted || !isDeleted));
    if (rooms.length === 0 || found.length === limit) return found;
    after = rooms.at(-1)!.name;
  }
}

export function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LISTED) return;
  throw new RangeError(`at most ${MAX_LISTED} rooms, and at least one, are listed at once`);
}

function pageOf(prefix: string, after: string | undefined, count: number): Page {
  const isInclusive = after === undefined || byBytes(after, prefix) < 0;
  return {
    start: isInclusive ? prefix : after,
    isInclusive,
    prefix,
    count,
    isIn: (name) => name.startsWith(prefix) && (after === undefined || byBytes(name, after) > 0),
  };
}

/** As the names' bytes compare, without making them: a page may have to look at many names. */
export function byBytes(one: string, two: string): number {
  const length = Math.min(one.length, two.length);
  for (let i = 0; i < length; i++) {
    const difference = rankOf(one.charCodeAt(i)) - rankOf(two.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return one.length - two.length;
}

/** Surrogates stand for characters behind all others. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
