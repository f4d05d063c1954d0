/**
 * React's view of a room: one component that has it open, and hooks that read it.
 *
 * Owns no connection; `client.ts` does. Rendering only peeks at a room, because
 * React may render what it never mounts; an effect opens it and its cleanup
 * releases it.
 *
 * Invariants: a snapshot is the same object until what it shows has changed; a
 * change re-renders only the components that use a hook for what has changed.
 */

// React's server components may import this: what is here runs in the browser.
'use client';

import {
  createContext,
  createElement,
  type ReactNode,
  Suspense,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import type { CowriteClient } from './client.js';
import type { CowriteProviderEvents, StatusChange } from './options.js';
import type { CowriteProvider } from './provider.js';

/** What {@link CowriteRoom} is given. */
export interface CowriteRoomProps {
  /** Made once, outside of components, or kept in a state. */
  readonly client: CowriteClient;
  /** The room's name. Another name mounts the children anew. */
  readonly room: string;
  /** Shown on a server, where there is no room, and while `suspend` waits. Nothing if left out. */
  readonly fallback?: ReactNode;
  /**
   * Whether to show `fallback` until there is a document to show (`ready`); false if left out.
   * Waits only at first: a connection that is lost later hides nothing. If the server refuses
   * the connection, the children are shown; {@link useStatus} tells them.
   */
  readonly suspend?: boolean | undefined;
  readonly children?: ReactNode;
}

/** Somebody in the room, with what they show of themselves. */
export interface Participant {
  /** Differs between two tabs of the same person. */
  readonly clientId: number;
  /** Must not be changed; {@link useSetSelf} changes one's own. */
  readonly state: Readonly<Record<string, unknown>>;
}

/** What {@link useSaved} tells. */
export interface SavedState {
  /** Whether there is any local change that the server has not reported to be on disk. */
  readonly unsaved: boolean;
  /** When `unsaved` last turned false; null if it never did. */
  readonly lastSavedAt: Date | null;
}

const RoomContext = createContext<CowriteProvider | null>(null);

/** Has a room open while it is mounted; its children reach the room through the hooks below. */
export function CowriteRoom(props: CowriteRoomProps): ReactNode {
  const isBrowser = useSyncExternalStore(
    neverChanges,
    () => true,
    () => false,
  );
  if (!isBrowser) return props.fallback ?? null;
  return createElement(OpenRoom, { ...props, key: props.room });
}

function OpenRoom({ client, room, fallback, suspend, children }: CowriteRoomProps): ReactNode {
  const [provider, setProvider] = useState(() => client.peek(room));
  useEffect(() => {
    const handle = client.open(room);
    // Another one, if the provider was idle for too long before this effect ran.
    setProvider(handle.provider);
    return handle.release;
  }, [client, room]);
  // The boundary is below the effect: what waits above would never open the room it waits for.
  const content = suspend
    ? createElement(Suspense, { fallback }, createElement(WhenReady, { provider }, children))
    : children;
  return createElement(RoomContext.Provider, { value: provider }, content);
}

interface WhenReadyProps {
  readonly provider: CowriteProvider;
  readonly children?: ReactNode;
}

function WhenReady({ provider, children }: WhenReadyProps): ReactNode {
  const wait = waitOf(provider);
  // React 18 has no `use`.
  if (!wait.isOver) throw wait.promise;
  return children;
}

interface Wait {
  readonly promise: Promise<void>;
  isOver: boolean;
}

const waits = new WeakMap<CowriteProvider, Wait>();

function waitOf(provider: CowriteProvider): Wait {
  return remembered(waits, provider, () => {
    const end = (): void => {
      wait.isOver = true;
    };
    const wait: Wait = { promise: provider.whenReady().then(end, end), isOver: provider.ready };
    return wait;
  });
}

/**
 * The room's provider, for editor bindings and everything that has no hook.
 *
 * @throws outside of a {@link CowriteRoom}.
 */
export function useProvider(): CowriteProvider {
  const provider = useContext(RoomContext);
  if (provider === null) {
    throw new Error('there is no room here: put this component inside of a <CowriteRoom>');
  }
  return provider;
}

/** The room's document. Its changes re-render nothing: observe the types that are shown. */
export function useDoc(): Y.Doc {
  return useProvider().doc;
}

/** Whether and how the room is connected; the same object until that changes. */
export function useStatus(): StatusChange {
  return useProviderState('status', statusOf);
}

/** Whether all local changes are on the server's disk; the same object until that changes. */
export function useSaved(): SavedState {
  return useProviderState('unsaved', savedOf);
}

/** What this client shows of itself; null if it shows nothing. */
export function useSelf(): Participant | null;
/** A part of it; re-renders only when that part has changed under `isEqual`, `Object.is` if left out. */
export function useSelf<Selected>(
  selector: (self: Participant | null) => Selected,
  isEqual?: (before: Selected, after: Selected) => boolean,
): Selected;
export function useSelf(
  selector: (self: Participant | null) => unknown = identity,
  isEqual: (before: unknown, after: unknown) => boolean = Object.is,
): unknown {
  return useSelected(participantsOf(useProvider().awareness).self, selector, isEqual);
}

/** Everybody in the room but this client, ordered by `clientId`; re-renders on every cursor move. */
export function useOthers(): readonly Participant[];
/** A part of it; re-renders only when that part has changed under `isEqual`, `Object.is` if left out. */
export function useOthers<Selected>(
  selector: (others: readonly Participant[]) => Selected,
  isEqual?: (before: Selected, after: Selected) => boolean,
): Selected;
export function useOthers(
  selector: (others: readonly Participant[]) => unknown = identity,
  isEqual: (before: unknown, after: unknown) => boolean = Object.is,
): unknown {
  return useSelected(participantsOf(useProvider().awareness).others, selector, isEqual);
}

/** Sets one field of what this client shows of itself; always the same function in one room. */
export function useSetSelf(): (field: string, value: unknown) => void {
  const { awareness } = useProvider();
  return useCallback(
    (field: string, value: unknown) => awareness.setLocalStateField(field, value),
    [awareness],
  );
}

function useProviderState<State>(
  event: keyof CowriteProviderEvents,
  read: (provider: CowriteProvider) => State,
): State {
  const provider = useProvider();
  const subscribe = useCallback(
    (onChange: () => void) => {
      provider.on(event, onChange);
      return () => provider.off(event, onChange);
    },
    [provider, event],
  );
  const snapshot = useCallback(() => read(provider), [provider, read]);
  return useSyncExternalStore(subscribe, snapshot);
}

const statuses = new WeakMap<CowriteProvider, StatusChange>();

function statusOf(provider: CowriteProvider): StatusChange {
  const { status, nextRetryAt, refusal } = provider;
  return latest(statuses, provider, { status, nextRetryAt, refusal });
}

const savedStates = new WeakMap<CowriteProvider, SavedState>();

function savedOf(provider: CowriteProvider): SavedState {
  const { unsaved, lastSavedAt } = provider;
  return latest(savedStates, provider, { unsaved, lastSavedAt });
}

interface Source<Value> {
  readonly subscribe: (onChange: () => void) => () => void;
  readonly get: () => Value;
}

/** A value with subscribers, who hear of each new one. */
class Cell<Value> implements Source<Value> {
  #value: Value;
  readonly #subscribers = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  readonly get = (): Value => this.#value;

  readonly subscribe = (onChange: () => void): (() => void) => {
    this.#subscribers.add(onChange);
    return () => this.#subscribers.delete(onChange);
  };

  set(value: Value): void {
    this.#value = value;
    for (const subscriber of [...this.#subscribers]) subscriber();
  }
}

interface Participants {
  readonly self: Source<Participant | null>;
  readonly others: Source<readonly Participant[]>;
}

interface AwarenessChange {
  readonly added: readonly number[];
  readonly updated: readonly number[];
  readonly removed: readonly number[];
}

const participants = new WeakMap<Awareness, Participants>();

/**
 * Who is in the room. Kept apart from the awareness itself because a heartbeat puts an equal
 * but new state there, which is no change; whoever has not changed stays the same object.
 */
function participantsOf(awareness: Awareness): Participants {
  return remembered(participants, awareness, () => {
    const selfId = awareness.clientID;
    const people = new Map<number, Participant>();
    for (const [clientId, state] of awareness.getStates())
      people.set(clientId, { clientId, state });
    const othersNow = (): readonly Participant[] =>
      [...people.values()]
        .filter(({ clientId }) => clientId !== selfId)
        .sort((a, b) => a.clientId - b.clientId);
    const self = new Cell(people.get(selfId) ?? null);
    const others = new Cell(othersNow());
    // Never taken off: it lives exactly as long as the awareness.
    awareness.on('change', ({ added, updated, removed }: AwarenessChange) => {
      const changed = new Set([...added, ...updated, ...removed]);
      for (const clientId of changed) {
        const state = awareness.getStates().get(clientId);
        if (state === undefined) people.delete(clientId);
        else people.set(clientId, { clientId, state });
      }
      if (changed.delete(selfId)) self.set(people.get(selfId) ?? null);
      if (changed.size > 0) others.set(othersNow());
    });
    return { self, others };
  });
}

/** A part of a source. What is equal to the last rendered part is that part, so it renders nothing. */
function useSelected<Value, Selected>(
  source: Source<Value>,
  selector: (value: Value) => Selected,
  isEqual: (before: Selected, after: Selected) => boolean,
): Selected {
  const rendered = useRef<{ readonly selected: Selected } | null>(null);
  // A selector that is written in place is a new one in each render, and must be asked again.
  const snapshot = useMemo(() => {
    let last: { readonly value: Value; readonly selected: Selected } | null = null;
    return () => {
      const value = source.get();
      if (last !== null && Object.is(last.value, value)) return last.selected;
      const before = last ?? rendered.current;
      const after = selector(value);
      const selected = before !== null && isEqual(before.selected, after) ? before.selected : after;
      last = { value, selected };
      return selected;
    };
  }, [source, selector, isEqual]);
  const selected = useSyncExternalStore(source.subscribe, snapshot);
  useEffect(() => {
    rendered.current = { selected };
  }, [selected]);
  return selected;
}

/** The value made for this key before, or one made now. */
function remembered<Key extends object, Value>(
  memory: WeakMap<Key, Value>,
  key: Key,
  make: () => Value,
): Value {
  const known = memory.get(key);
  if (known !== undefined) return known;
  const value = make();
  memory.set(key, value);
  return value;
}

/** `value`, or the one before if all of its fields are equal. */
function latest<Key extends object, Value extends object>(
  memory: WeakMap<Key, Value>,
  key: Key,
  value: Value,
): Value {
  const before = memory.get(key);
  if (before !== undefined && hasEqualFields(before, value)) return before;
  memory.set(key, value);
  return value;
}

/** Looks into fields that are objects, which the provider may make anew for each reader. */
function hasEqualFields(before: object, after: object): boolean {
  const theirs = new Map<string, unknown>(Object.entries(before));
  return Object.entries(after).every(([name, value]) => isSame(theirs.get(name), value));
}

function isSame(before: unknown, after: unknown): boolean {
  if (Object.is(before, after)) return true;
  if (before instanceof Date && after instanceof Date) return before.getTime() === after.getTime();
  if (before instanceof Date || after instanceof Date) return false;
  if (typeof before !== 'object' || typeof after !== 'object') return false;
  return before !== null && after !== null && hasEqualFields(before, after);
}

function identity<Value>(value: Value): Value {
  return value;
}

function neverChanges(): () => void {
  return () => undefined;
}
