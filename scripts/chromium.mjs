// Finds a Chromium for the browser tests, or installs one: the one named in CHROMIUM_PATH,
// Playwright's own, the system's.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { Failure, root, step, tool } from './setup.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const PLACES = {
  darwin: ['Google Chrome', 'Chromium'].map(
    (app) => `/Applications/${app}.app/Contents/MacOS/${app}`,
  ),
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA]
    .filter(Boolean)
    .map((folder) => join(folder, 'Google/Chrome/Application/chrome.exe')),
};

/** The path of a Chromium that runs. */
export async function chromium() {
  const named = process.env.CHROMIUM_PATH;
  if (named) {
    if (runs(named)) return named;
    throw new Failure(`CHROMIUM_PATH is ${named}, which does not run.`);
  }
  const found = find();
  if (found) return found;

  const failures = [];
  for (const install of installers()) {
    try {
      await install();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push(error.message);
    }
    const installed = find();
    if (installed) return installed;
  }
  throw new Failure(
    `${failures.join('\n')}\nNo Chromium that runs: install one, or set CHROMIUM_PATH to its path.`,
  );
}

function find() {
  const { chromium: own } = createRequire(join(root, 'e2e/package.json'))('playwright');
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [own.executablePath(), ...onPath, ...(PLACES[process.platform] ?? [])].find(runs);
}

/** Ubuntu has a `chromium` that only says where to get the real one, so existing is not enough. */
function runs(path) {
  if (!existsSync(path)) return false;
  // On Windows `--version` opens a window.
  if (process.platform === 'win32') return true;
  return spawnSync(path, ['--version'], { timeout: 20_000 }).status === 0;
}

function installers() {
  const asRoot = process.getuid?.() === 0;
  const apt = asRoot && existsSync('/etc/debian_version');
  const playwright = [tool('playwright/cli.js'), 'install', 'chromium'];
  if (apt) playwright.push('--with-deps');
  return [
    ...(apt ? [() => step('Installing Chromium…', 'sh', ['-c', APT])] : []),
    () => step("Installing Playwright's Chromium…", process.execPath, playwright),
  ];
}

const APT = 'export DEBIAN_FRONTEND=noninteractive; apt-get update && apt-get install -y chromium';
