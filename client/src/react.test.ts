// @vitest-environment happy-dom
import { act, createElement, type ReactNode, StrictMode } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { FakeNetwork, type FakeSocket } from '../test/fake-socket.js';
import '../test/loaded.js';
import { ManualClock } from '../test/manual-clock.js';
import { CowriteClient } from './client.js';
import type { CowriteProvider } from './provider.js';
import {
  CowriteRoom,
  type CowriteRoomProps,
  useDoc,
  useOthers,
  useProvider,
  useSaved,
  useSelf,
  useSetSelf,
  useStatus,
} from './react.js';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

const IDLE_TIME = 10_000;
const EMPTY = Uint8Array.of(0);
const NOTHING = Uint8Array.of(0, 0);

let clock: ManualClock;
let network: FakeNetwork;
let client: CowriteClient;
let container: HTMLElement;
let root: Root | null;
const others: Awareness[] = [];

beforeEach(() => {
  clock = new ManualClock();
  network = new FakeNetwork();
  client = makeClient();
  container = document.createElement('div');
  root = null;
});

afterEach(async () => {
  await act(async () => root?.unmount());
  client.destroy();
  for (const other of others.splice(0)) other.destroy();
  vi.restoreAllMocks();
});

function makeClient(idleTime = IDLE_TIME): CowriteClient {
  return new CowriteClient({
    url: 'ws://host/ws',
    WebSocket: network.WebSocket,
    clock,
    random: () => 0.5,
    idleTime,
  });
}

type Props = Partial<CowriteRoomProps>;

/** With one element, or none: several would need keys. */
const roomOf = (child: ReactNode, props: Props = {}) =>
  createElement(CowriteRoom, { client, room: 'room', ...props }, child);

async function render(node: ReactNode): Promise<void> {
  root ??= createRoot(container);
  const target = root;
  await act(async () => target.render(node));
}

/** A component that keeps what it saw in each of its renders. */
function probe<Value>(hook: () => Value) {
  const seen: Value[] = [];
  function Probe(): ReactNode {
    seen.push(hook());
    return 'shown';
  }
  return { seen, Probe };
}

function sync(socket: FakeSocket): void {
  socket.accept();
  socket.say({ type: 'step1', stateVector: EMPTY });
  socket.say({ type: 'step2', update: NOTHING });
}

/** Somebody else in the room, whose client id is given so that the order is known. */
function join(socket: FakeSocket, clientId: number) {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const awareness = new Awareness(doc);
  others.push(awareness);
  const tell = () =>
    act(async () =>
      socket.say({ type: 'awareness', update: encodeAwarenessUpdate(awareness, [clientId]) }),
    );
  return {
    show: (state: Record<string, unknown> | null) => {
      awareness.setLocalState(state);
      return tell();
    },
  };
}

