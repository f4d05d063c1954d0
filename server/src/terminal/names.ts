/** Names of rooms as a person types them, in any Unicode form, as stores have them. */

import { checkRoomName } from '../room-name.js';
import { UsageError } from './command.js';

/** As long as the longest name: nothing begins with more. */
const MAX_PREFIX_BYTES = 256;

/** @throws {UsageError} for what no room is called */
export function roomOf(text: string): string {
  const checked = checkRoomName(text);
  if (!checked.ok) throw new UsageError(checked.problem);
  return checked.name;
}

/** @throws {UsageError} for what no room's name begins with */
export function prefixOf(text: string | undefined, option = '--prefix'): string {
  const prefix = (text ?? '').normalize('NFC');
  const bytes = Buffer.byteLength(prefix);
  if (bytes > MAX_PREFIX_BYTES) {
    throw new UsageError(
      `${option} has ${bytes} bytes, and no room's name more than ${MAX_PREFIX_BYTES}`,
    );
  }
  if (/\p{Cc}|\p{Cs}/u.test(prefix)) {
    throw new UsageError(`${option} has a character that no room's name has`);
  }
  return prefix;
}
