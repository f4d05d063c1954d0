/**
 * Others' awareness states while the code that makes them safe, `awareness-guard.ts`, is not there:
 * it is loaded when somebody else is seen first.
 *
 * Invariant: of others nothing is handed to an application but a name that is text, until all of it
 * has passed the guard. Where that cannot be loaded it stays so, and who comes next tries again.
 */
import type { Awareness } from 'y-protocols/awareness';
import { guards } from './part.js';
import type { Positions } from './safe-state.js';
import { shielded } from './uncaught.js';

type State = Record<string, unknown>;

class HeldStates extends Map<number, State> {
  /** As it was set here. What comes from elsewhere under the own id is another object. */
  own: State | null = null;
  /** Those of others, as they came; for the guard. */
  readonly held = new Map<number, State>();
  readonly #load: () => void;

  constructor(load: () => void) {
    super();
    this.#load = load;
  }

  override set(client: number, state: State): this {
    if (state === this.own) return super.set(client, state);
    const isNew = !this.held.has(client);
    this.held.set(client, state);
    if (isNew) this.#load();
    return super.set(client, nameIn(state));
  }

  override delete(client: number): boolean {
    this.held.delete(client);
    return super.delete(client);
  }
}

function nameIn(state: State | null): State {
  const { name } = (state?.user ?? {}) as State;
  return typeof name === 'string' ? { user: { name } } : {};
}

/**
 * Guards this awareness, as `guardAwareness` does, from the moment when somebody else is seen. A
 * second call for the same awareness changes nothing.
 *
 * @param failed is told where the code for that cannot be loaded
 */
export function holdAwareness(
  awareness: Awareness,
  positions: Positions | undefined,
  failed: (error: Error) => void,
): void {
  if (guards.code !== null) {
    guards.code.guardAwareness(awareness, positions);
    return;
  }
  if (awareness.states.constructor !== Map) return;
  const states = new HeldStates(() => {
    guards.load().then(({ guardAwareness }) => {
      if (awareness.states !== states) return;
      guardAwareness(awareness, positions);
      const changes = [{ added: [], updated: [...states.held.keys()], removed: [] }, 'guard'];
      shielded(() => awareness.emit('change', changes));
      shielded(() => awareness.emit('update', changes));
    }, failed);
  });
  states.own = awareness.getLocalState();
  for (const [client, state] of awareness.states) states.set(client, state);
  awareness.states = states;
  const setLocalState = awareness.setLocalState.bind(awareness);
  awareness.setLocalState = (state) => {
    states.own = state;
    setLocalState(state);
  };
}
