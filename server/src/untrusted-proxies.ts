/**
 * Says once of an address that requests from there look like a proxy's, which is not trusted, or is
 * and tells its clients' addresses so that they cannot be read: all who come through it count as one.
 *
 * Invariant: what is remembered, and said, is bounded: anybody can send such a header.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { ownerOf, plain, type TrustedProxies } from './address.js';
import { shownName } from './shown.js';

/** What proxies tell of a request, and browsers do not. */
const TELLING = ['x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'forwarded'] as const;
const MAX_TOLD = 20;
const MAX_SHOWN = 100;

export class UntrustedProxies {
  readonly #trusted: TrustedProxies;
  readonly #logger: Logger;
  /** Of IPv6 the first 64 bits. */
  readonly #told = new Set<string>();

  constructor(trusted: TrustedProxies, logger: Logger) {
    this.#trusted = trusted;
    this.#logger = logger;
  }

  note({ headers, socket }: IncomingMessage): void {
    const header = TELLING.find((name) => headers[name] !== undefined);
    if (header === undefined || this.#told.size >= MAX_TOLD) return;
    const address = plain(socket.remoteAddress ?? '');
    const owner = ownerOf(address);
    if (address === '' || this.#told.has(owner)) return;
    if (!this.#trusted.has(address)) {
      this.#told.add(owner);
      this.#logger.warn(
        { address, header, setting: `TRUSTED_PROXIES=${address}` },
        'a proxy is not trusted: what it says of its clients is not believed, and all of them count as one address',
      );
      return;
    }
    if (namesClient(headers)) return;
    this.#told.add(owner);
    this.#logger.warn(
      {
        address,
        header,
        value: shownName(String(headers[header]).slice(0, MAX_SHOWN)),
        hint: 'have it set X-Forwarded-For to addresses (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for)',
      },
      'a proxy in TRUSTED_PROXIES names no client in X-Forwarded-For: all who come through it count as one address',
    );
  }
}

/** Whether the proxy itself has: what it wrote stands last. */
function namesClient(headers: IncomingHttpHeaders): boolean {
  const hops = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  return isIP(plain(hops.at(-1)!.trim())) !== 0;
}
