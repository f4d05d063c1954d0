/**
 * The application's exceptions, kept apart from ours.
 *
 * Invariant: an exception thrown by a listener of the application is reported
 * as uncaught, where its author will see it, and changes nothing else.
 */

/** Throws `error` where nobody catches it: `window.onerror`, or Node's `uncaughtException`. */
export function reportUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Runs `work`, which calls listeners of the application. */
export function shielded(work: () => void): void {
  try {
    work();
  } catch (error) {
    reportUncaught(error);
  }
}
