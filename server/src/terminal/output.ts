/**
 * stdout, and what it means that it takes no more.
 *
 * Invariant: a command is not cut short because nobody reads what it says, unless saying it is
 * all that it does; and where something could not be written, it does not end with 0. No
 * character of what others wrote is obeyed by a terminal.
 */
import { visible } from '../shown.js';
import { EXIT } from './command.js';

/**
 * `report`: the command goes on without it, and ends with its own code.
 * `list`: whoever reads has enough, such as `head`, and the command ends.
 * `document`: who writes it tells what became of it.
 */
export type Purpose = 'report' | 'list' | 'document';

let purpose: Purpose = 'report';
let isFailed = false;

export function useStdout(as: Purpose): void {
  purpose = as;
}

/** For people, on stdout. @param text whole lines */
export function say(text: string): void {
  process.stdout.write(visible(text));
}

/** For people, on stderr. */
export function complain(line: string): void {
  process.stderr.write(`cowrite: ${visible(line)}\n`);
}

/** Before anything is written to it. */
export function watchOutput(): void {
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    const isClosed = code === 'EPIPE';
    if (purpose === 'document' || (isClosed && purpose === 'report')) return;
    if (isClosed) process.exit(EXIT.ok);
    // Every line that cannot be written comes here.
    if (!isFailed) complain(`stdout: ${message}`);
    isFailed = true;
    if (purpose === 'list') process.exit(EXIT.failure);
    // The command may have ended by now.
    process.exitCode = EXIT.failure;
  });
  // There is nobody left to tell.
  process.stderr.on('error', () => undefined);
}

/** @returns how a command ends that would end so */
export function endingOf(code: number): number {
  return isFailed ? EXIT.failure : code;
}
