/**
 * What a browser tells about the network and about the page's life.
 *
 * Nothing is assumed to exist: a worker has no page, Node has no such events.
 * (https://wicg.github.io/page-lifecycle/ has the states a page goes through.)
 */

/** Window or worker scope, or a document; Node has none of it. */
type Scope = Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

export interface PageListeners {
  online(): void;
  offline(): void;
  /** The page is looked at again. */
  visible(): void;
  /** The page is being left, for good as far as anybody knows. */
  leave(): void;
  /** The page stops running, and may go on later: frozen by the browser, or kept for "back". */
  suspend(): void;
  /** It goes on. */
  resume(): void;
}

/** Whether nobody looks at the page; browsers let its timers ring seldom then. */
export function isHidden(): boolean {
  return (globalThis as { document?: Document }).document?.visibilityState === 'hidden';
}

/** @returns a function that removes the listeners. */
export function listenToPage(listeners: PageListeners): () => void {
  const scope = globalThis as Scope;
  const page = (globalThis as { document?: Document }).document;
  const isKept = (event: Event): boolean => (event as PageTransitionEvent).persisted;
  const ears: readonly (readonly [Scope | undefined, string, (event: Event) => void])[] = [
    [scope, 'online', () => listeners.online()],
    [scope, 'offline', () => listeners.offline()],
    [scope, 'pagehide', (event) => (isKept(event) ? listeners.suspend() : listeners.leave())],
    [scope, 'pageshow', (event) => isKept(event) && listeners.resume()],
    [page, 'freeze', () => listeners.suspend()],
    [page, 'resume', () => listeners.resume()],
    [page, 'visibilitychange', () => page?.visibilityState === 'visible' && listeners.visible()],
  ];
  for (const [target, name, ear] of ears) target?.addEventListener?.(name, ear);
  return () => {
    for (const [target, name, ear] of ears) target?.removeEventListener?.(name, ear);
  };
}
