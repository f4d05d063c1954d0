/** What an operator types wrong: names of settings, permissions, and files that are there already. */
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { describe, expect, it } from 'vitest';
import { tokenCommand } from '../src/commands/token.js';
import { ConfigError, misspeltSettings, readConfig } from '../src/config.js';
import { readBackup } from '../src/storage/backup-file.js';
import { UsageError } from '../src/terminal/command.js';
import { writeTo } from '../src/terminal/files.js';
import { ADMIN, post, request } from './administrator.js';
import { cowrite } from './command-line.js';
import { manifest } from './deploy-files.js';
import { startProcess, temporaryFolder, typed } from './support.js';
import { SECRET } from './visitors.js';

const HINT = 'MAX_CONECTIONS is not a setting and has no effect: did you mean MAX_CONNECTIONS?';

describe('[CFG] settings that are misspelt', () => {
  it('[CFG-9] are told with the nearest name, and without their value', () => {
    expect(misspeltSettings({ MAX_CONECTIONS: '5' })).toEqual([HINT]);
    expect(misspeltSettings({ MAX_CONECTIONS: '' })).toEqual([HINT]);
    expect(misspeltSettings({ MAX_CONNECTIONS: '5', HOME: '/root', PATH: '/bin' })).toEqual([]);
    const secret = misspeltSettings({ AUTH_SECERT: SECRET }).join();
    expect(secret).toContain('AUTH_SECRET?');
    expect(secret).not.toContain(SECRET);
    // What Kubernetes sets for a Service called cowrite.
    expect(misspeltSettings({ COWRITE_PORT: 'tcp://10.0.0.1:80' })).toEqual([]);
    expect(misspeltSettings({ COWRITE_PORT: '8081' })).toHaveLength(1);
  });

  it('[CFG-9] a server warns of them in its log, which stays one object a line', async () => {
    const server = await startProcess({
      STORAGE_URL: 'memory:',
      MAX_CONECTIONS: '5',
      LOG_LEVEL: 'info',
    });
    await expect.poll(() => server.errors()).toContain('"ready"');
    const lines = server.errors().trim().split('\n');
    const told = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === HINT);
    expect(told).toEqual([expect.objectContaining({ level: 40 })]);
  });

  it('[CFG-9] a command, and a server that does not start, tell them on stderr', async () => {
    const args = ['token', '--user', 'ada', '--room', 'a'];
    const made = await cowrite(args, { environment: { AUTH_SECERT: SECRET } });
    expect(made).toMatchObject({ code: 2, out: '' });
    expect(made.errors.split('\n')).toEqual([
      'cowrite: AUTH_SECERT is not a setting and has no effect: did you mean AUTH_SECRET?',
      'cowrite: set AUTH_SECRET, the same as the server has',
      '',
    ]);
    const environment = { HOST: '0.0.0.0', AUTH_SECERT: SECRET };
    const { code, errors } = await cowrite(['serve'], { environment });
    expect(code).toBe(2);
    expect(errors).toMatch(/did you mean AUTH_SECRET\?\ncowrite: HOST=0\.0\.0\.0 lets others/);
  });

  it('[CFG-10] a METRICS_PORT that Kubernetes has set is told as what it is', () => {
    for (const value of ['tcp://10.0.0.1:9090', 'udp://10.0.0.1:53', 'tcp://[fd00::1]:9090']) {
      const read = () => readConfig({ METRICS_PORT: value });
      expect(read).toThrow(ConfigError);
      expect(read).toThrow(
        `METRICS_PORT=${value} is what Kubernetes sets for a Service called metrics: ` +
          "set enableServiceLinks: false in the pod's spec, or METRICS_PORT in the container's env",
      );
    }
    // What is none of Kubernetes's is a wrong value like any other.
    for (const METRICS_PORT of ['tcp://one', 'http://10.0.0.1:80', 'tcp://a@10.0.0.1:9']) {
      expect(() => readConfig({ METRICS_PORT })).toThrow(/^METRICS_PORT must be a whole number/);
    }
    expect(() => readConfig({ PORT: 'tcp://10.0.0.1:80' })).toThrow(/^PORT must be/);
    expect(manifest().pod.enableServiceLinks).toBe(false);
  });
});

