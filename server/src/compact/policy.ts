/**
 * When a room's tail is worth merging into its snapshot. Geometric: the work of
 * all compactions of a document is a constant times its growth.
 */

export interface TailSize {
  readonly bytes: number;
  readonly updates: number;
  readonly snapshotBytes: number;
}

const FLOOR_BYTES = 64 * 1024;
const FLOOR_UPDATES = 4_000;

/** While people edit: past a quarter of the snapshot, and past a floor. */
export function isDue({ bytes, updates, snapshotBytes }: TailSize): boolean {
  if (bytes < FLOOR_BYTES && updates < FLOOR_UPDATES) return false;
  return bytes >= snapshotBytes / 4;
}

/**
 * When the last one has left. Less is enough than while they edit, because the
 * next to open the room waits for the tail to be read; but a single keystroke
 * in a large document does not write all of it again.
 */
export function isDueWhenIdle({ bytes, updates, snapshotBytes }: TailSize): boolean {
  if (updates === 0) return false;
  return snapshotBytes < FLOOR_BYTES || bytes >= snapshotBytes / 64;
}
