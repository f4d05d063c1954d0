/** Names of rooms and ids of users: one rule at each way in, and none is obeyed on a way out. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AuthRefused, LmdbStorage, signToken } from '@cowrite/server';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { writeBackup } from '../src/storage/backup-file.js';
import { ADMIN, call, governed, post, request } from './administrator.js';
import { cowrite } from './command-line.js';
import { RawClient, startProcess, startServer, temporaryFolder, typed } from './support.js';
import { enter, guarded, knock, SECRET, token } from './visitors.js';

/** No room has such a name, and no user such an id. */
const NONE = [
  '',
  '.',
  '..',
  'a\u0000b',
  'a\nb',
  '\u001b[2J',
  'a\u0085b',
  '\ud800',
  'x'.repeat(257),
  '😀'.repeat(257),
];
/** Both have such ones. */
const SOME = [
  '...',
  '%2e',
  'a/b',
  'a%2fb',
  'a?b#c',
  'auth0|5f7',
  'ä b',
  '\u202egnp.txt',
  'constructor',
  '👩‍🚀',
];

/** Of characters that are two units of a JavaScript text: too many bytes for a room, and not for a user. */
const LONG_ID = '😀'.repeat(255);

/** What a URL takes for steps. */
const STEPS = [
  '.',
  '..',
  '%2e',
  '%2E%2e',
  'a/..',
  'recheck/%2e%2e',
  'kick/../room',
  'kick/%2e%2E/room',
  'kick\\..\\room',
];

