/**
 * The life of a connection, as a pure state machine.
 *
 *                    connect                opened              synced
 *        offline ──────────────▶ connecting ───────▶ syncing ──────────▶ online
 *                                 ▲   ▲  │              │                   │
 *     due, connect, networkUp,    │   │  │ lost, broken, due (attempt timed out, or silent)
 *     visible                     │   │  ▼              ▼                   ▼
 *                                 └── retrying ◀────────┴───────────────────┘
 *
 *        due (the server drains, and this client's moment has come):
 *                                 syncing, online ──▶ connecting
 *        suspend (the page is frozen, or kept by the browser for "back"):
 *                                 connecting, syncing, online, retrying ──▶ suspended ── resume, or
 *                                     whatever else shows that the page lives ──▶ connecting
 *        lost with a final code, and not curable:
 *                                 connecting, syncing, online ──▶ refused ── connect ──▶ connecting
 *        denied (the last attempt, and so would be the next):
 *                                 retrying ──▶ refused
 *        held (the server asks to wait):
 *                                 retrying ──▶ retrying, for longer
 *        outdated (the server has another document under this name):
 *                                 all but refused and destroyed ──▶ refused
 *        disconnect:              all but refused and destroyed ─▶ offline
 *        destroy:                 all ──▶ destroyed, for good
 *
 * Owns the decisions: when to open, to give up on a socket, and to try again.
 * Carries out nothing; effects are returned as data. A state's {@link deadlineOf} is
 * when it wants the event `due`, so leaving a state cancels its timer.
 *
 * Invariant: an `open` is returned only on entering `connecting`, and every way
 * out of a state with a socket either was caused by the loss of that socket or
 * returns a `close`.
 */
import { delay } from './backoff.js';
import { CLOSE, isFinal } from './protocol/index.js';

/** Milliseconds that an attempt to connect may take. */
export const CONNECT_TIMEOUT = 10_000;

/** Milliseconds without a frame after which a socket is taken for dead; a server sends one every 15 s. */
export const SILENCE_TIMEOUT = 45_000;

/** Milliseconds within which a probe must be answered. */
export const PROBE_TIMEOUT = 10_000;

/**
 * Milliseconds without a frame after which a client that waits for a `saved` asks whether the line
 * lives: work is at stake. Not whether it is saved: a store may take its time.
 */
export const ACKNOWLEDGEMENT_TIMEOUT = 10_000;

/**
 * Milliseconds by which `due` may come late: later, and the page slept or was throttled. What the
 * server sent meanwhile may still lie before the page, so nothing is known of the socket.
 */
export const LATE = 5_000;

/** Milliseconds without a frame after which a page that is looked at again asks whether anybody is there. */
export const QUIET = 25_000;

/** Milliseconds within which a client leaves a server that drains, whatever that server says. */
export const MAX_DRAIN = 3_600_000;

/** The close code of a socket that this side gave up on; private, and not a final one. */
export const GAVE_UP = 4000;

/** A server that restarts or is overloaded lets many clients go at once: they come back over seconds. */
const SPREAD_ATTEMPT: ReadonlyMap<number, number> = new Map([
  [CLOSE.restarting, 3],
  [CLOSE.tryAgainLater, 5],
]);

export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

/** What is known of an open socket. Times are in the clock's milliseconds. */
interface Open {
  /** When it is to be taken for dead. */
  readonly deadline: number;
  /** Whether it was asked for a sign of life after a deadline that came late. */
  readonly isDoubted: boolean;
  /** When to leave a server that drains; Infinity if it does not. */
  readonly movesAt: number;
  /** Whether the server is to report something saved. */
  readonly isAwaiting: boolean;
  /** When to ask for a sign of life because of that; Infinity if it was asked for, or nothing is awaited. */
  readonly probesAt: number;
}

/** `attempt` counts the waits since the last sync; `deadline` is in the clock's milliseconds. */
export type ConnectionState =
  | { readonly kind: 'offline' }
  | { readonly kind: 'connecting'; readonly attempt: number; readonly deadline: number }
  | ({ readonly kind: 'syncing'; readonly attempt: number } & Open)
  | ({ readonly kind: 'online' } & Open)
  | { readonly kind: 'retrying'; readonly attempt: number; readonly deadline: number }
  | { readonly kind: 'suspended' }
  | ({ readonly kind: 'refused' } & CloseReason)
  | { readonly kind: 'destroyed' };

