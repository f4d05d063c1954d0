/**
 * What a tab has to do with the others that have its room open; loaded when there is one.
 *
 * Puts the parts of a provider and `group.ts` together.
 */
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';
import { Group } from './group.js';
import type { Line } from './line.js';
import type { Rejection } from './options.js';
import type { Presence } from './presence.js';
import type { View } from './tab-messages.js';
import type { TabSync } from './tab-sync.js';

/** Milliseconds after the moment of the next attempt at which a tab reminds the one that is to make it. */
const REMINDER = 100;

/**
 * Milliseconds between two reminders while this tab waits for the server's answer to another one: so
 * often that the other one is not late by its own measure (`LATE` of the connection).
 */
const REMINDER_INTERVAL = 4_000;

/** The provider of this tab. */
export interface Here {
  readonly doc: Y.Doc;
  readonly awareness: Awareness;
  readonly line: Line;
  readonly presence: Presence;
  /** Of the transactions in which the document gets what others send. */
  readonly origin: unknown;
  readonly clock: Clock;
  view(): View;
  /** @param view how things are at the holder, if that is another tab and known */
  changed(view: View | null): void;
  /** The document holds what the others have, and from now on it is the holder that keeps it. */
  welcomed(): void;
  connect(): void;
  rejected(rejection: Rejection): void;
  unavailable(error: unknown): void;
}

export function makeGroup(sync: TabSync, here: Here): Group {
  const { doc, awareness, line, presence, origin, clock } = here;
  let shown = here.view();
  /**
   * The browser may let the timers of the tab with the socket ring once a minute. So those that wait
   * for it remind it: when its next attempt is due, and while it waits for the server.
   */
  const setReminder = () => {
    const { status, nextRetryAt, unsaved } = shown;
    const wait = (nextRetryAt?.getTime() ?? 0) - clock.date().getTime() + REMINDER;
    const isWaiting =
      status === 'connecting' || status === 'syncing' || (status === 'online' && unsaved);
    if (wait > 0) reminder.set(clock.now() + wait);
    else reminder.set(isWaiting ? clock.now() + REMINDER_INTERVAL : null);
  };
  const reminder = new Alarm(clock, () => {
    if (!sync.tabs.isIn || sync.tabs.isHolder) return;
    group.nudge('due');
    setReminder();
  });
  const group = new Group(sync, doc, origin, awareness.clientID, {
    view: () => here.view(),
    generation: () => line.generation,
    people: () => presence.of(awareness.getStates().keys()),
    changed: () => {
      const { view } = group;
      if (view !== null) line.presume(view.access);
      here.changed(view);
    },
    followed: (before, after) => {
      if (isOpen(before) && !isOpen(after)) presence.lost(origin, group.clients);
      // Those at the other end of a new socket have seen the clock of this state.
      if (!isOpen(before) && isOpen(after)) presence.show();
      shown = after;
      setReminder();
    },
    unsavedChange: () => line.unsavedChange,
    doubted: (isNews, change) => {
      if (isNews || !here.view().unsaved) line.brought(change);
    },
    settled: () => line.settle(),
    heardPeople: (update) => {
      presence.receive(update, origin);
      line.sendAwareness(update);
    },
    welcomed: () => {
      presence.show();
      here.welcomed();
    },
    left: (client) => {
      const farewell = presence.remove(client, origin);
      if (farewell !== null) line.sendAwareness(farewell);
    },
    nudged: (nudge) => {
      if (nudge === 'connect') here.connect();
      else if (nudge === 'due') line.due();
      else line.dispatch({ type: nudge });
    },
    rejected: (rejection) => {
      line.refused(rejection.reason);
      here.rejected(rejection);
    },
    unavailable: (error) => here.unavailable(error),
  });
  return group;
}

function isOpen({ status }: View): boolean {
  return status === 'syncing' || status === 'online';
}
