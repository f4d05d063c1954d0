/** The packages as npm would publish them, and projects that have them installed. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Milliseconds for a test that packs and installs, on a machine that has other work to do. */
export const PATIENCE = 900_000;

export const run = promisify(execFile);

/** What is looked for in each package. */
export interface Published {
  readonly name: string;
  readonly folder: string;
  /** Those that have to be there, besides what both have. */
  readonly files: readonly string[];
}

export const CLIENT: Published = {
  name: '@cowrite/client',
  folder: 'client',
  files: [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/react.js',
    'dist/react.d.ts',
    'dist/protocol/index.js',
    'dist/protocol/index.d.ts',
    'dist/cjs/index.js',
    'dist/cjs/index.d.ts',
    'dist/cjs/package.json',
    'dist/cjs/react.js',
    'dist/cjs/protocol/index.js',
    'react/package.json',
    'protocol/package.json',
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
    'dist/admin/index.html',
    'dist/admin/docs.html',
  ],
};

export const PACKAGES = [CLIENT, SERVER];

export interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
}

/** @param folder where the tarballs are put */
export async function pack(folder: string): Promise<ReadonlyMap<Published, Packed>> {
  const packed = new Map<Published, Packed>();
  for (const each of PACKAGES) {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const { stdout } = await run('npm', args, { cwd: join(ROOT, each.folder) });
    const [report] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
    if (report === undefined) throw new Error(`npm packed nothing of ${each.folder}`);
    packed.set(each, {
      tarball: join(folder, basename(report.filename)),
      files: report.files.map((file) => file.path),
    });
  }
  return packed;
}

/**
 * Installs packages in a project, far from this checkout's node_modules, and what else it
 * depends on, but not what it is only developed with. Needs a registry, or
 * npm's cache of what it has been asked for before; without either it rejects with what npm says.
 *
 * @param project its folder, with the package.json that it has, if any
 * @param dependencies what else it needs, with versions
 */
export async function install(
  project: string,
  packed: ReadonlyMap<Published, Packed>,
  dependencies: Readonly<Record<string, string>>,
): Promise<void> {
  const path = join(project, 'package.json');
  const tarballs = [...packed].map(([{ name }, { tarball }]) => [name, `file:${tarball}`]);
  const manifest = {
    ...(existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : NEW),
    dependencies: { ...dependencies, ...Object.fromEntries(tarballs) },
    // What the server needs of the client is the other tarball, not something of that name in a registry.
    overrides: { '@cowrite/client': '$@cowrite/client' },
  };
  writeFileSync(path, JSON.stringify(manifest, undefined, 2));
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  // So that npm says what is missing before a test runs out of time.
  const impatient = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000'];
  await run('npm', ['install', '--omit=dev', ...quiet, ...impatient], { cwd: project }).catch(
    (cause) => {
      throw new Error('npm could not install what this needs: is there a registry?', { cause });
    },
  );
}

const NEW = { name: 'application', private: true, type: 'module' };