describe('[CLI-22] CowriteRoom', () => {
  test('in strict mode has one provider, one socket and one use', async () => {
    const { seen, Probe } = probe(useProvider);
    await render(createElement(StrictMode, null, roomOf(createElement(Probe))));
    expect(new Set(seen).size).toBe(1);
    expect(network.sockets.length).toBe(1);
    clock.advance(2 * IDLE_TIME);
    expect(client.rooms).toEqual(['room']);
    await act(async () => root?.render(null));
    clock.advance(IDLE_TIME);
    expect(client.rooms).toEqual([]);
    expect(network.live).toEqual([]);
  });

  test('two of the same room share it, and the last to go releases it', async () => {
    const { seen, Probe } = probe(useProvider);
    const both = (isFirstShown: boolean) =>
      createElement(
        'div',
        null,
        isFirstShown ? roomOf(createElement(Probe)) : null,
        roomOf(createElement(Probe)),
      );
    await render(both(true));
    await render(both(false));
    clock.advance(IDLE_TIME);
    expect(new Set(seen).size).toBe(1);
    expect(client.rooms).toEqual(['room']);
  });

  test('another room mounts the children anew and leaves the one before', async () => {
    const { seen, Probe } = probe(useProvider);
    await render(roomOf(createElement(Probe), { room: 'one' }));
    await render(roomOf(createElement(Probe), { room: 'two' }));
    expect(seen.map(({ room }) => room)).toEqual(['one', 'two']);
    clock.advance(IDLE_TIME);
    expect(client.rooms).toEqual(['two']);
  });

  test('another client is followed', async () => {
    const { seen, Probe } = probe(useProvider);
    const next = makeClient();
    await render(roomOf(createElement(Probe)));
    await render(roomOf(createElement(Probe), { client: next }));
    expect(seen.at(-1)).toBe(next.peek('room'));
    clock.advance(IDLE_TIME);
    expect(client.rooms).toEqual([]);
    next.destroy();
  });

  test('gets the living provider if the one it rendered with was idle for too long', async () => {
    let isLate = false;
    const { seen, Probe } = probe(() => {
      const provider = useProvider();
      // As if the time between the render and the effect was long.
      if (!isLate) clock.advance(IDLE_TIME);
      isLate = true;
      return provider;
    });
    await render(roomOf(createElement(Probe)));
    expect(seen.at(0)?.status).toBe('closed');
    expect(seen.at(-1)?.status).toBe('connecting');
    expect(seen.at(-1)).toBe(client.peek('room'));
    expect(network.live.length).toBe(1);
  });

  test('survives a client that is destroyed while it is mounted', async () => {
    const { seen, Probe } = probe(useStatus);
    await render(roomOf(createElement(Probe)));
    await act(async () => client.destroy());
    await render(roomOf(createElement(Probe)));
    expect(seen.at(-1)?.status).toBe('closed');
  });

  test('on a server is its fallback, and opens nothing; hydration goes on from there', async () => {
    const { seen, Probe } = probe(useProvider);
    const page = roomOf(createElement(Probe), { fallback: 'wait' });
    expect(renderToString(roomOf(createElement(Probe)))).toBe('');
    container.innerHTML = renderToString(page);
    expect(container.innerHTML).toBe('wait');
    expect(seen).toEqual([]);
    expect(network.sockets).toEqual([]);
    expect(client.rooms).toEqual([]);
    const complaints = vi.spyOn(console, 'error');
    await act(async () => {
      root = hydrateRoot(container, page, { onRecoverableError: (error) => complaints(error) });
    });
    expect(complaints).not.toHaveBeenCalled();
    expect(container.innerHTML).toBe('shown');
    expect(network.sockets.length).toBe(1);
  });
});

describe('[CLI-22] suspend', () => {
  const suspended = (child: ReactNode) => roomOf(child, { suspend: true, fallback: 'wait' });

  test('shows the fallback until the room is synced, for as long as that takes', async () => {
    const { seen, Probe } = probe(useProvider);
    await render(createElement(StrictMode, null, suspended(createElement(Probe))));
    expect(container.textContent).toBe('wait');
    // The attempt times out and the next one follows; nobody takes the room for idle.
    await act(async () => clock.advance(2 * IDLE_TIME));
    expect(seen).toEqual([]);
    while (!network.last.isLive) clock.advance(1000);
    await act(async () => sync(network.last));
    expect(container.textContent).toBe('shown');
    expect(new Set(seen).size).toBe(1);
    expect(network.live.length).toBe(1);
  });

  test('does not hide again what is shown when the connection is lost', async () => {
    const { Probe } = probe(useStatus);
    await render(suspended(createElement(Probe)));
    await act(async () => sync(network.last));
    await act(async () => network.last.drop());
    await render(suspended(createElement(Probe)));
    expect(container.textContent).toBe('shown');
  });

  test('shows nothing else where the room is synced already', async () => {
    const { provider } = client.open('room');
    sync(network.last);
    expect(provider.synced).toBe(true);
    const fallback = probe(() => null);
    const { Probe } = probe(useProvider);
    const props = { suspend: true, fallback: createElement(fallback.Probe) };
    await render(roomOf(createElement(Probe), props));
    expect(container.textContent).toBe('shown');
    expect(fallback.seen).toEqual([]);
  });

  test('ends when the server refuses the connection, and the children see why', async () => {
    const { seen, Probe } = probe(useStatus);
    await render(suspended(createElement(Probe)));
    network.last.accept();
    await act(async () => network.last.drop(4403, 'no'));
    expect(container.textContent).toBe('shown');
    expect(seen.at(-1)?.status).toBe(client.peek('room').status);
    expect(seen.at(-1)?.refusal?.code).toBe(4403);
  });
});

