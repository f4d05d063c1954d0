/** How deep documents may be. */

/**
 * Values, and shared types in each other, may be nested this deep. Yjs recurses on both:
 * writing an XML type as text runs out of Node's and Chromium's usual stack at 1,200 levels,
 * making one before it is inserted or cloning it at 2,000, deleting one at 2,000 to 4,000.
 */
export const MAX_NESTING = 400;

/** Levels up to which nothing is kept. Few documents go deeper; lists in lists ten times are 22. */
export const SHALLOW = 32;

/**
 * No admitted type lies deeper. Under a parent that is only known to be shallow, types are
 * counted as if it were in a root: so none is refused that lies {@link MAX_NESTING} levels
 * deep, and one that is taken lies at most so much deeper as the parent may.
 */
export const DEEPEST = MAX_NESTING + SHALLOW;
