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
import { build, type Plugin, type Rolldown } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { followReadme } from './blank-app.js';
import { buildPage } from './build-page.js';
import { codeBlocks } from './markdown.js';
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
import { compile, link } from './snippets.js';

/** Bytes, minified and gzipped: a little above what they are, so that whoever adds to it sees it. */
const ALL_WITHOUT_YJS = 31.5 * 1024;
const ALL_ADDED = 30 * 1024;

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

  /** A file of a package where it is installed. */
  const installed = (each: Published, file: string) =>
    join(project, 'node_modules', each.name, file);

  test.each(PACKAGES)(
    '[PKG-1] $name holds what was built and its papers, and nothing else',
    (each) => {
      const { files } = packedOf(each);
      const isCompiled = (file: string) => /^dist\/.+\.(c?js|c?js\.map|d\.c?ts)$/.test(file);
      const isTest = (file: string) => /\.test\.|(^|\/)(test|bench|fuzz|attack)\//.test(file);
      expect(files).toEqual(expect.arrayContaining([...each.files]));
      expect(files.filter(isTest)).toEqual([]);
      const isManifest = (file: string) => /^(dist\/cjs|react|protocol)\/package\.json$/.test(file);
      const isPage = (file: string) => /^dist\/admin\/.+\.(html|js|css|svg)$/.test(file);
      const others = files.filter(
        (file) =>
          !isCompiled(file) && !isManifest(file) && !isPage(file) && !each.files.includes(file),
      );
      expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
    },
  );

  test.each(PACKAGES)(
    '[PKG-6] the source maps of $name have the sources in them: a debugger shows them, not a path to nothing',
    async (each) => {
      const maps = packedOf(each).files.filter((file) => file.endsWith('.map'));
      expect(maps.length).toBeGreaterThan(20);
      for (const file of maps) {
        const { sources, sourcesContent = [] } = JSON.parse(
          readFileSync(installed(each, file), 'utf8'),
        );
        expect(sourcesContent.length, file).toBe(sources.length);
        for (const content of sourcesContent) expect(content, file).toMatch(/\S/);
      }
    },
  );

  test.each(PACKAGES)('[PKG-6] the README of $name leads nowhere but to what is there', (each) => {
    const text = readFileSync(installed(each, 'README.md'), 'utf8');
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => to!);
    const isThere = (to: string) => /^https?:/.test(to) || packedOf(each).files.includes(to);
    expect(links.filter((to) => !isThere(to))).toEqual([]);
  });

  test('[PKG-7] the client depends on y-protocols and lib0, beside the yjs of its application, and uses React only in its hooks', () => {
    const manifest = JSON.parse(readFileSync(installed(CLIENT, 'package.json'), 'utf8'));
    expect(Object.keys(manifest.dependencies).sort()).toEqual(['lib0', 'y-protocols']);
    expect(Object.keys(manifest.peerDependencies).sort()).toEqual(['react', 'yjs']);
    expect(manifest.peerDependenciesMeta).toEqual({ react: { optional: true } });
    for (const field of ['optionalDependencies', 'bundleDependencies', 'bundledDependencies']) {
      expect(manifest).not.toHaveProperty(field);
    }
    const imported = (isHooks: boolean) => {
      const files = packedOf(CLIENT).files.filter(
        (file) => file.endsWith('.js') && /^dist\/(cjs\/)?react\.js$/.test(file) === isHooks,
      );
      const texts = files.map((file) => readFileSync(installed(CLIENT, file), 'utf8'));
      const names = texts.flatMap((text) =>
        [...text.matchAll(/(?:\bfrom|\bimport\(?|\brequire\()\s*['"]([^'".][^'"]*)['"]/g)].map(
          ([, from]) => from!,
        ),
      );
      return [...new Set(names.map((name) => name.split('/')[0]!))].sort();
    };
    expect(imported(false)).toEqual(['lib0', 'y-protocols', 'yjs']);
    expect(imported(true)).toEqual(['react']);
  });

  test.each(PACKAGES)(
    '[PKG-2] publint and arethetypeswrong find nothing wrong with $name',
    async (each) => {
      const tarball = Uint8Array.from(readFileSync(packedOf(each).tarball));
      const { messages } = await publint({ pack: { tarball: tarball.buffer } });
      expect(messages).toEqual([]);

      const result = await checkPackage(createPackageFromTarballData(tarball));
      if (result.types === false) throw new Error(`${each.name} has no types`);
      expect(result.problems.filter((problem) => !isByDesign(each, problem))).toEqual([]);
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

  test('[PKG-4] a page gets little: the provider, and the client, in KB: the provider under 17.5, the client under 18; a close code without the provider', async () => {
    const using = (names: string, plugins = [WITHOUT_STYLE_SHEETS]) =>
      bundle(
        project,
        `import { ${names} } from '@cowrite/client';\nglobalThis.used = { ${names} };\n`,
        ['yjs'],
        plugins,
      );
    const measured = (what: string, scripts: readonly string[], others: readonly string[] = []) => {
      const size = zipped(scripts) - zipped(others);
      console.log(`${what}, minified and gzipped: ${size} bytes`);
      return size;
    };
    const built = await using('CowriteProvider', []);
    const size = measured('CowriteProvider, without yjs, with what Vite adds', built.first);
    expect(size).toBeLessThan(18.25 * 1024);
    const before = everythingOf(await bundle(project, YJS, []));
    for (const [name, most, mostAdded] of [
      ['CowriteProvider', 17.5 * 1024, 15.75 * 1024],
      ['CowriteClient', 18 * 1024, 16.25 * 1024],
    ] as const) {
      const { first, later } = await using(name);
      expect(first.join('')).toContain('WebSocket');
      expect(measured(`${name}, without yjs`, first)).toBeLessThan(most);
      expect(measured('  and what is loaded later', later)).toBeGreaterThan(1_000);
      const entry = `${YJS}import { ${name} } from '@cowrite/client';\nglobalThis.used = { ${name} };\n`;
      const together = await bundle(project, entry, []);
      expect(measured('  added to yjs', together.first, before)).toBeLessThan(mostAdded);
    }

    const names = await exportsOf(project);
    expect(names).toContain('clearOfflineCopies');
    const all = await using(names.join(', '));
    expect(measured('all of it, without yjs', everythingOf(all))).toBeLessThan(ALL_WITHOUT_YJS);
    // Yjs has brought lib0 along.
    const after = everythingOf(await bundle(project, `${YJS}${ALL}`, []));
    expect(measured('all of it, added to yjs', after, before)).toBeLessThan(ALL_ADDED);

    const closeCodes = await bundle(
      project,
      "import { CLOSE } from '@cowrite/client/protocol';\nglobalThis.used = CLOSE;\n",
    );
    const text = closeCodes.first.join('');
    console.log(`CLOSE, minified: ${text.length} bytes`);
    expect(text).toContain('globalThis.used');
    expect(text.length).toBeLessThan(2 * 1024);
    expect(text).not.toMatch(/WebSocket|Awareness/i);
  });

  test('[PKG-5] with React 18 the example compiles, and does in strict mode what it does with React 19', async () => {
    const example = join(project, 'react');
    cpSync(join(ROOT, 'client/examples/react'), example, { recursive: true });
    writeFileSync(join(example, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT }));
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', example]);

    const built = await buildPage(example);
    const scripts = readdirSync(join(built, 'assets')).filter((name) => name.endsWith('.js'));
    const bundled = scripts.map((name) => readFileSync(join(built, 'assets', name), 'utf8')).join();
    // A name of React's development builds, the only ones in which strict mode mounts twice.
    const versions = bundled.match(/\bReactVersion(\$\d+)? = "\d+/g);
    // React and React DOM.
    expect(versions).toEqual([expect.stringMatching(/18$/), expect.stringMatching(/18$/)]);
    await writeListTogether(built);
  });

  test.each(['README.md', 'client/README.md'])(
    '[DOC-5] what %s says to write compiles with the packages as they are published',
    async (page) => {
      const place = mkdtempSync(join(project, 'snippets-'));
      mkdirSync(join(place, 'node_modules'));
      link(join(place, 'node_modules'), USED_BY_READMES);
      const blocks = codeBlocks(page).filter(({ language }) => /^[jt]sx?$/.test(language));
      expect(blocks.length).toBeGreaterThan(4);
      await compile(place, blocks);
    },
  );

  test(
    '[DOC-2] what the READMEs say to do makes, in under 20 lines, a page that two write in together',
    async () => {
      await followReadme(folder, new Map([[CLIENT, packedOf(CLIENT)]]), project);
    },
    PATIENCE,
  );
});

/** What the READMEs say to install beside what the project has. Yjs is the project's own. */
const USED_BY_READMES = [
  '@codemirror',
  '@tiptap',
  '@types/node',
  'codemirror',
  'y-codemirror.next',
  'y-websocket',
];

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
 * The server is ES modules only: it runs in Node, which loads them by `require` from 20.19 on. The client
 * runs with what an application has, which may know nothing of that.
 */
function isByDesign({ name }: Published, { kind, ...problem }: Problem): boolean {
  const isRequired = 'resolutionKind' in problem && problem.resolutionKind === 'node16-cjs';
  return name === '@cowrite/server' && kind === 'CJSResolvesToESM' && isRequired;
}

/** What a page loads: with its first script, and when it comes to it. */
interface Bundle {
  readonly first: readonly string[];
  readonly later: readonly string[];
}

/** @param external what the page brings itself; Yjs, which the editor has, if left out */
async function bundle(
  project: string,
  entry: string,
  external: readonly string[] = ['yjs'],
  plugins: readonly Plugin[] = [WITHOUT_STYLE_SHEETS],
): Promise<Bundle> {
  const source = join(project, 'entry.js');
  writeFileSync(source, entry);
  const built = (await build({
    root: project,
    configFile: false,
    logLevel: 'error',
    plugins: [...plugins],
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: { input: source, external: [...external] },
    },
  })) as Rolldown.RolldownOutput;
  const chunks = new Map(
    built.output.flatMap((each) => (each.type === 'chunk' ? [[each.fileName, each]] : [])),
  );
  const first = new Set(built.output.filter((each) => each.type === 'chunk' && each.isEntry));
  for (const chunk of first) {
    for (const name of chunk.type === 'chunk' ? chunk.imports : []) {
      const imported = chunks.get(name);
      if (imported !== undefined) first.add(imported);
    }
  }
  const code = (which: boolean) =>
    [...chunks.values()].filter((chunk) => first.has(chunk) === which).map(({ code }) => code);
  return { first: code(true), later: code(false) };
}

/**
 * Around each import of a chunk Vite puts code of its own, half a KB that loads the chunk's style
 * sheets first. A page has it once, whoever's chunks it loads, so it is not counted as the package's.
 */
const WITHOUT_STYLE_SHEETS: Plugin = {
  name: 'without-style-sheets',
  enforce: 'pre',
  load: (id) =>
    id.includes('vite/preload-helper') ? 'export const __vitePreload = (load) => load();' : null,
};

const YJS = "import * as Y from 'yjs';\nglobalThis.Y = Y;\n";
const ALL = "import * as used from '@cowrite/client';\nglobalThis.used = used;\n";

function everythingOf({ first, later }: Bundle): readonly string[] {
  return [...first, ...later];
}

/** As a server would send them, each of its own. */
function zipped(scripts: readonly string[]): number {
  return scripts.reduce((bytes, script) => bytes + gzipSync(script).length, 0);
}

/** What `@cowrite/client` exports that is not only a type. */
async function exportsOf(project: string): Promise<readonly string[]> {
  const program = "console.log(Object.keys(await import('@cowrite/client')).join(' '))";
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
    cwd: project,
  });
  return stdout.trim().split(' ');
}
