import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '../clock.js';
import { AuthRefused } from './identity.js';
import { signToken, type TokenSettings, Tokens } from './tokens.js';

const SECRET = 'a secret of more than thirty-two bytes';
const NOW = 1_800_000_000;
const CLAIMS = { sub: 'ada', exp: NOW + 600, name: 'Ada', rooms: { minutes: 'write' } };

const bytes = (text: string) => new TextEncoder().encode(text);
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function at(seconds: number) {
  const clock = new ManualClock();
  clock.date = () => seconds * 1000;
  return { clock, logger: pino({ level: 'silent' }) };
}

async function signed(
  claims: object,
  {
    alg = 'HS256',
    kid,
    key = bytes(SECRET),
  }: { alg?: string; kid?: string; key?: CryptoKey | Uint8Array } = {},
): Promise<string> {
  const header = { alg, ...(kid !== undefined && { kid }) };
  return await new SignJWT(claims as JWTPayload).setProtectedHeader(header).sign(key);
}

/** Why the token is refused; nothing of it may be in that. */
async function refusal(
  token: string,
  settings: TokenSettings = { secret: SECRET },
): Promise<string> {
  const tokens = new Tokens(settings, at(NOW));
  const error = await tokens.verify(token, 'minutes').then(
    () => {
      throw new Error('it was taken');
    },
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AuthRefused);
  const { kind, message } = error as AuthRefused;
  for (const part of token.split('.')) if (part.length > 4) expect(message).not.toContain(part);
  return `${kind}: ${message}`;
}

