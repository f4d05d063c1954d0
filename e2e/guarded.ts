/** A server that asks for tokens, and the tokens. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { Server, temporaryFolder } from './fixtures.js';

const COMMAND = fileURLToPath(new URL('../server/bin/cowrite.js', import.meta.url));
export const AUTH_SECRET = 'a secret of more than thirty-two bytes';

/** As the command makes it. */
export async function token(name: string, room: string, expires = '1h'): Promise<string> {
  const args = [
    COMMAND,
    'token',
    '--user',
    name.toLowerCase(),
    '--name',
    name,
    '--room',
    room,
    '--expires',
    expires,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { AUTH_SECRET } });
  return stdout.trim();
}

/** When it ends, in milliseconds since 1970. */
export function endOf(jwt: string): number {
  const payload = Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(payload) as { exp: number }).exp * 1000;
}

export async function guarded(
  environment: Record<string, string> = {},
  staticDir?: string,
): Promise<Server> {
  return await Server.start(staticDir, {
    STORAGE_URL: `lmdb:${temporaryFolder()}`,
    AUTH_SECRET,
    AUTH_CLOCK_TOLERANCE: '0',
    ...environment,
  });
}

/** @returns where it listens */
export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
