/**
 * Asks whoever closes a page whether to go while something is unsaved.
 *
 * Invariant: there is a listener only while there is a reason, because with one some
 * browsers do not keep the page for "back".
 */

/** Window; a worker or Node has no such event, or never fires it. */
type Scope = Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

/** @returns to be told whether something would be lost */
export function unloadGuard(): (isOn: boolean) => void {
  const scope = globalThis as Scope;
  // Of this guard alone: another one may be on when this one goes off.
  const ask = (event: Event): void => event.preventDefault();
  return (isOn) => {
    // The same listener is added once, however often.
    const change = isOn ? 'addEventListener' : 'removeEventListener';
    scope[change]?.('beforeunload', ask);
  };
}
