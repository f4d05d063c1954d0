/** `cowrite restore`: a backup into a store of any kind. */
import { readBackup, UnreadableBackup } from '../storage/backup-file.js';
import { RoomConflict, RoomWriter } from '../storage/copy.js';
import { command, EXIT, Failure } from '../terminal/command.js';
import { explained, readFrom, sizeOf } from '../terminal/files.js';
import { counted, progress } from '../terminal/progress.js';
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
it is to be replaced. Whatever is written is read back and compared; when it was
interrupted, the same command goes on. - is stdin.

  cowrite restore monday.cowrite --storage lmdb:./data
  cowrite restore monday.cowrite --room minutes --replace

Clients that are still open bring back what they wrote since; nothing is doubled.`,
  async run({ values, operands: [file], config }) {
    const { room: only, replace = false } = values;
    const counts = { written: 0, there: 0, conflicts: 0 };
    await withStore(storageUrl(values.storage, config), async (store) => {
      const writer = new RoomWriter(store);
      try {
        await explained(file!, async () => {
          const bar = await progress('bytes', () => sizeOf(file!));
          const bytes = (async function* () {
            for await (const part of readFrom(file!)) {
              yield part;
              bar.step(part.length);
            }
          })();
          for await (const room of readBackup(bytes)) {
            if (only !== undefined && room.name !== only) continue;
            try {
              if (await writer.write(room, replace)) counts.written++;
              else counts.there++;
            } catch (error) {
              if (!(error instanceof RoomConflict)) throw error;
              counts.conflicts++;
              bar.complain(`${error.message}: it stays; --replace replaces it`);
            }
          }
          bar.end();
        });
      } catch (error) {
        if (!(error instanceof UnreadableBackup)) throw error;
        throw new Failure(`${file}: ${error.message}; until there ${inWords(counts)}`);
      }
    });
    process.stdout.write(`${inWords(counts)}\n`);
    if (only !== undefined && counts.written + counts.there + counts.conflicts === 0) {
      throw new Failure(`there is no room ${JSON.stringify(only)} in it`);
    }
    return counts.conflicts > 0 ? EXIT.failure : EXIT.ok;
  },
});

interface Counts {
  readonly written: number;
  readonly there: number;
  readonly conflicts: number;
}

function inWords({ written, there, conflicts }: Counts): string {
  return `${counted(written, 'room')} written, ${there} were there already, ${conflicts} left as they were`;
}
