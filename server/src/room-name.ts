/**
 * A room's name from the address of a socket: what follows `/ws/`, percent-decoded
 * and NFC-normalised, so that one name typed on two keyboards is one room.
 */
import { nameProblem } from './name.js';
import { fromRoot } from './request-path.js';

const PREFIX = '/ws/';
const MAX_BYTES = 256;

export type RoomName =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly problem: string };

/** @param url as {@link readRoomName} takes it */
export function isRoomPath(url: string): boolean {
  return fromRoot(url).startsWith(PREFIX);
}

/**
 * @param url as {@link readRoomName} takes it, of a server that has its rooms at another path
 * @param path that one, such as `/my/rooms`
 * @returns the same room's here; undefined for what is not of a room
 */
export function movedRoomPath(url: string, path: string): string | undefined {
  const at = fromRoot(url);
  return at.startsWith(`${path}/`) ? PREFIX + at.slice(path.length + 1) : undefined;
}

/**
 * @param url the request's path and query, as it stands in the request line
 * @returns undefined when the path is not one of a room
 */
export function readRoomName(url: string): RoomName | undefined {
  if (!isRoomPath(url)) return undefined;
  const [path] = fromRoot(url).split('?', 1) as [string];
  try {
    return checkRoomName(decodeURIComponent(path.slice(PREFIX.length)));
  } catch {
    return { ok: false, problem: "the room's name is not percent-encoded UTF-8" };
  }
}

/**
 * A name as a store or a backup has it, which is to be one that a room can be found by.
 *
 * @returns what is wrong with it; undefined where nothing is
 */
export function storedNameProblem(name: string): string | undefined {
  return name === name.normalize('NFC') ? problemOf(name) : "the room's name is not NFC-normalised";
}

/** @param text a name as somebody wrote it, in any Unicode form */
export function checkRoomName(text: string): RoomName {
  const name = text.normalize('NFC');
  const problem = problemOf(name);
  return problem === undefined ? { ok: true, name } : { ok: false, problem };
}

function problemOf(name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_BYTES) return `the room's name has ${bytes} bytes, more than ${MAX_BYTES}`;
  const problem = nameProblem(name);
  if (problem !== undefined) return `the room's name ${problem}`;
  // Where permissions are given, such a name means all rooms that begin so.
  if (name.endsWith('*')) return "the room's name ends with *";
  return undefined;
}