describe('[CLI-22] hooks', () => {
  /** One child for each hook in one room, in strict mode or not; what they saw, by name. */
  async function renderAll<Hooks extends Record<string, () => unknown>>(hooks: Hooks) {
    const probes = Object.entries(hooks).map(([name, hook]) => ({ name, ...probe(hook) }));
    const children = probes.map(({ name, Probe }) => createElement(Probe, { key: name }));
    await render(roomOf(children));
    await act(async () => sync(network.last));
    for (const { seen } of probes) seen.splice(0, seen.length - 1);
    const counts = () => Object.fromEntries(probes.map(({ name, seen }) => [name, seen.length]));
    const last = (name: keyof Hooks) => probes.find((each) => each.name === name)?.seen.at(-1);
    return { counts, last, provider: client.peek('room'), socket: network.last };
  }

  test('outside of a room say what to do', () => {
    const { Probe } = probe(useDoc);
    expect(() => renderToString(createElement(Probe))).toThrow('<CowriteRoom>');
  });

  test('useDoc and useProvider are those of the room, and no change renders them', async () => {
    const { counts, last, provider } = await renderAll({ useDoc, useProvider });
    await act(async () => provider.doc.getText('t').insert(0, 'x'));
    await act(async () => network.last.drop());
    expect(last('useProvider')).toBe(provider);
    expect(last('useDoc')).toBe(provider.doc);
    expect(counts()).toEqual({ useDoc: 1, useProvider: 1 });
  });

  test('useStatus and useSaved follow the provider, each its own', async () => {
    const { counts, last, provider, socket } = await renderAll({ useStatus, useSaved });
    expect(last('useStatus')).toEqual({ status: 'online', nextRetryAt: null, refusal: null });
    expect(last('useSaved')).toEqual({ unsaved: false, lastSavedAt: null });
    await act(async () => provider.doc.getText('t').insert(0, 'x'));
    await act(async () => provider.doc.getText('t').insert(0, 'x'));
    expect(last('useSaved')).toEqual({ unsaved: true, lastSavedAt: null });
    expect(counts()).toEqual({ useStatus: 1, useSaved: 2 });
    await act(async () => socket.say({ type: 'saved', count: 3 }));
    expect(last('useSaved')).toEqual({ unsaved: false, lastSavedAt: clock.date() });
    await act(async () => socket.drop());
    expect(last('useStatus')).toMatchObject({
      status: 'retrying',
      nextRetryAt: provider.nextRetryAt,
    });
    expect(counts()).toEqual({ useStatus: 2, useSaved: 3 });
  });

  test('snapshots are the same objects in every render until they change', async () => {
    const { seen, Probe } = probe(() => [useStatus(), useSaved(), useSelf(), useOthers()] as const);
    await render(roomOf(createElement(Probe)));
    await act(async () => {
      network.last.accept();
      network.last.drop(4403, 'no');
    });
    const [before] = seen.slice(-1);
    await render(roomOf(createElement(Probe)));
    const [after] = seen.slice(-1);
    expect(after).not.toBe(before);
    for (const [index, value] of (before ?? []).entries()) expect(after?.[index]).toBe(value);
  });

  test('a cursor move of somebody else renders those who use the others, and nobody else', async () => {
    const { counts, last, socket } = await renderAll({
      useProvider,
      useDoc,
      useStatus,
      useSaved,
      useSelf,
      useSetSelf,
      useOthers: () => useOthers(),
      count: () => useOthers((people) => people.length),
      names: () =>
        useOthers(
          (people) => people.map(({ state }) => state.name),
          (before, after) => String(before) === String(after),
        ),
    });
    const grace = join(socket, 7);
    const ada = join(socket, 3);
    await grace.show({ name: 'Grace', at: 1 });
    await ada.show({ name: 'Ada' });
    expect(last('useOthers')).toEqual([
      { clientId: 3, state: { name: 'Ada' } },
      { clientId: 7, state: { name: 'Grace', at: 1 } },
    ]);
    expect(last('names')).toEqual(['Ada', 'Grace']);
    expect(last('count')).toBe(2);
    const before = counts();
    expect(before).toMatchObject({ useSelf: 1, useStatus: 1, useDoc: 1, useOthers: 3, count: 3 });
    const [adaBefore] = last('useOthers') as readonly unknown[];
    await grace.show({ name: 'Grace', at: 2 });
    expect(counts()).toEqual({ ...before, useOthers: 4 });
    expect((last('useOthers') as readonly unknown[])[0]).toBe(adaBefore);
    // A heartbeat: the same state under a new clock.
    await grace.show({ name: 'Grace', at: 2 });
    expect(counts()).toEqual({ ...before, useOthers: 4 });
    await ada.show(null);
    expect(last('names')).toEqual(['Grace']);
    await act(async () => socket.drop());
    expect(last('useOthers')).toEqual([]);
  });

  test('useSelf shows what useSetSelf set, and what others do not see of it renders nothing', async () => {
    const { counts, last, provider } = await renderAll({
      useSelf,
      useSetSelf,
      useOthers: () => useOthers(),
      name: () => useSelf((self) => self?.state.name),
    });
    const clientId = provider.awareness.clientID;
    const setSelf = last('useSetSelf') as ReturnType<typeof useSetSelf>;
    expect(last('useSelf')).toEqual({ clientId, state: {} });
    await act(async () => setSelf('name', 'Ada'));
    expect(last('useSelf')).toEqual({ clientId, state: { name: 'Ada' } });
    expect(last('name')).toBe('Ada');
    await act(async () => setSelf('at', 1));
    await act(async () => setSelf('at', 1));
    expect(counts()).toEqual({ useSelf: 3, useSetSelf: 1, useOthers: 1, name: 2 });
    await act(async () => provider.awareness.setLocalState(null));
    expect(last('useSelf')).toBeNull();
    expect(last('name')).toBeUndefined();
  });

  test('a selector that sees other things in each render is asked again', async () => {
    const { seen, Probe } = probe(() => 0);
    function Field({ field }: { field: string }): ReactNode {
      Probe();
      return String(useSelf((self) => self?.state[field]));
    }
    await render(roomOf(createElement(Field, { field: 'name' })));
    const { awareness } = client.peek('room');
    await act(async () => awareness.setLocalState({ name: 'Ada', color: 'red' }));
    expect(container.textContent).toBe('Ada');
    await render(roomOf(createElement(Field, { field: 'color' })));
    expect(container.textContent).toBe('red');
    const renders = seen.length;
    await act(async () => awareness.setLocalStateField('name', 'Grace'));
    expect(seen.length).toBe(renders);
  });

  test('a part that is equal is the same object, also when the selector is a new one', async () => {
    const { seen, Probe } = probe(() =>
      useOthers(
        (people) => people.map(({ state }) => state.name),
        (before, after) => String(before) === String(after),
      ),
    );
    await render(roomOf(createElement(Probe)));
    await act(async () => sync(network.last));
    await join(network.last, 3).show({ name: 'Ada' });
    await render(roomOf(createElement(Probe)));
    expect(seen.length).toBe(3);
    expect(seen.at(-1)).toEqual(['Ada']);
    expect(seen.at(-1)).toBe(seen.at(-2));
  });

  test('a selector that makes a new object each time does not render for ever', async () => {
    const { seen, Probe } = probe(() => useOthers((people) => ({ people })));
    await render(roomOf(createElement(Probe)));
    expect(seen.length).toBe(1);
  });

  test('nobody is listened to after the unmount', async () => {
    const { seen, Probe } = probe(() => [useStatus(), useSaved(), useSelf(), useOthers()]);
    await render(roomOf(createElement(Probe)));
    const provider: CowriteProvider = client.peek('room');
    await act(async () => root?.render(null));
    const renders = seen.length;
    const other = new Awareness(new Y.Doc());
    others.push(other);
    await act(async () => {
      provider.doc.getText('t').insert(0, 'x');
      provider.awareness.setLocalStateField('name', 'Ada');
      const update = encodeAwarenessUpdate(other, [other.clientID]);
      applyAwarenessUpdate(provider.awareness, update, 'test');
    });
    expect(seen.length).toBe(renders);
  });
});
