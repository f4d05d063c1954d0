/** `cowrite restore`: a backup into a store of any kind. */

import { storedNameProblem } from '../room-name.js';
import { inJson } from '../shown.js';
import { type BackupEnd, readBackup, UnreadableBackup } from '../storage/backup-file.js';
import { RoomConflict, type RoomCopy, RoomWriter } from '../storage/copy.js';
import { command, EXIT, Failure } from '../terminal/command.js';
import { explained, readFrom, sizeOf } from '../terminal/files.js';
import { roomOf } from '../terminal/names.js';
import { complain, say } from '../terminal/output.js';
import { counted, type Progress, progress } from '../terminal/progress.js';
import { STORAGE_OPTION, storageUrl, withStore } from '../terminal/store.js';

export const restoreCommand = command({
  name: 'restore',
  summary: 'Writes a backup to a store',
  arguments: ['<file>'],
  options: {
    room: { type: 'string', value: 'name', help: 'only this room' },
    replace: { type: 'boolean', help: 'also in the place of what a room has now' },
    ...STORAGE_OPTION,
  },
  details: `
Stop the servers first. The store may be of another kind than the one that was backed up,
and is best empty. A room that has something else in it is left as it is, and told, unless
it is to be replaced. One whose name no room can have is left out, and told. Whatever is
written is read back and compared; when it was interrupted, the same command goes on. -
is stdin.

  cowrite restore monday.cowrite --storage lmdb:./data
  cowrite restore monday.cowrite --room minutes --replace

Clients that are still open bring back what they wrote since; nothing is doubled.

It ends with 3 when something could not be read when the backup was made, and is not in it.`,
  async run({ values, operands: [file], config }) {
    const { replace = false } = values;
    const only = values.room === undefined ? undefined : roomOf(values.room);
    const url = storageUrl(values.storage, config);
    const counts = { written: 0, there: 0, conflicts: 0, incomplete: 0, misnamed: 0 };
    const bar = await progress('bytes', () => explained(file!, () => sizeOf(file!)));
    const reading = readBackup(watched(await explained(file!, () => readFrom(file!)), bar));
    const next = async (): Promise<IteratorResult<RoomCopy, BackupEnd>> => {
      try {
        return await explained(file!, () => reading.next());
      } catch (error) {
        if (!(error instanceof UnreadableBackup)) throw error;
        throw new Failure(`${file}: ${error.message}; until there ${inWords(counts)}`);
      }
    };
    // Before there is a store: what cannot be read makes none.
    let read = await next();
    const end = await withStore(url, config, async (store) => {
      const writer = new RoomWriter(store);
      for (; read.done !== true; read = await next()) {
        const room = read.value;
        if (only !== undefined && room.name !== only) continue;
        const name = inJson(room.name);
        const problem = storedNameProblem(room.name);
        if (problem !== undefined) {
          counts.misnamed++;
          bar.complain(`${name} is left out, for nobody could open it: ${problem}`);
          continue;
        }
        if (room.lost > 0) {
          bar.complain(`${name}: ${counted(room.lost, 'update')} could not be backed up`);
          counts.incomplete++;
        }
        try {
          if (await writer.write(room, replace)) counts.written++;
          else counts.there++;
        } catch (error) {
          if (!(error instanceof RoomConflict)) throw error;
          counts.conflicts++;
          bar.complain(`${error.message}: it stays; --replace replaces it`);
        }
      }
      return read.value;
    });
    bar.end();
    const unreadable = end.unreadable.filter((name) => only === undefined || name === only);
    for (const name of unreadable) {
      complain(`room ${inJson(name)} could not be backed up`);
    }
    say(`${inWords(counts)}\n`);
    const { written, there, conflicts, incomplete, misnamed } = counts;
    if (only !== undefined && written + there + conflicts + unreadable.length === 0) {
      throw new Failure(`there is no room ${inJson(only)} in it`);
    }
    if (conflicts + misnamed > 0) return EXIT.failure;
    return incomplete + unreadable.length > 0 ? EXIT.damage : EXIT.ok;
  },
});

async function* watched(
  bytes: AsyncIterable<Uint8Array>,
  bar: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const part of bytes) {
    yield part;
    bar.step(part.length);
  }
}

interface Counts {
  readonly written: number;
  readonly there: number;
  readonly conflicts: number;
  readonly incomplete: number;
  readonly misnamed: number;
}

function inWords({ written, there, conflicts, incomplete, misnamed }: Counts): string {
  return (
    `${counted(written, 'room')} written, ${there} were there already, ` +
    `${conflicts} left as they were, ${incomplete} not complete` +
    (misnamed > 0 ? `, ${misnamed} left out` : '')
  );
}