/** As it is written, which `fetch` would not do. @returns the status */
async function raw(server: { readonly port: number }, method: string, path: string) {
  const headers = { Authorization: `Bearer ${ADMIN}` };
  const asked = httpRequest({ host: '127.0.0.1', port: server.port, method, path, headers }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

/** A token that no application of sound mind signs. */
async function signed(sub: string): Promise<string> {
  return await new SignJWT({ rooms: { '*': 'write' } })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
}

/** A store in which rooms have any names. @returns its folder */
async function storeWith(names: readonly string[]): Promise<string> {
  const folder = join(temporaryFolder(), 'data');
  const store = await LmdbStorage.open(folder);
  let number = 0;
  for (const room of names) {
    const entries = [{ update: typed('t'), author: 'ada' }];
    await store.append({ number: ++number, appends: [{ room, entries }] });
  }
  await store.close();
  return folder;
}

describe('[AUTH-24] ids of users', () => {
  it('[AUTH-24] that are none are refused in tokens, and in what an application answers', async () => {
    const server = await guarded();
    for (const id of NONE) {
      const answer = await knock(server, `room?token=${await signed(id)}`);
      expect(answer, JSON.stringify(id)).toEqual({
        status: 401,
        text: "the token's claim sub is missing or not what it should be",
      });
      await expect(
        signToken({ user: { id }, rooms: {}, expiresIn: '1h' }, { secret: SECRET }),
      ).rejects.toThrow(RangeError);
      const hooked = await startServer({
        hooks: { authenticate: () => ({ access: 'write', user: { id } }) },
      });
      expect((await knock(hooked, 'room')).status, JSON.stringify(id)).toBe(503);
      await hooked.close();
    }
    for (const id of [...SOME, LONG_ID]) {
      expect((await knock(server, `room?token=${await signed(id)}`)).status, id).toBe(101);
    }
  });

  it('[AUTH-24] that come in can be rechecked and kicked, by the API and by the library', async () => {
    const server = await governed({ auth: { secret: SECRET } });
    for (const id of [...SOME, LONG_ID]) {
      const path = `users/${encodeURIComponent(id)}/recheck`;
      for (const end of [
        () => call(server, path, post()),
        () => call(server, 'rooms/room/kick', post({ user: id })),
        async () => [200, { sessions: server.recheck(id).sessions }],
        async () => [200, { sessions: server.kick('room', { user: id }).sessions }],
      ]) {
        const client = await enter(server, 'room', await token(id, { room: 'write' }));
        expect(await end(), id).toEqual([200, { sessions: 1 }]);
        await client.untilClosed();
      }
    }
  });

  it('[AUTH-24] that are none are refused there, too; a path is taken as it was sent', async () => {
    const asked: string[] = [];
    const server = await governed({
      hooks: {
        authenticate: ({ token: id = '' }) => {
          asked.push(id);
          if (id === '') throw new AuthRefused('unauthenticated', 'no');
          return { access: 'write', user: { id } };
        },
      },
    });
    for (const id of ['recheck', 'users']) await enter(server, 'room', id);
    asked.length = 0;
    for (const id of NONE) {
      expect((await call(server, 'rooms/room/kick', post({ user: id })))[0]).toBe(400);
      expect(() => server.recheck(id), JSON.stringify(id)).toThrow(TypeError);
      expect(() => server.kick('room', { user: id }), JSON.stringify(id)).toThrow(TypeError);
    }
    for (const path of ['a%00b', '%0a', '%ed%a0%80', '%', 'x'.repeat(257)]) {
      expect(await raw(server, 'POST', `/api/users/${path}/recheck`), path).toBe(400);
    }
    for (const path of ['', ...STEPS]) {
      const status = await raw(server, 'POST', `/api/users/${path}/recheck`);
      expect([400, 404], path).toContain(status);
    }
    // Nobody whose id stands behind such a step was meant.
    expect(asked).toEqual([]);
    expect(await raw(server, 'POST', `http://a.example:1/api/users/recheck/recheck`)).toBe(200);
    expect(asked).toEqual(['recheck']);
  });

  it('[CMD-23] that are none are in no token of the command, nor are names of rooms', async () => {
    const environment = { AUTH_SECRET: SECRET };
    const made = async (user: string, room: string) =>
      await cowrite(['token', `--user=${user}`, `--room=${room}`], { environment });
    for (const [user, room, problem] of [
      ['.', 'room', '--user is a step of a path'],
      ['a\nb', 'room', '--user has a control character'],
      ['x'.repeat(257), 'room', '--user has 257 characters, more than 256'],
      ['ada', '..', "the room's name is a step of a path"],
      ['ada', 'a\tb', "the room's name has a control character"],
      ['ada', `${'x'.repeat(300)}*`, '--room has 300 bytes'],
      ['ada', 'a\u0007/*=read', "--room has a character that no room's name has"],
    ] as const) {
      const { code, errors } = await made(user, room);
      expect([code, errors]).toEqual([2, expect.stringContaining(problem)]);
    }
    expect((await made('auth0|5', 'team-7/*=read')).code).toBe(0);
  });
});

describe('[ROOM-4] names of rooms', () => {
  it('[ROOM-4] that are none are refused at each way in; one that is meant is taken as it was sent', async () => {
    const server = await governed();
    const rooms = ['room', 'kick', 'compact', 'revive'];
    for (const room of rooms) {
      expect((await call(server, `rooms/${room}`, post(typed(room))))[0]).toBe(201);
    }
    const client = await RawClient.connect(server, 'kick');
    for (const name of NONE) {
      expect(() => server.kick(name), JSON.stringify(name)).toThrow(TypeError);
      await expect(server.remove(name)).rejects.toThrow(TypeError);
      await expect(server.revive(name)).rejects.toThrow(TypeError);
      expect((await call(server, 'rooms/room/copy', post({ to: name })))[0]).toBe(400);
    }
    for (const path of ['%00', '%0a', '%ed%a0%80', 'x'.repeat(257), '%F0', 'a*', ...STEPS]) {
      for (const act of ['/kick', '/compact', '/revive', '']) {
        const status = await raw(
          server,
          act === '' ? 'DELETE' : 'POST',
          `/api/rooms/${path}${act}`,
        );
        expect(STEPS.includes(path) ? [400, 404] : [400], `${path}${act}`).toContain(status);
      }
    }
    expect(client.closed).toBe(undefined);
    const listed = (await (await request(server, 'rooms')).json()) as { rooms: { room: string }[] };
    expect(listed.rooms.map(({ room }) => room).sort()).toEqual([...rooms].sort());
  });

  it('[ROOM-6] a path leads to nothing that it does not name as it was sent', async () => {
    const staticDir = temporaryFolder();
    writeFileSync(join(staticDir, 'index.html'), 'the page');
    const server = await governed({ staticDir });
    const hidden = [
      '/ws/../api/rooms',
      '/ws/%2e%2E/api/backup',
      '/ws/..',
      '/api/./rooms',
      '/api/../metrics',
      '/%61pi/rooms',
      '/%6Detrics',
      '/adm%69n',
      '/d/../index.html',
    ];
    for (const path of hidden) expect(await raw(server, 'GET', path), path).toBe(400);
    expect(await raw(server, 'POST', '/ws/../api/drain')).toBe(400);
    const usual = [
      '/api/rooms',
      '/metrics',
      '/admin',
      '/d/a..b',
      '/d/a%2f..%2fb',
      '/...',
      '/%64/x',
    ];
    for (const path of usual) expect(await raw(server, 'GET', path), path).toBe(200);
    expect(await raw(server, 'GET', '/ws/a%2f..%2fb')).not.toBe(400);
  });

  it('[ROOM-4] [CMD-22] that no room can have are left out of a restore and a migration, and told', async () => {
    const wrong = ['.', 'a\nb', '\u001b[31mred', 'e\u0301', 'x*', 'y'.repeat(300)];
    const right = ['minutes', '\u202egnp.txt'];
    const folder = await storeWith([...wrong, ...right]);
    const target = join(temporaryFolder(), 'restored');
    const backup = join(temporaryFolder(), 'backup');
    const store = await LmdbStorage.open(folder);
    const names = Readable.from([...wrong, ...right].map((name) => ({ name })));
    const parts: Uint8Array[] = [];
    for await (const part of writeBackup(store, names, new Date(0))) parts.push(part);
    await store.close();
    writeFileSync(backup, Buffer.concat(parts));
    for (const command of [
      ['restore', backup, '--storage', `lmdb:${target}`],
      ['migrate', `lmdb:${folder}`, `lmdb:${target}-2`],
    ]) {
      const { code, out, errors } = await cowrite(command);
      expect(code, errors).toBe(1);
      expect(out).toMatch(/^2 rooms written, .*, 6 left out\n$/);
      expect(errors.trim().split('\n').length).toBe(6);
      expect(errors).toContain(
        `cowrite: "\\u001b[31mred" is left out, for nobody could open it: the room's name has a control character\n`,
      );
      const at = command.at(-1)!;
      const { out: list } = await cowrite(['rooms', '--json', '--storage', at]);
      const there = list
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).name);
      expect(there.sort()).toEqual([...right].sort());
    }
    const { code, errors } = await cowrite([
      'restore',
      backup,
      '--room',
      '.',
      '--storage',
      'lmdb:x',
    ]);
    expect([code, errors]).toEqual([2, "cowrite: the room's name is a step of a path\n"]);
  });
});

