/** The code that stands in a page of the documentation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './packed.js';

export interface CodeBlock {
  /** `ts` or `sh`, as it is written behind the fence. */
  readonly language: string;
  readonly text: string;
  /** The file that the line before the block names at its end, as in "Replace what is in `src/main.ts`:". */
  readonly file: string | undefined;
}

/**
 * The fenced blocks of a page, in order.
 *
 * @param path from the repository's root
 * @param heading the line of a heading, to see only what stands between it and the next heading
 */
export function codeBlocks(path: string, heading?: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let fence: {
    readonly language: string;
    readonly lines: string[];
    readonly before: string;
  } | null = null;
  let before = '';
  let isWanted = heading === undefined;
  for (const line of readFileSync(join(ROOT, path), 'utf8').split('\n')) {
    if (fence !== null) {
      if (line === '```') {
        const file = /`([^`]+)`:$/.exec(fence.before)?.[1];
        const text = fence.lines.join('\n');
        if (isWanted) blocks.push({ language: fence.language, text, file });
        fence = null;
        before = '';
      } else fence.lines.push(line);
    } else if (line.startsWith('```')) fence = { language: line.slice(3), lines: [], before };
    else {
      if (heading !== undefined && line.startsWith('#')) isWanted = line === heading;
      if (line !== '') before = line;
    }
  }
  return blocks;
}
