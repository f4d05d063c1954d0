/**
 * Cuts an update into pieces that can be admitted one after the other, each in a moment: for one
 * with so many references that admitting it in one go would hold up everybody.
 *
 * Plays the order of integration on clocks, as admission does, and copies structs in that order.
 * Linear, and beside the bytes it keeps one piece and a few numbers for each client.
 */
import { assemble, type Part } from './assemble.js';
import { Reader } from './bytes.js';
import { parseOutline } from './parse.js';
import type { Block } from './parsed.js';
import { UpdateRefused } from './refused.js';
import { KIND_SKIP, NONE, newStruct, readStruct, type Struct } from './struct.js';

/** Bytes of a piece, unless one struct has more. */
const PIECE_BYTES = 256 * 1024;

/** An id that the update needs and does not bring. */
export interface Lacking {
  readonly client: number;
  readonly clock: number;
}

/**
 * @param isWhole whether it has to bring all that it needs
 * @returns the first that it lacks where it has to; otherwise what it needs of others is for
 *   admission to say
 * @throws {UpdateRefused}
 */
export function cutIntoPieces(update: Uint8Array, isWhole: boolean): Uint8Array[] | Lacking {
  const { blocks, deletes } = parseOutline(update);
  const play = new Play(update, blocks, isWhole);
  const lacking = play.run();
  if (lacking !== undefined) return lacking;
  if (deletes.size === 0) return play.pieces;
  if (isWhole) {
    for (const [client, ranges] of deletes) {
      const end = play.endOf(client);
      if (ranges.at(-1)! > end) return { client, clock: end };
    }
  }
  return [...play.pieces, assemble([], deletes)];
}

/** One client's structs, and how far they are copied. */
interface Line {
  readonly block: Block;
  readonly reader: Reader;
  reached: number;
  left: number;
  /** Lines that go on once this one is past a clock. */
  readonly waiting: { clock: number; line: Line }[];
}

class Play {
  readonly pieces: Uint8Array[] = [];
  readonly #bytes: Uint8Array;
  readonly #isWhole: boolean;
  readonly #lines = new Map<number, Line>();
  readonly #struct = newStruct();
  #parts = new Map<number, Part & { count: number; chunks: Uint8Array[] }>();
  #size = 0;

  constructor(bytes: Uint8Array, blocks: readonly Block[], isWhole: boolean) {
    this.#bytes = bytes;
    this.#isWhole = isWhole;
    for (const block of blocks) {
      const reader = new Reader(bytes, block.from);
      const { start: reached, count: left } = block;
      this.#lines.set(block.client, { block, reader, reached, left, waiting: [] });
    }
  }

  endOf(client: number): number {
    return this.#lines.get(client)?.block.end ?? 0;
  }

  run(): Lacking | undefined {
    const running = [...this.#lines.values()];
    for (let line = running.pop(); line !== undefined; line = running.pop()) {
      const { start, client } = line.block;
      if (this.#isWhole && start > 0) return { client, clock: 0 };
      const lacking = this.#go(line, running);
      if (lacking !== undefined) return lacking;
    }
    if ([...this.#lines.values()].some(({ left }) => left > 0)) {
      throw new UpdateRefused('structs refer to each other in a circle');
    }
    this.#flush();
    return undefined;
  }

  /** Copies what can be copied of a line. */
  #go(line: Line, running: Line[]): Lacking | undefined {
    const { reader, block } = line;
    const struct = this.#struct;
    let from = reader.pos;
    let first = line.reached;
    let count = 0;
    const take = (): void => {
      if (count > 0) this.#take(block.client, first, count, from, reader.pos);
      from = reader.pos;
      first = line.reached;
      count = 0;
    };
    while (line.left > 0) {
      const at = reader.pos;
      readStruct(reader, struct);
      const need = this.#unmet(struct, block.client);
      if (need !== undefined || (struct.kind === KIND_SKIP && this.#isWhole)) {
        reader.pos = at;
        take();
        if (need === undefined) return { client: block.client, clock: line.reached };
        const other = this.#lines.get(need.client);
        if (other === undefined || need.clock >= other.block.end) return need;
        other.waiting.push({ clock: need.clock, line });
        break;
      }
      count++;
      line.left--;
      line.reached += struct.length;
      if (reader.pos - from >= PIECE_BYTES) take();
    }
    take();
    wake(line, running);
    return undefined;
  }

  /** The first id that a struct waits for, or lacks where it may not. */
  #unmet(struct: Struct, own: number): Lacking | undefined {
    const { originClient, originClock, rightClient, rightClock, parentClient, parentClock } =
      struct;
    return (
      this.#unmetId(originClient, originClock, own) ??
      this.#unmetId(rightClient, rightClock, own) ??
      this.#unmetId(parentClient, parentClock, own)
    );
  }

  #unmetId(client: number, clock: number, own: number): Lacking | undefined {
    if (client === NONE || client === own) return undefined;
    const other = this.#lines.get(client);
    const isHere = other !== undefined && clock < other.block.end;
    if (isHere ? clock < other.reached : !this.#isWhole) return undefined;
    return { client, clock };
  }

  #take(client: number, start: number, count: number, from: number, to: number): void {
    const chunk = this.#bytes.subarray(from, to);
    const part = this.#parts.get(client);
    if (part === undefined) this.#parts.set(client, { client, start, count, chunks: [chunk] });
    else {
      part.count += count;
      part.chunks.push(chunk);
    }
    this.#size += chunk.length;
    if (this.#size >= PIECE_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#size > 0) this.pieces.push(assemble([...this.#parts.values()], []));
    this.#parts = new Map();
    this.#size = 0;
  }
}

function wake(line: Line, running: Line[]): void {
  const { waiting, reached } = line;
  if (waiting.length === 0) return;
  let kept = 0;
  for (const each of waiting) {
    if (each.clock < reached) running.push(each.line);
    else waiting[kept++] = each;
  }
  waiting.length = kept;
}