export type ConnectionEvent =
  | { readonly type: 'connect' }
  | { readonly type: 'disconnect' }
  | { readonly type: 'destroy' }
  | { readonly type: 'opened' }
  /** Any frame, and before it is understood. */
  | { readonly type: 'frame' }
  /** The socket has taken more of what waits to be sent: somebody at the other end takes it. */
  | { readonly type: 'progress' }
  /** From now on the server is to report something saved, or nothing any more. */
  | { readonly type: 'awaits'; readonly isAwaiting: boolean }
  /** The server's first step 2 has been applied. */
  | { readonly type: 'synced' }
  /** The server wants this client to be gone in so many milliseconds. */
  | { readonly type: 'drain'; readonly delay: number }
  /** The socket is gone. `isCurable`: what was wrong may be better at the next attempt, whatever the code says. */
  | ({
      readonly type: 'lost';
      readonly isCurable?: boolean;
      /** When it is tried again at the earliest, in the clock's milliseconds. */
      readonly notBefore?: number;
    } & CloseReason)
  /** It became known why the last attempt failed, and that the next one would as well. */
  | ({ readonly type: 'denied' } & CloseReason)
  /** It became known that the next attempt is of no use before then, in the clock's milliseconds. */
  | { readonly type: 'held'; readonly notBefore: number }
  /** The server has another document under this name than this client. */
  | ({ readonly type: 'outdated' } & CloseReason)
  /** The socket is there and of no use, for instance because it sent nonsense. */
  | { readonly type: 'broken'; readonly reason: string }
  | { readonly type: 'due' }
  | { readonly type: 'networkUp' }
  | { readonly type: 'networkDown' }
  /** The page is looked at again. */
  | { readonly type: 'visible' }
  /** The page will not run until `resume`. */
  | { readonly type: 'suspend' }
  | { readonly type: 'resume' };

export type Effect =
  | { readonly type: 'open' }
  | { readonly type: 'handshake' }
  /** Ask for something that every server answers. */
  | { readonly type: 'probe' }
  /** Tell the others that this client leaves; always followed by a close. */
  | { readonly type: 'farewell' }
  | ({ readonly type: 'close' } & CloseReason);

export interface Step {
  readonly state: ConnectionState;
  readonly effects: readonly Effect[];
}

/** `now` in milliseconds; `random` from 0 up to, not including, 1. */
export interface Chance {
  readonly now: number;
  readonly random: number;
}

type Kind = ConnectionState['kind'];
type State<K extends Kind> = Extract<ConnectionState, { kind: K }>;
type Event<T extends ConnectionEvent['type']> = Extract<ConnectionEvent, { type: T }>;
type Rule<K extends Kind, T extends ConnectionEvent['type']> = (
  state: State<K>,
  event: Event<T>,
  chance: Chance,
) => Step;

/** Every state × every event: a hole does not compile. */
type Table = { readonly [K in Kind]: { readonly [T in ConnectionEvent['type']]: Rule<K, T> } };

const stay = (state: ConnectionState): Step => ({ state, effects: [] });

const leave: Effect = { type: 'close', code: 1000, reason: '' };

function connectNow(attempt: number, { now }: Chance): Step {
  return {
    state: { kind: 'connecting', attempt, deadline: now + CONNECT_TIMEOUT },
    effects: [{ type: 'open' }],
  };
}

function retry(
  attempt: number,
  chance: Chance,
  effects: readonly Effect[] = [],
  code = 0,
  notBefore = 0,
): Step {
  const wait = delay(Math.max(attempt, SPREAD_ATTEMPT.get(code) ?? 0), chance.random);
  const deadline = Math.max(chance.now + wait, notBefore);
  return {
    state: { kind: 'retrying', attempt: attempt + 1, deadline },
    effects,
  };
}

function giveUp(attempt: number, reason: string, chance: Chance): Step {
  return retry(attempt, chance, [{ type: 'close', code: GAVE_UP, reason }]);
}

function moveOn(attempt: number, chance: Chance): Step {
  const { state, effects } = connectNow(attempt, chance);
  return { state, effects: [leave, ...effects] };
}

function afterLoss(
  attempt: number,
  { code, reason, isCurable = false, notBefore }: Event<'lost'>,
  chance: Chance,
): Step {
  if (isFinal(code) && !isCurable) return stay({ kind: 'refused', code, reason });
  return retry(attempt, chance, [], code, notBefore);
}

function opened(now: number): Open {
  return {
    deadline: now + SILENCE_TIMEOUT,
    isDoubted: false,
    movesAt: Number.POSITIVE_INFINITY,
    isAwaiting: false,
    probesAt: Number.POSITIVE_INFINITY,
  };
}

type OpenState = State<'syncing' | 'online'>;

