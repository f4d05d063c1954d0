/**
 * Which rooms somebody may enter: exact names, and prefixes that end with `*`.
 *
 * Pure. A name that stands for itself decides; if there is none, the longest prefix
 * does; if there is none either, the room is closed.
 */
import type { Access } from './identity.js';

const ACCESS: ReadonlySet<unknown> = new Set<Access>(['write', 'read', 'none']);
const ANY = '*';

/** The value is not `{ "<room or prefix*>": "write" | "read" | "none" }`. */
export class GrantsMalformed extends Error {
  override readonly name = 'GrantsMalformed';
}

export class Grants {
  readonly #exact = new Map<string, Access>();
  /** Longest first. */
  readonly #prefixes: (readonly [prefix: string, access: Access])[] = [];

  /**
   * @param value such as `{ "minutes": "write", "team-7/*": "read" }`; names are
   *   NFC-normalised, as those of rooms are
   * @throws {GrantsMalformed}
   */
  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new GrantsMalformed('rooms is not an object of names and permissions');
    }
    for (const [name, access] of Object.entries(value)) {
      if (!ACCESS.has(access)) {
        throw new GrantsMalformed('a permission in rooms is none of write, read and none');
      }
      const room = name.normalize('NFC');
      if (room.endsWith(ANY)) this.#prefixes.push([room.slice(0, -ANY.length), access]);
      else this.#exact.set(room, access);
    }
    this.#prefixes.sort(([a], [b]) => b.length - a.length);
  }

  /** @param room NFC-normalised */
  accessTo(room: string): Access {
    const exact = this.#exact.get(room);
    if (exact !== undefined) return exact;
    const prefix = this.#prefixes.find(([start]) => room.startsWith(start));
    return prefix?.[1] ?? 'none';
  }
}
