/** `cowrite token`: makes a token for somebody, signed with AUTH_SECRET. */
import { parseArgs } from 'node:util';
import { Grants, GrantsMalformed } from './auth/grants.js';
import { MAX_ID, signToken } from './auth/tokens.js';
import type { Config } from './config.js';

const USAGE = `AUTH_SECRET=… cowrite token --user <id> --room <name or prefix*>[=write|read|none] …
  --user     the user's id, as presence shows it
  --name     the user's name
  --room     may come more than once; =write if nothing is said
  --expires  from now: 12h if left out; 30m, "7 days" and so on`;

/** The command line is not one that this command has. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws {UsageError} */
export async function makeToken(args: readonly string[], { auth }: Config): Promise<string> {
  if (typeof auth !== 'object' || !('secret' in auth) || auth.secret === undefined) {
    throw new UsageError('set AUTH_SECRET, the same as the server has');
  }
  const { user, name, room, expires } = read(args);
  if (user === undefined || room === undefined) throw new UsageError(USAGE);
  for (const [option, text = 'x'] of [
    ['--user', user],
    ['--name', name],
  ] as const) {
    if (text === '' || text.length > MAX_ID)
      throw new UsageError(`${option} has ${text.length} characters, and may have 1 to ${MAX_ID}`);
  }
  const rooms = Object.fromEntries(room.map(grant));
  try {
    new Grants(rooms);
  } catch (error) {
    if (!(error instanceof GrantsMalformed)) throw error;
    throw new UsageError(error.message);
  }
  const { secret } = auth;
  try {
    return await signToken(
      { user: { id: user, ...(name !== undefined && { name }) }, rooms, expiresIn: expires },
      { ...auth, secret },
    );
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`--expires ${expires} is no span of time such as 12h or "7 days"`);
  }
}

function read(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        user: { type: 'string' },
        name: { type: 'string' },
        room: { type: 'string', multiple: true },
        expires: { type: 'string', default: '12h' },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
}

/** A room's name may have a `=` in it, so the last one counts, and only before a permission. */
function grant(text: string): readonly [string, string] {
  const match = /^(.+)=(write|read|none)$/s.exec(text);
  return match === null ? [text, 'write'] : [match[1]!, match[2]!];
}
