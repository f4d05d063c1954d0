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
