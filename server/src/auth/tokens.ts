/**
 * JSON Web Tokens: what one has to be, to be believed, and how one is made.
 *
 * Invariants: the algorithm is chosen by what is configured, never by the token alone:
 * `none` is never taken, and a public key is never used as a secret; keys come from the
 * configured address, never from one that a token names (`jku`, `x5u`, `jwk`); no error
 * holds anything of a token.
 *
 * Claims: `sub` and `exp` (RFC 7519), `name` (OpenID Connect), `rooms` ({@link Grants}).
 */
import {
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
  SignJWT,
} from 'jose';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { Grants, GrantsMalformed } from './grants.js';
import { AuthRefused, type Identity, type User } from './identity.js';
import { Outage } from './outage.js';
import { secretOf } from './secret.js';
import { MAX_ID, userId, userIdProblem } from './user-id.js';

export interface TokenSettings {
  /** For HS256; at least 32 bytes. */
  readonly secret?: string | undefined;
  /** Address of a JSON Web Key Set, for RS256, ES256 and EdDSA. */
  readonly jwksUrl?: string | undefined;
  /** What `iss` has to be, if anything. */
  readonly issuer?: string | undefined;
  /** What `aud` has to be or to contain, if anything. */
  readonly audience?: string | undefined;
  /** Seconds by which clocks may differ. Default 30. */
  readonly clockTolerance?: number | undefined;
}

const SECRET_ALGORITHMS = ['HS256'];
const PUBLIC_ALGORITHMS = ['RS256', 'ES256', 'EdDSA', 'Ed25519'];
const DEFAULT_TOLERANCE = 30;
/** What `fetch` throws when nobody answers. */
const NO_ANSWER = 'fetch failed';
/** Milliseconds after a failure in which the keys are not asked for again. */
const JWKS_REST = 1_000;
/** Milliseconds: how long keys are kept, how soon they are asked for again for one that is not among them, and how long that may take. */
const JWKS = { cacheMaxAge: 600_000, cooldownDuration: 30_000, timeoutDuration: 5_000 };
const claims = z.object({
  sub: userId,
  // A Date goes no further.
  exp: z.number().max(8.6e12),
  name: z.string().max(MAX_ID).optional(),
  rooms: z.unknown(),
});

export class Tokens {
  readonly #secret: Uint8Array | undefined;
  readonly #jwks: JWTVerifyGetKey | undefined;
  readonly #options: JWTVerifyOptions & { readonly clockTolerance: number };
  readonly #clock: Clock;

  /** @throws {RangeError} when the secret is too short. @throws {TypeError} when there is nothing to verify with */
  constructor(settings: TokenSettings, { clock, logger }: { clock: Clock; logger: Logger }) {
    const { secret, jwksUrl, issuer, audience } = settings;
    if (secret === undefined && jwksUrl === undefined) {
      throw new TypeError('tokens need a secret or a jwksUrl to be verified with');
    }
    this.#secret = secret === undefined ? undefined : secretOf(secret);
    this.#jwks =
      jwksUrl === undefined
        ? undefined
        : createRemoteJWKSet(new URL(jwksUrl), { ...JWKS, [customFetch]: fetchOf(clock, logger) });
    this.#options = {
      clockTolerance: settings.clockTolerance ?? DEFAULT_TOLERANCE,
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    };
    this.#clock = clock;
  }

  /** Who it is of, and what they may do in this room. @throws {AuthRefused} */
  async verify(token: string, room: string): Promise<Identity> {
    const parsed = claims.safeParse(await this.#payload(token));
    if (!parsed.success) {
      const claim = String(parsed.error.issues[0]!.path[0]);
      throw new AuthRefused(
        'unauthenticated',
        `the token's claim ${claim} is missing or not what it should be`,
      );
    }
    const { sub, exp, name, rooms } = parsed.data;
    const user: User = { id: sub, ...(name !== undefined && { name }) };
    // Whoever is let in by the tolerance is not to be shown out at once.
    const expiresAt = new Date((exp + this.#options.clockTolerance) * 1000);
    return { user, access: grantsOf(rooms).accessTo(room), expiresAt };
  }

  async #payload(token: string): Promise<JWTPayload> {
    try {
      const { alg = '' } = decodeProtectedHeader(token);
      const options = { ...this.#options, currentDate: new Date(this.#clock.date()) };
      if (this.#secret !== undefined && SECRET_ALGORITHMS.includes(alg)) {
        const verified = await jwtVerify(token, this.#secret, {
          ...options,
          algorithms: SECRET_ALGORITHMS,
        });
        return verified.payload;
      }
      if (this.#jwks !== undefined && PUBLIC_ALGORITHMS.includes(alg)) {
        const verified = await jwtVerify(token, this.#jwks, {
          ...options,
          algorithms: PUBLIC_ALGORITHMS,
        });
        return verified.payload;
      }
    } catch (error) {
      throw refusalOf(error);
    }
    throw new AuthRefused(
      'unauthenticated',
      'the token is signed in a way that is not accepted here',
    );
  }
}

