import { afterEach, describe, expect, test, vi } from 'vitest';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { ManualClock } from '../test/manual-clock.js';
import { Presence } from './presence.js';

const INTERVAL = 50;

const awarenesses: Awareness[] = [];

function newAwareness(): Awareness {
  const awareness = new Awareness(new Y.Doc());
  awarenesses.push(awareness);
  return awareness;
}

afterEach(() => {
  for (const awareness of awarenesses.splice(0)) awareness.destroy();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A presence, and someone else who applies all that it sends. */
function setUp() {
  const clock = new ManualClock();
  const awareness = newAwareness();
  const other = newAwareness();
  const sent: Uint8Array[] = [];
  const presence = new Presence(awareness, INTERVAL, clock);
  const send = (update: Uint8Array) => {
    sent.push(update);
    applyAwarenessUpdate(other, update, 'network');
  };
  const seen = () => other.getStates().get(awareness.clientID);
  return { clock, awareness, other, sent, presence, send, seen };
}

function throwOnce(awareness: Awareness, event: string): void {
  awareness.once(event, () => {
    throw new Error('of the application');
  });
}

describe('[CLI-7] the own state', () => {
  test('is not sent without a socket', () => {
    const { awareness, clock, presence, send, sent } = setUp();
    awareness.setLocalState({ x: 1 });
    presence.opened(send);
    presence.closed();
    presence.lost('test');
    sent.length = 0;
    awareness.setLocalState({ x: 2 });
    clock.advance(1000);
    expect(sent).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test('of a hidden page is renewed whenever others are heard, because its timers are late', () => {
    const { awareness, clock, other, presence, send, sent } = setUp();
    const page = { visibilityState: 'visible' };
    vi.stubGlobal('document', page);
    presence.opened(send);
    const { clientID } = awareness;
    const shown = () => other.meta.get(clientID)?.clock;
    const [first, shownAt] = [shown() as number, Date.now()];
    const hear = (after: number) => {
      vi.spyOn(Date, 'now').mockReturnValue(shownAt + after);
      other.setLocalState({ still: 'here' });
      presence.receive(encodeAwarenessUpdate(other, [other.clientID]), 'network');
      clock.advance(INTERVAL);
      return shown();
    };
    expect(hear(20_000)).toBe(first);
    page.visibilityState = 'hidden';
    expect(hear(9_000)).toBe(first);
    sent.length = 0;
    expect(hear(11_000)).toBe(first + 1);
    expect(sent.length).toBe(1);
    // [CLI-32] The page's clock is set back.
    expect(hear(-600_000)).toBe(first + 2);
    awareness.setLocalState(null);
    sent.length = 0;
    hear(40_000);
    expect([sent, awareness.getLocalState()]).toEqual([[], null]);
  });

  test('is shown at once on a new socket', () => {
    const { presence, send, seen } = setUp();
    presence.opened(send);
    expect(seen()).toEqual({});
  });

  test('is not shown when there is none', () => {
    const { awareness, presence, send, sent } = setUp();
    awareness.setLocalState(null);
    presence.opened(send);
    expect(sent).toEqual([]);
  });

  test('is shown again on the next socket to who has seen it, and saw it go', () => {
    const { awareness, other, presence, send, seen } = setUp();
    awareness.setLocalState({ name: 'Ada' });
    presence.opened(send);
    presence.closed();
    presence.lost('test');
    // As a server does for a socket that is gone: null with the clock it had.
    const update = encodeAwarenessUpdate(awareness, [awareness.clientID], new Map());
    applyAwarenessUpdate(other, update, 'server');
    expect(seen()).toBeUndefined();
    presence.opened(send);
    expect(seen()).toEqual({ name: 'Ada' });
  });

  test('is shown again after a farewell, which has a clock of its own', () => {
    const { awareness, other, presence, send, seen } = setUp();
    const clock = () => other.meta.get(awareness.clientID)?.clock ?? 0;
    presence.opened(send);
    const before = clock();
    presence.farewell();
    expect(seen()).toBeUndefined();
    expect(clock()).toBe(before + 1);
    presence.closed();
    presence.lost('test');
    presence.opened(send);
    expect(seen()).toEqual({});
  });

  test('is shown although a listener of the application throws', () => {
    const { awareness, presence, send, seen } = setUp();
    presence.destroy();
    throwOnce(awareness, 'update');
    const later = new Presence(awareness, INTERVAL, new ManualClock());
    const uncaught = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue(undefined);
    later.opened(send);
    expect(seen()).toEqual({});
    expect(uncaught).toHaveBeenCalledOnce();
    later.destroy();
  });

  test('is all that is sent, whatever arrives of the others', () => {
    const { awareness, clock, presence, send, sent } = setUp();
    presence.opened(send);
    sent.length = 0;
    const third = newAwareness();
    third.setLocalState({ name: 'Bob' });
    presence.receive(encodeAwarenessUpdate(third, [third.clientID]), 'server');
    clock.advance(1000);
    expect(awareness.getStates().get(third.clientID)).toEqual({ name: 'Bob' });
    expect(sent).toEqual([]);
  });

  test('is shown again when somebody says that it is gone', () => {
    const { awareness, clock, other, presence, send, seen } = setUp();
    presence.opened(send);
    clock.advance(INTERVAL);
    const gone = encodeAwarenessUpdate(awareness, [awareness.clientID], new Map());
    applyAwarenessUpdate(other, gone, 'server');
    presence.receive(gone, 'server');
    expect(seen()).toEqual({});
  });
});

describe('[CLI-7] throttling', () => {
  test('sends the first change at once, then the last one of each interval', () => {
    const { awareness, clock, presence, send, sent, seen } = setUp();
    presence.opened(send);
    clock.advance(INTERVAL);
    sent.length = 0;
    awareness.setLocalState({ x: 0 });
    expect(seen()).toEqual({ x: 0 });
    for (let x = 1; x <= 9; x++) awareness.setLocalState({ x });
    clock.advance(INTERVAL - 1);
    expect(sent.length).toBe(1);
    clock.advance(1);
    expect(sent.length).toBe(2);
    expect(seen()).toEqual({ x: 9 });
    expect(clock.pending).toBe(0);
  });

  test('sends at most once an interval, and the last state always', () => {
    const { awareness, clock, presence, send, sent, seen } = setUp();
    presence.opened(send);
    sent.length = 0;
    for (let x = 1; x <= 1000; x++) {
      awareness.setLocalState({ x });
      clock.advance(1);
    }
    expect(sent.length).toBeLessThanOrEqual(1000 / INTERVAL);
    clock.advance(INTERVAL);
    expect(seen()).toEqual({ x: 1000 });
  });

  test('does not hold back a new socket', () => {
    const { awareness, clock, presence, send, seen } = setUp();
    presence.opened(send);
    awareness.setLocalState({ x: 1 });
    presence.closed();
    presence.lost('test');
    expect(clock.pending).toBe(0);
    presence.opened(send);
    expect(seen()).toEqual({ x: 1 });
  });
});

describe('[CLI-7] the others', () => {
  const state = (awareness: Awareness, id: number) => awareness.getStates().get(id);

  test('are gone with the socket, and shown again with the clocks they had', () => {
    const { awareness, other, presence, send } = setUp();
    other.setLocalState({ name: 'Bob' });
    const update = encodeAwarenessUpdate(other, [other.clientID]);
    presence.opened(send);
    presence.receive(update, 'server');
    const removed = vi.fn();
    awareness.on('change', removed);
    presence.closed();
    presence.lost('test');
    expect(removed).toHaveBeenCalledWith(
      { added: [], updated: [], removed: [other.clientID] },
      'test',
    );
    expect(state(awareness, other.clientID)).toBeUndefined();
    presence.opened(send);
    presence.receive(update, 'server');
    expect(state(awareness, other.clientID)).toEqual({ name: 'Bob' });
  });

  test('who had left before are forgotten too', () => {
    const { awareness, other, presence, send } = setUp();
    other.setLocalState({ name: 'Bob' });
    const update = encodeAwarenessUpdate(other, [other.clientID]);
    presence.opened(send);
    presence.receive(update, 'server');
    presence.receive(encodeAwarenessUpdate(other, [other.clientID], new Map()), 'server');
    presence.closed();
    presence.lost('test');
    presence.receive(update, 'server');
    expect(state(awareness, other.clientID)).toEqual({ name: 'Bob' });
  });

  test('may be looked up by those who hear that they are gone', () => {
    const { awareness, other, presence, send } = setUp();
    other.setLocalState({ name: 'Bob' });
    presence.opened(send);
    presence.receive(encodeAwarenessUpdate(other, [other.clientID]), 'server');
    const relayed = vi.fn();
    awareness.on('update', ({ removed }: { removed: number[] }) => {
      relayed(encodeAwarenessUpdate(awareness, removed));
    });
    presence.closed();
    presence.lost('test');
    expect(relayed).toHaveBeenCalledOnce();
  });
});

describe('[CLI-7] what arrives', () => {
  test('is refused when it is malformed', () => {
    const { presence } = setUp();
    expect(() => presence.receive(Uint8Array.of(5), 'server')).toThrow();
    expect(() => presence.receive(Uint8Array.of(1, 7, 1, 1, 0x7b), 'server')).toThrow();
  });

  test('is not refused because a listener of the application throws', () => {
    const { awareness, other, presence } = setUp();
    const uncaught = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue(undefined);
    throwOnce(awareness, 'change');
    other.setLocalState({ name: 'Bob' });
    presence.receive(encodeAwarenessUpdate(other, [other.clientID]), 'server');
    expect(uncaught.mock.calls[0]?.[0]).toThrow('of the application');
  });
});

test('of those without a state nothing is told', () => {
  const { awareness, presence } = setUp();
  const known = encodeAwarenessUpdate(awareness, [awareness.clientID]);
  expect(presence.of([awareness.clientID, 7])).toEqual(known);
  awareness.setLocalState(null);
  expect(presence.of([awareness.clientID])).toEqual(Uint8Array.of(0));
});

test('those who are here without a socket stay when it is gone', () => {
  const { awareness, other, presence } = setUp();
  const third = new Awareness(new Y.Doc());
  other.setLocalState({ name: 'Bob' });
  third.setLocalState({ name: 'Cy' });
  for (const { clientID } of [other, third]) {
    const known = clientID === other.clientID ? other : third;
    presence.receive(encodeAwarenessUpdate(known, [clientID]), 'server');
  }
  presence.lost('test', new Set([third.clientID]));
  expect([...awareness.getStates().keys()]).toEqual([awareness.clientID, third.clientID]);
  third.destroy();
});

test('somebody can be removed, and the others told', () => {
  const { other, presence } = setUp();
  other.setLocalState({ name: 'Bob' });
  presence.receive(encodeAwarenessUpdate(other, [other.clientID]), 'server');
  const watcher = new Awareness(new Y.Doc());
  applyAwarenessUpdate(watcher, encodeAwarenessUpdate(other, [other.clientID]), 'test');
  const farewell = presence.remove(other.clientID, 'test');
  applyAwarenessUpdate(watcher, farewell as Uint8Array, 'test');
  expect(watcher.getStates().has(other.clientID)).toBe(false);
  expect(presence.remove(other.clientID, 'test')).toBeNull();
  watcher.destroy();
});

test('destroy leaves no listener and no timer', () => {
  const { awareness, clock, presence, send, sent } = setUp();
  presence.opened(send);
  awareness.setLocalState({ x: 1 });
  presence.destroy();
  expect(clock.pending).toBe(0);
  sent.length = 0;
  awareness.setLocalState({ x: 2 });
  clock.advance(1000);
  expect(sent).toEqual([]);
});
