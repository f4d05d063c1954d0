/** `npm start`, in whatever shell npm runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Y from 'yjs';
import { RawClient, temporaryFolder, typed } from './support.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** As cmd.exe does not know the word; Debian's shell stays until the command has ended. */
const SHELL = `#!/bin/sh
shift
case "$1" in
  exec*) echo "'exec' is not recognized as a command" >&2; exit 1;;
esac
exec /bin/sh -c "$1"
`;

describe('[RUN] npm start', () => {
  it('[RUN-1] needs no word of a shell, and a signal to npm ends the server with everything saved', async (context) => {
    context.skip(process.platform === 'win32', 'the shell of this test is one of Unix');
    const folder = temporaryFolder();
    const shell = join(folder, 'shell');
    writeFileSync(shell, SHELL, { mode: 0o700 });
    const npm = spawn('npm', ['start', `--script-shell=${shell}`], {
      cwd: ROOT,
      env: {
        ...process.env,
        PORT: '0',
        STORAGE_URL: `lmdb:${join(folder, 'data')}`,
        LOG_FORMAT: 'json',
      },
      // Of its own group, so that nothing that it has started outlives the test.
      detached: true,
    });
    let output = '';
    const closed = once(npm, 'close');
    onTestFinished(async () => {
      try {
        process.kill(-npm.pid!, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
      await closed;
    });
    const url = await new Promise<string>((resolve, reject) => {
      const read = (text: string) => {
        output += text;
        const ready = /Cowrite is ready: (\S+)\n/.exec(output);
        if (ready !== null) resolve(ready[1]!);
      };
      npm.stdout.setEncoding('utf8').on('data', read);
      npm.stderr.setEncoding('utf8').on('data', read);
      closed.then(() => reject(new Error(output)), reject);
    });
    expect(await (await fetch(url)).text()).toContain('<title>Cowrite</title>');
    const client = await RawClient.connect({ url }, 'room');
    await client.join(new Y.Doc());
    client.send({ type: 'update', update: typed('x') });
    await client.untilSaved(2);
    npm.kill('SIGTERM');
    expect((await client.untilClosed()).code).toBe(1012);
    // The server was the last to have them open.
    await closed;
    expect(output).toContain('ended; everything is saved');
  });
});

describe('[RUN] versions of Node', () => {
  it('[RUN-4] the image has one that is tried, everywhere', () => {
    const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
    const images = [...read('Dockerfile').matchAll(/^FROM node:(\d+)-slim\b/gm)];
    expect(images.map(([, major]) => major)).toEqual(['24', '24']);
    const tried = [...read('scripts/nodes.mjs').matchAll(/(\d+): '(\d+)\.\d+\.\d+'/g)];
    expect(tried.map(([, name, major]) => [name, major])).toEqual([
      ['22', '22'],
      ['24', '24'],
      ['26', '26'],
    ]);
  });

  it('[RUN-8] each is tried by what every change must pass, with all tests of client and server but two', () => {
    expect(readFileSync(join(ROOT, '.ci/run'), 'utf8')).toMatch(
      /^ {2}step nodes npm run nodes -- --fifth$/m,
    );
    const script = readFileSync(join(ROOT, 'scripts/nodes.mjs'), 'utf8');
    expect([...script.matchAll(/\b(2\d): '\1\.\d+\.\d+'/g)].map(([, name]) => name)).toEqual([
      '22',
      '24',
      '26',
    ]);
    const left = [...script.matchAll(/'((?:client|server)\/test\/[a-z-]+)'/g)].map(
      ([, path]) => path,
    );
    expect(left).toEqual(['client/test/api-reference', 'server/test/rolling']);
    for (const path of left) expect(existsSync(join(ROOT, `${path}.test.ts`)), path).toBe(true);
  });
});
