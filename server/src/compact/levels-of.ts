/** How deep the deep items of a document lie (update/levels.ts). */
import * as Y from 'yjs';
import { Levels } from '../update/levels.js';
import { SHALLOW } from '../update/nesting-limits.js';

export type SharedType = Y.ContentType['type'];

export function levelsOf(doc: Y.Doc): Levels {
  const levels = new Levels();
  /** Of what lies in each type. */
  const inside = new Map<SharedType, number>();
  const clients = [...doc.store.clients].sort(([a], [b]) => a - b);
  let deepest = 0;
  for (const [client, structs] of clients) {
    for (const struct of structs) {
      if (!(struct instanceof Y.Item)) continue;
      const level = levelIn(struct.parent as SharedType, inside);
      if (struct.content instanceof Y.ContentType && level > deepest) deepest = level;
      const { clock } = struct.id;
      if (level > SHALLOW) levels.add(client, clock, clock + struct.length, level);
    }
  }
  if (!levels.isEmpty) levels.deepest = deepest;
  return levels;
}

/** The level of what lies in a type. Each is looked at once; iterative, because a document may be deeper than the stack. */
export function levelIn(type: SharedType, inside: Map<SharedType, number>): number {
  const path: SharedType[] = [];
  let at: SharedType | null = type;
  let level = 0;
  while (at !== null) {
    const known = inside.get(at);
    if (known !== undefined) {
      level = known;
      break;
    }
    path.push(at);
    at = at._item === null ? null : (at._item.parent as SharedType);
  }
  for (const each of path.reverse()) inside.set(each, ++level);
  return level;
}