describe('[CFG] values as they are typed', () => {
  const refused = (environment: Record<string, string>) => {
    try {
      readConfig(environment);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message;
    }
    return 'taken';
  };

  it('[CFG-15] white space around one is no part of it, and nothing but white space is none', () => {
    const { port, host, storageUrl, limits, trustedProxies, adminToken } = readConfig({
      PORT: ' \t',
      HOST: ' 127.0.0.1\n',
      STORAGE_URL: 'lmdb:./data \n',
      DRAIN_SECONDS: ' ',
      MAX_UPDATE_RATE: '5:10\r\n',
      TRUSTED_PROXIES: '10.0.0.0/8, loopback, ',
      ADMIN_TOKEN: `${ADMIN}\n`,
    });
    expect([port, host, storageUrl]).toEqual([8080, '127.0.0.1', 'lmdb:./data']);
    expect(limits).toEqual({ updatesPerSession: { perSecond: 5, burst: 10 } });
    expect([trustedProxies, adminToken]).toEqual([['10.0.0.0/8', 'loopback'], ADMIN]);
    for (const AUTH_SECRET of [`${SECRET}\n`, ` ${SECRET}`, ' '.repeat(40)]) {
      const said = refused({ AUTH_SECRET });
      expect(said).toMatch(/^AUTH_SECRET begins or ends with a space or a line break, .*leave it/);
      expect(said).not.toContain(SECRET);
    }
    expect(refused({ TRUSTED_PROXIES: ' , ' })).toMatch(/^TRUSTED_PROXIES must be addresses/);
  });

  it('[CFG-15] quotes around one are refused, and a secret is not shown', () => {
    for (const [name, value] of Object.entries({
      ...{
        PORT: '"8080"',
        HOST: "'127.0.0.1'",
        STORAGE_URL: '"memory:"',
        AUTH_SECRET: `"${SECRET}"`,
      },
      ...{ ADMIN_TOKEN: `'${ADMIN}' `, AUTH: '"none"', STATIC_DIR: '"/tmp"', AUTH_ISSUER: '""' },
    })) {
      const said = refused({ [name]: value });
      expect(said).toMatch(new RegExp(`^${name} stands in quotes, .*leave them out$`));
      expect(said).not.toContain(value.trim().slice(1, -1) || '\0');
    }
    expect(refused({ AUTH_SECRET: `"${SECRET}` })).toBe('taken');
  });

  it('[CFG-16] a unit, and a host or folder that is none, are refused with what it may be', () => {
    for (const [name, value, said] of [
      ['MAX_MESSAGE_BYTES', '5MB', 'not "5MB" (it is in bytes, and the unit is left out)'],
      ['HANDSHAKE_MS', '10 s', 'not "10 s" (it is in milliseconds, and the unit is left out)'],
      ['DRAIN_SECONDS', '1m', 'not "1m" (it is in seconds, and the unit is left out)'],
      ['WORKER_MEMORY_MB', '1GB', 'not "1GB" (it is in MB, and the unit is left out)'],
      ['PORT', '8080a', 'not "8080a"'],
      ['HOST', 'http://127.0.0.1', 'without a scheme and a port'],
      ['HOST', '127.0.0.1:8080', 'without a scheme and a port'],
      ['HOST', '*', '0.0.0.0 for all of this machine'],
      ['METRICS_HOST', '[::1]:9090', 'without a scheme and a port'],
      ['STORAGE_URL', 'lmdb:~/data', 'nothing replaces ~ or $ in it'],
      ['STORAGE_URL', 'lmdb:$HOME/data', 'nothing replaces ~ or $ in it'],
      ['STORAGE_URL', 'lmdb:"./data"', 'lmdb:<folder>, such as lmdb:./data'],
      ['STORAGE_URL', 'lmdb://data', '// would lead to the root'],
    ] as const) {
      expect(refused({ [name]: value })).toMatch(new RegExp(`^${name} must be `));
      expect(refused({ [name]: value })).toContain(said);
    }
    for (const [written, host] of Object.entries({ '[::1]': '::1', '::1': '::1' })) {
      expect(readConfig({ HOST: written }).host).toBe(host);
    }
    for (const host of ['0.0.0.0', '::', 'fe80::1%eth0', 'web-1.example', '::ffff:10.0.0.1']) {
      expect(readConfig({ HOST: host, AUTH: 'none' }).host).toBe(host);
    }
    for (const STORAGE_URL of ['lmdb:/var/lib/a', 'lmdb:///var/lib/a', 'lmdb:data', 'lmdb:C:\\a']) {
      expect(readConfig({ STORAGE_URL }).storageUrl).toBe(STORAGE_URL);
    }
  });

  it('[CFG-16] a STATIC_DIR that is no folder ends the server with 2', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    const environment = { STATIC_DIR: 'file', STORAGE_URL: 'memory:', PORT: '0' };
    const { code, errors } = await cowrite(['serve'], { environment, folder });
    expect(code).toBe(2);
    expect(errors).toMatch(/^cowrite: STATIC_DIR must be a folder, and "file" is none, as seen/);
  });
});

