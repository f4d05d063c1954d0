// `npm run dev`: the compiler watching, the server restarted when its code changes, and Vite
// serving the demo. All of them stop together.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildAdmin, buildPackages, install, main, root, tool } from './setup.mjs';

main(async () => {
  await install();
  await buildPackages();
  await buildAdmin();

  process.env.DEMO_SERVER_PORT = process.env.PORT ?? '8080';
  const children = [
    start(tool('typescript/bin/tsc'), '-b', '--watch', '--preserveWatchOutput'),
    start('--watch', '--watch-preserve-output', join(root, 'server/dist/cli.js')),
  ];
  const stop = (code) => {
    for (const child of children) {
      // The whole group: on older Node versions `tsc` is a script that waits for a binary.
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGTERM');
    }
    process.exit(code);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop(0));
  for (const child of children) child.once('exit', () => stop(1));

  const { createServer } = await import('vite');
  const vite = await createServer({ root: join(root, 'client/demo'), clearScreen: false });
  await vite.listen();
  const { local, network } = vite.resolvedUrls;
  console.log(
    `Open ${[...local, ...network][0]} (the server is on port ${process.env.DEMO_SERVER_PORT})`,
  );
});

function start(...args) {
  return spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: process.platform !== 'win32',
  });
}
