// What every script shares: the Node check, installing packages, building what changed.
// A step is silent while there is nothing to do, and shows its output only when it fails.
// Only Node's own modules, and no syntax newer than Node 14: this runs before anything is
// installed, and on a Node that is too old it must still get as far as saying so.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** An error whose message says all there is to say; it is printed without a stack. */
export class Failure extends Error {}

export async function main(body) {
  try {
    checkNode(process.versions.node);
    if (process.env.npm_lifecycle_event) stopWithParent();
    await body();
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exit(1);
  }
}

/** Installs and builds: after it, everything can run. */
export async function setup() {
  await install();
  await buildPackages();
  await buildDemo();
  await buildAdmin();
}

export async function install() {
  if (installed()) return;
  // With NODE_ENV=production npm would leave out the compiler.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  await step('Installing packages…', 'npm', args, { shell: process.platform === 'win32' });
}

export function buildPackages() {
  const inputs = ['client', 'server'].flatMap((name) => [
    `${name}/src`,
    `${name}/package.json`,
    `${name}/tsconfig.json`,
  ]);
  inputs.push('client/tsconfig.cjs.json');
  return whenChanged({
    name: 'packages',
    inputs: [...inputs, 'tsconfig.json', 'tsconfig.base.json', 'package-lock.json'],
    outputs: [
      'client/dist/.tsbuildinfo',
      'client/dist/cjs/.tsbuildinfo',
      CJS_MANIFEST,
      'server/dist/.tsbuildinfo',
    ],
    build: async () => {
      await step('Building…', process.execPath, [tool('typescript/bin/tsc'), '-b']);
      removeStale();
      // The package itself says that its files are ES modules.
      writeFileSync(join(root, CJS_MANIFEST), '{ "type": "commonjs" }\n');
    },
  });
}

const CJS_MANIFEST = 'client/dist/cjs/package.json';

/** `tsc -b` leaves what it made of a source that is gone, and `npm pack` would take it along. */
function removeStale() {
  for (const path of ['client/dist', 'server/dist'].flatMap(filesUnder)) {
    const made = /^(.+?)\/dist\/(?:cjs\/)?(.+?)\.(d\.)?(c?[jt]s)(\.map)?$/.exec(path);
    // Vite makes the administrator's page, and empties its folder itself.
    if (made === null || path.startsWith('server/dist/admin/')) continue;
    const [, name, module] = made;
    const source = join(root, name, 'src', module);
    if (['.ts', '.tsx', '.cts'].every((ending) => !existsSync(source + ending))) {
      rmSync(join(root, path));
    }
  }
}

/** The demo bundles client/dist, so the packages come first. */
export function buildDemo() {
  return whenChanged({
    name: 'demo',
    inputs: ['client/dist', 'client/demo', 'client/package.json', 'package-lock.json'],
    outputs: ['client/demo/dist/index.html'],
    build: () =>
      step('Building the demo…', process.execPath, [tool('vite/bin/vite.js'), 'build'], {
        cwd: join(root, 'client/demo'),
      }),
  });
}

/** The administrator's page, which is a part of the server's package. It uses parts of the demo. */
export function buildAdmin() {
  return whenChanged({
    name: 'admin',
    inputs: ['client/admin', 'client/demo/src', 'client/demo/public', 'package-lock.json'],
    outputs: ['server/dist/admin/index.html'],
    build: () =>
      step(
        'Building the administration…',
        process.execPath,
        [tool('vite/bin/vite.js'), 'build', '--config', 'vite.config.ts'],
        { cwd: join(root, 'client/admin') },
      ),
  });
}

export function tool(path) {
  return join(root, 'node_modules', path);
}

/** Runs a command to its end under a one-line title. */
export async function step(title, command, args, options = {}) {
  console.log(title);
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const stop = (signal) => {
    child.kill(signal);
    process.exit(128 + constants.signals[signal]);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const end = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code === null ? signal : code));
  });
  process.off('SIGINT', stop).off('SIGTERM', stop);
  if (end !== 0) {
    throw new Failure(`${Buffer.concat(output)}\n${title.replace('…', '')} failed (${end}).`);
  }
}

/**
 * npm passes SIGTERM on to the shell it runs a script in. Debian's dies of it and leaves the script
 * running, so a parent that is gone counts as SIGTERM. It also covers an npm that was killed.
 */
function stopWithParent() {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 100);
  timer.unref();
}

function checkNode(version) {
  const [major, minor] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Failure(`Cowrite needs Node 20.19 or newer; this is Node ${version}.`);
}

/**
 * Whether node_modules holds what package-lock.json asks for. Compares npm's own record of what it
 * installed, which is written last, so an interrupted install counts as none. Times would not do:
 * a clone or a checkout gives the lock file a new one.
 */
function installed() {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = present[path];
    // Packages for other platforms are optional and stay away.
    if (!found) return entry.optional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

/**
 * Builds unless inputs and outputs are what they were after the last build from here. The outputs
 * count too: `tsc` may have run in between on its own, on other sources.
 */
async function whenChanged({ name, inputs, outputs, build }) {
  const folder = join(root, 'node_modules/.cache/cowrite');
  const stamp = join(folder, name);
  const before = fingerprint(inputs);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === before + fingerprint(outputs)) return;
  await build();
  mkdirSync(folder, { recursive: true });
  writeFileSync(stamp, before + fingerprint(outputs));
}

/** A hash of names and contents; a missing path counts as such. */
function fingerprint(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesUnder)) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

function filesUnder(path) {
  const absolute = join(root, path);
  if (!existsSync(absolute)) return [];
  if (!statSync(absolute).isDirectory()) return [path];
  return readdirSync(absolute)
    .filter((name) => name !== 'node_modules' && name !== 'dist' && !name.endsWith('.test.ts'))
    .sort()
    .flatMap((name) => filesUnder(`${path}/${name}`));
}
