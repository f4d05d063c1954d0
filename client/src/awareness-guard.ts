/**
 * Keeps what an application reads of others' awareness states safe for editor bindings.
 *
 * It stands where every provider puts what it has heard, the map `states`, and therefore works
 * for any of them. The own state, set by the application, is left as it is.
 *
 * Invariant: what is in the map of others has passed `safeState`. A state that names a root type
 * which the document does not have yet is looked at again when the document changes.
 */
import type { Awareness } from 'y-protocols/awareness';
import { type Positions, safeState } from './safe-state.js';
import { shielded } from './uncaught.js';

type State = Record<string, unknown>;

/** The origin of what changes when a state is looked at again. */
const ORIGIN = 'guard';
/** Root types that are made because a state names them: those of an application that has not opened them yet. */
const MAX_MADE = 16;

class GuardedStates extends Map<number, State> {
  readonly #awareness: Awareness;
  readonly #positions: Positions;
  /** Names of root types that the document lacks, and may be given. */
  readonly #made = new Set<string>();
  /** States that have to be looked at again, as they came. */
  readonly #waiting = new Map<number, unknown>();
  /** As it was set here. What comes from elsewhere under the own id is another object. */
  own: State | null = null;

  constructor(awareness: Awareness, positions: Positions) {
    super();
    this.#awareness = awareness;
    this.#positions = positions;
  }

  override set(client: number, state: State): this {
    if (state === this.own) return super.set(client, state);
    const { safe, isWaiting } = this.#look(state);
    if (isWaiting && this.#waiting.size === 0) {
      this.#awareness.doc.on('afterTransaction', this.#lookAgain);
    }
    if (isWaiting) this.#waiting.set(client, state);
    else this.#forget(client);
    return super.set(client, safe);
  }

  override delete(client: number): boolean {
    this.#forget(client);
    return super.delete(client);
  }

  #look(state: unknown): { readonly safe: State; readonly isWaiting: boolean } {
    let isWaiting = false;
    const knows = (name: string): boolean => {
      const { share } = this.#awareness.doc;
      if (share.has(name) || this.#made.has(name)) return true;
      if (this.#made.size < MAX_MADE) this.#made.add(name);
      else isWaiting = true;
      return !isWaiting;
    };
    return { safe: safeState(state, this.#positions, knows) as State, isWaiting };
  }

  #forget(client: number): void {
    if (!this.#waiting.delete(client) || this.#waiting.size > 0) return;
    this.#awareness.doc.off('afterTransaction', this.#lookAgain);
  }

  readonly #lookAgain = (): void => {
    const updated: number[] = [];
    for (const [client, state] of [...this.#waiting]) {
      const { safe, isWaiting } = this.#look(state);
      if (isWaiting) continue;
      this.#forget(client);
      super.set(client, safe);
      updated.push(client);
    }
    if (updated.length === 0) return;
    const changes = [{ added: [], updated, removed: [] }, ORIGIN];
    shielded(() => this.#awareness.emit('change', changes));
    shielded(() => this.#awareness.emit('update', changes));
  };
}

/**
 * From now on the states of others in this awareness hold only what an editor can show: without
 * relative positions that cannot be resolved, and without names and colours that are no text or
 * more than a colour. Whatever else stands in a field that holds positions is not handed over:
 * name yours, if your application means something else by `cursor`. A second call for the same awareness changes nothing.
 *
 * {@link CowriteProvider} does so for its own. With `y-websocket` call it once the provider is made:
 * `guardAwareness(provider.awareness)`.
 */
export function guardAwareness(awareness: Awareness, positions: Positions = {}): void {
  if (awareness.states instanceof GuardedStates) return;
  const states = new GuardedStates(awareness, positions);
  states.own = awareness.getLocalState();
  const { held } = awareness.states as { held?: ReadonlyMap<number, State> };
  for (const [client, state] of [...awareness.states, ...(held ?? [])]) states.set(client, state);
  awareness.states = states;
  const setLocalState = awareness.setLocalState.bind(awareness);
  awareness.setLocalState = (state) => {
    states.own = state;
    setLocalState(state);
  };
}
