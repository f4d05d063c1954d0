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

/** Pictures that a document carries itself. None of these can run anything. */
const PICTURE = /^data:image\/(png|jpeg|gif|webp|avif);base64,[A-Za-z0-9+/=]+$/;

/**
 * - `here`: the document holds the picture.
 * - `elsewhere`: a server has it. It is not loaded, so that none of them learns who reads the
 *   document; the address can be opened.
 *
 * @returns undefined for what is no picture that a page could show
 */
export function pictureAt(address: unknown): 'here' | 'elsewhere' | undefined {
  if (typeof address !== 'string') return undefined;
  if (PICTURE.test(address)) return 'here';
  return /^https?:\/\//i.test(address) && URL.canParse(address) ? 'elsewhere' : undefined;
}
