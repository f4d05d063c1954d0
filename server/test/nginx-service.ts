/**
 * A real nginx for tests, with the configuration that is shipped: a process of its own in a temporary
 * folder, on a free port of this machine only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { findNginx } from '../../scripts/find-programs.mjs';
import { freePort } from './free-port.js';

const TEMPLATE = new URL('../../deploy/nginx.conf.template', import.meta.url);

/** One process in the foreground, which writes into its own folder only. */
const main = (http: string) => `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 4096;
events { worker_connections 4000; }
http {
  access_log off;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ${http}
  include cowrite.conf;
}
`;

/**
 * Resolves once it listens; it ends with the running test.
 *
 * @param servers their addresses, at least two: `http://127.0.0.1:<port>`
 * @param http directives beside the shipped ones
 * @param edit makes what somebody would of the shipped file
 */
export async function startNginx(
  servers: readonly string[],
  http = '',
  edit: (template: string) => string = (template) => template,
): Promise<{ readonly url: string }> {
  const program = findNginx();
  if (program === undefined) throw new Error('no nginx: install one, or set NGINX_PATH');
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-nginx-'));
  const port = await freePort();
  const values: Record<string, string> = {
    LISTEN: `127.0.0.1:${port}`,
    NAMES: '127.0.0.1',
    RESOLVER: '127.0.0.1',
  };
  servers.forEach((url, i) => {
    values[`SERVER_${i + 1}`] = new URL(url).host;
  });
  const template = withServers(servers.length, edit(readFileSync(TEMPLATE, 'utf8')));
  writeFileSync(join(folder, 'cowrite.conf'), fill(template, values));
  writeFileSync(join(folder, 'nginx.conf'), main(http));

  const child = spawn(program, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], {
    // Without the variable NGINX, in which it looks for sockets to take over.
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  let end: string | undefined;
  child.once('error', ({ message }) => {
    end = message;
  });
  const closed = once(child, 'close').then(([code]) => {
    end ??= `it ended with ${code}: ${errors}`;
  });
  const killAtExit = () => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  onTestFinished(async () => {
    process.off('exit', killAtExit);
    child.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true, force: true });
  });

  const url = `http://127.0.0.1:${port}`;
  // It says nowhere that it listens.
  while (!(await listens(port))) {
    if (end !== undefined) throw new Error(`nginx: ${end}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { url };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false;
    throw error;
  } finally {
    socket.destroy();
  }
}

/** The template has two. */
function withServers(count: number, template: string): string {
  return template.replace(
    /^( *server )\$\{SERVER_2\}(.*)$/m,
    (line, before: string, after: string) =>
      [
        line,
        ...Array.from({ length: count - 2 }, (_, i) => `${before}\${SERVER_${i + 3}}${after}`),
      ].join('\n'),
  );
}

/** As the nginx image does it: names it is given are filled in, nginx's own variables stay. */
function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}
