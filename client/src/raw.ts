/**
 * Vue and what is built on it put objects that an application keeps in its state behind proxies.
 * Those of this package have private fields, which no proxy has: each method would throw.
 */

/** @returns the object, which Vue leaves as it is from now on; nothing of that shows in its fields */
export function raw<T extends object>(object: T): T {
  return Object.defineProperty(object, '__v_skip', { value: true });
}
