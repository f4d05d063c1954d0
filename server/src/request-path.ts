/**
 * The path of a request as it was sent. The router takes it as a URL, without steps and decoded; but
 * a proxy that leads `/api` to some people only, and an application that shows no more than its
 * rooms, go by what was sent, and many of them as it stands. So one path must not mean another.
 *
 * Pure.
 */

/** A segment that a URL takes for a step; and a backslash, which it takes for a slash. */
const STEP = /\\|\/(?:\.|%2e){1,2}(?:\/|$)/i;
const ADMINISTRATORS = /^\/(admin|api|metrics)(\/|$)/;

/**
 * @param url as it stands in the request line, which may name the server, too (RFC 9112, 3.2.2)
 * @returns path and query
 */
export function fromRoot(url: string): string {
  return url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*/i, '');
}

/** Whether it is of what only an administrator may use. */
export function isAdministrators(path: string): boolean {
  return ADMINISTRATORS.test(path);
}

/**
 * @param url as {@link fromRoot} takes it
 * @param meant the path to which the router leads it
 */
export function meansAnother(url: string, meant: string): boolean {
  const [path = ''] = fromRoot(url).split(/[?#]/, 1);
  return STEP.test(path) || isAdministrators(path) !== isAdministrators(meant);
}