function heard(state: OpenState, _: unknown, { now }: Chance): Step {
  return stay({
    ...state,
    deadline: now + SILENCE_TIMEOUT,
    isDoubted: false,
    probesAt: probesAt(state, state.isAwaiting, now),
  });
}

/** Not while it loads: one value that is large may take as long as a silence may. */
function probesAt({ kind }: OpenState, isAwaiting: boolean, now: number): number {
  const asks = kind === 'online' && isAwaiting;
  return asks ? now + ACKNOWLEDGEMENT_TIMEOUT : Number.POSITIVE_INFINITY;
}

function awaits(state: OpenState, { isAwaiting }: Event<'awaits'>, { now }: Chance): Step {
  if (isAwaiting === state.isAwaiting) return stay(state);
  return stay({ ...state, isAwaiting, probesAt: probesAt(state, isAwaiting, now) });
}

/** The network changed under an open socket, which may be dead without knowing. */
function probe(state: OpenState, _: unknown, { now }: Chance): Step {
  const deadline = Math.min(state.deadline, now + PROBE_TIMEOUT);
  return {
    state: { ...state, deadline, probesAt: Number.POSITIVE_INFINITY },
    effects: [{ type: 'probe' }],
  };
}

function probeIfQuiet(state: OpenState, event: unknown, chance: Chance): Step {
  const silence = chance.now + SILENCE_TIMEOUT - state.deadline;
  return silence < QUIET ? stay(state) : probe(state, event, chance);
}

function openIsDue(state: OpenState, _: unknown, chance: Chance): Step {
  const { now } = chance;
  const attempt = state.kind === 'syncing' ? state.attempt : 0;
  if (now >= state.movesAt) return moveOn(attempt, chance);
  if (now < state.deadline) return now < state.probesAt ? stay(state) : probe(state, _, chance);
  if (now - state.deadline < LATE || state.isDoubted) return giveUp(attempt, 'silent', chance);
  return {
    state: {
      ...state,
      deadline: now + PROBE_TIMEOUT,
      isDoubted: true,
      probesAt: Number.POSITIVE_INFINITY,
    },
    effects: [{ type: 'probe' }],
  };
}

function drained(state: OpenState, { delay: wait }: Event<'drain'>, { now }: Chance): Step {
  const movesAt = Math.min(state.movesAt, now + Math.min(wait, MAX_DRAIN));
  return stay({ ...state, movesAt });
}

function suspendOpen(): Step {
  return { state: { kind: 'suspended' }, effects: [{ type: 'farewell' }, leave] };
}

const refuse = (_state: unknown, { code, reason }: CloseReason): Step =>
  stay({ kind: 'refused', code, reason });

function refuseOpen(_state: unknown, { code, reason }: CloseReason): Step {
  return { state: { kind: 'refused', code, reason }, effects: [{ type: 'farewell' }, leave] };
}

const wake = (_state: unknown, _event: unknown, chance: Chance): Step => connectNow(0, chance);

