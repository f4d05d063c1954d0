import { describe, expect, it } from 'vitest';
import { readPostgresUrl } from '../service-url.js';
import { storageUrlProblem } from './open.js';
import { PostgresStorage } from './postgres.js';
import { tlsProblem, waysOf } from './postgres-tls.js';

const of = (query: string) => readPostgresUrl(`postgres://h/db?${query}`)!;

describe('[CFG] TLS in the address of a Postgres', () => {
  it('[CFG-11] is tried, or not, as libpq tries it', () => {
    for (const [query, ways] of [
      ['', [true, false]],
      ['sslmode=', [true, false]],
      ['sslmode=disable', [false]],
      ['sslmode=allow', [false, true]],
      ['sslmode=prefer', [true, false]],
      ['sslmode=require', [true]],
      ['sslmode=verify-ca', [true]],
      ['sslmode=verify-full', [true]],
      ['sslrootcert=system', [true]],
      ['sslrootcert=ca.pem', [true, false]],
      ['ssl=true', [true]],
      ['ssl=false', [false]],
      ['ssl=require', [true]],
      ['ssl=false&sslmode=require', [true]],
    ] as const) {
      const { parameters } = of(query);
      expect([query, tlsProblem({ parameters }), waysOf(parameters, false)]).toEqual([
        query,
        undefined,
        ways,
      ]);
      // What does not leave the machine has none.
      expect(waysOf(parameters, true)).toEqual([false]);
    }
  });

  it('[CFG-12] is refused where it cannot be obeyed, and never left out', async () => {
    for (const [query, says] of [
      ['sslmode=requrie', 'sslmode is one of disable, allow, prefer, require'],
      ['sslmode=REQUIRE', 'sslmode is one of'],
      ['sslmode=no-verify', 'sslmode is one of'],
      ['ssl=yes', 'sslmode is one of'],
      ['ssl=constructor', 'sslmode is one of'],
      ['sslmode=require&sslrootcert=system', 'verify-full, or none, where sslrootcert is system'],
      ['sslmode=disable&sslrootcert=system', 'verify-full, or none'],
      ['sslcert=a.pem', 'both sslcert and sslkey'],
      ['sslkey=a.key', 'both sslcert and sslkey'],
      ['sslnegotiation=soon', 'postgres or direct'],
      ['sslnegotiation=direct', 'sslmode=require, verify-ca, verify-full'],
      ['sslnegotiation=direct&sslmode=prefer', 'sslmode=require'],
      ['ssl_min_protocol_version=TLSv9', 'ssl_min_protocol_version is one of'],
      ['sslcrl=a.pem', 'without sslcrl, which is not supported'],
      ['sslrotcert=a', 'without sslrotcert'],
      ['requiressl=1', 'without requiressl'],
    ] as const) {
      expect(storageUrlProblem(`postgres://h/db?${query}`), query).toContain(says);
      await expect(PostgresStorage.open(`postgres://h/db?${query}`)).rejects.toThrow(TypeError);
    }
    for (const query of ['sslcompression=0', 'ssl_min_protocol_version=TLSv1.3']) {
      expect(storageUrlProblem(`postgres://h/db?${query}`), query).toBeUndefined();
    }
  });
});
