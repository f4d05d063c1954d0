/**
 * A command that waits for what never comes. Node ends then, with 0 and without a word, as if all
 * were done: a backup that was not made would count as one.
 */
import { EXIT } from './command.js';

/** @param command resolves to its exit code, or to nothing where it ends the process itself */
export function failWhereUnfinished(command: Promise<number | undefined>): void {
  let hasEnded = false;
  command.then(
    (code) => {
      hasEnded = code !== undefined;
    },
    () => {
      hasEnded = true;
    },
  );
  // Nothing is left that could go on.
  process.once('beforeExit', () => {
    if (hasEnded) return;
    process.stderr.write(
      'cowrite: it ended before its work was done, which is a fault of Cowrite: please report it\n',
    );
    process.exit(EXIT.failure);
  });
}