const TABLE: Table = {
  offline: {
    connect: wake,
    disconnect: stay,
    destroy: () => stay({ kind: 'destroyed' }),
    opened: stay,
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: stay,
    denied: stay,
    held: stay,
    outdated: refuse,
    broken: stay,
    due: stay,
    networkUp: stay,
    networkDown: stay,
    visible: stay,
    suspend: stay,
    resume: stay,
  },
  connecting: {
    connect: stay,
    disconnect: () => ({ state: { kind: 'offline' }, effects: [leave] }),
    destroy: () => ({ state: { kind: 'destroyed' }, effects: [leave] }),
    opened: ({ attempt }, _event, { now }) => ({
      state: { kind: 'syncing', attempt, ...opened(now) },
      effects: [{ type: 'handshake' }],
    }),
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: ({ attempt }, event, chance) => afterLoss(attempt, event, chance),
    denied: stay,
    held: stay,
    outdated: (_state, { code, reason }) => ({
      state: { kind: 'refused', code, reason },
      effects: [leave],
    }),
    broken: ({ attempt }, { reason }, chance) => giveUp(attempt, reason, chance),
    due: (state, _event, chance) =>
      chance.now < state.deadline ? stay(state) : giveUp(state.attempt, 'timed out', chance),
    networkUp: stay,
    networkDown: stay,
    visible: stay,
    suspend: () => ({ state: { kind: 'suspended' }, effects: [leave] }),
    resume: stay,
  },
  syncing: {
    connect: stay,
    disconnect: () => ({ state: { kind: 'offline' }, effects: [{ type: 'farewell' }, leave] }),
    destroy: () => ({ state: { kind: 'destroyed' }, effects: [{ type: 'farewell' }, leave] }),
    opened: stay,
    frame: heard,
    progress: heard,
    awaits,
    synced: ({ kind: _, attempt: __, ...open }, _event, { now }) => {
      const online = { kind: 'online', ...open } as const;
      return stay({ ...online, probesAt: probesAt(online, open.isAwaiting, now) });
    },
    drain: drained,
    lost: ({ attempt }, event, chance) => afterLoss(attempt, event, chance),
    denied: stay,
    held: stay,
    outdated: refuseOpen,
    broken: ({ attempt }, { reason }, chance) => giveUp(attempt, reason, chance),
    due: openIsDue,
    networkUp: probe,
    networkDown: probe,
    visible: probeIfQuiet,
    suspend: suspendOpen,
    resume: probe,
  },
  online: {
    connect: stay,
    disconnect: () => ({ state: { kind: 'offline' }, effects: [{ type: 'farewell' }, leave] }),
    destroy: () => ({ state: { kind: 'destroyed' }, effects: [{ type: 'farewell' }, leave] }),
    opened: stay,
    frame: heard,
    progress: heard,
    awaits,
    synced: stay,
    drain: drained,
    lost: (_state, event, chance) => afterLoss(0, event, chance),
    denied: stay,
    held: stay,
    outdated: refuseOpen,
    broken: (_state, { reason }, chance) => giveUp(0, reason, chance),
    due: openIsDue,
    networkUp: probe,
    networkDown: probe,
    visible: probeIfQuiet,
    suspend: suspendOpen,
    resume: probe,
  },
  retrying: {
    connect: ({ attempt }, _event, chance) => connectNow(attempt, chance),
    disconnect: () => stay({ kind: 'offline' }),
    destroy: () => stay({ kind: 'destroyed' }),
    opened: stay,
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: stay,
    denied: (_state, { code, reason }) => stay({ kind: 'refused', code, reason }),
    held: (state, { notBefore }) =>
      stay(notBefore > state.deadline ? { ...state, deadline: notBefore } : state),
    outdated: refuse,
    broken: stay,
    due: (state, _event, chance) =>
      chance.now < state.deadline ? stay(state) : connectNow(state.attempt, chance),
    networkUp: ({ attempt }, _event, chance) => connectNow(attempt, chance),
    networkDown: stay,
    visible: ({ attempt }, _event, chance) => connectNow(attempt, chance),
    suspend: () => stay({ kind: 'suspended' }),
    resume: ({ attempt }, _event, chance) => connectNow(attempt, chance),
  },
  suspended: {
    connect: wake,
    disconnect: () => stay({ kind: 'offline' }),
    destroy: () => stay({ kind: 'destroyed' }),
    opened: stay,
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: stay,
    denied: stay,
    held: stay,
    outdated: refuse,
    broken: stay,
    due: stay,
    networkUp: stay,
    networkDown: stay,
    visible: wake,
    suspend: stay,
    resume: wake,
  },
  refused: {
    connect: wake,
    disconnect: stay,
    destroy: () => stay({ kind: 'destroyed' }),
    opened: stay,
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: stay,
    denied: stay,
    held: stay,
    outdated: stay,
    broken: stay,
    due: stay,
    networkUp: stay,
    networkDown: stay,
    visible: stay,
    suspend: stay,
    resume: stay,
  },
  destroyed: {
    connect: stay,
    disconnect: stay,
    destroy: stay,
    opened: stay,
    frame: stay,
    progress: stay,
    awaits: stay,
    synced: stay,
    drain: stay,
    lost: stay,
    denied: stay,
    held: stay,
    outdated: stay,
    broken: stay,
    due: stay,
    networkUp: stay,
    networkDown: stay,
    visible: stay,
    suspend: stay,
    resume: stay,
  },
};

export const OFFLINE: ConnectionState = { kind: 'offline' };

/** @returns the next state, the same object if nothing changes, and what to do, in order. */
export function transition(state: ConnectionState, event: ConnectionEvent, chance: Chance): Step {
  const rule = TABLE[state.kind][event.type] as (
    state: ConnectionState,
    event: ConnectionEvent,
    chance: Chance,
  ) => Step;
  return rule(state, event, chance);
}

/** When the state wants the event `due`, in the clock's milliseconds; null if never. */
export function deadlineOf(state: ConnectionState): number | null {
  if ('movesAt' in state) return Math.min(state.deadline, state.movesAt, state.probesAt);
  return 'deadline' in state ? state.deadline : null;
}

/** Whether messages can be exchanged. */
export function isOpen(state: ConnectionState): boolean {
  return state.kind === 'syncing' || state.kind === 'online';
}
