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

/** With it the maker of an application asks nothing, also in a terminal. */
const WITHOUT_QUESTIONS: Readonly<Record<string, string>> = {
  'npm create vite@latest': '--no-interactive',
  'npx create-next-app@latest': '--yes',
  'npx create-react-router@latest': '--yes',
  'npx @angular/cli@latest new': '--defaults',
};

test('[DOC-9] a page that makes an application asks nothing meanwhile, and says first where the packages are from', () => {
  const made = BLOCKS.filter(({ text }) => /^(npm create |npx create-|npx \S+ new )/.test(text));
  expect(made.length).toBeGreaterThan(8);
  for (const { page, text } of made) {
    const [line] = text.split('\n');
    const maker = Object.keys(WITHOUT_QUESTIONS).find((each) => line!.startsWith(`${each} `));
    expect(line!.split(' '), page).toContain(WITHOUT_QUESTIONS[maker!]);
    // Who has it from npm has the package.
    if (page.startsWith('client')) continue;
    const before = readFileSync(join(ROOT, page), 'utf8').split(line!)[0];
    expect(before, page).toMatch(/### Packages from a clone|#packages-from-a-clone/);
  }
});

test('[DOC-10] the import map of a page without a bundler names what is imported, and nothing else', () => {
  const page = codeBlocks('docs/without-a-bundler.md').find(({ language }) => language === 'html')!;
  const [, map] = /<script type="importmap">(.*?)<\/script>/s.exec(page.text)!;
  const { imports }: { imports: Readonly<Record<string, string>> } = JSON.parse(map!);
  const missing = new Set<string>();
  const met = new Set(['@cowrite/client', 'yjs']);
  const files = new Set([...met].map((name) => join(ROOT, imports[name]!)));
  // A set also visits what is added meanwhile.
  for (const file of files) {
    const code = readFileSync(file, 'utf8').replace(/\/\*.*?\*\//gs, '');
    for (const [, name] of code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (name!.startsWith('.')) files.add(join(file, '..', name!));
      else if (imports[name!] === undefined) missing.add(name!);
      else {
        met.add(name!);
        files.add(join(ROOT, imports[name!]!));
      }
    }
  }
  expect([...missing]).toEqual([]);
  expect([...met].sort()).toEqual(Object.keys(imports).sort());
});
