import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKOFF_CAP } from './backoff.js';
import {
  ACKNOWLEDGEMENT_TIMEOUT,
  CONNECT_TIMEOUT,
  type ConnectionEvent,
  type ConnectionState,
  deadlineOf,
  type Effect,
  GAVE_UP,
  isOpen,
  LATE,
  MAX_DRAIN,
  OFFLINE,
  PROBE_TIMEOUT,
  QUIET,
  SILENCE_TIMEOUT,
  transition,
} from './connection.js';

type Kind = ConnectionState['kind'];

const NOW = 1000;
const DEADLINE = 5000;

const QUIETLY = {
  deadline: DEADLINE,
  isDoubted: false,
  movesAt: Number.POSITIVE_INFINITY,
  isAwaiting: false,
  probesAt: Number.POSITIVE_INFINITY,
};

const STATES: { readonly [K in Kind]: Extract<ConnectionState, { kind: K }> } = {
  offline: { kind: 'offline' },
  connecting: { kind: 'connecting', attempt: 2, deadline: DEADLINE },
  syncing: { kind: 'syncing', attempt: 2, ...QUIETLY },
  online: { kind: 'online', ...QUIETLY },
  retrying: { kind: 'retrying', attempt: 2, deadline: DEADLINE },
  suspended: { kind: 'suspended' },
  refused: { kind: 'refused', code: 4403, reason: 'no' },
  destroyed: { kind: 'destroyed' },
};

/** `lost` and `due` stand twice, for the two things that they can mean. */
const EVENTS = {
  connect: { type: 'connect' },
  disconnect: { type: 'disconnect' },
  destroy: { type: 'destroy' },
  opened: { type: 'opened' },
  frame: { type: 'frame' },
  progress: { type: 'progress' },
  awaits: { type: 'awaits', isAwaiting: true },
  synced: { type: 'synced' },
  lost: { type: 'lost', code: 1006, reason: '' },
  lostForGood: { type: 'lost', code: 4404, reason: 'gone' },
  denied: { type: 'denied', code: 4403, reason: 'no' },
  held: { type: 'held', notBefore: 0 },
  broken: { type: 'broken', reason: 'nonsense' },
  early: { type: 'due' },
  due: { type: 'due' },
  networkUp: { type: 'networkUp' },
  networkDown: { type: 'networkDown' },
  drain: { type: 'drain', delay: 1000 },
  visible: { type: 'visible' },
  suspend: { type: 'suspend' },
  resume: { type: 'resume' },
} as const satisfies Record<string, ConnectionEvent>;

type EventName = keyof typeof EVENTS;

/** The next state and the effects, in order; a dot is the same state and none. */
const MATRIX: Record<Kind, Record<EventName, string>> = {
  offline: {
    connect: 'connecting open',
    disconnect: '.',
    destroy: 'destroyed',
    opened: '.',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: '.',
    lostForGood: '.',
    denied: '.',
    held: '.',
    broken: '.',
    early: '.',
    due: '.',
    networkUp: '.',
    networkDown: '.',
    drain: '.',
    visible: '.',
    suspend: '.',
    resume: '.',
  },
  connecting: {
    connect: '.',
    disconnect: 'offline close',
    destroy: 'destroyed close',
    opened: 'syncing handshake',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: 'retrying',
    lostForGood: 'refused',
    denied: '.',
    held: '.',
    broken: 'retrying close',
    early: '.',
    due: 'retrying close',
    networkUp: '.',
    networkDown: '.',
    drain: '.',
    visible: '.',
    suspend: 'suspended close',
    resume: '.',
  },
  syncing: {
    connect: '.',
    disconnect: 'offline farewell close',
    destroy: 'destroyed farewell close',
    opened: '.',
    frame: 'syncing',
    progress: 'syncing',
    awaits: 'syncing',
    synced: 'online',
    lost: 'retrying',
    lostForGood: 'refused',
    denied: '.',
    held: '.',
    broken: 'retrying close',
    early: '.',
    due: 'retrying close',
    networkUp: 'syncing probe',
    networkDown: 'syncing probe',
    drain: 'syncing',
    visible: 'syncing probe',
    suspend: 'suspended farewell close',
    resume: 'syncing probe',
  },
  online: {
    connect: '.',
    disconnect: 'offline farewell close',
    destroy: 'destroyed farewell close',
    opened: '.',
    frame: 'online',
    progress: 'online',
    awaits: 'online',
    synced: '.',
    lost: 'retrying',
    lostForGood: 'refused',
    denied: '.',
    held: '.',
    broken: 'retrying close',
    early: '.',
    due: 'retrying close',
    networkUp: 'online probe',
    networkDown: 'online probe',
    drain: 'online',
    visible: 'online probe',
    suspend: 'suspended farewell close',
    resume: 'online probe',
  },
  retrying: {
    connect: 'connecting open',
    disconnect: 'offline',
    destroy: 'destroyed',
    opened: '.',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: '.',
    lostForGood: '.',
    denied: 'refused',
    held: '.',
    broken: '.',
    early: '.',
    due: 'connecting open',
    networkUp: 'connecting open',
    networkDown: '.',
    drain: '.',
    visible: 'connecting open',
    suspend: 'suspended',
    resume: 'connecting open',
  },
  suspended: {
    connect: 'connecting open',
    disconnect: 'offline',
    destroy: 'destroyed',
    opened: '.',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: '.',
    lostForGood: '.',
    denied: '.',
    held: '.',
    broken: '.',
    early: '.',
    due: '.',
    networkUp: '.',
    networkDown: '.',
    drain: '.',
    visible: 'connecting open',
    suspend: '.',
    resume: 'connecting open',
  },
  refused: {
    connect: 'connecting open',
    disconnect: '.',
    destroy: 'destroyed',
    opened: '.',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: '.',
    lostForGood: '.',
    denied: '.',
    held: '.',
    broken: '.',
    early: '.',
    due: '.',
    networkUp: '.',
    networkDown: '.',
    drain: '.',
    visible: '.',
    suspend: '.',
    resume: '.',
  },
  destroyed: {
    connect: '.',
    disconnect: '.',
    destroy: '.',
    opened: '.',
    frame: '.',
    progress: '.',
    awaits: '.',
    synced: '.',
    lost: '.',
    lostForGood: '.',
    denied: '.',
    held: '.',
    broken: '.',
    early: '.',
    due: '.',
    networkUp: '.',
    networkDown: '.',
    drain: '.',
    visible: '.',
    suspend: '.',
    resume: '.',
  },
};

