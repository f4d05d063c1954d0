/**
 * Asks whoever closes a page whether to go while something is unsaved.
 *
 * Invariant: there is a listener only while there is a reason, because with one some
 * browsers do not keep the page for "back".
 */

/** Window; a worker or Node has no such event, or never fires it. */
type Scope = Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

export class UnloadGuard {
  readonly #scope = globalThis as Scope;
  /** Of this guard alone: another one may be on when this one goes off. */
  readonly #ask = (event: Event): void => event.preventDefault();

  /** @param isOn whether something would be lost */
  set(isOn: boolean): void {
    // The same listener is added once, however often.
    if (isOn) this.#scope.addEventListener?.('beforeunload', this.#ask);
    else this.#scope.removeEventListener?.('beforeunload', this.#ask);
  }
}
