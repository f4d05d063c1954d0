/**
 * What is refused, and how it is reverted: the part of `pending.ts` that most pages never need, and
 * load when they do.
 *
 * Yjs cannot forget a change; it is undone by one in the opposite direction, which is never sent by
 * itself. What the server has is never undone: that would be gone from this page alone.
 */
import * as Y from 'yjs';
import { addRange, type Change, isEmpty, merge, NEVER, NONE, NOTHING, without } from './change.js';
import { type Decoded, follow as following } from './fork.js';
import type { Entry, Tracked } from './pending.js';
import { shielded } from './uncaught.js';

/**
 * The server has refused a message. One that holds all that it lacks stands for everything
 * before it that is not saved. It stays in the document until {@link revert}.
 *
 * @param isAtFault whether a change is one for which it was refused; if none is, all are
 * @returns whether nothing of it is left; null if it held no change that was made here
 */
export function refuse(
  tracked: Tracked,
  refused: number,
  isAtFault: (change: Change) => boolean,
): boolean | null {
  const { known, piece } = tracked.sent.get(refused) ?? {};
  const { deletions: heard } = tracked.heard;
  const taken: Change[] = [];
  const isIn = ({ message }: Entry) =>
    message === refused || (known !== undefined && message !== null && message < refused);
  const atFault = tracked.entries.filter((each) => isIn(each) && isAtFault(each.change));
  tracked.entries = tracked.entries.map((entry) => {
    const { change, message } = entry;
    const isBefore = known !== undefined && message !== null && message < refused;
    if (!piece && !isIn(entry)) return entry;
    // The others are to be sent once more.
    const isInnocent = atFault.length > 0 && !atFault.includes(entry);
    if (!piece && isInnocent) return { change, message: null };
    let lacking = change;
    if (piece) lacking = without(change, without(change, piece));
    if (known) {
      // Of what was sent by itself, the server has taken all that it could.
      const deletions = isBefore ? Y.mergeDeleteSets([heard, known]) : heard;
      lacking = without(change, { insertions: known, deletions });
    }
    taken.push(lacking);
    return { change: without(change, lacking), message };
  });
  const all = merge(taken);
  tracked.refused = merge([tracked.refused, { ...all, isUnknown: false }]);
  if (refused === tracked.offer) tracked.offer = NEVER;
  // What nothing can undo is still there, and may yet be accepted.
  const isLeft = all.isUnknown && !(piece && isEmpty(without(piece, all)));
  return isLeft || !isEmpty(all) ? !isLeft : null;
}

/** Removes from the document what was refused, and brings back what it had deleted. */
export function revert(doc: Y.Doc, undoing: Y.UndoManager, tracked: Tracked): void {
  const { refused } = tracked;
  if (isEmpty(refused)) return;
  tracked.refused = NONE;
  tracked.offer = NEVER;
  // What others have deleted since it was refused is not to come back.
  const { deletions } = tracked.heard;
  const lacking = without(refused, { insertions: NOTHING, deletions });
  undo(doc, undoing, tracked, merge([tracked.traces, lacking]));
}

/**
 * What was reverted is to look as it does at the others.
 *
 * @param structs what they have inserted; null if that is not known
 */
export function follow(
  doc: Y.Doc,
  undoing: Y.UndoManager,
  tracked: Tracked,
  structs: Decoded['structs'] | null,
): void {
  const next = following(doc, tracked.traces, tracked.heard, structs);
  if (next !== null) undo(doc, undoing, tracked, next.traces, next.visible);
}

/**
 * Removes all traces, and brings back what they had deleted. All at once: Yjs brings a deleted
 * value of a key back only if it knows that what was set after it is refused as well.
 */
function undo(
  doc: Y.Doc,
  undoing: Y.UndoManager,
  tracked: Tracked,
  traces: Change,
  visible = traces.deletions,
): void {
  const { store, clientID } = doc;
  const copies = Y.createDeleteSet();
  const item = { insertions: traces.insertions, deletions: visible, meta: new Map() };
  const work = () => {
    const clock = Y.getState(store, clientID);
    undoing.undoStack = [item];
    undoing.undo();
    // Before anybody who listens can write something that is no copy.
    const len = Y.getState(store, clientID) - clock;
    if (len > 0) addRange(copies, { client: clientID, clock }, len);
    tracked.traces = merge([traces, { insertions: copies, deletions: NOTHING }]);
  };
  shielded(() => doc.transact(work, undoing));
  undoing.undoStack = [];
  // A listener that threw leaves it set, and nothing would be undone any more.
  undoing.currStackItem = null;
}
