/**
 * What a newcomer is sent, so that it has all of the document.
 *
 * First the tail, then, as step 2, what the snapshot has for it: a client that
 * calls itself synced has all of it. Where that is too much for two messages, the snapshot
 * and then the tail, in pieces that can be integrated as they come, the last of them the step 2. Invariant: the tail is cut in the same turn in
 * which the newcomer joins, so nothing is missing between it and what is fanned out.
 */
import { CLOSE } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import type { Contents } from './contents.js';
import type { Receiver } from './fanout.js';
import { MessagePieces } from './message-pieces.js';
import type { Snapshots } from './snapshots.js';
import type { SnapshotMeta } from './storage/storage.js';
import type { Stretches } from './stretches.js';
import { traced } from './trace.js';
import { EMPTY_UPDATE } from './update/assemble.js';
import { cutUpdate } from './update/cut.js';
import { covers, decodeStateVector, meets, type StateVector } from './update/state-vector.js';

export interface Newcomer extends Receiver {
  close(code: number, reason: string): void;
}

/** What all rooms share for it. */
export interface JoiningDependencies {
  readonly snapshots: Snapshots;
  readonly logger: Logger;
}

/** The room, as far as joining it goes. */
export interface JoinedRoom<N extends Newcomer> {
  readonly name: string;
  /** Whether it has not left meanwhile. */
  isHere(newcomer: N): boolean;
  /** Takes over the store's snapshot, if that is another than the one known. */
  refresh(): Promise<void>;
  /** It has been sent the document up to now. */
  joined(newcomer: N): void;
}

export class Joining<N extends Newcomer> {
  readonly #deps: JoiningDependencies;
  readonly #room: JoinedRoom<N>;
  readonly #contents: Contents;
  readonly #stretches: Stretches;
  #deletes: { readonly snapshot: SnapshotMeta; readonly pieces: MessagePieces } | undefined;

  constructor(
    deps: JoiningDependencies,
    room: JoinedRoom<N>,
    contents: Contents,
    stretches: Stretches,
  ) {
    this.#deps = deps;
    this.#room = room;
    this.#contents = contents;
    this.#stretches = stretches;
  }

  /**
   * Answers a step 1.
   *
   * @param encoded the client's state vector; must not change until this resolves
   * @throws {UpdateRefused}
   */
  async answer(newcomer: N, encoded: Uint8Array): Promise<void> {
    await traced(
      'cowrite.join',
      () => ({
        'cowrite.room': this.#room.name,
        'cowrite.snapshot': this.#contents.snapshot?.size ?? 0,
      }),
      async () => await this.#answer(newcomer, encoded),
    );
  }

  async #answer(newcomer: N, encoded: Uint8Array): Promise<void> {
    const { name: room } = this.#room;
    const { logger } = this.#deps;
    const vector = decodeStateVector(encoded);
    if (this.#answerNow(newcomer, vector)) return;
    try {
      await this.#answerLater(newcomer, vector, encoded);
    } catch (error) {
      logger.error({ err: error, room }, 'a snapshot could not be read');
      newcomer.close(CLOSE.internal, 'the document could not be read');
    }
  }

  /** @returns false where something has to be read or cut first */
  #answerNow(newcomer: N, vector: StateVector): boolean {
    const contents = this.#contents;
    const { snapshot } = contents;
    if (snapshot !== undefined && !covers(vector, contents.snapshotVector)) return false;
    const tail = this.#stretches.behind(contents.endOf(snapshot?.seq ?? 0)!, vector);
    if (tail === undefined) return false;
    this.#join(newcomer, tail, snapshot && this.#deletesOf(snapshot));
    return true;
  }

  async #answerLater(newcomer: N, vector: StateVector, encoded: Uint8Array): Promise<void> {
    const { name: room } = this.#room;
    const contents = this.#contents;
    const { snapshots } = this.#deps;
    for (;;) {
      const { snapshot } = contents;
      let answer: MessagePieces | undefined;
      if (snapshot !== undefined) {
        if (covers(vector, contents.snapshotVector)) answer = this.#deletesOf(snapshot);
        else if (meets(vector, contents.snapshotVector)) {
          answer = await snapshots.difference(room, snapshot, encoded);
        } else answer = await snapshots.whole(room, snapshot);
        if (!this.#room.isHere(newcomer)) return;
        if (answer === undefined && snapshot === contents.snapshot) {
          // Another instance may have replaced it, and not be heard yet.
          await this.#room.refresh();
          if (!this.#room.isHere(newcomer)) return;
          if (snapshot === contents.snapshot) {
            throw new Error(`the snapshot at ${snapshot.seq} is not in the store`);
          }
        }
        if (answer === undefined) continue;
      }
      // A compaction may have trimmed the tail meanwhile; then the answer starts from the new snapshot.
      const end = contents.endOf(snapshot?.seq ?? 0);
      if (end === undefined) continue;
      const tail = this.#stretches.behind(end, vector);
      if (tail !== undefined) {
        this.#join(newcomer, tail, answer);
        return;
      }
      await this.#stretches.ready();
      if (!this.#room.isHere(newcomer)) return;
    }
  }

  /** All in this turn, so that nothing is missing between it and what is fanned out. */
  #join(newcomer: N, tail: readonly Uint8Array[], snapshot: MessagePieces | undefined): void {
    const { connection, dialect } = newcomer;
    const { codec } = dialect;
    const isSmall = snapshot?.isOne !== false && tail.length <= 1;
    const [only] = tail;
    if (snapshot === undefined && isSmall) {
      connection.send(codec.encode({ type: 'step2', update: only ?? EMPTY_UPDATE }));
    } else if (isSmall) {
      if (only !== undefined) connection.send(codec.encode({ type: 'update', update: only }));
      for (const frame of snapshot!.frames(codec, 'step2')) connection.send(frame);
    } else {
      // In the order in which each can be integrated when it comes.
      const isLast = tail.length === 0;
      const frames = snapshot?.frames(codec, isLast ? 'step2' : 'update') ?? [];
      for (const frame of frames) connection.send(frame);
      for (const [i, update] of tail.entries()) {
        const type = i === tail.length - 1 ? 'step2' : 'update';
        connection.send(codec.encode({ type, update }));
      }
    }
    this.#room.joined(newcomer);
  }

  /** What somebody is sent who has all of the snapshot but perhaps its deletions. */
  #deletesOf(snapshot: SnapshotMeta): MessagePieces {
    if (this.#deletes?.snapshot !== snapshot) {
      this.#deletes = { snapshot, pieces: new MessagePieces(cutUpdate(snapshot.deletes)) };
    }
    return this.#deletes.pieces;
  }
}
