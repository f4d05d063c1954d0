/**
 * What the document has of refused changes, and how it stays as the others see it all the same.
 *
 * A change that was taken back has left traces which no other document has: it is there, though
 * deleted, and what it had deleted has come back as a copy. What others do next to these, or to
 * the originals, does not show by itself: whoever deletes a text deletes the original, and a
 * value of a key may come to stand behind a refused one. So with each change of others that is
 * near, all copies are made anew, each where its original is.
 */
import * as Y from 'yjs';
import { type Change, NOTHING, outside, type Ranges } from './change.js';
import { shielded } from './uncaught.js';

export type Structs = ReturnType<typeof Y.decodeUpdate>['structs'];

export class Fork {
  readonly #doc: Y.Doc;
  readonly #undoing: Y.UndoManager;
  /** What was inserted and refused, and all copies. */
  #traces = NOTHING;
  /** What was deleted here, and not at the server. */
  #originals = NOTHING;

  /** @param undoing by which changes are taken back; it keeps what they delete */
  constructor(doc: Y.Doc, undoing: Y.UndoManager) {
    this.#doc = doc;
    this.#undoing = undoing;
  }

  /** Whether there is anything that others do not have. */
  get isEmpty(): boolean {
    return this.#traces === NOTHING && this.#originals === NOTHING;
  }

  /** The server has got all of it. */
  clear(): void {
    this.#traces = NOTHING;
    this.#originals = NOTHING;
  }

  /** Undoes what was refused. */
  takeBack({ insertions, deletions }: Change): void {
    this.#traces = Y.mergeDeleteSets([this.#traces, insertions]);
    this.#originals = Y.mergeDeleteSets([this.#originals, deletions]);
    this.#copyAnew();
  }

  /**
   * Others have changed the document.
   *
   * @param structs what they have inserted; null if nobody knows
   * @param known what the server has deleted, and what it is to delete and has not refused
   */
  follow(structs: Structs | null, known: Ranges): void {
    const deleted = Y.createDeleteSetFromStructStore(this.#doc.store);
    const originals = outside(outside(deleted, known), this.#traces);
    const isOriginal = (id: Y.ID | null) => id !== null && Y.isDeleted(originals, id);
    const isNear = (struct: Structs[number]) =>
      struct instanceof Y.Item && (isOriginal(struct.origin) || isOriginal(struct.rightOrigin));
    const isSame = Y.equalDeleteSets(originals, this.#originals);
    if (structs !== null && isSame && !structs.some(isNear)) return;
    this.#originals = originals;
    this.#copyAnew();
  }

  /** Removes all traces, and copies the originals. */
  #copyAnew(): void {
    const { store, clientID } = this.#doc;
    shielded(() =>
      this.#doc.transact((transaction) => {
        const deletions = Y.createDeleteSet();
        Y.iterateDeletedStructs(transaction, this.#originals, (item) => {
          if (!(item instanceof Y.Item) || this.#isReplaced(item)) return;
          item.redone = null;
          const { client, clock } = item.id;
          const ranges = deletions.clients.get(client) ?? [];
          deletions.clients.set(client, ranges);
          ranges.push({ clock, len: item.length });
        });
        const clock = Y.getState(store, clientID);
        this.#undoing.undoStack = [{ insertions: this.#traces, deletions, meta: new Map() }];
        this.#undoing.undo();
        this.#undoing.undoStack = [];
        const copies = Y.createDeleteSet();
        // Before anybody who listens can write something that is no copy.
        const len = Y.getState(store, clientID) - clock;
        if (len > 0) copies.clients.set(clientID, [{ clock, len }]);
        this.#traces = Y.mergeDeleteSets([this.#traces, copies]);
      }, this.#undoing),
    );
    // A listener that threw leaves it set, and nothing would be undone any more.
    this.#undoing.currStackItem = null;
  }

  /** Whether others have set the same key after it, as Yjs orders what they did. */
  #isReplaced({ parentSub, right }: Y.Item): boolean {
    if (parentSub === null) return false;
    for (let item = right; item !== null; item = item.right) {
      if (!Y.isDeleted(this.#traces, item.id)) return true;
    }
    return false;
  }
}
