// `npm start`: set-up, then the server. Owns the server's process: it gets each stop signal once,
// it never outlives this one, and its exit code becomes this one's. A shell that stays between npm and
// this script may die of a signal without passing it on; `main` takes that for SIGTERM.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { main, root, setup } from './setup.mjs';

/** Signals this close together are one request: npm passes on what the terminal sent to all. */
const SAME_REQUEST_MS = 1000;

main(async () => {
  await setup();

  // A web app of one's own is elsewhere, and has addresses of its own.
  const demo =
    process.env.STATIC_DIR !== undefined
      ? {}
      : { STATIC_DIR: join(root, 'client/demo/dist'), DOCUMENT_URL: '/d/{room}' };
  const lifeline = new URL('./lifeline.mjs', import.meta.url).href;
  const server = spawn(
    process.execPath,
    ['--import', lifeline, join(root, 'server/dist/cli.js'), ...process.argv.slice(2)],
    {
      cwd: root,
      env: { ...demo, ...process.env },
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      // Out of the terminal's process group, or Ctrl-C would reach the server twice.
      detached: process.platform !== 'win32',
    },
  );

  let lastRequest = Number.NEGATIVE_INFINITY;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const now = performance.now();
      if (now - lastRequest >= SAME_REQUEST_MS) server.kill(signal);
      lastRequest = now;
    });
  }
  server.once('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal]);
  });
});
