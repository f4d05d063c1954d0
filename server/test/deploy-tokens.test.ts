/** Long tokens through real proxies: with the files of `deploy/`, and with what the handbook says to add to an nginx. */
import { describe, expect, test } from 'vitest';
import { COOKIES, longToken } from './long-tokens.js';
import { ALL, documentedNginx, type Start, startNginxWith, untilAnswering } from './proxies.js';
import { guarded, knock } from './visitors.js';

const startDocumented: Start = async (_, [port]) => await startNginxWith(documentedNginx(), port);
const ALL_OF_THEM = [...ALL, ["the handbook's nginx", startDocumented]] as const;

const encoded = (shown: string) =>
  `cowrite.token-base64url.${Buffer.from(shown).toString('base64url')}`;

describe('[DEP-16] through a proxy', () => {
  test.for(ALL_OF_THEM)(
    '%s a token of 16 KB comes in with 6 KB of cookies, and one that is longer is told so',
    async ([, start], context) => {
      const { port } = await guarded();
      const proxy = await start(context, [port, port]);
      await untilAnswering(proxy);
      const headers = { Cookie: COOKIES };
      const long = await longToken(16 * 1024);
      for (const shown of [`cowrite.token.${long}`, encoded(long)]) {
        const protocols = ['cowrite.v1', shown];
        expect((await knock({ url: proxy }, 'r', { protocols, headers })).status).toBe(101);
      }
      const asked = { headers: { ...headers, Authorization: `Bearer ${long}` } };
      expect((await fetch(`${proxy}/ws/r`, asked)).status).toBe(426);
      const protocols = [`cowrite.token.${await longToken(17 * 1024)}`];
      expect(await knock({ url: proxy }, 'r', { protocols, headers })).toEqual({
        status: 401,
        text: 'the token is longer than 16384 bytes',
      });
    },
  );
});
