import { describe, expect, it } from 'vitest';
import { readPostgresUrl, readRedisUrl, shownText, shownUrl } from './service-url.js';

/** Characters that end the part of an address in which they stand. */
const UNESCAPED = ['/', '#', '?', '%'];

describe('[CFG] addresses of services', () => {
  it('[CFG-7] are read as they were meant', () => {
    expect(
      readPostgresUrl('postgres://ada:s%2Fe%23c%3Fr%25e%40t@one:6432/a%2Fb?sslmode=require'),
    ).toEqual({
      user: 'ada',
      password: 's/e#c?r%e@t',
      hosts: [{ host: 'one', port: 6432 }],
      database: 'a/b',
      parameters: new Map([['sslmode', 'require']]),
    });
    const several = readPostgresUrl('postgresql://ada@one,[::1]:5433,two:1/db');
    expect(several?.hosts).toEqual([
      { host: 'one', port: 5432 },
      { host: '::1', port: 5433 },
      { host: 'two', port: 1 },
    ]);
    expect(readPostgresUrl('postgres:///db')).toMatchObject({ hosts: [], database: 'db' });
    expect(readPostgresUrl('postgres://ada:a@b:c@one/db')?.password).toBe('a@b:c');
    expect(readPostgresUrl('postgres://%2Frun%2Fpg/db')?.hosts[0]?.host).toBe('/run/pg');
    expect(readPostgresUrl('postgres://ada@one/db\n')?.database).toBe('db');
    expect(readRedisUrl('rediss://:secret@one/3')).toMatchObject({
      password: 'secret',
      hosts: [{ host: 'one', port: 6379 }],
      database: '3',
    });
  });

  it('[CFG-7] are refused where they can be read in two ways, or not at all', () => {
    for (const kind of ['postgres', 'redis']) {
      const read = kind === 'redis' ? readRedisUrl : readPostgresUrl;
      for (const character of UNESCAPED) {
        // With digits before it, what follows the user looks like a port.
        for (const password of [`a${character}b`, `12${character}b`, `12${character}b=c`]) {
          const url = `${kind}://u:${password}@127.0.0.1:1/5`;
          // What a % and two digits mean nobody can know.
          expect(read(url), url).toBeUndefined();
          expect(read(url.replace('/5', '')), url).toBeUndefined();
        }
      }
      for (const host of [
        'h:0',
        'h:65536',
        'h:99999',
        'h:abc',
        'h:',
        ':1',
        '[::1',
        'h h',
        '[h]:1x',
      ]) {
        expect(read(`${kind}://u:p@${host}/0`), host).toBeUndefined();
      }
    }
    for (const url of [
      'redis://one,two',
      'redis://one/db',
      'redis://one?x=y',
      'redis://',
      'redis:/one',
    ]) {
      expect(readRedisUrl(url), url).toBeUndefined();
    }
    for (const url of [
      'postgres:u:p@h/db',
      'postgres:/h/db',
      'postgres://h/db?x',
      'postgres://h/a/b',
    ]) {
      expect(readPostgresUrl(url), url).toBeUndefined();
    }
  });

  it('[CFG-8] show their hosts, ports and database', () => {
    for (const [url, shown] of [
      ['postgres://u:SECRET@one:1,two/db?password=SECRET', 'postgres://one:1,two:5432/db'],
      ['postgres://SECRET@[::1]/db', 'postgres://[::1]:5432/db'],
      ['postgres://u:SECRET@SECRET@one/db', 'postgres://one:5432/db'],
      ['redis://:SECRET@one/2', 'redis://one:6379/2'],
      ['https://SECRET:SECRET@one:81/SECRET?SECRET', 'https://one:81'],
      ['lmdb:./data', 'lmdb:./data'],
      ['lmdb:u:SECRET@h', 'lmdb:h'],
      ['memory:SECRET', 'memory:'],
    ] as const) {
      expect(shownUrl(url)).toBe(shown);
    }
    for (const url of [
      'postgres://u:1/SECRET@one/db',
      'postgres:u:SECRET@h/db',
      'mysql://u:SECRET@h/db',
      'u:SECRET@h:6379',
      'https://u:SECRET/@h:x',
    ]) {
      expect(shownText(url), url).not.toContain('SECRET');
    }
    expect(shownText('minutes')).toBe('minutes');
  });
});
