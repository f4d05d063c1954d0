/** How late a server's event loop is: what is to be loaded into it, and how it is asked. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from './helper.mjs';

const WATCHER = fileURLToPath(new URL('peers/loop-delay.cjs', import.meta.url));

/** @returns `flags` and `env` for the server, and `since`, which tells of the time since it was last called */
export async function loopDelay(scope) {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-bench-loop-'));
  const file = join(folder, 'delay.json');
  await scope.own(() => rmSync(folder, { recursive: true, force: true }));
  return {
    flags: ['--require', WATCHER],
    env: { LOOP_DELAY: file },
    /** @returns milliseconds: `p99` and `worst` */
    async since(server) {
      rmSync(file, { force: true });
      server.signal('SIGUSR2');
      while (!existsSync(file) || readFileSync(file).length === 0) await sleep(10);
      return JSON.parse(readFileSync(file, 'utf8'));
    },
  };
}
