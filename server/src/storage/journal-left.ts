/** What a crash left in the journal: read once, at the start. */
import { existsSync, readFileSync } from 'node:fs';
import {
  COMMIT_HEAD,
  endOfCommit,
  FILE_HEAD,
  generationAt,
  nextCandidate,
  pathOf,
  tagOf,
} from './journal-format.js';

export interface Left {
  /** The highest generation that is there, `moved` when there is none above it. */
  readonly generation: number;
  /** The tag of the files; undefined where there is none, or none that is whole. */
  readonly tag: Buffer | undefined;
  /** Records one behind the other, in the order in which they were committed; damaged stretches between them, too. */
  readonly commits: readonly Buffer[];
  /** What was damaged, in words. */
  readonly damage: readonly string[];
}

/** @param moved the generation up to which the tree has everything */
export function readJournal(folder: string, moved: number, fileBytes: number): Left {
  const files = [0, 1]
    .map((place) => pathOf(folder, place))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, bytes: readFileSync(path) }));
  const tag = files.map(({ bytes }) => tagOf(bytes)).find((each) => each !== undefined);
  const read = files
    .map(({ path, bytes }) => ({ path, ...readFile(bytes, tag, moved, fileBytes) }))
    .sort((a, b) => a.generation - b.generation);
  return {
    generation: read.at(-1)?.generation ?? moved,
    tag: tag && Buffer.from(tag),
    commits: read.flatMap(({ commits }) => commits),
    damage: read.flatMap(({ path, damage }) => damage.map((words) => `${path}: ${words}`)),
  };
}

function readFile(bytes: Buffer, tag: Buffer | undefined, moved: number, fileBytes: number) {
  const commits: Buffer[] = [];
  const damage: string[] = [];
  if (bytes.length < fileBytes) damage.push(`it has ${bytes.length} of ${fileBytes} bytes`);
  if (tagOf(bytes) === undefined) damage.push('its head is damaged');
  if (tag === undefined) return { generation: moved, commits, damage };
  let generation: number | undefined;
  // All commits of a file are of one generation: of the first that is not in the tree yet.
  const isExpected = (at: number): boolean => {
    const its = generationAt(bytes, at, tag);
    return its !== undefined && (generation === undefined ? its > moved : its === generation);
  };
  let at = FILE_HEAD;
  for (let next = at; next >= 0; next = nextCandidate(bytes, next)) {
    const end = isExpected(next) ? endOfCommit(bytes, next) : undefined;
    if (end === undefined) {
      next++;
      continue;
    }
    if (next > at) {
      damage.push(`bytes ${at} to ${next} are damaged`);
      commits.push(bytes.subarray(at + COMMIT_HEAD, next));
    }
    commits.push(bytes.subarray(next + COMMIT_HEAD, end));
    generation = generationAt(bytes, next, tag);
    at = end;
    next = end;
  }
  // Zeros, or what is left of an earlier generation, are what stands behind the last commit.
  if (isExpected(at)) {
    damage.push(`the commit at byte ${at} is not whole: it was interrupted, or is damaged`);
  }
  return { generation: generation ?? moved, commits, damage };
}
