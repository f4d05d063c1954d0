/** The packages made from a clone, as the README says while they are not on npm. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from './fixtures.js';
import { codeBlocks } from './markdown.js';
import { PACKAGES, PATIENCE, type Published, ROOT, run } from './packed.js';
import { link } from './snippets.js';

test(
  '[PKG-8] npm pack builds first what is not built, and takes nothing along of which the source is gone; [DOC-7] as the README says to pack and to install',
  async () => {
    const [make, use] = codeBlocks('README.md', '### Packages from a clone').map(
      ({ text }) => text,
    );
    const beside = temporaryFolder();
    const clone = unbuilt(beside);
    for (const each of PACKAGES) {
      const dist = join(clone, each.folder, 'dist');
      mkdirSync(join(dist, 'old'), { recursive: true });
      for (const file of ['old/gone.js', 'gone.d.ts', 'gone.js.map']) {
        writeFileSync(join(dist, file), '');
      }
    }
    await run('sh', ['-c', make!], { cwd: clone });
    for (const each of PACKAGES) {
      const { stdout } = await run('tar', ['-tf', tarballOf(each)], { cwd: beside });
      const wanted = each.files.map((file) => `package/${file}`);
      expect(stdout.split('\n')).toEqual(expect.arrayContaining(wanted));
      expect(stdout).not.toContain('gone');
    }

    const app = join(beside, 'my-app');
    mkdirSync(app);
    writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true }));
    const quiet = '--no-audit --no-fund --prefer-offline --ignore-scripts';
    await run('sh', ['-c', `${use} ${quiet}`], { cwd: app });
    // What a registry would be asked for is there already.
    await run('sh', ['-c', `npm install @cowrite/client yjs@13 ${quiet}`], { cwd: app });
    const { dependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'));
    expect(dependencies['@cowrite/client']).toMatch(/^file:\.\.\/cowrite-client-.+\.tgz$/);
    const { stdout } = await run('npx', ['@cowrite/server', '--help'], { cwd: app });
    expect(stdout).toContain('A self-hosted backend');
  },
  PATIENCE,
);

/** What npm calls it. */
function tarballOf({ name, folder }: Published): string {
  const { version } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

/** @returns a folder with what git has of this checkout, as far as it is built, and the packages that npm got */
function unbuilt(folder: string): string {
  const clone = mkdtempSync(join(folder, 'clone-'));
  const isSource = (path: string) => !['dist', 'node_modules'].includes(basename(path));
  for (const name of ['client', 'server', 'scripts', ...FILES_OF_THE_ROOT]) {
    cpSync(join(ROOT, name), join(clone, name), { recursive: true, filter: isSource });
  }
  const modules = join(clone, 'node_modules');
  mkdirSync(join(modules, '@cowrite'), { recursive: true });
  // The builds' own notes are in .cache, and the packages of this checkout are those of the clone.
  const isShared = (name: string) => name !== '@cowrite' && name !== '.cache';
  link(modules, readdirSync(join(ROOT, 'node_modules')).filter(isShared));
  for (const name of ['client', 'server']) {
    symlinkSync(join(clone, name), join(modules, '@cowrite', name));
  }
  return clone;
}

const FILES_OF_THE_ROOT = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.base.json',
];
