/** What answers over plain HTTP forbid browsers. */
import { describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from './support.js';

describe('[ADMIN] headers', () => {
  it('[ADMIN-7] nothing of the administrator’s can be framed, or runs anything but this server’s own', async () => {
    const staticDir = temporaryFolder();
    const server = await startServer({ adminToken: 'x'.repeat(32), staticDir });
    const headersOf = async (path: string, { url } = server) => {
      const { headers } = await fetch(url + path);
      return [headers.get('X-Frame-Options'), headers.get('Content-Security-Policy')];
    };
    for (const path of [
      '/admin',
      '/admin/',
      '/admin/nothing',
      '/%61dmin',
      '/api/docs',
      '/api/openapi.json',
      '/api/rooms',
      '/api/nothing',
      '/metrics',
    ]) {
      const [frames, policy] = await headersOf(path);
      expect(frames, path).toBe('DENY');
      expect(policy, path).toMatch(/^default-src 'none'.*frame-ancestors 'none'/);
      expect(policy, path).not.toMatch(/unsafe|https?:/);
    }
    // What an application's own pages may do is for them to say.
    for (const path of ['/', '/health', '/administrators', '/apiary']) {
      expect(await headersOf(path), path).toEqual(['SAMEORIGIN', null]);
    }
    const without = await startServer({ staticDir });
    expect(await headersOf('/admin', without)).toEqual(['SAMEORIGIN', null]);
  });
});