/** Keys that a server publishes; they can be taken away and changed. */
async function keySet() {
  const keys = new Map<
    string,
    { readonly key: CryptoKey; readonly jwk: object; readonly spki: string }
  >();
  let isAway = false;
  let requests = 0;
  const server = createServer((_, response) => {
    requests++;
    if (isAway) response.writeHead(500).end();
    else response.end(JSON.stringify({ keys: [...keys.values()].map(({ jwk }) => jwk) }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/keys.json`,
    requests: () => requests,
    goAway: () => {
      isAway = true;
    },
    comeBack: () => {
      isAway = false;
    },
    async add(kid: string, alg: string) {
      const pair = await generateKeyPair(alg, { extractable: true });
      const jwk = { ...(await exportJWK(pair.publicKey)), kid, alg };
      keys.set(kid, { key: pair.privateKey, jwk, spki: await exportSPKI(pair.publicKey) });
      return keys.get(kid)!;
    },
  };
}

describe('[AUTH] tokens', () => {
  it('[AUTH-3] a token signed with the secret says who it is of, what they may do, and until when', async () => {
    const tokens = new Tokens({ secret: SECRET }, at(NOW));
    const token = await signed(CLAIMS);
    expect(await tokens.verify(token, 'minutes')).toEqual({
      user: { id: 'ada', name: 'Ada' },
      access: 'write',
      expiresAt: new Date((NOW + 600 + 30) * 1000),
    });
    expect(await tokens.verify(token, 'other')).toMatchObject({ access: 'none' });
  });

  it('[AUTH-3] one that is not signed is not taken, whatever it says of its algorithm', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      const bare = `${encoded({ alg })}.${encoded(CLAIMS)}.`;
      expect(await refusal(bare)).toBe(
        'unauthenticated: the token is signed in a way that is not accepted here',
      );
    }
    const [head, payload] = (await signed(CLAIMS)).split('.');
    expect(await refusal(`${head}.${payload}.`)).toMatch(/^unauthenticated: /);
    expect(await refusal(`${head}.${encoded({ ...CLAIMS, sub: 'bob' })}.AAAA`)).toMatch(
      /^unauthenticated: /,
    );
  });

  it('[AUTH-3] another key, issuer or audience is refused; so is what has expired, is not valid yet, or never ends', async () => {
    const settings = { secret: SECRET, issuer: 'https://id.example', audience: 'cowrite' };
    const right = { ...CLAIMS, iss: 'https://id.example', aud: ['other', 'cowrite'] };
    const tokens = new Tokens(settings, at(NOW));
    expect(await tokens.verify(await signed(right), 'minutes')).toMatchObject({ access: 'write' });
    const key = bytes('another secret of more than 32 bytes!');
    const cases: [string, Promise<string>][] = [
      ['the token is not signed with a key of this server', signed(right, { key })],
      ['the token is of another issuer', signed({ ...right, iss: 'https://evil.example' })],
      ['the token is of another issuer', signed({ ...CLAIMS, aud: 'cowrite' })],
      ['the token is for another audience', signed({ ...right, aud: 'other' })],
      ['the token is for another audience', signed({ ...CLAIMS, iss: right.iss })],
      ['the token has expired', signed({ ...right, exp: NOW - 31 })],
      ['the token is not valid yet', signed({ ...right, nbf: NOW + 31 })],
      [
        "the token's claim exp is missing or not what it should be",
        signed({ ...right, exp: undefined }),
      ],
      [
        "the token's claim exp is missing or not what it should be",
        signed({ ...right, exp: 1e300 }),
      ],
      [
        "the token's claim sub is missing or not what it should be",
        signed({ ...right, sub: undefined }),
      ],
      [
        "the token's claim is wrong: rooms is not an object of names and permissions",
        signed({ ...right, rooms: 'all' }),
      ],
    ];
    for (const [message, token] of cases) {
      expect(await refusal(await token, settings)).toBe(`unauthenticated: ${message}`);
    }
    // Clocks differ by some seconds.
    const close = { ...right, exp: NOW - 29, nbf: NOW + 29 };
    expect(await tokens.verify(await signed(close), 'minutes')).toMatchObject({ access: 'write' });
  });

  it.each([
    '',
    '.',
    '..',
    'a.b.c',
    'not a token',
    `${encoded({ alg: 'HS256' })}.x`,
    `${encoded([])}.${encoded({})}.x`,
    '\u{1f600}.\u{1f600}.\u{1f600}',
  ])('[AUTH-3] %j is no token', async (token) => {
    expect(await refusal(token)).toMatch(/^unauthenticated: /);
  });

  it.each(['RS256', 'ES256', 'EdDSA'])('[AUTH-4] %s with a key that is published', async (alg) => {
    const published = await keySet();
    const { key } = await published.add('k1', alg);
    const tokens = new Tokens({ jwksUrl: published.url }, at(NOW));
    for (let i = 0; i < 3; i++) {
      const token = await signed(CLAIMS, { alg, kid: 'k1', key });
      expect(await tokens.verify(token, 'minutes')).toMatchObject({ access: 'write' });
    }
    expect(published.requests()).toBe(1);
  });

  it('[AUTH-4] a public key is not taken for a secret, and a secret not for one of those', async () => {
    const published = await keySet();
    const { spki } = await published.add('k1', 'RS256');
    for (const secret of [spki, spki.trim()]) {
      const head = `${encoded({ alg: 'HS256', kid: 'k1' })}.${encoded(CLAIMS)}`;
      const forged = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
      expect(await refusal(forged, { jwksUrl: published.url })).toBe(
        'unauthenticated: the token is signed in a way that is not accepted here',
      );
    }
    expect(published.requests()).toBe(0);
  });

  it('[AUTH-4] a key is asked for by name only where it is configured, never where the token says', async () => {
    const [published, evil] = [await keySet(), await keySet()];
    await published.add('k1', 'RS256');
    const { key, jwk } = await evil.add('k1', 'RS256');
    for (const header of [
      { jku: evil.url },
      { x5u: evil.url },
      { jwk },
      { kid: '../../../../dev/null' },
      { kid: evil.url },
    ]) {
      const token = await new SignJWT(CLAIMS)
        .setProtectedHeader({ alg: 'RS256', ...header } as never)
        .sign(key);
      expect(await refusal(token, { jwksUrl: published.url })).toBe(
        'unauthenticated: the token is not signed with a key of this server',
      );
    }
    expect(evil.requests()).toBe(0);
  });

  it('[AUTH-4] without the keys nobody is refused for good, and nobody comes in', async () => {
    const published = await keySet();
    const { key } = await published.add('k1', 'ES256');
    const token = await signed(CLAIMS, { alg: 'ES256', kid: 'k1', key });
    published.goAway();
    expect(await refusal(token, { jwksUrl: published.url })).toBe(
      'unavailable: the keys for tokens could not be had',
    );
    expect(await refusal(token, { jwksUrl: 'http://127.0.0.1:1/keys' })).toBe(
      'unavailable: the keys for tokens could not be had',
    );
  });

  it('[AUTH-4] while the keys cannot be had they are asked for once a second at most, and the log has one line', async () => {
    const published = await keySet();
    const { key } = await published.add('k1', 'ES256');
    const token = await signed(CLAIMS, { alg: 'ES256', kid: 'k1', key });
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line) => void lines.push(line) });
    const { clock } = at(NOW);
    const tokens = new Tokens({ jwksUrl: published.url }, { clock, logger });
    published.goAway();
    const refused = () =>
      expect(tokens.verify(token, 'minutes')).rejects.toMatchObject({ kind: 'unavailable' });
    for (let i = 0; i < 5; i++) await refused();
    expect(published.requests()).toBe(1);
    clock.advance(1_001);
    for (let i = 0; i < 5; i++) await refused();
    expect(published.requests()).toBe(2);
    expect(lines).toHaveLength(1);
    published.comeBack();
    clock.advance(1_001);
    expect(await tokens.verify(token, 'minutes')).toMatchObject({ access: 'write' });
    expect(lines).toHaveLength(2);
  });

  it('[AUTH-13] a secret that is too short is refused', () => {
    expect(() => new Tokens({ secret: 'short' }, at(NOW))).toThrow(
      'the secret has 5 bytes, fewer than 32',
    );
    expect(() => new Tokens({}, at(NOW))).toThrow(TypeError);
  });

  it('[AUTH-14] what is signed here is taken here', async () => {
    const settings = { secret: SECRET, issuer: 'https://id.example', audience: 'cowrite' };
    const rooms = { 'team-7/*': 'read' };
    const token = await signToken({ user: { id: 'bob' }, rooms, expiresIn: '1h' }, settings);
    const tokens = new Tokens(settings, at(Date.now() / 1000));
    expect(await tokens.verify(token, 'team-7/plan')).toMatchObject({
      user: { id: 'bob' },
      access: 'read',
    });
  });
});
