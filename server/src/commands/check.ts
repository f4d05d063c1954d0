/**
 * `cowrite check`: whether everything in a store can be read, and is what it says it is.
 * A repair is a compaction: what is damaged goes to the quarantine, the rest into a snapshot.
 */
import { systemClock } from '../clock.js';
import { ProcessEnded } from '../compact/apart.js';
import { compactRoom } from '../compact/compaction.js';
import { TooLargeToMerge } from '../compact/over-budget.js';
import type { Workers } from '../compact/workers.js';
import { type LoadedRoom, loadRoom, RoomDeleted } from '../load.js';
import { inJson } from '../shown.js';
import { Snapshots } from '../snapshots.js';
import { everyRoom, type RoomCopy, readRoom } from '../storage/copy.js';
import { DamagedSnapshot, type MergeNote, type Storage } from '../storage/storage.js';
import { command, EXIT, Failure } from '../terminal/command.js';
import { withWorkers } from '../terminal/documents.js';
import { prefixOf } from '../terminal/names.js';
import { say } from '../terminal/output.js';
import { counted, countRooms, progress } from '../terminal/progress.js';
import { STORAGE_OPTION, storageUrl, withExistingStore } from '../terminal/store.js';

const MB = 1024 * 1024;

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

A document that is too large for the memory there is (WORKER_MEMORY_MB) is told of, and
is no damage; so is one that the servers have found too large.

It ends with 0 when all is well or was repaired, and with 3 when something is damaged, or
an lmdb's data file was and what is whole of it was taken over: rooms may be missing then.`,
  async run({ values, config }) {
    const { repair = false, verbose = false, json = false } = values;
    const prefix = prefixOf(values.prefix);
    const url = storageUrl(values.storage, config);
    return await withExistingStore(url, config, (store, wasSalvaged) =>
      withWorkers(config, async (workers) => {
        const bar = await progress('rooms', () => countRooms(store, prefix));
        const counts = { seen: 0, damaged: 0, repaired: 0, tooLarge: 0 };
        for await (const { name } of everyRoom(store, { prefix })) {
          counts.seen++;
          const { problems, remarks } = await examine(store, name, workers);
          let isRepaired = false;
          if (problems.length > 0) {
            counts.damaged++;
            isRepaired = repair && (await mend(store, name, workers));
            if (isRepaired) counts.repaired++;
          }
          if (remarks.length > 0) counts.tooLarge++;
          bar.step();
          if (problems.length + remarks.length === 0 && !verbose) continue;
          const report = { room: name, problems, remarks, isRepaired };
          bar.line(json ? inJson(report) : inWords(report));
        }
        bar.end();
        if (!json) say(summaryOf(counts));
        // What was taken over was looked at; what is missing, only a backup has.
        return wasSalvaged || counts.damaged > counts.repaired ? EXIT.damage : EXIT.ok;
      }),
    );
  },
});

/** What was found out about a room. */
interface Findings {
  /** What is damaged, in words. */
  readonly problems: readonly string[];
  /** What is no damage, and should be known all the same. */
  readonly remarks: readonly string[];
}

interface Report extends Findings {
  readonly room: string;
  readonly isRepaired: boolean;
}

function inWords({ room, problems, remarks, isRepaired }: Report): string {
  const name = inJson(room);
  const state =
    problems.length > 0
      ? isRepaired
        ? 'repaired'
        : 'DAMAGED'
      : remarks.length > 0
        ? ''
        : 'all is well';
  return [`${name}: ${state}`.trimEnd(), ...problems, ...remarks].join('\n  ');
}

function summaryOf(counts: {
  seen: number;
  damaged: number;
  repaired: number;
  tooLarge: number;
}): string {
  const { seen, damaged, repaired, tooLarge } = counts;
  const large = tooLarge === 0 ? '' : `, ${tooLarge} of them too large to merge`;
  if (damaged === 0) {
    return `${counted(seen, 'room')}${large}${large === '' ? ':' : ', otherwise'} all is well\n`;
  }
  return `${counted(seen, 'room')}, ${damaged} of them damaged, ${repaired} repaired${large}\n`;
}

async function examine(store: Storage, name: string, workers: Workers): Promise<Findings> {
  const remarks: string[] = [];
  try {
    for (;;) {
      const loaded = await loadRoom(name, store, systemClock);
      const copy = await readRoom(store, name);
      // Compacted in between.
      if (copy.snapshot?.seq !== loaded.snapshot?.seq) continue;
      const problems = loaded.unusable.map(({ seq, reason }) => `update ${seq}: ${reason}`);
      const known = remembered(await store.mergeNote(name), loaded.snapshot?.life ?? 0);
      if (known !== undefined) remarks.push(known);
      problems.push(...(await build(copy, loaded, workers)));
      return { problems, remarks };
    }
  } catch (error) {
    if (error instanceof RoomDeleted) return { problems: [], remarks };
    if (error instanceof DamagedSnapshot) return { problems: [error.message], remarks };
    // The checksums match, and every update can be read; what they make together was not seen.
    if (error instanceof TooLargeToMerge)
      return { problems: [], remarks: [...remarks, error.message] };
    if (error instanceof ProcessEnded) {
      throw new Failure(`room ${inJson(name)} could not be looked at: ${error.message}`);
    }
    throw error;
  }
}

function remembered(note: MergeNote | undefined, life: number): string | undefined {
  if (note === undefined || note.life !== life || note.state === 'begun') return undefined;
  const [needs, memory] = [note.needs, note.memory].map((bytes) => Math.ceil(bytes / MB));
  return note.state === 'too-slow'
    ? 'the servers took too long to merge it, and try again now and then'
    : `the servers do not merge it: it needs ${needs === 0 ? 'more memory' : `about ${needs} MB of memory`}, and their workers could take ${memory} MB`;
}

/**
 * Makes documents of it: of the snapshot, and of all together.
 *
 * @throws {TooLargeToMerge}
 * @throws {ProcessEnded}
 */
async function build(
  { snapshot, tail }: RoomCopy,
  { unusable }: LoadedRoom,
  workers: Workers,
): Promise<string[]> {
  const problems: string[] = [];
  if (snapshot !== undefined) {
    const made = await workers
      .compact(async () => ({ snapshot: snapshot.update.slice(), updates: [] }))
      .catch(unlessUnseen);
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
    .catch(unlessUnseen);
  if (made instanceof Error) return [...problems, `no document can be made: ${made.message}`];
  for (const { index, reason } of made.poisoned) {
    problems.push(`update ${entries[index]!.seq}: ${reason}`);
  }
  if (!made.isFaithful) problems.push('the document reads differently once it is reloaded');
  return problems;
}

/** @throws {TooLargeToMerge} and {@link ProcessEnded}: what is in it is not to blame */
function unlessUnseen(error: Error): Error {
  if (error instanceof TooLargeToMerge || error instanceof ProcessEnded) throw error;
  return error;
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
  return (await examine(store, room, workers)).problems.length === 0;
}

function isEqual(one: Uint8Array, two: Uint8Array): boolean {
  return Buffer.compare(one, two) === 0;
}