const cells = Object.entries(MATRIX).flatMap(([kind, row]) =>
  Object.entries(row).map(([name, expected]) => [kind, name, expected] as const),
);

describe('[CLI-1] every state × every event', () => {
  test.each(cells)('%s + %s: %s', (kind, name, expected) => {
    const state = STATES[kind as Kind];
    const now = name === 'due' ? DEADLINE : NOW;
    const step = transition(state, EVENTS[name as EventName], { now, random: 0.5 });
    if (expected === '.') {
      expect(step).toEqual({ state, effects: [] });
      expect(step.state).toBe(state);
    } else {
      const words = [step.state.kind, ...step.effects.map(({ type }) => type)];
      expect(words.join(' ')).toBe(expected);
    }
  });
});

const run = (state: ConnectionState, event: ConnectionEvent, now = NOW, random = 0.5) =>
  transition(state, event, { now, random }).state;

describe('[CLI-2] deadlines', () => {
  test('an attempt has its timeout', () => {
    expect(deadlineOf(run(OFFLINE, EVENTS.connect))).toBe(NOW + CONNECT_TIMEOUT);
  });

  test('every frame puts off the silence', () => {
    expect(deadlineOf(run(STATES.connecting, EVENTS.opened))).toBe(NOW + SILENCE_TIMEOUT);
    expect(deadlineOf(run(STATES.syncing, EVENTS.frame))).toBe(NOW + SILENCE_TIMEOUT);
    expect(deadlineOf(run(STATES.online, EVENTS.frame))).toBe(NOW + SILENCE_TIMEOUT);
  });

  test('a probe brings the silence nearer, and never puts it off', () => {
    const far = run(STATES.online, EVENTS.frame);
    expect(deadlineOf(run(far, EVENTS.networkUp))).toBe(NOW + PROBE_TIMEOUT);
    expect(deadlineOf(run(STATES.online, EVENTS.networkUp))).toBe(DEADLINE);
  });

  test.each(['offline', 'suspended', 'refused', 'destroyed'] as const)('%s has none', (kind) => {
    expect(deadlineOf(STATES[kind])).toBeNull();
  });
});

