/**
 * Who else can read what lies in a store's folder: nobody, where Cowrite makes it.
 *
 * A folder that is there already is left as it is. Its operator may want a group to read it, as
 * Kubernetes does with `fsGroup`; that it is wider than needed is told.
 */
import { closeSync, mkdirSync, openSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FolderUnusable } from './file-system.js';

export const PRIVATE_FILE = 0o600;
export const PRIVATE_FOLDER = 0o700;
const OTHERS = 0o077;

/** @throws {FolderUnusable} where something else is in its place */
export function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new FolderUnusable('it is a file, and a folder is expected');
  }
  mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
}

/** For what is made by code that does not ask for whom: it finds these, empty, and keeps their mode. */
export function makeFiles(folder: string, names: readonly string[]): void {
  for (const name of names) closeSync(openSync(join(folder, name), 'a', PRIVATE_FILE));
}

/** File systems whose files have the rights that the mount gives all of them. */
const WITHOUT_MODES: ReadonlySet<string> = new Set([
  'vfat',
  'msdos',
  'exfat',
  'ntfs3',
  'fuseblk',
  'SMB',
  'CIFS',
]);

/**
 * @param fileSystem its name
 * @returns one line, where others than the owner of the folder may use it or its files
 */
export function wideness(folder: string, fileSystem: string): string | undefined {
  // Windows has lists of rights in the place of modes.
  if (process.platform === 'win32') return undefined;
  const wide = [folder, ...filesIn(folder)]
    .map((path) => ({ path, mode: statSync(path, { throwIfNoEntry: false })?.mode ?? 0 }))
    .filter(({ mode }) => (mode & OTHERS) !== 0);
  if (wide.length === 0) return undefined;
  const first = wide
    .slice(0, 3)
    .map(({ path, mode }) => `${path} ${(mode & 0o777).toString(8).padStart(4, '0')}`);
  const more = wide.length > 3 ? ` and ${wide.length - 3} more` : '';
  const remedy = WITHOUT_MODES.has(fileSystem)
    ? `the mount decides that for ${fileSystem}: its options umask=077, or for SMB file_mode=0600,dir_mode=0700, take it from others`
    : `chmod -R go= ${folder} takes that from others`;
  return `not only this user can use the store's files: ${first.join(', ')}${more}; ${remedy}`;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => join(folder, name));
}