describe('[CMD-20] names on a terminal', () => {
  const names = ['a\nb', '\u001b[31mred', '\u009b2J', '\u202egnp.txt', 'plain', 'x  (deleted)'];

  it('[CMD-20] are not obeyed in lists, reports and errors', async () => {
    const folder = await storeWith(names);
    const storage = ['--storage', `lmdb:${folder}`];
    const { out } = await cowrite(['rooms', ...storage]);
    expect(out.split('\n').map((line) => line.slice(31))).toEqual([
      'room',
      '"\\u001b[31mred"',
      '"a\\nb"',
      'plain',
      '"x  (deleted)"',
      '"\\u009b2J"',
      '"\\u202egnp.txt"',
      '',
    ]);
    const json = await cowrite(['rooms', '--json', ...storage]);
    expect(
      json.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).name)
        .sort(),
    ).toEqual([...names].sort());
    const check = await cowrite(['check', '--verbose', ...storage]);
    expect(check.out).toContain('"\\u202egnp.txt": all is well\n');
    const absent = await cowrite(['export', '\u202eabsent', ...storage]);
    expect(absent.errors).toBe('cowrite: there is no room "\\u202eabsent"\n');
    const unknown = await cowrite(['\u001b[31mno\u202e']);
    expect(unknown.errors).toContain('there is no command <U+001B>[31mno<U+202E>;');
    for (const { out: text, errors } of [json, check, absent, unknown]) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
      expect(text + errors).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
  });

  it('[CMD-20] are not obeyed in top', async () => {
    const server = await governed();
    await RawClient.connect(server, '\u202egnp.txt');
    const environment = { ADMIN_TOKEN: ADMIN };
    const { out } = await cowrite(['top', '--once', '--interval', '0.1', '--server', server.url], {
      environment,
    });
    expect(out).toContain('  "\\u202egnp.txt"\n');
    expect(out).not.toContain('\u202e');
  });

  it.each(['json', 'pretty'])('[CMD-21] are not obeyed in the log (%s)', async (format) => {
    const server = await startProcess({
      STORAGE_URL: 'memory:',
      LOG_LEVEL: 'info',
      LOG_FORMAT: format,
    });
    const client = await RawClient.connect(server, '\u202egnp.txt');
    client.socket.close(4000, 'bye\u009b2J\n{"level":50}\u2028');
    await client.untilClosed();
    await expect.poll(() => server.errors()).toContain('a connection ended');
    const lines = server.errors().trimEnd().split('\n');
    const line = lines.find((each) => each.includes('a connection ended'))!;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
    expect(server.errors()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
    if (format === 'pretty') expect(line).toContain('<U+202E>gnp.txt');
    else expect(JSON.parse(line)).toMatchObject({ room: '\u202egnp.txt' });
  });
});