/** Whoever brings tokens with unknown keys while the keys cannot be had is not to have them asked for each time. */
function fetchOf(clock: Clock, logger: Logger): typeof fetch {
  const outage = new Outage(logger, 'AUTH_JWKS_URL');
  let restsUntil = Number.NEGATIVE_INFINITY;
  return async (...request) => {
    if (clock.now() < restsUntil) throw new TypeError(NO_ANSWER);
    try {
      const response = await fetch(...request);
      if (response.status !== 200) throw new Error(`it answered with ${response.status}`);
      outage.worked();
      return response;
    } catch (error) {
      restsUntil = clock.now() + JWKS_REST;
      outage.failed(error);
      throw error;
    }
  };
}

function grantsOf(rooms: unknown): Grants {
  try {
    return new Grants(rooms);
  } catch (error) {
    if (!(error instanceof GrantsMalformed)) throw error;
    throw new AuthRefused('unauthenticated', `the token's claim is wrong: ${error.message}`);
  }
}

/** In words of our own: what jose says may quote the token. */
function refusalOf(error: unknown): AuthRefused {
  const refused = (message: string) => new AuthRefused('unauthenticated', message);
  if (error instanceof errors.JWTExpired) return refused('the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf') return refused('the token is not valid yet');
    if (error.claim === 'iss') return refused('the token is of another issuer');
    if (error.claim === 'aud') return refused('the token is for another audience');
    return refused('a claim of the token is not what it should be');
  }
  if (
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  ) {
    return refused('the token is not signed with a key of this server');
  }
  if (
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    // What is no base64url, or no JSON, where a header should be.
    (error instanceof TypeError && !isNetwork(error))
  ) {
    return refused('the token is not a JSON Web Token');
  }
  return new AuthRefused('unavailable', 'the keys for tokens could not be had', { cause: error });
}

function isNetwork(error: TypeError): boolean {
  return error.message === NO_ANSWER;
}

export interface NewToken {
  readonly user: User;
  /** As {@link Grants} reads them. */
  readonly rooms: Readonly<Record<string, string>>;
  /** A span such as `12h`, `30 days`, as jose reads it. */
  readonly expiresIn: string;
}

/** @throws {GrantsMalformed} @throws {RangeError} when the secret is too short, or the id is none. @throws {TypeError} when the span is not one */
export async function signToken(
  { user, rooms, expiresIn }: NewToken,
  { secret, issuer, audience }: TokenSettings & { readonly secret: string },
): Promise<string> {
  const problem = userIdProblem(user.id);
  if (problem !== undefined) throw new RangeError(`the user's id ${problem}`);
  new Grants(rooms);
  const token = new SignJWT({ rooms, ...(user.name !== undefined && { name: user.name }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user.id)
    .setIssuedAt()
    .setExpirationTime(expiresIn);
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience !== undefined) token.setAudience(audience);
  return await token.sign(secretOf(secret));
}
