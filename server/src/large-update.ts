/**
 * An update that is too large to be read, or admitted, in one go: in pieces that take turns
 * with what others send, while the other messages of its session wait.
 */
import type { Turns } from './turns.js';
import { UpdateParser } from './update/parse.js';
import type { Parsed } from './update/parsed.js';
import { isManifold, split } from './update/split.js';

/** Bytes of a message that are read in one go; it takes a millisecond or two at most. */
export const LARGE_UPDATE = 16 * 1024;
const PIECE_STRUCTS = 1_000;

export interface LargeUpdateOptions {
  readonly turns: Turns;
  /** Runs a piece. What that throws ends the session. @returns false once the session has ended */
  readonly guard: (piece: () => void) => boolean;
  /** The update as it may be admitted. @returns undefined where it may not, which {@link admit} says */
  readonly vet: (whole: Parsed) => Parsed | undefined;
  /** Whether it may be admitted by what is stored. @returns undefined where that takes no time */
  readonly compare: (whole: Parsed) => Promise<void> | undefined;
  /** Admits a part ahead of the whole. @returns false where none may be, such as for who may only read */
  readonly admitPart: (part: Parsed, whole: Parsed) => boolean;
  /** Admits the whole of it; all that its parts brought is there already. */
  readonly admit: (whole: Parsed) => void;
  /** It is done, and has taken so many milliseconds of the loop. */
  readonly onDone: (ms: number) => void;
}

export function takeLargeUpdate(bytes: Uint8Array, options: LargeUpdateOptions): void {
  const { turns, guard, vet, compare, admitPart, admit, onDone } = options;
  const parser = new UpdateParser(bytes);
  let whole: Parsed | undefined;
  let parts: Iterator<Parsed, undefined> | undefined;
  let spent = 0;
  let compared: Promise<void> | undefined;
  const piece = (): boolean => {
    if (whole === undefined) {
      if (!parser.step(PIECE_STRUCTS)) return true;
      const parsed = parser.result();
      const vetted = vet(parsed);
      parts = vetted && isManifold(vetted) ? split(vetted) : undefined;
      whole = vetted ?? parsed;
      compared = compare(whole);
      return compared === undefined;
    }
    const next = parts?.next();
    if (next !== undefined && !next.done && admitPart(next.value, whole)) return true;
    admit(whole);
    return false;
  };
  const turn = (): boolean => {
    let isMore = false;
    const isAlive = guard(() => {
      spent += turns.timed(() => {
        isMore = piece();
      });
      if (!isMore && compared === undefined) onDone(spent);
    });
    if (isAlive && compared !== undefined) goOnAfter(compared);
    return isAlive && isMore;
  };
  const goOnAfter = (before: Promise<void>): void => {
    compared = undefined;
    before.then(
      () => turns.take(turn),
      (error: unknown) =>
        guard(() => {
          throw error;
        }),
    );
  };
  turns.take(turn);
}
