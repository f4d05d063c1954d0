/** The packages as npm would publish them: what is in them, and that they work where they are installed. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { checkPackage, createPackageFromTarballData, type Problem } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { followReadme } from './blank-app.js';
import { buildPage } from './build-page.js';
import {
  CLIENT,
  install,
  PACKAGES,
  PATIENCE,
  type Packed,
  type Published,
  pack,
  ROOT,
  run,
} from './packed.js';
import { writeListTogether } from './shopping-list.js';

describe('the published packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-e2e-'));
  /** An application of its own, far from this checkout's node_modules. */
  const project = join(folder, 'project');
  let packed: ReadonlyMap<Published, Packed>;

  beforeAll(async () => {
    packed = await pack(folder);
    mkdirSync(project);
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'client/package.json'), 'utf8'));
    const { yjs, ws } = devDependencies;
    await install(project, packed, { yjs, ws, ...REACT_18 });
    writeFileSync(join(project, 'use.js'), USE);
  }, PATIENCE);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const packedOf = (each: Published): Packed => {
    const found = packed.get(each);
    if (found === undefined) throw new Error(`${each.name} was not packed`);
    return found;
  };

  test.each(PACKAGES)(
    '[PKG-1] $name holds what was built and its papers, and nothing else',
    (each) => {
      const { files } = packedOf(each);
      const isCompiled = (file: string) => /^dist\/.+\.(c?js|c?js\.map|d\.c?ts)$/.test(file);
      const isTest = (file: string) => /\.test\.|(^|\/)(test|bench|fuzz|attack)\//.test(file);
      expect(files).toEqual(expect.arrayContaining([...each.files]));
      expect(files.filter(isTest)).toEqual([]);
      const isPage = (file: string) => /^dist\/admin\/.+\.(html|js|css|svg)$/.test(file);
      const others = files.filter(
        (file) => !isCompiled(file) && !isPage(file) && !each.files.includes(file),
      );
      expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
    },
  );

  test.each(PACKAGES)(
    '[PKG-2] publint and arethetypeswrong find nothing wrong with $name',
    async (each) => {
      const tarball = Uint8Array.from(readFileSync(packedOf(each).tarball));
      const { messages } = await publint({ pack: { tarball: tarball.buffer } });
      expect(messages).toEqual([]);

      const result = await checkPackage(createPackageFromTarballData(tarball));
      if (result.types === false) throw new Error(`${each.name} has no types`);
      expect(result.problems.filter((problem) => !isByDesign(problem))).toEqual([]);
    },
  );

  test(
    '[PKG-3] both work where they are installed: an edit is saved, and the command runs',
    async () => {
      const { stdout } = await run(process.execPath, [join(project, 'use.js')], { cwd: project });
      expect(stdout).toBe('saved: hello\nok\n');

      const command = join(project, 'node_modules/.bin/cowrite');
      const { stdout: token } = await run(command, ['token', '--user', 'ada', '--room', '*'], {
        env: { PATH: process.env.PATH, AUTH_SECRET: 'a secret of more than thirty-two bytes' },
      });
      expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    },
    PATIENCE,
  );

  test('[PKG-4] a page gets little: the provider under 15 KB, a close code without the provider', async () => {
    const provider = await bundle(
      project,
      "import { CowriteProvider } from '@cowrite/client';\nglobalThis.used = CowriteProvider;\n",
    );
    const size = gzipSync(provider).length;
    console.log(`CowriteProvider, minified and gzipped, without yjs: ${size} bytes`);
    expect(provider).toContain('WebSocket');
    expect(size).toBeLessThan(15 * 1024);

    const closeCodes = await bundle(
      project,
      "import { CLOSE } from '@cowrite/client/protocol';\nglobalThis.used = CLOSE;\n",
    );
    console.log(`CLOSE, minified: ${closeCodes.length} bytes`);
    expect(closeCodes).toContain('globalThis.used');
    expect(closeCodes.length).toBeLessThan(2 * 1024);
    expect(closeCodes).not.toMatch(/WebSocket|Awareness/i);
  });

  test('[PKG-5] with React 18 the example compiles, and does in strict mode what it does with React 19', async () => {
    const example = join(project, 'react');
    cpSync(join(ROOT, 'client/examples/react'), example, { recursive: true });
    writeFileSync(join(example, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT }));
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', example]);

    const built = await buildPage(example);
    const [script] = readdirSync(join(built, 'assets'));
    const bundled = readFileSync(join(built, 'assets', script ?? ''), 'utf8');
    // A name of React's development builds, the only ones in which strict mode mounts twice.
    const versions = bundled.match(/\bReactVersion(\$\d+)? = "\d+/g);
    // React and React DOM.
    expect(versions).toEqual([expect.stringMatching(/18$/), expect.stringMatching(/18$/)]);
    await writeListTogether(built);
  });

  test(
    '[DOC-2] what the READMEs say to do makes, in under 20 lines, a page that two write in together',
    async () => {
      await followReadme(folder, new Map([[CLIENT, packedOf(CLIENT)]]), project);
    },
    PATIENCE,
  );
});

const REACT_18 = {
  react: '^18.3.1',
  'react-dom': '^18.3.1',
  '@types/react': '^18.3.0',
  '@types/react-dom': '^18.3.0',
};

const STRICT = {
  target: 'ES2022',
  module: 'ESNext',
  moduleResolution: 'Bundler',
  lib: ['ES2023', 'DOM', 'DOM.Iterable'],
  jsx: 'react-jsx',
  types: [],
  strict: true,
  noEmit: true,
};

/** A program as the READMEs have it. */
const USE = `
import { CowriteProvider } from '@cowrite/client';
import { createServer } from '@cowrite/server';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

const server = await createServer({ port: 0, storage: 'memory:', logger: 'warn' });
const url = server.url.replace('http', 'ws') + '/ws';
const open = (doc) => new CowriteProvider({ url, room: 'minutes', doc, WebSocket });

const doc = new Y.Doc();
const writer = open(doc);
doc.getText('title').insert(0, 'hello');
await writer.whenSaved();
writer.destroy();

const copy = new Y.Doc();
const reader = open(copy);
await reader.whenSynced();
console.log('saved: ' + copy.getText('title'));
reader.destroy();

await server.close();
console.log('ok');
`;

/**
 * The packages are ES modules only. So `require` of them finds an ES module, which Node 20.19 and
 * later load; and TypeScript's way of before 2022, node10, which does not know `exports`, finds none.
 */
function isByDesign(problem: Problem): boolean {
  return (
    (problem.kind === 'CJSResolvesToESM' && problem.resolutionKind === 'node16-cjs') ||
    (problem.kind === 'NoResolution' && problem.resolutionKind === 'node10')
  );
}

/** @returns the script that a page would load, without Yjs, which the editor brings */
async function bundle(project: string, entry: string): Promise<string> {
  const source = join(project, 'entry.js');
  writeFileSync(source, entry);
  const outDir = join(project, 'bundle');
  await build({
    root: project,
    configFile: false,
    logLevel: 'error',
    build: {
      outDir,
      emptyOutDir: true,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: source,
        external: ['yjs'],
        output: { entryFileNames: 'page.js' },
      },
    },
  });
  return readFileSync(join(outDir, 'page.js'), 'utf8');
}