describe('[CLI-3] the wait before a retry', () => {
  const waitAfter = (state: ConnectionState, event: ConnectionEvent, random = 0.5) => {
    const next = run(state, event, NOW, random);
    if (next.kind !== 'retrying') throw new Error(`not retrying: ${next.kind}`);
    return { wait: next.deadline - NOW, attempt: next.attempt };
  };

  test('grows with each attempt that does not sync', () => {
    expect(waitAfter(STATES.connecting, EVENTS.lost)).toEqual({ wait: 600, attempt: 3 });
    expect(waitAfter(STATES.syncing, EVENTS.lost)).toEqual({ wait: 600, attempt: 3 });
    expect(waitAfter(STATES.syncing, EVENTS.broken)).toEqual({ wait: 600, attempt: 3 });
  });

  test('starts again after a sync', () => {
    expect(waitAfter(STATES.online, EVENTS.lost)).toEqual({ wait: 150, attempt: 1 });
  });

  test('is kept up by a server that accepts and then closes', () => {
    let state = run(OFFLINE, EVENTS.connect);
    const waits: number[] = [];
    for (let round = 0; round < 9; round++) {
      state = run(run(state, EVENTS.opened), EVENTS.lost);
      waits.push((deadlineOf(state) ?? 0) - NOW);
      state = run(state, EVENTS.due, deadlineOf(state) ?? 0);
    }
    expect(waits.at(-1)).toBe(BACKOFF_CAP / 2);
    expect([...waits].sort((a, b) => a - b)).toEqual(waits);
  });

  test.each([
    [1012, 2400],
    [1013, 9600],
  ])('is spread wider after %i: up to %i ms', (code, range) => {
    const { wait, attempt } = waitAfter(STATES.online, { type: 'lost', code, reason: '' });
    expect(wait).toBe(range / 2);
    expect(attempt).toBe(1);
  });
});

describe('[CLI-4] close codes', () => {
  const lost = (code: number) => run(STATES.online, { type: 'lost', code, reason: 'why' });

  test.each([1009, 4400, 4401, 4403, 4404, 4413, 4499])('%i is final', (code) => {
    expect(lost(code)).toEqual({ kind: 'refused', code, reason: 'why' });
  });

  test.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4399, 4500])('%i is retried', (code) => {
    expect(lost(code).kind).toBe('retrying');
  });

  test('the code this side closes with is not final for anyone who sees it', () => {
    expect(lost(GAVE_UP).kind).toBe('retrying');
  });
});

describe('[CLI-16] a page that was throttled, frozen or left alone', () => {
  const late = DEADLINE + LATE;

  test('asks first, when the silence is noticed late: what the server sent may still lie there', () => {
    const asked = transition(STATES.online, EVENTS.due, { now: late, random: 0 });
    expect(asked.effects).toEqual([{ type: 'probe' }]);
    expect(deadlineOf(asked.state)).toBe(late + PROBE_TIMEOUT);
  });

  test('goes on when anything is heard, and gives up when nothing is, however late', () => {
    const asked = run(STATES.online, EVENTS.due, late);
    expect(deadlineOf(run(asked, EVENTS.frame, late + 1))).toBe(late + 1 + SILENCE_TIMEOUT);
    expect(run(asked, EVENTS.due, late + PROBE_TIMEOUT + 60_000).kind).toBe('retrying');
    const heard = run(asked, EVENTS.frame, late);
    expect(run(heard, EVENTS.due, late + SILENCE_TIMEOUT + LATE).kind).toBe('online');
  });

  test('asks when it is looked at again only where it has heard nothing for longer than a server is silent', () => {
    const heard = run(STATES.online, EVENTS.frame, NOW);
    const { effects } = transition(heard, EVENTS.visible, { now: NOW + QUIET - 1, random: 0 });
    expect(effects).toEqual([]);
    const later = transition(heard, EVENTS.visible, { now: NOW + QUIET, random: 0 });
    expect(later.effects).toEqual([{ type: 'probe' }]);
  });
});

