/** Which programs run the server: one that does not do what it needs is refused by name, before anybody connects. */

/** The oldest Node that has what the server uses. */
const OLDEST: readonly [major: number, minor: number] = [20, 19];
const NEEDED = `Node ${OLDEST.join('.')} or newer`;

/** The message is one line that says what runs this, and what should. */
export class UnsupportedRuntime extends Error {
  override readonly name = 'UnsupportedRuntime';
}

/**
 * @param versions as the program says them of itself; Deno and Bun name a Node, too
 * @throws {UnsupportedRuntime}
 */
export function checkRuntime(
  versions: Readonly<Record<string, string | undefined>> = process.versions,
): void {
  const { bun, node = '0' } = versions;
  if (bun !== undefined) {
    // Its `ws` is one of its own, without `Sender.frame`: the first frame would end the process.
    throw new UnsupportedRuntime(
      `the server does not run on Bun (this is ${bun}): run it with ${NEEDED}, without --bun. @cowrite/client does run on Bun`,
    );
  }
  const [major = 0, minor = 0] = node.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  throw new UnsupportedRuntime(`the server needs ${NEEDED}; this is Node ${node}`);
}
