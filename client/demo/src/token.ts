/**
 * The token of whoever opened this tab: it comes in the link, `#token=…`, where no server
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

/** A link with another token that is opened in this tab changes nothing but the fragment: the page begins anew with it. */
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
