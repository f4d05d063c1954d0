/** The packages as npm would publish them, under other programs than Node, and in applications with a server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CowriteProvider } from '@cowrite/client';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  onTestFinished,
  type TestContext,
  test,
} from 'vitest';
import { WebSocket } from 'ws';
import { startRedis } from '../server/test/redis-service.js';
import { codeBlocks } from './markdown.js';
import { install, PATIENCE, pack, run } from './packed.js';

const PAGE = 'docs/your-own-server.md';
const ADMIN_TOKEN = 'the-token-of-the-administrator,-long-enough';
const VERSIONS = {
  bun: '1.4.5',
  deno: '2.9.6',
  yjs: '^13.6.33',
  express: '5.3.0',
  koa: '3.3.0',
  fastify: '5.12.8',
};

/** Writes a word, waits until it is saved, and reads what the room has by then. */
const CLIENT = `
import process from 'node:process';
import { CowriteProvider } from '@cowrite/client';

const [url, word] = process.argv.slice(2);
const open = () => new CowriteProvider({ url, room: 'minutes' });
const writer = open();
await writer.whenSynced();
const text = writer.doc.getText('text');
text.insert(text.length, word);
await writer.whenSaved();
writer.destroy();

const reader = open();
await reader.whenSynced();
console.log('saved: ' + reader.doc.getText('text'));
reader.destroy();
`;

describe('installed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-e2e-'));
  const project = join(folder, 'project');
  const command = join(project, 'node_modules/@cowrite/server/bin/cowrite.js');
  const client = join(project, 'client.js');

  beforeAll(async () => {
    mkdirSync(project);
    await install(project, await pack(folder), VERSIONS);
    writeFileSync(client, CLIENT);
  }, PATIENCE);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Where npm has put it; of platforms that it is not built for npm has nothing. */
  function needed(name: 'bun' | 'deno', context: TestContext): string {
    const folders = { bun: '@oven', deno: '@deno' };
    const scope = join(project, 'node_modules', folders[name]);
    const files = existsSync(scope) ? (readdirSync(scope, { recursive: true }) as string[]) : [];
    const found = files.find((file) => /^(bun|deno)(\.exe)?$/.test(basename(file)));
    context.skip(found === undefined, `npm has no ${name} for this platform`);
    return join(scope, found!);
  }

  async function serve(
    program: string,
    args: readonly string[],
    STORAGE_URL = 'memory:',
    script = command,
  ): Promise<Serving> {
    const child = spawn(program, [...args, script], {
      cwd: project,
      env: { PATH: process.env.PATH, HOME: folder, PORT: '0', STORAGE_URL, ADMIN_TOKEN },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(async () => await end(child, 'SIGKILL'));
    let said = '';
    const url = await new Promise<string>((resolve, reject) => {
      const read = (text: string) => {
        said += text;
        const ready = /ready: http(\S+)\n/.exec(said);
        if (ready !== null) resolve(`http${ready[1]}`);
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.once('error', reject);
      child.once('close', (code) => reject(new Error(`it ended with ${code}: ${said}`)));
    });
    return { url, child };
  }

  test.each(codeBlocks(PAGE).map(({ text }) => [/from '(\w+)';\n\n/.exec(text)![1]!, text]))(
    '[RUN-5] on one port with %s, as the page says',
    async (name, text) => {
      const file = join(project, `${name}.js`);
      // Any port, and which.
      const said = "console.log('ready: ' + cowrite.url);";
      const listening = "while (cowrite.url === '') await new Promise(setImmediate);";
      writeFileSync(file, `${text.replace(/\b3000\b/, '0')}\n${listening}\n${said}\n`);
      const { url, child } = await serve(process.execPath, [], undefined, file);
      const at = `http://127.0.0.1:${new URL(url).port}`;
      expect(await (await fetch(at)).text()).toBe('the application');
      expect((await fetch(`${at}/rooms`)).status).toBe(name === 'koa' ? 200 : 404);
      const provider = new CowriteProvider({
        url: `${at.replace('http', 'ws')}/rooms`,
        room: name,
        WebSocket,
      });
      onTestFinished(() => provider.destroy());
      provider.doc.getText('text').insert(0, 'hello');
      await provider.whenSaved();

      expect(await (await fetch(`${at}/cowrite/health`)).text()).toBe('ok\n');
      expect(await (await fetch(`${at}/cowrite/admin`)).text()).toContain('./admin/assets/');
      const kicked = await fetch(`${at}/cowrite/api/rooms/${name}/kick`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
        body: '{"user": "ada"}',
      });
      expect([kicked.status, await kicked.json()]).toEqual([
        200,
        expect.objectContaining({ sessions: 1 }),
      ]);
      await end(child, 'SIGTERM');
      expect(child.exitCode).toBe(0);
    },
  );

  const write = async (program: string, args: readonly string[], url: string, word: string) =>
    (
      await run(program, [...args, client, `${url.replace('http', 'ws')}/ws`, word], {
        cwd: project,
      })
    ).stdout;

  test('[RUN-3] the client writes and reads under Bun and under Deno', async (context) => {
    const [bun, deno] = [needed('bun', context), needed('deno', context)];
    const { url } = await serve(process.execPath, []);
    expect(await write(bun, ['run'], url, 'one ')).toBe('saved: one \n');
    expect(await write(deno, ['run', '-A'], url, 'two')).toBe('saved: one two\n');
  });

  test('[RUN-3] the server runs under Deno: what it calls saved is there after SIGKILL, and SIGTERM ends it well', async (context) => {
    const deno = needed('deno', context);
    const redis = await startRedis();
    const first = await serve(deno, ['run', '-A'], redis.url);
    expect(await write(deno, ['run', '-A'], first.url, 'kept ')).toBe('saved: kept \n');
    await end(first.child, 'SIGKILL');
    const second = await serve(deno, ['run', '-A'], redis.url);
    expect(await write(deno, ['run', '-A'], second.url, 'too')).toBe('saved: kept too\n');
    // What a worker does.
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const compacted = await fetch(`${second.url}/api/rooms/minutes/compact`, {
      method: 'POST',
      headers,
    });
    expect(await compacted.json()).toMatchObject({ isCompacted: true });
    await end(second.child, 'SIGTERM');
    expect(second.child.exitCode).toBe(0);
  });

  test('[RUN-3] under Deno a folder is refused, which it could not lock', async (context) => {
    const deno = needed('deno', context);
    await expect(serve(deno, ['run', '-A'], `lmdb:${join(folder, 'data')}`)).rejects.toThrow(
      /ended with 1: .*under Deno nothing keeps a second server out .* run the server with Node/,
    );
  });

  test('[RUN-2] the server says that Bun cannot run it, as a command and as a library', async (context) => {
    const bun = needed('bun', context);
    const refusal = /does not run on Bun \(this is 1\.4\.5\): run it with Node 20\.19 or newer/;
    await expect(serve(bun, [])).rejects.toThrow(refusal);
    const embedding = "import { createServer } from '@cowrite/server'; await createServer();";
    await expect(run(bun, ['-e', embedding], { cwd: project })).rejects.toThrow(refusal);
  });
});

interface Serving {
  readonly url: string;
  readonly child: ChildProcess;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
