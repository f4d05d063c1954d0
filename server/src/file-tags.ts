/**
 * ETags of files, by their content. The time of a file would not do: reproducible builds give every
 * version the same.
 *
 * A file is read for it once, and again when it is another one; so an answer is sent from the disk as
 * fast as its client reads, and is not in memory for those who do not read.
 *
 * Invariant: what is kept is bounded.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

const MOST_KEPT = 1_000;

interface Kept {
  /** Changes with each writing, whatever time somebody gives the file. */
  readonly version: string;
  readonly tag: Promise<string>;
}

export class FileTags {
  readonly #kept = new Map<string, Kept>();

  /** @throws whatever the file system says */
  async of(path: string): Promise<string> {
    const { ino, size, ctimeNs } = await stat(path, { bigint: true });
    const version = `${ino} ${size} ${ctimeNs}`;
    const known = this.#kept.get(path);
    if (known?.version === version) return await known.tag;
    const tag = tagOf(path);
    this.#kept.delete(path);
    this.#kept.set(path, { version, tag });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(oldest);
    }
    tag.catch(() => this.#kept.delete(path));
    return await tag;
  }
}

async function tagOf(path: string): Promise<string> {
  const hash = createHash('sha1');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return `"${hash.digest('hex')}"`;
}
