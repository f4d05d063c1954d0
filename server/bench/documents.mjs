/**
 * Large documents as they come from much typing, built once a run as bytes, each in
 * a process of its own: `node documents.mjs <MB> <folder>`. The same ones every time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One text of so many insertions has about 150 KB. */
const INSERTIONS = 4_000;
const TEXT_MB = 1 / 7;
const AUTHORS = 20;

const built = new Map();
let folder;

/** @returns `file` of the state as one update, `bytes` of it, and state vectors: `empty`, `half`, `current` */
export function documentOf(megabytes) {
  if (folder === undefined) {
    folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-documents-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  if (!built.has(megabytes)) {
    const self = fileURLToPath(import.meta.url);
    const output = execFileSync(process.execPath, [self, String(megabytes), folder]);
    built.set(megabytes, JSON.parse(output));
  }
  return built.get(megabytes);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build(Number(process.argv[2]));

/** Inserts at places all over, so that nothing merges into long runs. */
async function build(megabytes) {
  // Only here: whoever imports this file may be about to install it.
  const Y = await import('yjs');
  const doc = new Y.Doc();
  const texts = doc.getArray('texts');
  const count = Math.max(1, Math.round(megabytes / TEXT_MB));
  const insertions = Math.round((INSERTIONS * megabytes) / TEXT_MB / count);
  let seed = 1;
  const random = () => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  let half;
  for (let n = 0; n < count; n++) {
    if (n >= count / 2) half ??= Y.encodeStateVector(doc);
    doc.clientID = 1_000_000_001 + (n % AUTHORS);
    doc.transact(() => {
      const text = new Y.Text();
      texts.push([text]);
      for (let i = 0; i < insertions; i++) {
        const words = 'some words '.slice(0, 3 + Math.floor(random() * 8));
        text.insert(Math.floor(random() * (text.length + 1)), words);
      }
    });
  }
  const state = Y.encodeStateAsUpdate(doc);
  const file = join(process.argv[3], `${megabytes}.bin`);
  writeFileSync(file, state);
  const base64 = (bytes) => Buffer.from(bytes).toString('base64');
  process.stdout.write(
    JSON.stringify({
      file,
      bytes: readFileSync(file).length,
      vectors: {
        empty: 'AA==',
        half: base64(half ?? Uint8Array.of(0)),
        current: base64(Y.encodeStateVector(doc)),
      },
    }),
  );
}
