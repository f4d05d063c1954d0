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

/** @throws {UsageError} */
export function prefixOf(text: string | undefined): string {
  const prefix = (text ?? '').normalize('NFC');
  const bytes = Buffer.byteLength(prefix);
  if (bytes <= MAX_PREFIX_BYTES) return prefix;
  throw new UsageError(
    `--prefix has ${bytes} bytes, and no room's name more than ${MAX_PREFIX_BYTES}`,
  );
}