describe('[CMD] permissions of a token', () => {
  const environment = { AUTH_SECRET: SECRET };
  const argumentsFor = (...rooms: string[]) => [
    ...['--user', 'ada'],
    ...rooms.flatMap((room) => ['--room', room]),
  ];
  const refused = async (...rooms: string[]) => {
    const making = tokenCommand.run(argumentsFor(...rooms), () => readConfig(environment));
    await expect(making, `${rooms}`).rejects.toThrow(UsageError);
    return await making.catch((error: Error) => error.message);
  };

  it('[CMD-25] that are misspelt are refused, and are no part of a name', async () => {
    for (const room of ['minutes=raed', 'minutes=READ', 'minutes=', 'a=b', 'team/*=rw', '=read ']) {
      const said = await refused(room);
      expect(said).toMatch(/^--room .* ends with no permission: .* write, read or none/);
      expect(said).toContain(JSON.stringify(`${room}=write`));
    }
    for (const [rooms, says] of [
      [['=read'], /^the room's name is empty/],
      [['a=read', 'a=write'], /^--room names "a" twice, with read and with write/],
      // The same name in another Unicode form.
      [['\u00e9=read', 'e\u0301'], /^--room names .* twice, with read and with write/],
      [['x/*=none', 'x/*=read'], /^--room names .* twice/],
    ] as const) {
      expect(await refused(...rooms)).toMatch(says);
    }
    const { code, out } = await cowrite(['token', ...argumentsFor('minutes=raed')], {
      environment,
    });
    expect([code, out]).toEqual([2, '']);
  });

  it('[CMD-25] are what was typed', async () => {
    const rooms = ['minutes', 'a=b=read', 'c=none', 'team/*=read', 'a=b=read', '__proto__=read'];
    const { code, out } = await cowrite(['token', ...argumentsFor(...rooms)], { environment });
    expect(code).toBe(0);
    expect(Object.entries(decodeJwt(out.trim()).rooms as object)).toEqual([
      ['minutes', 'write'],
      ['a=b', 'read'],
      ['c', 'none'],
      ['team/*', 'read'],
      ['__proto__', 'read'],
    ]);
  });
});

describe('[CMD] a backup over another', () => {
  it('[CMD-26] is refused before anything is read, unless --force is given', async () => {
    const server = await startProcess({ STORAGE_URL: 'memory:', ADMIN_TOKEN: ADMIN });
    expect((await request(server, 'rooms/minutes', post(typed('x')))).status).toBe(201);
    const file = join(temporaryFolder(), 'monday.cowrite');
    const backup = (from: string, ...more: string[]) =>
      cowrite(['backup', file, '--server', from, ...more], {
        environment: { ADMIN_TOKEN: ADMIN },
      });
    expect((await backup(server.url)).code).toBe(0);
    const first = readFileSync(file);
    // No server is asked: there is none.
    const refused = await backup('http://127.0.0.1:1');
    expect(refused).toMatchObject({
      code: 1,
      out: '',
      errors: `cowrite: ${file} is there already: give another name, or --force to replace it\n`,
    });
    expect(readFileSync(file)).toEqual(first);
    expect((await request(server, 'rooms/agenda', post(typed('y')))).status).toBe(201);
    expect((await backup(server.url, '--force')).out).toContain('2 rooms');
    const names = [];
    for await (const { name } of readBackup(readParts(file))) names.push(name);
    expect(names).toEqual(['agenda', 'minutes']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    // A file of any content, also by a link; what is no file is written to.
    const other = join(temporaryFolder(), 'empty');
    writeFileSync(other, '');
    const link = `${other}.link`;
    symlinkSync(other, link);
    const environment = { ADMIN_TOKEN: ADMIN };
    for (const path of [other, link]) {
      const { code } = await cowrite(['backup', path, '--server', server.url], { environment });
      expect(code, path).toBe(1);
    }
    expect(readFileSync(other, 'utf8')).toBe('');
    const nowhere = await cowrite(['backup', '/dev/null', '--server', server.url], { environment });
    expect(nowhere.code).toBe(0);
  });

  it('[CMD-26] one that is made meanwhile stays, too', async () => {
    const file = join(temporaryFolder(), 'monday.cowrite');
    const bytes = async function* () {
      yield Buffer.from('mine');
      writeFileSync(file, "somebody else's");
    };
    await expect(writeTo(file, bytes(), { isReplaced: false })).rejects.toThrow(/there already/);
    expect(readFileSync(file, 'utf8')).toBe("somebody else's");
    expect(existsSync(`${file}.partial`)).toBe(false);
  });
});

async function* readParts(file: string): AsyncGenerator<Uint8Array> {
  yield readFileSync(file);
}