describe('[CLI-41] while something is to be reported saved', () => {
  const waiting = run(run(STATES.online, EVENTS.frame), EVENTS.awaits);
  const asked = NOW + ACKNOWLEDGEMENT_TIMEOUT;
  const answer = (at: number) => transition(waiting, EVENTS.due, { now: at, random: 0 });

  test('asks after 10 s without a frame, and gives up 10 s later', () => {
    expect([ACKNOWLEDGEMENT_TIMEOUT, PROBE_TIMEOUT]).toEqual([10_000, 10_000]);
    expect(deadlineOf(waiting)).toBe(asked);
    expect(answer(asked - 1)).toEqual({ state: waiting, effects: [] });
    const { state, effects } = answer(asked);
    expect(effects).toEqual([{ type: 'probe' }]);
    expect(deadlineOf(state)).toBe(asked + PROBE_TIMEOUT);
    expect(run(state, EVENTS.due, asked + PROBE_TIMEOUT).kind).toBe('retrying');
  });

  test('asks again 10 s after each answer, and never gives up while there are answers', () => {
    let state = waiting;
    for (let now = asked; now < asked + 600_000; now = deadlineOf(state) ?? 0) {
      const step = transition(state, EVENTS.due, { now, random: 0 });
      expect(step.effects).toEqual([{ type: 'probe' }]);
      state = run(step.state, EVENTS.frame, now + 9_000);
      expect(deadlineOf(state)).toBe(now + 9_000 + ACKNOWLEDGEMENT_TIMEOUT);
    }
  });

  test('while it loads, it waits as long as ever: one large value may take that long', () => {
    const loading = run(run(STATES.syncing, EVENTS.frame), EVENTS.awaits);
    expect(deadlineOf(loading)).toBe(NOW + SILENCE_TIMEOUT);
    expect(deadlineOf(run(loading, EVENTS.frame))).toBe(NOW + SILENCE_TIMEOUT);
    expect(deadlineOf(run(loading, EVENTS.synced))).toBe(NOW + ACKNOWLEDGEMENT_TIMEOUT);
  });

  test('asks no more once it is saved', () => {
    const saved = run(waiting, { type: 'awaits', isAwaiting: false }, NOW + 1);
    expect(deadlineOf(saved)).toBe(NOW + SILENCE_TIMEOUT);
    expect(run(saved, { type: 'awaits', isAwaiting: false }, NOW + 2)).toBe(saved);
  });

  test('waits on while what is to be sent becomes less', () => {
    const probed = answer(asked).state;
    const moving = run(probed, EVENTS.progress, asked + 9_999);
    expect(deadlineOf(moving)).toBe(asked + 9_999 + ACKNOWLEDGEMENT_TIMEOUT);
  });

  test('a page that was asleep meanwhile asks first, and gives up after that', () => {
    const { state, effects } = answer(NOW + SILENCE_TIMEOUT + LATE);
    expect(effects).toEqual([{ type: 'probe' }]);
    expect(state.kind).toBe('online');
    const later = NOW + SILENCE_TIMEOUT + LATE + PROBE_TIMEOUT;
    expect(deadlineOf(state)).toBe(later);
    expect(run(state, EVENTS.due, later).kind).toBe('retrying');
  });
});

describe('[CLI-15] a server that drains', () => {
  const drain = (delay: number): ConnectionEvent => ({ type: 'drain', delay });

  test('is left at the moment that it said, for another socket', () => {
    const told = run(run(STATES.online, EVENTS.frame), drain(3000));
    expect(deadlineOf(told)).toBe(NOW + 3000);
    expect(run(told, EVENTS.due, NOW + 2999)).toBe(told);
    const gone = transition(told, EVENTS.due, { now: NOW + 3000, random: 0 });
    expect(gone.state.kind).toBe('connecting');
    expect(gone.effects.map(({ type }) => type)).toEqual(['close', 'open']);
  });

  test('is left also while syncing, and when frames go on arriving', () => {
    const told = run(run(run(STATES.syncing, EVENTS.frame), drain(3000)), EVENTS.synced);
    expect(run(run(told, EVENTS.frame, NOW + 2000), EVENTS.due, NOW + 3000).kind).toBe(
      'connecting',
    );
  });

  test('cannot put it off, nor ask for a moment that never comes', () => {
    const online = run(STATES.online, EVENTS.frame, 1e9);
    const told = run(run(online, drain(5), 1e9), drain(50), 1e9);
    expect(deadlineOf(told)).toBe(1e9 + 5);
    const never = run(online, drain(Number.MAX_SAFE_INTEGER), 1e9);
    expect(never).toMatchObject({ movesAt: 1e9 + MAX_DRAIN });
  });
});

/** Carries out effects on a socket that is only a flag. */
function applyEffects(effects: readonly Effect[], isLive: boolean): boolean {
  let live = isLive;
  for (const { type } of effects) {
    if (type === 'open') {
      expect(live).toBe(false);
      live = true;
    } else {
      expect(live).toBe(true);
      if (type === 'close') live = false;
    }
  }
  return live;
}

test('in any sequence at most one socket is live, exactly in the states that have one', () => {
  const event = fc.constantFrom(...Object.values(EVENTS));
  const step = fc.record({
    event,
    wait: fc.nat({ max: 60_000 }),
    random: fc.double({ min: 0, max: 0.99, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let state = OFFLINE;
      let isLive = false;
      let now = 0;
      for (const { event, wait, random } of steps) {
        now += wait;
        // A socket that is not there cannot be lost; `socket.ts` sees to that.
        if (event.type === 'lost' && !isLive) continue;
        const next = transition(state, event, { now, random });
        if (event.type === 'lost') isLive = false;
        isLive = applyEffects(next.effects, isLive);
        state = next.state;
        expect(isLive).toBe(isOpen(state) || state.kind === 'connecting');
      }
    }),
    { numRuns: 1000 },
  );
});
