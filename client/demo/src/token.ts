/**
 * The token of the person who opened this tab: it comes in the link, `#token=…`, where no server
 * sees it, and stays with the tab. An application has its own users and hands the provider
 * a function instead.
 */
const KEY = 'cowrite:token';
const NAME = 'token';

/** @returns the token, empty if there is none. The address bar loses it, so that nobody copies it with the link. */
export function takeToken(): string {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get(NAME);
  if (token === null) return kept();
  fragment.delete(NAME);
  const rest = fragment.toString();
  history.replaceState(
    history.state,
    '',
    location.pathname + location.search + (rest && `#${rest}`),
  );
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is blocked: a reload needs the link again.
  }
  return token;
}

export interface Claims {
  readonly id: string;
  /** Absent where the token names nobody: people then appear under the name that they choose. */
  readonly name: string | undefined;
}

/**
 * Who a JSON Web Token says this is: others are shown that by the server, so this page shows it as
 * well. Whether the token is good, only the server knows.
 *
 * @returns undefined for a token of another kind
 */
export function claimsOf(token: string): Claims | undefined {
  const claims = payloadOf(token);
  if (typeof claims?.sub !== 'string') return undefined;
  return { id: claims.sub, name: typeof claims.name === 'string' ? claims.name : undefined };
}

/** What a token is good for, as far as it says so; all undefined for one that is not readable here. */
export interface TokenScope {
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly expires: Date | undefined;
  /** Names of rooms, and beginnings of names with `*` behind them, that it opens. */
  readonly rooms: readonly string[] | undefined;
}

export function tokenScope(token: string): TokenScope {
  const { exp, rooms } = payloadOf(token) ?? {};
  const date = new Date(typeof exp === 'number' ? exp * 1000 : Number.NaN);
  return {
    id: claimsOf(token)?.id,
    name: claimsOf(token)?.name,
    expires: Number.isNaN(date.getTime()) ? undefined : date,
    rooms:
      typeof rooms === 'object' && rooms !== null
        ? Object.entries(rooms).flatMap(([name, access]) => (access === 'none' ? [] : [name]))
        : undefined,
  };
}

function payloadOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const payload = token.split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const bytes = atob(payload.replaceAll('-', '+').replaceAll('_', '/'));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
    const claims: unknown = JSON.parse(text);
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined;
  } catch {
    // Not base64, or no JSON: a token that only the server can read.
    return undefined;
  }
}

/** A link with another token that is opened in this tab changes nothing but the fragment: the page starts again with it. */
export function watchForToken(): void {
  window.addEventListener('hashchange', () => {
    if (new URLSearchParams(location.hash.slice(1)).has(NAME)) location.reload();
  });
}

function kept(): string {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}
