/** What holds for every snippet of the documentation, whatever page it is on. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeBlocks } from './markdown.js';
import { ROOT } from './packed.js';

const PAGES = ['.', 'client', 'server', 'docs'].flatMap((folder) => {
  const names = readdirSync(join(ROOT, folder), { recursive: folder === 'docs' }) as string[];
  return names
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .map((name) => join(folder, name));
});
const BLOCKS = PAGES.flatMap((page) => codeBlocks(page).map((block) => ({ page, ...block })));

const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'client/demo/package.json'), 'utf8'));
const TIPTAP: string = dependencies['@tiptap/core'];

/** Those that do not follow Tiptap's version. */
const BY_THEMSELVES = ['@tiptap/y-tiptap'];

test('[DOC-8] install lines name versions of Tiptap and Yjs that fit together', () => {
  const lines = BLOCKS.filter(({ language }) => language === 'sh').flatMap(({ page, text }) =>
    text.split('\n').flatMap((line) => (/^npm install .*\byjs/.test(line) ? [{ page, line }] : [])),
  );
  expect(lines.length).toBeGreaterThan(5);
  for (const { page, line } of lines) {
    const names = line.split(' ');
    expect(names, page).toContain('yjs@13');
    const tiptap = names.filter((name) => name.startsWith('@tiptap/'));
    const followers = tiptap.filter((name) => !BY_THEMSELVES.some((each) => name.startsWith(each)));
    expect(
      followers.map((name) => name.split('@')[2]),
      page,
    ).toEqual(followers.map(() => TIPTAP));
  }
});

test('[DOC-8] StarterKit is used without its undo, which breaks that of Collaboration', () => {
  const uses = BLOCKS.filter(({ text }) => /\bStarterKit\b(?! from)/.test(text));
  expect(uses.length).toBeGreaterThan(4);
  for (const { page, text } of uses) {
    const calls = text.match(/\bStarterKit\b(?! from)[^\n]*/g)!;
    for (const call of calls) expect(call, page).toContain('undoRedo: false');
  }
});
