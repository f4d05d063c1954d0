/**
 * What a copy is made of, read record by record.
 *
 * Invariant: a record that is not exactly what was written is not part of the document, whatever
 * it looks like, and keeps no other from being read.
 */
import * as Y from 'yjs';
import { addRange, type Change, merge, NONE } from './change.js';
import {
  attempt,
  BY_COPY,
  BY_LIFE,
  COPIES,
  type Copy,
  type Stored,
  UPDATES,
} from './offline-database.js';

export interface Row extends Stored {
  readonly number: number;
}

export interface Bad {
  readonly store: typeof COPIES | typeof UPDATES;
  readonly id: IDBValidKey;
  readonly reason: string;
  readonly value: unknown;
  /** The browser does not give it. */
  readonly isLost?: boolean;
}

export interface Found {
  /** Undefined where there is no copy, or nothing of it is left. */
  readonly life: string | undefined;
  readonly savedUpTo: number;
  readonly wasReady: boolean;
  /** Which document of the room's name it is; null if no server has said. */
  readonly generation: number | null;
  /** In their order. */
  readonly rows: readonly Row[];
  readonly bad: readonly Bad[];
}

/** FNV-1a, 32 bits, of a record's update and of which copy it is. */
export function sumOf({ key, life, update }: Pick<Stored, 'key' | 'life' | 'update'>): number {
  return fnv(update, key + life);
}

/** The same of all else that a record says. */
export function sumOfRest({
  isUnsaved,
  generation,
  from,
}: Pick<Stored, 'isUnsaved' | 'generation' | 'from'>): number {
  return fnv([], JSON.stringify([isUnsaved, generation, from], plain));
}

/** The same of a copy's entry. */
export function sumOfEntry(entry: Omit<Copy, 'sum'>): number {
  const { url, room, user, key, life, bytes, savedUpTo, usedAt, isReady, generation } = entry;
  const said = [url, room, user, key, life, bytes, savedUpTo, usedAt, isReady, generation];
  return fnv([], JSON.stringify(said));
}

function fnv(bytes: Iterable<number>, text: string): number {
  let sum = 0x811c9dc5;
  const add = (part: number) => {
    sum = Math.imul(sum ^ part, 0x01000193);
  };
  for (const byte of bytes) add(byte);
  for (let at = 0; at < text.length; at++) add(text.charCodeAt(at));
  return sum >>> 0;
}

function plain(_: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value;
}

/** @param transaction of {@link COPIES} and {@link UPDATES} */
export async function readCopy(transaction: IDBTransaction, key: string): Promise<Found> {
  const entry = await read<Copy>(transaction.objectStore(COPIES), key, isCopy);
  const copy = 'reason' in entry ? undefined : entry.value;
  const records = await readUpdates(transaction.objectStore(UPDATES), key, copy?.life);
  const bad = [entry, ...records].flatMap((each) => ('reason' in each ? [each] : []));
  const rows = records.flatMap((each) =>
    'reason' in each ? [] : [{ ...asSaid(each.value as Stored), number: each.id as number }],
  );
  // Of a copy whose entry is damaged, the newest record knows which one it is.
  const life = copy?.life ?? ('reason' in entry ? rows.at(-1)?.life : undefined);
  const own = rows.filter((row) => row.life === life);
  // The entry may be written a moment later.
  const said = [copy, ...own.toReversed()].map((each) => each?.generation);
  return {
    life,
    generation: said.find((each) => typeof each === 'number') ?? null,
    savedUpTo: copy?.savedUpTo ?? 0,
    wasReady: copy?.isReady === true,
    // All else is left of one that was removed.
    rows: own,
    bad,
  };
}

/** The records of a copy, by either of its names, and those of which nobody can say whose they are. */
async function readUpdates(
  updates: IDBObjectStore,
  key: string,
  life: string | undefined,
): Promise<Read<Stored>[]> {
  const [byCopy, byLife] = [updates.index(BY_COPY), updates.index(BY_LIFE)];
  const flaw = (value: unknown) => flawOf(value, key);
  const [numbers, values, same, all, known] = await Promise.all([
    attempt(byCopy.getAllKeys(key)) as Promise<number[]>,
    // One that the browser cannot give makes it give none.
    attempt(byCopy.getAll(key)).catch(() => null),
    life === undefined ? [] : (attempt(byLife.getAllKeys(life)) as Promise<number[]>),
    attempt(updates.count()),
    attempt(byCopy.count()),
  ]);
  const one = (number: number) => read<Stored>(updates, number, flaw);
  const records =
    values === null
      ? await Promise.all(numbers.map(one))
      : numbers.map((number, at) => checked<Stored>(UPDATES, number, values[at], flaw));
  const others = new Set(same);
  if (all !== known) {
    const indexed = new Set((await attempt(byCopy.getAllKeys())) as number[]);
    for (const number of (await attempt(updates.getAllKeys())) as number[]) {
      if (!indexed.has(number)) others.add(number);
    }
  }
  for (const number of numbers) others.delete(number);
  return [...records, ...(await Promise.all([...others].map(one)))];
}

