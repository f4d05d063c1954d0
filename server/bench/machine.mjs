/** What the figures were measured on and with. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const json = (file) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'));

export function machine() {
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
}

export function versions() {
  const installed = (name) => json(`node_modules/${name}/package.json`).version;
  return {
    node: process.versions.node,
    cowrite: json('../package.json').version,
    ws: installed('ws'),
    'y-websocket': installed('y-websocket'),
    hocuspocus: installed('@hocuspocus/server'),
    yjs: installed('yjs'),
  };
}

/**
 * Bytes that were written to the device on which `folder` lies, by anybody. What Linux
 * says of a process (`/proc/…/io`) counts a page that was touched as 64 pages and
 * more where the kernel's cache keeps them in one piece.
 *
 * @returns undefined where that is no block device
 */
export function deviceBytesWritten(folder) {
  const { dev } = statSync(folder);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const file = `/sys/dev/block/${major}:${minor}/stat`;
  if (!existsSync(file)) return undefined;
  return Number(readFileSync(file, 'utf8').trim().split(/\s+/)[6]) * 512;
}

/** What was measured; what this very run writes does not make it another. */
export function commit() {
  const git = (...args) =>
    spawnSync('git', args, { cwd: FOLDER, encoding: 'utf8' }).stdout?.trim() ?? '';
  const hash = git('rev-parse', '--short=10', 'HEAD');
  const isChanged = git('status', '--porcelain', '--', '../src', '../../client/src') !== '';
  return hash === '' ? 'unknown' : `${hash}${isChanged ? ', changed' : ''}`;
}

/** What is compared with lives in a package of its own, and is installed here and nowhere else. */
export function installPeers() {
  const { dependencies } = JSON.parse(
    readFileSync(new URL('package.json', import.meta.url), 'utf8'),
  );
  const isThere = (name) => existsSync(new URL(`node_modules/${name}`, import.meta.url));
  if (Object.keys(dependencies).every(isThere)) return;
  process.stdout.write('Installing what is compared with…\n');
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: FOLDER,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
}

/** Connections are files. @returns how many a process may have, after asking for more */
export function maxFiles() {
  spawnSync('prlimit', ['--pid', String(process.pid), '--nofile=200000:200000']);
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : '';
  return Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? 1_024);
}
