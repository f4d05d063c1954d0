/**
 * The origins that are named as allowed, by people: each is taken as meant, or refused with the reason.
 *
 * Pure. Invariant: what is returned is written as a browser writes it, in lower case, or `*`.
 */
import { shownName } from '../shown.js';

/** All pages. */
export const ANY = '*';
/** `capacitor://localhost`, `app://obsidian.md`: `URL` knows no origin of such a scheme. */
const APP = /^([a-z][a-z0-9+.-]*):\/\/[a-z0-9._-]+(:\d+)?\/?$/i;
const WEB = /^https?:\/\//i;
/** Schemes of which no page says that it is. */
const NO_PAGES: readonly string[] = ['about', 'blob', 'data', 'ftp', 'javascript', 'ws', 'wss'];

/**
 * @param entries origins such as `https://app.example`, or `*`
 * @throws {TypeError} when no page can say one of them of itself
 */
export function readAllowedOrigins(entries: readonly string[]): readonly string[] {
  const problem = entries.map(originProblem).find((text) => text !== undefined);
  if (problem !== undefined) throw new TypeError(problem);
  return entries.map((entry) => (entry === ANY ? ANY : normalOrigin(entry)!));
}

/** Why an entry is refused; undefined where it is not. */
export function originProblem(entry: string): string | undefined {
  if (entry === ANY) return undefined;
  const why = reasonAgainst(entry);
  // An address with a password in it may stand here by mistake.
  const shown = entry.includes('@') ? 'one of them' : shownName(entry);
  return why && `${shown}: ${why}`;
}

function reasonAgainst(entry: string): string | undefined {
  if (entry === 'null' || /^file:/i.test(entry)) {
    return `files and sandboxed pages say so, and anybody can make one; ${ANY} lets them in, without cookies`;
  }
  if (entry.includes(ANY)) {
    return `${ANY} stands alone, for all origins, or not at all: name each of them`;
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(entry)?.[1]?.toLowerCase();
  if (scheme === undefined) return 'an origin begins with a scheme, such as https://';
  if (NO_PAGES.includes(scheme)) return `pages are of https:// or http://, not of ${scheme}://`;
  if (normalOrigin(entry) === undefined) {
    return 'an origin is a scheme, a host and perhaps a port, and nothing behind them';
  }
  return undefined;
}

/** As a browser writes it; undefined for what is no origin. */
export function normalOrigin(text: string): string | undefined {
  if (!WEB.test(text)) return APP.test(text) ? text.replace(/\/$/, '').toLowerCase() : undefined;
  if (/\s/.test(text) || !URL.canParse(text)) return undefined;
  const { origin, pathname, search, hash, username, password } = new URL(text);
  const isMore =
    pathname !== '/' || search + hash + username + password !== '' || /[?#@]/.test(text);
  // A name in full, with a dot at its end, is the same name.
  return isMore ? undefined : origin.replace(/\.(?=(:\d+)?$)/, '');
}
