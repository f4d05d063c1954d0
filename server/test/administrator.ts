/** The administrator, as they call a server. */
import type { CowriteServer, ServerOptions } from '@cowrite/server';
import { isDescribed } from './described.js';
import { startServer } from './support.js';

export const ADMIN = 'the-token-of-the-administrator,-long-enough';

export async function governed(options: ServerOptions = {}): Promise<CowriteServer> {
  return await startServer({ adminToken: ADMIN, ...options });
}

export interface Call {
  readonly method?: string;
  /** JSON, unless it is bytes or a text. */
  readonly body?: unknown;
  readonly token?: string;
}

/** @param path behind `/api/` */
export async function request(
  server: { readonly url: string },
  path: string,
  { method = 'GET', body, token = ADMIN }: Call = {},
): Promise<Response> {
  const isRaw = body instanceof Uint8Array || typeof body === 'string';
  return await fetch(`${server.url}/api/${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: isRaw ? (body as BodyInit) : JSON.stringify(body) }),
  });
}

/** The status, and what the answer says: of an error its code. */
export async function call(
  server: { readonly url: string },
  path: string,
  options: Call = {},
): Promise<[status: number, said: unknown]> {
  const response = await request(server, path, options);
  const said = (await response.json()) as { error?: { code: string } };
  await isDescribed(options.method ?? 'GET', path, response.status, said);
  return [response.status, said.error?.code ?? said];
}

export const post = (body?: unknown): Call => ({ method: 'POST', body });

export interface ServerSentEvent {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: each event has a form of its own.
  readonly data: any;
}

/** Events as they arrive; ends when the server ends them. */
export async function* eventsOf(response: Response): AsyncGenerator<ServerSentEvent> {
  let text = '';
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (event !== undefined) yield { event, data: JSON.parse(data!) };
    }
  }
}
