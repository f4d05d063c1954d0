/** `cowrite migrate`: one store into another, of any kind. */
import { storedNameProblem } from '../room-name.js';
import { inJson } from '../shown.js';
import { everyRoom, RoomConflict, RoomWriter, readRoom } from '../storage/copy.js';
import { DamagedSnapshot } from '../storage/storage.js';
import { command, EXIT, wrong } from '../terminal/command.js';
import { say } from '../terminal/output.js';
import { counted, countRooms, progress } from '../terminal/progress.js';
import { storageUrl, withExistingStore, withStore } from '../terminal/store.js';

export const migrateCommand = command({
  name: 'migrate',
  summary: 'Copies a store to another one, of any kind',
  arguments: ['<from>', '<to>'],
  options: {
    replace: { type: 'boolean', help: 'also in the place of what a room has there' },
  },
  details: `
Stop the servers first. Logs, snapshots, quarantine and which rooms were deleted come
along; seqs stay as they are. Whatever is written is read back and compared. When it was
interrupted, or the first store was written to since, the same command goes on: what is
there already is left. A room that has something else in it is told, and stays unless it
is to be replaced: so does one whose log was compacted since. A room whose name no room
can have is left out, and told.

  cowrite migrate lmdb:./data postgres://localhost/cowrite

It ends with 3 when something could not be read: cowrite check says what.`,
  async run({ values: { replace = false }, operands: [from, to], config }) {
    if (from === to) throw wrong('migrate', 'both stores are the same');
    const [source, target] = [storageUrl(from, config), storageUrl(to, config)];
    const counts = { written: 0, there: 0, conflicts: 0, unreadable: 0, misnamed: 0 };
    await withExistingStore(source, config, (read) =>
      withStore(target, config, async (write) => {
        const writer = new RoomWriter(write);
        const bar = await progress('rooms', () => countRooms(read));
        for await (const { name } of everyRoom(read)) {
          const problem = storedNameProblem(name);
          if (problem !== undefined) {
            counts.misnamed++;
            bar.complain(`${inJson(name)} is left out, for nobody could open it: ${problem}`);
            bar.step();
            continue;
          }
          try {
            const room = await readRoom(read, name);
            if (room.lost > 0) {
              bar.complain(`${inJson(name)}: ${counted(room.lost, 'update')} cannot be read`);
              counts.unreadable++;
            }
            if (await writer.write(room, replace)) counts.written++;
            else counts.there++;
          } catch (error) {
            if (error instanceof RoomConflict) counts.conflicts++;
            else if (error instanceof DamagedSnapshot) counts.unreadable++;
            else throw error;
            bar.complain(error.message);
          }
          bar.step();
        }
        bar.end();
      }),
    );
    const { written, there, conflicts, unreadable, misnamed } = counts;
    say(
      `${counted(written, 'room')} written, ${there} were there already, ` +
        `${conflicts} left as they were, ${unreadable} damaged` +
        (misnamed > 0 ? `, ${misnamed} left out\n` : '\n'),
    );
    if (conflicts + misnamed > 0) return EXIT.failure;
    return unreadable > 0 ? EXIT.damage : EXIT.ok;
  },
});
