/**
 * What a browser tells about the network and about the page's life.
 *
 * Nothing is assumed to exist: a worker has no page, Node has no such events.
 */

/** Window or worker scope; Node has neither method. */
type Scope = Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

export type PageListeners = Readonly<
  Record<'online' | 'offline' | 'pagehide' | 'pageshow', () => void>
>;

/** @returns a function that removes the listeners. */
export function listenToPage(listeners: PageListeners): () => void {
  const scope = globalThis as Scope;
  for (const [name, listener] of Object.entries(listeners)) {
    scope.addEventListener?.(name, listener);
  }
  return () => {
    for (const [name, listener] of Object.entries(listeners)) {
      scope.removeEventListener?.(name, listener);
    }
  };
}
