/**
 * Cuts an update that many clients wrote, or that deletes in many places, into parts that
 * are admitted one after another, each in a moment. What of a part needs a later one stays
 * out; so the whole update is admitted behind its parts, which then costs little.
 *
 * Linear: the lists of an update are in the order of its blocks.
 */
import type { Parsed, Span } from './parsed.js';
import type { Ranges } from './ranges.js';

/** Blocks and ranges of one part. */
const PART_BLOCKS = 250;
const PART_NUMBERS = 4_000;
const NO_DELETES: ReadonlyMap<number, Ranges> = new Map();

/** Whether it is worth cutting. */
export function isManifold({ blocks, deletes }: Parsed): boolean {
  if (blocks.length > 2 * PART_BLOCKS || deletes.size > 2 * PART_BLOCKS) return true;
  for (const ranges of deletes.values()) if (ranges.length > 2 * PART_NUMBERS) return true;
  return false;
}

export function* split(update: Parsed): Generator<Parsed, undefined> {
  const references = new Cursor(update.references);
  const skips = new Cursor(update.skips);
  const bornDeleted = new Cursor(update.bornDeleted);
  for (let from = 0; from < update.blocks.length; from += PART_BLOCKS) {
    const to = from + PART_BLOCKS;
    yield {
      bytes: update.bytes,
      blocks: update.blocks.slice(from, to),
      references: references.upTo(to, from),
      skips: skips.upTo(to, from),
      bornDeleted: bornDeleted.upTo(to, from),
      deletes: NO_DELETES,
      canonical: false,
      types: update.types,
      hasDeepValues: false,
      nesting: undefined,
      level: update.level,
    };
  }
  for (const deletes of parts(update.deletes)) {
    yield {
      bytes: update.bytes,
      blocks: [],
      references: [],
      skips: [],
      bornDeleted: [],
      deletes,
      canonical: false,
      types: 0,
      hasDeepValues: false,
      nesting: undefined,
      level: undefined,
    };
  }
}

/** The spans of one block after the other. */
class Cursor<S extends Span> {
  readonly #spans: readonly S[];
  #next = 0;

  constructor(spans: readonly S[]) {
    this.#spans = spans;
  }

  /** Those of the blocks before `to`, whose numbers then count from `first`. */
  upTo(to: number, first: number): S[] {
    const found: S[] = [];
    for (; this.#next < this.#spans.length; this.#next++) {
      const span = this.#spans[this.#next]!;
      if (span.block >= to) break;
      found.push({ ...span, block: span.block - first });
    }
    return found;
  }
}

function* parts(deletes: ReadonlyMap<number, Ranges>): Generator<ReadonlyMap<number, Ranges>> {
  let part = new Map<number, Ranges>();
  let numbers = 0;
  for (const [client, ranges] of deletes) {
    for (let i = 0; i < ranges.length; i += PART_NUMBERS) {
      const some = ranges.slice(i, i + PART_NUMBERS);
      part.set(client, some);
      numbers += some.length;
      if (numbers < PART_NUMBERS && part.size < PART_BLOCKS) continue;
      yield part;
      part = new Map();
      numbers = 0;
    }
  }
  if (part.size > 0) yield part;
}
