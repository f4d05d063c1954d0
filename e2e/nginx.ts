/**
 * A real nginx in front of two servers, with the configuration that is shipped. It adds nothing but
 * the header `X-Served-By`, by which a test sees which of them answered.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { onTestFinished } from 'vitest';
import { findNginx } from '../scripts/find-programs.mjs';
import { eventually, type Server, temporaryFolder } from './fixtures.js';

const TEMPLATE = new URL('../deploy/nginx.conf.template', import.meta.url);

/** One process in the foreground, which writes into its own folder only. */
const MAIN = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  add_header X-Served-By $upstream_addr always;
  include cowrite.conf;
}
`;

export class Nginx {
  readonly url: string;

  private constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Resolves once it listens; ends with the running test. */
  static async before(first: Server, second: Server): Promise<Nginx> {
    const program = findNginx();
    if (program === undefined) throw new Error('no nginx: install one, or set NGINX_PATH');
    const folder = temporaryFolder();
    const port = await freePort();
    const filled = fill(readFileSync(TEMPLATE, 'utf8'), {
      LISTEN: `127.0.0.1:${port}`,
      NAMES: '127.0.0.1',
      RESOLVER: '127.0.0.1',
      SERVER_1: addressOf(first),
      SERVER_2: addressOf(second),
    });
    writeFileSync(join(folder, 'cowrite.conf'), filled);
    writeFileSync(join(folder, 'nginx.conf'), MAIN);

    const child = spawn(program, ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], {
      // Without the variable NGINX, in which it looks for sockets to take over.
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code) => resolve(`it ended with ${code}: ${errors}`));
    });
    const killAtExit = () => void child.kill('SIGKILL');
    process.once('exit', killAtExit);
    onTestFinished(async () => {
      process.off('exit', killAtExit);
      child.kill('SIGKILL');
      await ended;
    });
    const nginx = new Nginx(port);
    await Promise.race([
      eventually(() => nginx.answers()).toBe(true),
      ended.then((how) => Promise.reject(new Error(`nginx: ${how}`))),
    ]);
    return nginx;
  }

  async answers(): Promise<boolean> {
    return (await this.#health())?.ok === true;
  }

  /** The address of the server that answered a request of now. */
  async serverOfNow(): Promise<string | undefined> {
    return servedBy((await this.#health())?.headers.get('x-served-by'));
  }

  async #health(): Promise<Response | undefined> {
    try {
      return await fetch(`${this.url}/health`);
    } catch (error) {
      // What fetch throws while nothing listens there yet.
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  }
}

/** Where the WebSockets of a page were answered, first to last. */
export class Landings {
  readonly all: string[] = [];

  get last(): string | undefined {
    return this.all.at(-1);
  }

  async watch(page: Page): Promise<void> {
    const devtools = await page.context().newCDPSession(page);
    devtools.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
      const { headers } = response;
      const name = Object.keys(headers).find((key) => key.toLowerCase() === 'x-served-by');
      const server = servedBy(name && headers[name]);
      if (response.status === 101 && server !== undefined) this.all.push(server);
    });
    await devtools.send('Network.enable');
  }
}

export function addressOf({ port }: Server): string {
  return `127.0.0.1:${port}`;
}

/** After one that could not be reached the header names the next one, too. */
function servedBy(header: string | null | undefined): string | undefined {
  return header?.split(', ').at(-1);
}

/** As the nginx image does it: names it is given are filled in, nginx's own variables stay. */
function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
