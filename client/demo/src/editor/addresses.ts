/**
 * The one rule for addresses that come out of a document, which anybody may have written who can
 * write it, also without an editor: what may be followed, opened or put into a link.
 */

const SCHEMES: ReadonlySet<string> = new Set(['http:', 'https:', 'mailto:', 'tel:']);

/**
 * As the browser would read it, so that nothing hides in letters that it passes over.
 *
 * @returns the address as it stands; undefined for one that runs something, or leads into the browser
 */
export function safeAddress(address: unknown): string | undefined {
  if (typeof address !== 'string' || address === '') return undefined;
  const isSafe =
    URL.canParse(address, location.href) && SCHEMES.has(new URL(address, location.href).protocol);
  return isSafe ? address : undefined;
}
