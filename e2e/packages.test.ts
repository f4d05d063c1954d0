/** The packages as npm would publish them: what is in them, and that they work where they are installed. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { checkPackage, createPackageFromTarballData, type Problem } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PATIENCE = 180_000;

const run = promisify(execFile);

/** What is looked for in each package. */
interface Published {
  readonly name: string;
  readonly folder: string;
  /** Those that have to be there, besides what both have. */
  readonly files: readonly string[];
}

const CLIENT: Published = {
  name: '@cowrite/client',
  folder: 'client',
  files: [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/react.js',
    'dist/react.d.ts',
    'dist/protocol/index.js',
    'dist/protocol/index.d.ts',
  ],
};

const SERVER: Published = {
  name: '@cowrite/server',
  folder: 'server',
  files: [
    'bin/cowrite.js',
    'dist/cli.js',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/storage/contract.js',
    'dist/storage/contract.d.ts',
  ],
};

const PACKAGES = [CLIENT, SERVER];

interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
}

describe('the published packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-e2e-'));
  /** An application of its own, far from this checkout's node_modules. */
  const project = join(folder, 'project');
  const packed = new Map<Published, Packed>();

  beforeAll(async () => {
    for (const each of PACKAGES) packed.set(each, await pack(each, folder));
    mkdirSync(project);
    await install(project, packed);
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
      const others = files.filter((file) => !isCompiled(file) && !each.files.includes(file));
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
});

async function pack({ folder: source }: Published, folder: string): Promise<Packed> {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const { stdout } = await run('npm', args, { cwd: join(ROOT, source) });
  const [report] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  if (report === undefined) throw new Error(`npm packed nothing of ${source}`);
  return {
    tarball: join(folder, basename(report.filename)),
    files: report.files.map((file) => file.path),
  };
}

/** Makes the application that PKG-3 and PKG-4 use. */
async function install(project: string, packed: ReadonlyMap<Published, Packed>): Promise<void> {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'client/package.json'), 'utf8'));
  const dependencies: Record<string, string> = {
    yjs: devDependencies.yjs,
    ws: devDependencies.ws,
  };
  for (const [{ name }, { tarball }] of packed) dependencies[name] = `file:${tarball}`;
  const manifest = {
    name: 'application',
    private: true,
    type: 'module',
    dependencies,
    // What the server needs of the client is the other tarball, not something of that name in a registry.
    overrides: { '@cowrite/client': '$@cowrite/client' },
  };
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest, undefined, 2));
  writeFileSync(join(project, 'use.js'), USE);
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await run('npm', ['install', ...quiet], { cwd: project });
}

/** A program as the READMEs have it. */
const USE = `
import { CowriteProvider } from '@cowrite/client';
import { createServer } from '@cowrite/server';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

const server = await createServer({ port: 0, storage: 'memory:' });
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
