/**
 * Says once of an address that requests from there look like a proxy's, which is not trusted: all who
 * come through it count as one, and pages seem to be of another host.
 *
 * Invariant: what is remembered, and said, is bounded: anybody can send such a header.
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import { ownerOf, plain, type TrustedProxies } from './address.js';

/** What proxies tell of a request, and browsers do not. */
const TELLING = ['x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'forwarded'] as const;
const MAX_TOLD = 20;

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
    if (address === '' || this.#trusted.has(address) || this.#told.has(owner)) return;
    this.#told.add(owner);
    this.#logger.warn(
      { address, header, setting: `TRUSTED_PROXIES=${address}` },
      'a proxy is not trusted: what it says of its clients is not believed, and all of them count as one address',
    );
  }
}
