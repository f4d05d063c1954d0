/**
 * Asks the application who somebody is: one request to its own HTTP endpoint, with what
 * the client brought, the token as `Authorization: Bearer` and its cookies.
 *
 * Invariants: an answer is a 200 with an identity, a 401 or a 403, and is remembered for
 * some seconds; everything else says nothing about the client, who may try again. That nobody
 * answers, or that a 5xx does, is an outage; any other answer may be one client's doing, who can
 * send whatever cookie and token they like, and says nothing about the endpoint either;
 * equal questions at once are one request; what is remembered is bounded, and holds
 * no token.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import { identityOf } from './answer.js';
import { AuthRefused, hasEnded, type Identity } from './identity.js';
import { OddAnswers, Outage } from './outage.js';

export interface EndpointOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fetch?: typeof fetch;
}

export interface EndpointQuestion {
  readonly room: string;
  readonly token: string | undefined;
  readonly cookie: string | undefined;
}

const TIMEOUT_MS = 5_000;
const MAX_REMEMBERED = 10_000;
const REMEMBERED_MS = 10_000;

/** Questions that may be under way: the endpoint is not to be hurt by whoever knocks here. */
const MAX_ASKING = 500;

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #answers: LRUCache<string, Promise<Identity>>;
  readonly #outage: Outage;
  readonly #odd: OddAnswers;
  #asking = 0;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#outage = new Outage(logger, 'AUTH_URL');
    this.#odd = new OddAnswers(logger, clock, 'AUTH_URL');
    this.#answers = new LRUCache({
      max: MAX_REMEMBERED,
      ttl: REMEMBERED_MS,
      ttlResolution: 0,
      // The cache takes a beginning of 0 for none.
      perf: { now: () => clock.now() + 1 },
    });
  }

  /** Nothing that was answered so far counts any more. */
  forget(): void {
    this.#answers.clear();
  }

  /** @throws {AuthRefused} */
  async ask(question: EndpointQuestion): Promise<Identity> {
    const key = keyOf(question);
    const known = this.#answers.get(key);
    if (known !== undefined) {
      const identity = await known;
      if (!hasEnded(identity, this.#options.clock)) return identity;
    }
    const asked = this.#ask(question);
    this.#answers.set(key, asked);
    try {
      return await asked;
    } catch (error) {
      const isAnswer = error instanceof AuthRefused && error.kind !== 'unavailable';
      if (!isAnswer && this.#answers.peek(key) === asked) this.#answers.delete(key);
      throw error;
    }
  }

  async #ask({ room, token, cookie }: EndpointQuestion): Promise<Identity> {
    const { url, fetch: request = fetch } = this.#options;
    if (this.#asking >= MAX_ASKING) throw unavailable();
    this.#asking++;
    try {
      const response = await request(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json',
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          ...(cookie !== undefined && { Cookie: cookie }),
        },
        body: JSON.stringify({ room }),
        // Elsewhere nobody should see the token.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const identity = await answered(response);
      this.#outage.worked();
      return identity;
    } catch (error) {
      if (error instanceof AuthRefused) {
        this.#outage.worked();
        throw error;
      }
      if (!(error instanceof OddAnswer)) this.#outage.failed(error);
      // While it fails anyway, they are likely to be a part of that.
      else if (!this.#outage.isOn) this.#odd.add(error.message);
      throw unavailable();
    } finally {
      this.#asking--;
    }
  }
}

function unavailable(): AuthRefused {
  return new AuthRefused('unavailable', 'who you are could not be found out');
}

/** It says nothing of the client, and nothing of whether the endpoint works. */
class OddAnswer extends Error {
  override readonly name = 'OddAnswer';
}

async function answered(response: Response): Promise<Identity> {
  const { status } = response;
  if (status !== 200) await response.body?.cancel();
  if (status === 401) throw new AuthRefused('unauthenticated', 'the application does not know you');
  if (status === 403) throw new AuthRefused('forbidden', 'this room is not open to you');
  if (status >= 500) throw new Error(`it answered with ${status}`);
  if (status !== 200) throw new OddAnswer(`it answered with ${status}`);
  // Not the parsing alone: an answer that breaks off is no answer.
  const text = await response.text();
  try {
    return identityOf(JSON.parse(text));
  } catch (error) {
    // What JSON.parse says quotes the answer.
    const reason = error instanceof SyntaxError ? 'the answer is no JSON' : reasonOf(error);
    throw new OddAnswer(reason);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function keyOf({ room, token, cookie }: EndpointQuestion): string {
  return createHash('sha256')
    .update(JSON.stringify([room, token, cookie]))
    .digest('base64url');
}
