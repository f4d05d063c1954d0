/** The code that stands in a page of the documentation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './packed.js';

export interface CodeBlock {
  /** `ts` or `sh`, as it is written behind the fence. */
  readonly language: string;
  readonly text: string;
}

/**
 * The fenced blocks of a page, in order.
 *
 * @param path from the repository's root
 * @param heading the line of a heading, to see only what stands between it and the next heading
 */
export function codeBlocks(path: string, heading?: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let fence: { readonly language: string; readonly lines: string[] } | null = null;
  let isWanted = heading === undefined;
  for (const line of readFileSync(join(ROOT, path), 'utf8').split('\n')) {
    if (fence !== null) {
      if (line === '```') {
        if (isWanted) blocks.push({ language: fence.language, text: fence.lines.join('\n') });
        fence = null;
      } else fence.lines.push(line);
    } else if (line.startsWith('```')) fence = { language: line.slice(3), lines: [] };
    else if (heading !== undefined && line.startsWith('#')) isWanted = line === heading;
  }
  return blocks;
}
