/** One compaction of one room: read, merge in a worker, check, write. */
import type { Snapshots } from '../snapshots.js';
import type { LogEntry, Quarantined, SnapshotMeta, Storage } from '../storage/storage.js';
import type { Workers } from './workers.js';

export interface CompactionInput {
  /** Called before anything is read; what it throws ends the compaction. */
  readonly begin?: () => Promise<void>;
  readonly storage: Storage;
  readonly workers: Workers;
  readonly snapshots: Snapshots;
  readonly room: string;
  readonly base: SnapshotMeta | undefined;
  /** The seq that the new snapshot reaches; all up to it is on disk. */
  readonly upTo: number;
  /** Entries that loading could not use: they go to the quarantine. */
  readonly unusable: readonly Quarantined[];
  /** Whether what was read is still what the store has, as far as is known. */
  readonly isWanted?: () => boolean;
}

export interface CompactionOutput {
  readonly snapshot: SnapshotMeta;
  /** What the worker set aside. */
  readonly poisoned: readonly Quarantined[];
  /** Whether the snapshot reads as the log did; where not, the whole log was kept in the quarantine. */
  readonly isFaithful: boolean;
}

const UNFAITHFUL = 'the document read differently once it was reloaded';

/** Another instance has compacted the room meanwhile. Its snapshot is as good. */
export class SnapshotReplaced extends Error {
  override readonly name = 'SnapshotReplaced';

  constructor() {
    super('another snapshot has taken the place of the base');
  }
}

export async function compactRoom(input: CompactionInput): Promise<CompactionOutput> {
  const { storage, workers, snapshots, room, base, upTo, unusable } = input;
  const result = await workers.compact(async () => {
    await input.begin?.();
    const snapshot = base && (await snapshots.own(room, base));
    if (base !== undefined && snapshot === undefined) throw new SnapshotReplaced();
    const entries = await entriesOf(input);
    return { snapshot, updates: entries.map(({ update }) => update) };
  });
  const { update, stateVector, deletes, isFaithful, pieces } = result;
  // The log was not kept beside its merge: it may be a hundred megabytes, and is hardly ever needed.
  const isKept = !isFaithful || result.poisoned.length > 0;
  const entries = isKept ? await entriesOf(input) : [];
  const poisoned = result.poisoned.map(({ index, reason }) => ({ ...entries[index]!, reason }));
  // A snapshot that reads differently from its log takes its place, but not the log's last copy.
  const kept = isFaithful ? [] : entries.map((entry) => ({ ...entry, reason: UNFAITHFUL }));
  // The seqs of a store that failed over, or was set back, may be those of other entries by now.
  if (input.isWanted?.() === false) throw new SnapshotReplaced();
  const written = await storage.compact(room, {
    base: base?.seq ?? 0,
    snapshot: { seq: upTo, update, stateVector, deletes },
    quarantined: [...kept, ...unusable.filter(({ seq }) => seq <= upTo), ...poisoned],
  });
  if (!written) throw new SnapshotReplaced();
  const { life = 0, generation = 0 } = base ?? {};
  const writtenAt = Date.now();
  const meta = {
    seq: upTo,
    size: update.length,
    life,
    generation,
    writtenAt,
    stateVector,
    deletes,
  };
  snapshots.put(room, meta, update, pieces);
  return { snapshot: meta, poisoned, isFaithful };
}

/** All of them, or it throws. */
async function entriesOf({
  storage,
  room,
  base,
  upTo,
  unusable,
}: CompactionInput): Promise<LogEntry[]> {
  const bad = new Set(unusable.map(({ seq }) => seq));
  const behind = await storage.since(room, base?.seq ?? 0);
  if (behind === undefined) throw new SnapshotReplaced();
  const entries = behind.filter(({ seq }) => seq <= upTo && !bad.has(seq));
  let next = 0;
  for (let seq = (base?.seq ?? 0) + 1; seq <= upTo; seq++) {
    if (entries[next]?.seq === seq) next++;
    // A snapshot up to there would take the place of what it does not hold.
    else if (!bad.has(seq)) throw new Error(`entry ${seq} is not in the store`);
  }
  return entries;
}
