/**
 * What the server has not reported saved.
 *
 * Pure. Invariant: {@link isUnsaved} is false only if every local change is
 * contained in a document message that the server has reported to be on disk.
 *
 * A local change is always in one of three places: *loose*, carried by no
 * message of this socket; *carried* by a numbered message that is not yet
 * reported; or saved. A change made while a socket is open is carried by its
 * own update message. One made before, or whose socket was lost, is loose until
 * the next step 2, which holds everything the server lacks. A refused change is
 * unsaved until it is reverted; where that is impossible it is loose again: it exists here and nowhere
 * else, and a later step 2 may yet be accepted.
 *
 * A step 2 that carries no local change (the usual answer of a client that
 * reconnects) is numbered like any other, but nothing waits for it.
 */
import type { RejectReason } from './protocol/index.js';

export interface Unsaved {
  /** There are local changes that no message of this socket carries. */
  readonly loose: boolean;
  /** Document messages sent on this socket. */
  readonly sent: number;
  /** The number of the last of them that carries a local change; 0 if none does. */
  readonly carrying: number;
  /** The first `saved` of them are on disk. */
  readonly saved: number;
  /** Whether the server on this socket reports anything at all. */
  readonly reports: boolean;
  /** Something that was refused is in the document still, and is going to be reverted. */
  readonly refused: boolean;
  /** Why the server refused a change on this socket, as long as it is unsaved. */
  readonly rejection: RejectReason | null;
}

/** The server reports on a message that was never sent: nothing it reports can be trusted. */
export class ImpossibleReport extends Error {
  override readonly name = 'ImpossibleReport';
}

/** @param hasContent whether the document holds anything that was not received from this server. */
export function initial(hasContent: boolean): Unsaved {
  return {
    loose: hasContent,
    sent: 0,
    carrying: 0,
    saved: 0,
    reports: false,
    refused: false,
    rejection: null,
  };
}

export function isUnsaved(state: Unsaved): boolean {
  return state.refused || isAtRisk(state);
}

/** Whether a report of this socket's server is to come. */
export function isAwaited({ reports, carrying, saved }: Unsaved): boolean {
  return reports && carrying > saved;
}

/** Whether anything is unsaved that may still be saved: what was refused is not. */
export function isAtRisk(state: Unsaved): boolean {
  return state.loose || state.carrying > state.saved;
}

/**
 * A new socket is open. Whatever was under way on the one before is loose: no
 * report on it will ever come.
 *
 * @param reports whether its server speaks `cowrite.v1`.
 */
export function opened(state: Unsaved, reports: boolean): Unsaved {
  return { ...initial(isUnsaved(state)), reports };
}

/** A local change was made and not sent. */
export function changed(state: Unsaved): Unsaved {
  return state.loose ? state : { ...state, loose: true };
}

/** A local change was made and sent as an update message. */
export function sentUpdate(state: Unsaved): Unsaved {
  const sent = state.sent + 1;
  return { ...state, sent, carrying: sent };
}

/** A step 2 was sent: all that the document holds and the server lacks. */
export function sentStep2(state: Unsaved): Unsaved {
  const sent = state.sent + 1;
  return { ...state, sent, loose: false, carrying: state.loose ? sent : state.carrying };
}

/** @throws {ImpossibleReport} when fewer than `count` messages were sent. */
export function reportedSaved(state: Unsaved, count: number): Unsaved {
  if (!state.reports) return state;
  if (count > state.sent) throw new ImpossibleReport(`saved ${count} of ${state.sent}`);
  const next = { ...state, saved: Math.max(state.saved, count) };
  return isUnsaved(next) ? next : { ...next, rejection: null };
}

/** @throws {ImpossibleReport} when there is no message `count`. */
export function checkRejected({ sent }: Unsaved, count: number): void {
  if (count < 1 || count > sent) throw new ImpossibleReport(`rejected ${count} of ${sent}`);
}

/** The server will never have a change of this client's, which is in the document still. */
export function refused(state: Unsaved): Unsaved {
  return { ...state, refused: true };
}

/**
 * What was refused was reverted.
 *
 * @param isTakenBack whether it is not in the document any more, either
 */
export function reportedRejected(
  state: Unsaved,
  reason: RejectReason,
  isTakenBack: boolean,
): Unsaved {
  return { ...state, refused: false, loose: state.loose || !isTakenBack, rejection: reason };
}
