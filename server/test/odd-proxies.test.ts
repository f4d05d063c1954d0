/** Real proxies that are set up wrong in usual ways: each is explained by one line of the log. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { findHaproxy } from '../../scripts/find-programs.mjs';
import { needed } from './deploy-files.js';
import { freePort } from './free-port.js';
import { local, PATIENCE, startNginxWith } from './proxies.js';
import { temporaryFolder } from './support.js';
import { guarded, knock, token } from './visitors.js';

type Line = Readonly<Record<string, unknown>>;

async function overheard() {
  const lines: Line[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const server = await guarded({ logger });
  const good = await token('ada', { '*': 'write' });
  const protocols = ['cowrite.v1', `cowrite.token.${good}`];
  /** What the log says of one that comes to a proxy, and what is answered. */
  const through = async (url: string, path: string): Promise<[number, ...Line[]]> => {
    lines.length = 0;
    const { status } = await knock({ url }, path, { protocols });
    return [status, ...lines.filter(({ msg }) => msg === 'not let in')];
  };
  return { server, good, through };
}

describe('[AUTH] behind a proxy that is set up wrong', () => {
  it('[AUTH-37] nginx that passes no WebSockets on, a path on, a header not on, or speaks TLS', async () => {
    const { server, good, through } = await overheard();
    const to = `proxy_pass http://${local(server.port)}`;
    const upgrade =
      'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host $http_host;';
    const nginx = await startNginxWith(
      `server { listen 80; server_name docs.example;
        proxy_http_version 1.1;
        location /as-it-is/ { proxy_http_version 1.0; ${to}/; }
        location /ws/half/ { proxy_set_header Upgrade $http_upgrade; ${to}; }
        location /cowrite/ { ${upgrade} ${to}; }
        location /ws/ { ${upgrade} ${to}/; }
        location /bare/ { ${upgrade} proxy_set_header Sec-WebSocket-Protocol ""; ${to}/; }
        location /keyless/ { ${upgrade} proxy_set_header Sec-WebSocket-Key ""; ${to}/; }
        location /tls/ { ${upgrade} proxy_pass https://${local(server.port)}/; }
      }`,
      server.port,
    );
    const lost = 'a WebSocket was asked for, and the headers that open one did not arrive';
    const hint = expect.stringContaining('nginx: proxy_http_version 1.1;');
    expect(await through(nginx, `../as-it-is/ws/room?token=${good}`)).toEqual([
      426,
      expect.objectContaining({
        ...{ status: 426, reason: lost, hint, address: '127.0.0.1' },
        ...{ upgrade: '(none)', connection: 'close', protocol: 'HTTP/1.0' },
      }),
    ]);
    expect(await through(nginx, 'half/room')).toEqual([
      426,
      expect.objectContaining({ reason: lost, upgrade: 'websocket', connection: 'close' }),
    ]);
    // The path is told without the token in it.
    expect(await through(nginx, `../cowrite/ws/room?token=${good}`)).toEqual([
      404,
      expect.objectContaining({
        ...{ status: 404, reason: 'rooms are at /ws/<room>', path: '/cowrite/ws/room' },
        hint: expect.stringMatching(/take \/cowrite away, .*sub-path\.md/),
      }),
    ]);
    expect(await through(nginx, 'room')).toEqual([
      404,
      expect.objectContaining({ path: '/room', hint: expect.stringContaining('end with /ws') }),
    ]);
    expect(await through(nginx, '../bare/ws/room')).toEqual([
      401,
      expect.objectContaining({
        reason: 'there is no token',
        hint: expect.stringContaining('Sec-WebSocket-Protocol'),
      }),
    ]);
    expect(await through(nginx, '../keyless/ws/room')).toEqual([
      400,
      expect.objectContaining({
        ...{ status: 400, reason: 'a WebSocket was asked for without Sec-WebSocket-Key' },
        hint: expect.stringContaining('Sec-WebSocket-'),
      }),
    ]);
    expect(await through(nginx, '../tls/ws/room')).toEqual([
      502,
      expect.objectContaining({
        ...{ status: 400, reason: 'TLS arrived where HTTP/1.1 is spoken' },
        hint: expect.stringContaining('http://'),
      }),
    ]);
  });

  it('[AUTH-37] HAProxy that speaks the PROXY protocol or HTTP/2', async (context) => {
    const program = needed('haproxy', context, findHaproxy);
    const { server, through } = await overheard();
    const kinds = { 'send-proxy': 0, 'send-proxy-v2': 0, 'proto h2': 0 };
    let config =
      'defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n retries 0\n';
    for (const [i, how] of Object.keys(kinds).entries()) {
      const port = await freePort();
      kinds[how as keyof typeof kinds] = port;
      config += `listen p${i}\n bind ${local(port)}\n server one ${local(server.port)} ${how}\n`;
    }
    const file = join(temporaryFolder(), 'haproxy.cfg');
    writeFileSync(file, config);
    const child = spawn(program, ['-f', file], { stdio: 'ignore' });
    const exited = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    for (const [how, port] of Object.entries(kinds)) {
      await vi.waitFor(async () => {
        const socket = connectTcp(port, '127.0.0.1');
        await once(socket, 'connect');
        socket.destroy();
      }, PATIENCE);
      const [, ...told] = await through(`http://${local(port)}`, 'room');
      const name = how === 'proto h2' ? 'HTTP/2' : 'the PROXY protocol';
      expect(told[0]).toMatchObject({
        ...{ address: '127.0.0.1', status: 400 },
        reason: `${name} arrived where HTTP/1.1 is spoken`,
        hint: expect.stringContaining(how === 'proto h2' ? 'HTTP/1.1' : how),
      });
      expect(told).toHaveLength(1);
    }
  });
});
