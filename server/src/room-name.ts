/**
 * A room's name from the address of a socket: what follows `/ws/`, percent-decoded
 * and NFC-normalised, so that one name typed on two keyboards is one room.
 */

const PREFIX = '/ws/';
const MAX_BYTES = 256;

export type RoomName =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly problem: string };

/**
 * @param url the request's path and query, as it stands in the request line
 * @returns undefined when the path is not one of a room
 */
export function readRoomName(url: string): RoomName | undefined {
  const [path] = url.split('?', 1);
  if (path === undefined || !path.startsWith(PREFIX)) return undefined;
  let name: string;
  try {
    name = decodeURIComponent(path.slice(PREFIX.length)).normalize('NFC');
  } catch {
    return { ok: false, problem: "the room's name is not percent-encoded UTF-8" };
  }
  const problem = problemOf(name);
  return problem === undefined ? { ok: true, name } : { ok: false, problem };
}

function problemOf(name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) return "the room's name is empty";
  if (bytes > MAX_BYTES) return `the room's name has ${bytes} bytes, more than ${MAX_BYTES}`;
  if (/\p{Cc}/u.test(name)) return "the room's name has a control character";
  return undefined;
}
