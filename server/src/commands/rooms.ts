/** `cowrite rooms`: what a store has, without reading it. */

import { inJson, shownName } from '../shown.js';
import { everyRoom } from '../storage/copy.js';
import type { RoomSummary } from '../storage/storage.js';
import { command, EXIT } from '../terminal/command.js';
import { prefixOf } from '../terminal/names.js';
import { say } from '../terminal/output.js';
import { STORAGE_OPTION, storageUrl, withExistingStore } from '../terminal/store.js';

export const roomsCommand = command({
  name: 'rooms',
  summary: 'Lists the rooms of a store',
  arguments: [],
  output: 'list',
  options: {
    prefix: { type: 'string', value: 'text', help: 'only rooms whose names begin with this' },
    deleted: { type: 'boolean', help: 'also rooms that were deleted' },
    json: { type: 'boolean', help: 'one JSON object a line' },
    ...STORAGE_OPTION,
  },
  details: `
Of each room: the seq of its last update, how many updates no snapshot holds yet, the
bytes of its snapshot, and its name, as in JSON where it holds characters that a terminal
would obey, or that do not show. An lmdb store can be open in one process only: ask
a running server for its rooms instead (GET /api/rooms).

  cowrite rooms --prefix team-7/
  cowrite rooms --json | jq -r .name`,
  async run({ values, config }) {
    const { deleted = false, json = false } = values;
    const prefix = prefixOf(values.prefix);
    await withExistingStore(storageUrl(values.storage, config), config, async (store) => {
      if (!json) say(line('updates', 'behind', 'snapshot', 'room'));
      for await (const room of everyRoom(store, { prefix, withDeleted: deleted })) {
        say(json ? `${inJson(room)}\n` : lineOf(room));
      }
    });
    return EXIT.ok;
  },
});

function lineOf({ name, lastSeq, snapshotSeq, snapshotBytes, isDeleted }: RoomSummary): string {
  const behind = lastSeq - snapshotSeq;
  const shown = shownName(name);
  return line(lastSeq, behind, snapshotBytes, isDeleted ? `${shown}  (deleted)` : shown);
}

function line(...[updates, behind, bytes, name]: (string | number)[]): string {
  const columns = [String(updates).padStart(9), String(behind).padStart(8)];
  return `${columns.join('')}${String(bytes).padStart(12)}  ${name}\n`;
}
