/** What the command loads before anything has asked for it: found in the built files, without running them. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startServer } from './support.js';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));

/** The packages that a built file needs to load, by itself and by all that it imports. */
function packagesOf(entry: string): ReadonlySet<string> {
  const packages = new Set<string>();
  const files = [join(DIST, entry)];
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    for (const [, from] of text.matchAll(/^(?:import|export) (?:[^;]*? from )?'([^']+)';/gm)) {
      if (!from!.startsWith('.')) packages.add(from!);
      else {
        const path = join(dirname(file), from!);
        if (!files.includes(path)) files.push(path);
      }
    }
  }
  return packages;
}

describe('[RUN] what is loaded', () => {
  it.each([
    ['cli.js', ['lmdb', 'jose', 'pino', 'ws']],
    [
      'commands/serve.js',
      [
        ...['lmdb', 'jose', 'ioredis', 'postgres', 'yjs', 'pino-pretty'],
        ...['@hono/zod-openapi', 'prom-client'],
      ],
    ],
  ])('[RUN-7] %s brings no package that only some settings need', (entry, needless) => {
    const packages = packagesOf(entry);
    expect(packages).toContain('zod');
    for (const name of needless) expect(packages, name).not.toContain(name);
  });

  it('[RUN-7] without an administrator, whatever is asked of the API is refused as it is where one is set and not shown', async () => {
    const server = await startServer({ metrics: { port: 0, host: '127.0.0.1' } });
    for (const path of ['/api/rooms', '/api/rooms/minutes', '/api/openapi.json', '/api/none']) {
      const answer = await fetch(server.url + path);
      expect([answer.status, answer.headers.get('Cache-Control')], path).toEqual([403, 'no-store']);
      expect(await answer.json()).toEqual({
        error: { code: 'closed', message: 'closed: ADMIN_TOKEN is not set' },
      });
    }
    expect((await fetch(`${server.url}/metrics`)).status).toBe(403);
    // A collector with a port of its own reads them all the same.
    expect(await (await fetch(server.metricsUrl!)).text()).toContain('cowrite_connections 0');
  });
});
