/** The code that the documentation says to write, compiled as somebody would who follows it. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CodeBlock, codeBlocks } from './markdown.js';
import { ROOT, run } from './packed.js';

/** The blocks of a page in TypeScript. */
export function typeScriptOf(page: string): readonly CodeBlock[] {
  return codeBlocks(page).filter(({ language }) => /^tsx?$/.test(language));
}

/**
 * Compiles each block on its own, in strict mode. Rejects with what the compiler says.
 *
 * @param folder an empty one, from which the packages that the blocks use are found
 * @returns the folder of the compiled ones, named by their place
 */
export async function compile(folder: string, blocks: readonly CodeBlock[]): Promise<string> {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS }),
  );
  for (const [place, { language, text }] of blocks.entries()) {
    writeFileSync(join(folder, `${place}.${language}`), text);
  }
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', folder]).catch(({ stdout }) => {
    throw new Error(stdout);
  });
  return join(folder, 'built');
}

/** @param folder a `node_modules` that gets packages of this checkout */
export function link(folder: string, names: readonly string[]): void {
  for (const name of names) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), path);
  }
}

const COMPILER_OPTIONS = {
  target: 'ES2022',
  module: 'NodeNext',
  lib: ['ES2023', 'DOM', 'DOM.Iterable'],
  jsx: 'react-jsx',
  types: ['node'],
  strict: true,
  // As a new application of Vite's has it.
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  noUnusedParameters: true,
  // What is linked from elsewhere finds its own packages here, so that there is one Yjs.
  preserveSymlinks: true,
  skipLibCheck: true,
  moduleDetection: 'force',
  rootDir: '.',
  outDir: 'built',
};