type Read<T> = { readonly id: IDBValidKey; readonly value: T | undefined } | Bad;

/** @returns why a value is not what was written; undefined if it is */
type Flaw = (value: unknown) => string | undefined;

async function read<T>(store: IDBObjectStore, id: IDBValidKey, flaw: Flaw): Promise<Read<T>> {
  const name = store.name as Bad['store'];
  try {
    return checked(name, id, await attempt(store.get(id)), flaw);
  } catch (error) {
    const reason = `it cannot be read: ${error}`;
    return { store: name, id, reason, value: undefined, isLost: true };
  }
}

function checked<T>(store: Bad['store'], id: IDBValidKey, value: unknown, flaw: Flaw): Read<T> {
  const reason = flaw(value);
  return reason === undefined
    ? { id, value: value as T | undefined }
    : { store, id, reason, value };
}

/** @returns why it is not what was written. Nothing at all is no flaw: there is no copy yet. */
export function isCopy(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const entry = (value ?? {}) as Copy;
  return entry.sum === sumOfEntry(entry) ? undefined : 'it does not say what the copy is';
}

function flawOf(value: unknown, key: string): string | undefined {
  const { key: own } = (value ?? {}) as Partial<Stored>;
  if (own !== key) return 'it does not say which copy it is of';
  return isAsWritten(value) ? undefined : 'it is not what was written';
}

/** What a whole update says of itself may be damaged: then it may be unsaved, and of this browser. */
function asSaid(row: Stored): Stored {
  if (row.sumOfRest === sumOfRest(row)) return row;
  return { ...row, isUnsaved: true, from: 'here', generation: null };
}

/** Whether a record holds an update, and says which copy it is of, as when it was written. */
export function isAsWritten(value: unknown): boolean {
  const { key, life, update, sum } = (value ?? {}) as Partial<Stored>;
  if (typeof key !== 'string' || typeof life !== 'string') return false;
  return update instanceof Uint8Array && sum === sumOf({ key, life, update });
}

export function hasUnsaved(rows: readonly Row[], savedUpTo: number): boolean {
  return rows.some(({ isUnsaved, number }) => isUnsaved && number > savedUpTo);
}

/** Whether the record may hold what was made in this browser and is on no server's disk, and nothing else. */
export function isOwn({ id, value, store }: Bad, savedUpTo: number): boolean {
  const { isUnsaved, from } = (value ?? {}) as Partial<Stored>;
  const isOther = isUnsaved === false || from === 'server' || typeof from === 'object';
  return store === UPDATES && (id as number) > savedUpTo && !isOther;
}

/** What was made in this browser of what may be unsaved. */
export function ownIn(rows: readonly Row[], savedUpTo: number): Change {
  let changes: Change[] = [];
  // The server may have taken these. It says so when it is asked.
  let traces = NONE;
  for (const { number, update, isUnsaved, from } of rows) {
    // It is said of all that comes before as well.
    if (typeof from === 'object') [changes, traces] = [[], from.traces ?? NONE];
    if (!isUnsaved || number <= savedUpTo) continue;
    if (from === 'here' || from === 'tab') changes.push(...changeIn(update));
    else if (typeof from === 'object') changes.push(from);
  }
  return { ...merge(changes), traces };
}

/** @returns nothing of what the document will not take either */
function changeIn(update: Uint8Array): Change[] {
  try {
    const { structs, ds } = Y.decodeUpdate(update);
    const insertions = Y.createDeleteSet();
    for (const struct of structs) {
      if (!(struct instanceof Y.Skip)) addRange(insertions, struct.id, struct.length);
    }
    return [merge([{ insertions, deletions: ds }])];
  } catch {
    // It is found and told of when it is applied.
    return [];
  }
}

/** Whether no record says that a server has any of it. */
export function isOfNoServer({ rows, savedUpTo, generation }: Found): boolean {
  return savedUpTo === 0 && generation === null && rows.every(({ from }) => from !== 'server');
}
