/**
 * What a newcomer is sent, so that it has all of the document.
 *
 * First the tail, then, as step 2, what the snapshot has for it: a client that
 * calls itself synced has all of it. Invariant: the tail is cut in the same turn in
 * which the newcomer joins, so nothing is missing between it and what is fanned out.
 */
import { CLOSE } from '@cowrite/client/protocol';
import type { Logger } from 'pino';
import type { Contents } from './contents.js';
import type { Codec } from './dialect.js';
import type { Receiver } from './fanout.js';
import type { Frame } from './frame.js';
import type { Snapshots } from './snapshots.js';
import { traced } from './trace.js';
import { EMPTY_UPDATE } from './update/assemble.js';
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

  constructor(deps: JoiningDependencies, room: JoinedRoom<N>, contents: Contents) {
    this.#deps = deps;
    this.#room = room;
    this.#contents = contents;
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
    const contents = this.#contents;
    const { logger } = this.#deps;
    const vector = decodeStateVector(encoded);
    const { snapshot } = contents;
    const { codec } = newcomer.dialect;
    if (snapshot === undefined || covers(vector, contents.snapshotVector)) {
      const step2 = snapshot && codec.encode({ type: 'step2', update: snapshot.deletes });
      this.#join(newcomer, contents.behind(snapshot?.seq ?? 0, vector)!, step2);
      return;
    }
    try {
      await this.#answerLater(newcomer, vector, encoded, codec);
    } catch (error) {
      logger.error({ err: error, room }, 'a snapshot could not be read');
      newcomer.close(CLOSE.internal, 'the document could not be read');
    }
  }

  async #answerLater(
    newcomer: N,
    vector: StateVector,
    encoded: Uint8Array,
    codec: Codec,
  ): Promise<void> {
    const { name: room } = this.#room;
    const contents = this.#contents;
    const { snapshots } = this.#deps;
    for (;;) {
      const snapshot = contents.snapshot!;
      const step2 = meets(vector, contents.snapshotVector)
        ? await snapshots.difference(room, snapshot, encoded, codec)
        : await snapshots.whole(room, snapshot, codec);
      if (!this.#room.isHere(newcomer)) return;
      // A compaction may have trimmed the tail meanwhile; then the answer starts from the new snapshot.
      const tail = step2 && contents.behind(snapshot.seq, vector);
      if (tail !== undefined) {
        this.#join(newcomer, tail, step2);
        return;
      }
      if (step2 === undefined && snapshot === contents.snapshot) {
        // Another instance may have replaced it, and not be heard yet.
        await this.#room.refresh();
        if (!this.#room.isHere(newcomer)) return;
        if (snapshot === contents.snapshot) {
          throw new Error(`the snapshot at ${snapshot.seq} is not in the store`);
        }
      }
    }
  }

  /** @param step2 without one the tail is the whole answer */
  #join(newcomer: N, tail: Uint8Array, step2: Frame | undefined): void {
    const { connection, dialect } = newcomer;
    if (step2 === undefined) {
      connection.send(dialect.codec.encode({ type: 'step2', update: tail }));
    } else {
      if (tail !== EMPTY_UPDATE) {
        connection.send(dialect.codec.encode({ type: 'update', update: tail }));
      }
      connection.send(step2);
    }
    this.#room.joined(newcomer);
  }
}
