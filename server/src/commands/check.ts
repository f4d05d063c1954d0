/**
 * `cowrite check`: whether everything in a store can be read, and is what it says it is.
 * A repair is a compaction: what is damaged goes to the quarantine, the rest into a snapshot.
 */
import { systemClock } from '../clock.js';
import { compactRoom } from '../compact/compaction.js';
import type { Workers } from '../compact/workers.js';
import { type LoadedRoom, loadRoom, RoomDeleted } from '../load.js';
import { Snapshots } from '../snapshots.js';
import { everyRoom, type RoomCopy, readRoom } from '../storage/copy.js';
import { DamagedSnapshot, type Storage } from '../storage/storage.js';
import { command, EXIT } from '../terminal/command.js';
import { withWorkers } from '../terminal/documents.js';
import { prefixOf } from '../terminal/names.js';
import { counted, countRooms, progress } from '../terminal/progress.js';
import { STORAGE_OPTION, storageUrl, withExistingStore } from '../terminal/store.js';

export const checkCommand = command({
  name: 'check',
  summary: 'Reads all of a store, and says what in it is damaged',
  arguments: [],
  options: {
    repair: { type: 'boolean', help: 'sets aside what is damaged; see below' },
    prefix: { type: 'string', value: 'text', help: 'only rooms whose names begin with this' },
    verbose: { type: 'boolean', help: 'names also the rooms in which all is well' },
    json: { type: 'boolean', help: 'one JSON object a line' },
    ...STORAGE_OPTION,
  },
  details: `
Of each room: every checksum of log and snapshot (Postgres has its own: initdb
--data-checksums), that no update is missing, that every update can be read and comes
after all that it depends on, that the snapshot loads and is what its description says,
and that snapshot and log make a document.

--repair moves updates that are damaged, or that depend on such, into the room's
quarantine, and puts a new snapshot in the place of the rest. Nothing is thrown away.
Stop the servers first. A snapshot that is damaged itself cannot be mended: restore that
room from a backup (cowrite restore --room <name> --replace).

It ends with 0 when all is well or was repaired, and with 3 when something is damaged.`,
  async run({ values, config }) {
    const { repair = false, verbose = false, json = false } = values;
    const prefix = prefixOf(values.prefix);
    const url = storageUrl(values.storage, config);
    return await withExistingStore(url, config, (store) =>
      withWorkers(async (workers) => {
        const bar = await progress('rooms', () => countRooms(store, prefix));
        const counts = { seen: 0, damaged: 0, repaired: 0 };
        for await (const { name } of everyRoom(store, { prefix })) {
          counts.seen++;
          const problems = await examine(store, name, workers);
          let isRepaired = false;
          if (problems.length > 0) {
            counts.damaged++;
            isRepaired = repair && (await mend(store, name, workers));
            if (isRepaired) counts.repaired++;
          }
          bar.step();
          if (problems.length === 0 && !verbose) continue;
          const report = { room: name, problems, isRepaired };
          bar.line(json ? JSON.stringify(report) : inWords(report));
        }
        bar.end();
        if (!json) process.stdout.write(summaryOf(counts));
        return counts.damaged > counts.repaired ? EXIT.damage : EXIT.ok;
      }),
    );
  },
});

interface Report {
  readonly room: string;
  readonly problems: readonly string[];
  readonly isRepaired: boolean;
}

function inWords({ room, problems, isRepaired }: Report): string {
  const name = JSON.stringify(room);
  if (problems.length === 0) return `${name}: all is well`;
  return `${name}: ${isRepaired ? 'repaired' : 'DAMAGED'}\n  ${problems.join('\n  ')}`;
}

function summaryOf(counts: { seen: number; damaged: number; repaired: number }): string {
  const { seen, damaged, repaired } = counts;
  if (damaged === 0) return `${counted(seen, 'room')}: all is well\n`;
  return `${counted(seen, 'room')}, ${damaged} of them damaged, ${repaired} repaired\n`;
}

/** @returns what is wrong, in words */
async function examine(store: Storage, name: string, workers: Workers): Promise<string[]> {
  try {
    for (;;) {
      const loaded = await loadRoom(name, store, systemClock);
      const copy = await readRoom(store, name);
      // Compacted in between.
      if (copy.snapshot?.seq !== loaded.snapshot?.seq) continue;
      const problems = loaded.unusable.map(({ seq, reason }) => `update ${seq}: ${reason}`);
      return [...problems, ...(await build(copy, loaded, workers))];
    }
  } catch (error) {
    if (error instanceof RoomDeleted) return [];
    if (error instanceof DamagedSnapshot) return [error.message];
    throw error;
  }
}

/** Makes documents of it: of the snapshot, and of all together. */
async function build(
  { snapshot, tail }: RoomCopy,
  { unusable }: LoadedRoom,
  workers: Workers,
): Promise<string[]> {
  const problems: string[] = [];
  if (snapshot !== undefined) {
    const made = await workers
      .compact(async () => ({ snapshot: snapshot.update, updates: [] }))
      .catch((error: Error) => error);
    if (made instanceof Error) return [`the snapshot does not load: ${made.message}`];
    const isAsDescribed =
      isEqual(made.stateVector, snapshot.stateVector) && isEqual(made.deletes, snapshot.deletes);
    if (!isAsDescribed) problems.push('the snapshot is not what its description says');
  }
  const bad = new Set(unusable.map(({ seq }) => seq));
  const entries = tail.filter(({ seq }) => !bad.has(seq));
  if (entries.length === 0) return problems;
  const updates = entries.map(({ update }) => update);
  const made = await workers
    .compact(async () => ({ snapshot: snapshot?.update, updates }))
    .catch((error: Error) => error);
  if (made instanceof Error) return [...problems, `no document can be made: ${made.message}`];
  for (const { index, reason } of made.poisoned) {
    problems.push(`update ${entries[index]!.seq}: ${reason}`);
  }
  if (!made.isFaithful) problems.push('the document reads differently once it is reloaded');
  return problems;
}

/** @returns whether all is well now */
async function mend(store: Storage, room: string, workers: Workers): Promise<boolean> {
  try {
    const { snapshot: base, head: upTo, unusable } = await loadRoom(room, store, systemClock);
    const snapshots = new Snapshots({ storage: store, workers, maxBytes: 1 });
    await compactRoom({ storage: store, workers, snapshots, room, base, upTo, unusable });
  } catch {
    // Why, the examination says.
  }
  return (await examine(store, room, workers)).length === 0;
}

function isEqual(one: Uint8Array, two: Uint8Array): boolean {
  return Buffer.compare(one, two) === 0;
}
