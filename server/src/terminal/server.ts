/** A running server, asked by its administrator. */
import type { Config } from '../config.js';
import { shownUrl } from '../service-url.js';
import { Failure, UsageError } from './command.js';

export const SERVER_OPTION = {
  server: {
    type: 'string',
    value: 'url',
    help: 'asks the server that runs there, with ADMIN_TOKEN from the environment',
  },
} as const;

/** The administrator has another token, or there is none: asking again changes nothing. */
export class TokenRefused extends Failure {}

/** @returns what it answers, as it comes */
export async function fromServer(
  server: string,
  path: string,
  { adminToken }: Config,
): Promise<AsyncIterable<Uint8Array>> {
  if (adminToken === undefined) {
    throw new UsageError('set ADMIN_TOKEN, the same as the server has');
  }
  if (!isServerUrl(server)) {
    throw new UsageError(
      '--server is an address such as http://127.0.0.1:8080, without a user or password',
    );
  }
  let response: Response;
  try {
    response = await fetch(new URL(path, server), {
      headers: { Authorization: `Bearer ${adminToken}` },
    });
  } catch (error) {
    const { message } = ((error as Error).cause ?? error) as Error;
    throw new Failure(`no server answers at ${shownUrl(server)}: ${message}`);
  }
  if (response.ok) return response.body!;
  const said = (await response.text()).trim();
  const isRefused = response.status === 401 || response.status === 403;
  const Problem = isRefused ? TokenRefused : Failure;
  throw new Problem(`the server at ${shownUrl(server)} answered with ${response.status}: ${said}`);
}

function isServerUrl(text: string): boolean {
  if (!/^https?:\/\/./.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}
