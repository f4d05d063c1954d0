/** What is answered to a request that Node could not read. */
import type { Duplex } from 'node:stream';
import { HEADERS_TOO_LONG } from './auth/credentials.js';

/** As Node calls what was wrong. */
export const REQUEST_TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT';
export const HEADER_OVERFLOW = 'HPE_HEADER_OVERFLOW';

const ANSWERS: Readonly<Record<string, readonly [status: string, body: string]>> = {
  [REQUEST_TIMEOUT]: ['408 Request Timeout', ''],
  [HEADER_OVERFLOW]: ['431 Request Header Fields Too Large', `${HEADERS_TOO_LONG}\n`],
};

/** As Node answers by itself, when nobody listens, but that it says what was too long. */
export function answerBadRequest(
  { code = '' }: { readonly code?: string | undefined },
  socket: Duplex,
): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const [status, body] = ANSWERS[code] ?? ['400 Bad Request', ''];
  const about = `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n`;
  // A peer that does not close its side is not waited for.
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\n${body === '' ? '' : about}\r\n${body}`,
    () => socket.destroy(),
  );
}
