/** Real proxies for tests, with the files of `deploy/`, where this machine has them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, type TestContext, vi } from 'vitest';
import { findCaddy, findHaproxy } from '../../scripts/find-programs.mjs';
import { needed, ROOT, read } from './deploy-files.js';
import { freePort } from './free-port.js';
import { startNginx } from './nginx-service.js';
import { temporaryFolder } from './support.js';

/** @returns where it listens, in front of the servers on these two ports; it ends with the test */
export type Start = (context: TestContext, ports: readonly [number, number]) => Promise<string>;

export const local = (port: number) => `127.0.0.1:${port}`;

/** Runs it until the test ends. */
function run(program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
}

const startHaproxy: Start = async (context, [one, two]) => {
  const at = local(await freePort());
  run(needed('haproxy', context, findHaproxy), ['-f', join(ROOT, 'deploy/haproxy.cfg')], {
    LISTEN: at,
    SERVER_1: local(one),
    SERVER_2: local(two),
  });
  return `http://${at}`;
};

/** Its administration has one port on a machine, which another Caddy may have. */
const OF_ITS_OWN = '{\n\tadmin off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n';

/** The arguments that name the shipped file, as these tests run it. */
export function caddyfile(): string[] {
  const file = join(temporaryFolder(), 'Caddyfile');
  writeFileSync(file, OF_ITS_OWN + read('deploy/Caddyfile'));
  return ['--adapter', 'caddyfile', '--config', file];
}

const startCaddy: Start = async (context, [one, two]) => {
  const program = needed('caddy', context, findCaddy);
  const at = `http://${local(await freePort())}`;
  run(program, ['run', ...caddyfile()], {
    NAMES: at,
    SERVERS: `${local(one)} ${local(two)}`,
    HOME: temporaryFolder(),
  });
  return at;
};

const startNginxHere: Start = async (_, ports) => {
  const { url } = await startNginx(ports.map((port) => `http://${local(port)}`));
  return url;
};

/** The server of nginx that the handbook says to write. */
export function documentedNginx(): string {
  return /```nginx\n([\s\S]*?)```/.exec(read('docs/operations/proxies.md'))![1]!;
}

/** The same without what it says of the host, the client's address and long headers. */
export function untouchedNginx(): string {
  const withoutThem = documentedNginx().replace(
    /^.*(\bHost|X-Forwarded-\S+|header_buffer\S*) .*$/gm,
    '',
  );
  if (/http_host|forwarded|buffer/i.test(withoutThem)) throw new Error(withoutThem);
  return withoutThem;
}

/**
 * @param block as the handbook has it; its addresses are replaced
 * @returns where it listens
 */
export async function startNginxWith(block: string, port: number): Promise<string> {
  const at = local(await freePort());
  const server = block
    .replace('listen 80;', `listen ${at};`)
    .replace('docs.example', '127.0.0.1')
    .replace('127.0.0.1:8080', local(port));
  await startNginx([`http://${local(port)}`, `http://${local(port)}`], server);
  return `http://${at}`;
}

/** Those that ask an instance whether it is ready; nginx asks the next one when it is told 503. */
export const ASKING: readonly [name: string, start: Start][] = [
  ['HAProxy', startHaproxy],
  ['Caddy', startCaddy],
];
export const ALL = [...ASKING, ['nginx', startNginxHere]] as const;

export const PATIENCE = { timeout: 120_000, interval: 50 };

/** Resolves once a server behind it answers: it says nowhere that it listens. */
export async function untilAnswering(proxy: string): Promise<void> {
  await vi.waitFor(async () => expect((await fetch(`${proxy}/health`)).status).toBe(200), PATIENCE);
}
