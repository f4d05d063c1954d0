/** Parts of the app that come when they are first needed, and what is said where they do not come. */
import type { Notice } from './notice.js';

/**
 * A failed load is not kept, so the next use tries again.
 *
 * @returns a function that resolves to the part; to undefined, once people know, where it cannot be had
 */
export function lazily<T>(
  what: string,
  notice: Notice,
  load: () => Promise<T>,
): () => Promise<T | undefined> {
  let loading: Promise<T> | undefined;
  return async () => {
    loading ??= load();
    try {
      return await loading;
    } catch (error) {
      loading = undefined;
      console.error(error);
      notice.say(
        `${what} could not be loaded. Try again when the server can be reached, or reload the page.`,
      );
      return undefined;
    }
  };
}
