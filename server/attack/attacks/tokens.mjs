/** Who comes with a token that is none, or from a page that has no business here. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';

const LANES = 8;
const ROOM = 'guarded';
const WAYS = ['subprotocol', 'query', 'header'];

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const bytes = (text) => new TextEncoder().encode(text);

/** @returns what is told to each: a status, and what it comes with */
async function cases({ secret, number }) {
  const now = Math.floor(Date.now() / 1000);
  const room = `${ROOM}-${number}`;
  const claims = { sub: 'mallory', rooms: { [room]: 'write' }, iat: now, exp: now + 600 };
  const sign = (more = {}, key = bytes(secret), alg = 'HS256') =>
    new SignJWT({ ...claims, ...more }).setProtectedHeader({ alg }).sign(key);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const spki = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const head = `${encoded({ alg: 'HS256' })}.${encoded(claims)}`;
  const asHmac = `${head}.${createHmac('sha256', spki).update(head).digest('base64url')}`;
  const good = await sign();
  const [first, , last] = good.split('.');
  const bare = ['none', 'None', 'nOnE'].map((alg) => `${encoded({ alg })}.${encoded(claims)}.`);
  const foreign = (origin) => ({ token: good, headers: { Origin: origin } });
  return [
    ...bare.map((token) => [401, { token }]),
    [401, { token: `${head}.` }],
    [401, { token: await sign({}, bytes('another secret of more than 32 bytes')) }],
    [401, { token: await sign({ exp: now - 60 }) }],
    [401, { token: await sign({ nbf: now + 60 }) }],
    [401, { token: await sign({ exp: undefined }) }],
    [403, { token: await sign({ rooms: { 'another room': 'write' } }) }],
    [403, { token: await sign({ rooms: { [room]: 'none' } }) }],
    [401, { token: asHmac }],
    [401, { token: await sign({}, rsa.privateKey, 'RS256') }],
    [401, { token: `${first}.${encoded({ ...claims, sub: 'ada' })}.${last}` }],
    [401, { token: 'x'.repeat(17_000) }],
    [401, { token: 'not.a.token' }],
    [401, { token: null }],
    [403, foreign('https://evil.example')],
    [403, foreign('null')],
    [403, foreign('http://127.0.0.1.evil.example')],
    [101, { token: good }],
  ];
}

export const TOKENS = [
  {
    id: 'tokens',
    title: 'tokens: none, wrong key, expired, too early, other room, RS as HMAC; origins',
    must: ['refused 401', 'refused 403', 'entered'],
    expects: ['refused 429'],
    async attack(attacker) {
      const all = await cases(attacker);
      for (const [, { token }] of all) if (token !== null) attacker.used(token);
      let next = 0;
      await attacker.lanes(LANES, async (lane) => {
        const n = next++;
        const [status, options] = all[n % all.length];
        const via = WAYS[Math.floor(n / all.length) % WAYS.length];
        let told = 101;
        const onRefused = (code) => {
          told = code;
        };
        const peer = await attacker.connect(attacker.room(ROOM), {
          ...options,
          lane,
          via,
          onRefused,
        });
        if (told !== status && told !== 429) {
          attacker.problem(`case ${n % all.length} by ${via}: ${told} and not ${status}`);
        }
        if (peer === undefined) return;
        attacker.count('entered');
        peer.cut();
      });
    },
  },
];
