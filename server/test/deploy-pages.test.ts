/** Pages behind real proxies: of the host by which they reach them, and of an nginx that changes it. */
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import {
  ALL,
  documentedNginx,
  local,
  startNginxWith,
  untilAnswering,
  untouchedNginx,
} from './proxies.js';
import { guarded, knock, token } from './visitors.js';

describe('[DEP-17] a page behind a proxy', () => {
  test.for(ALL)('%s connects to the host by which it reaches it', async ([, start], context) => {
    const { port } = await guarded();
    const proxy = await start(context, [port, port]);
    await untilAnswering(proxy);
    const path = `r?token=${await token('ada', { '*': 'write' })}`;
    const from = async (Origin: string) =>
      (await knock({ url: proxy }, path, { headers: { Origin } })).status;
    expect(await from(proxy)).toBe(101);
    expect(await from('https://evil.example')).toBe(403);
  });

  test('of an nginx that is left as it is is refused, and the log says what lets it in', async () => {
    const good = await token('ada', { '*': 'write' });
    const through = async (port: number, block: string) => {
      const origin = await startNginxWith(block, port);
      const protocols = ['cowrite.v1', `cowrite.token.${good}`];
      const { status } = await knock({ url: origin }, 'r', {
        protocols,
        headers: { Origin: origin },
      });
      return { status, origin };
    };
    const lines: Record<string, unknown>[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const { port } = await guarded({ logger });
    const { status, origin } = await through(port, untouchedNginx());
    expect(status).toBe(403);
    expect(lines.filter(({ msg }) => msg === 'not let in')).toEqual([
      expect.objectContaining({
        origin,
        host: local(port),
        hint: expect.stringContaining(`ALLOWED_ORIGINS=${origin}`),
      }),
    ]);
    // The one that the line names first, for a page of this origin; then the other, as the handbook has it.
    const open = await guarded({ allowedOrigins: [origin] });
    const headers = { Origin: origin, Host: local(port) };
    expect((await knock(open, `r?token=${good}`, { headers })).status).toBe(101);
    const trusting = await guarded({ trustedProxies: ['loopback'] });
    expect((await through(trusting.port, documentedNginx())).status).toBe(101);
  });
});
