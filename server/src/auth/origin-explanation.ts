/**
 * What the log says of a page that may not connect: what was compared, and which setting changes it.
 * The page itself is told less: names behind a proxy are not its business.
 *
 * Pure. Whatever a client sent is cut, and shown as text.
 */
import type { IncomingMessage } from 'node:http';
import { forwardedHost, plain } from '../address.js';
import { shownName } from '../shown.js';
import { normalOrigin, originProblem } from './allowed-origins.js';
import { isOfHost } from './origin.js';

/** Longer than any name of a host. */
const MAX_SHOWN = 300;

export function shownOrigin(origin: string): string {
  return shownName(origin.slice(0, MAX_SHOWN));
}

/** @param host that was believed */
export function explainOrigin(
  origin: string,
  host: string | undefined,
  { headers, socket }: IncomingMessage,
): Readonly<Record<string, string>> {
  const said = forwardedHost(headers);
  const isUnbelieved = said !== undefined && said !== host;
  // What it says counts in the place of a Host that may well be right.
  const isMisled = said !== undefined && said === host && isOfHost(origin, headers.host);
  return {
    origin: shownOrigin(origin),
    host: shownOrigin(host ?? ''),
    ...(isUnbelieved && { forwardedHost: shownOrigin(said) }),
    hint:
      isUnbelieved && isOfHost(origin, said)
        ? `a proxy says that the page is of this host: set TRUSTED_PROXIES=${plain(socket.remoteAddress ?? '')} to believe it`
        : isMisled
          ? `the proxy in front passes Host on, and says another one in X-Forwarded-Host, which counts: have it say the same (nginx: proxy_set_header X-Forwarded-Host $http_host)`
          : hintFor(origin),
  };
}

function hintFor(origin: string): string {
  const normal = normalOrigin(origin);
  if (normal === undefined || originProblem(origin) !== undefined) {
    return 'ALLOWED_ORIGINS cannot name files and sandboxed pages: * lets them in, without cookies';
  }
  const named = `if this page is yours, set ALLOWED_ORIGINS=${shownOrigin(normal)}`;
  if (!/^https?:/.test(normal)) return named;
  return `${named}, or have the proxy in front pass the Host that the browser sent (nginx: proxy_set_header Host $http_host)`;
}
