/** `cowrite token`: makes a token for somebody, signed with AUTH_SECRET. */
import { Grants, GrantsMalformed } from '../auth/grants.js';
import { signToken } from '../auth/tokens.js';
import { charactersIn, MAX_ID, userIdProblem } from '../auth/user-id.js';
import type { Config } from '../config.js';
import { inJson } from '../shown.js';
import { command, EXIT, UsageError, wrong } from '../terminal/command.js';
import { prefixOf, roomOf } from '../terminal/names.js';

export const tokenCommand = command({
  name: 'token',
  summary: 'Makes a token for somebody, signed with AUTH_SECRET',
  arguments: [],
  options: {
    user: { type: 'string', value: 'id', help: "the user's id, as presence shows it" },
    name: { type: 'string', value: 'name', help: "the user's name" },
    room: {
      type: 'string',
      multiple: true,
      value: 'name[=write|read|none]',
      help: 'a room, or all that begin so: team-7/*; may come more than once; =write if nothing is said',
    },
    expires: { type: 'string', value: 'time', help: '30m, "7 days" and so on; 12h if left out' },
  },
  details: `
AUTH_SECRET has to be the same as the server has. A room that has a = in its name needs a
permission behind it: 'a=b=write'.

  AUTH_SECRET=… cowrite token --user ada --name Ada --room 'team-7/*' --room minutes=read`,
  async run({ values, config }) {
    process.stdout.write(`${await makeToken(values, config)}\n`);
    return EXIT.ok;
  },
});

const ACCESS: readonly string[] = ['write', 'read', 'none'];

interface Wanted {
  readonly user: string | undefined;
  readonly name: string | undefined;
  readonly room: readonly string[] | undefined;
  readonly expires: string | undefined;
}

/** @throws {UsageError} */
async function makeToken(
  { user, name, room, expires = '12h' }: Wanted,
  { auth }: Config,
): Promise<string> {
  if (typeof auth !== 'object' || !('secret' in auth) || auth.secret === undefined) {
    throw new UsageError('set AUTH_SECRET, the same as the server has');
  }
  if (user === undefined) throw wrong('token', '--user is missing');
  if (room === undefined) throw wrong('token', '--room is missing');
  const problem = userIdProblem(user);
  if (problem !== undefined) throw new UsageError(`--user ${problem}`);
  if (name === '' || (name !== undefined && charactersIn(name) > MAX_ID)) {
    throw new UsageError(
      `--name has ${charactersIn(name)} characters, and may have 1 to ${MAX_ID}`,
    );
  }
  const rooms = grantsOf(room);
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

/** @throws {UsageError} */
function grantsOf(texts: readonly string[]): Readonly<Record<string, string>> {
  const grants = new Map<string, string>();
  for (const text of texts) {
    const [name, access] = grant(text);
    if ((grants.get(name) ?? access) !== access) {
      throw new UsageError(
        `--room names ${inJson(name)} twice, with ${grants.get(name)} and with ${access}`,
      );
    }
    grants.set(name, access);
  }
  return Object.fromEntries(grants);
}

/**
 * A room's name may have a `=` in it: the last one comes before a permission. It is not left out
 * then, or a permission that is misspelt would be a part of a name that may be written to.
 *
 * @throws {UsageError} for what no room is called
 */
function grant(text: string): readonly [name: string, access: string] {
  const equals = text.lastIndexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const access = equals < 0 ? 'write' : text.slice(equals + 1);
  if (!ACCESS.includes(access)) {
    throw new UsageError(
      `--room ${inJson(text)} ends with no permission: behind the last = is write, read or none. ` +
        `For a room that is called so: --room ${inJson(`${text}=write`)}`,
    );
  }
  // One that ends with * stands for all that begin so.
  return name.endsWith('*')
    ? [`${prefixOf(name.slice(0, -1), '--room')}*`, access]
    : [roomOf(name), access];
}
