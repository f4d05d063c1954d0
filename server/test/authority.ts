/** An authority of its own for tests of TLS, and what it signs, made by the openssl of this machine. */
import { execFileSync } from 'node:child_process';
import { chownSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../scripts/find-programs.mjs';
import { unprivileged } from './postgres-service.js';

export interface Signed {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  /** Its own certificate. */
  readonly ca: string;
  /** A certificate for a client or a server of that name. */
  sign(name: string): Signed;
}

export const openssl = findProgram('openssl');

/** @param folder that everybody may look into: Postgres runs as another user */
export function authorityIn(folder: string, name = 'authority'): Authority {
  const run = (...args: string[]) =>
    execFileSync(openssl!, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const make = (...args: string[]) => run('req', ...key, '-days', '2', ...args);
  make('-x509', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`);
  const ca = join(folder, `${name}.pem`);
  let count = 0;
  return {
    ca,
    sign(subject) {
      const file = `${name}-${++count}`;
      make('-subj', `/CN=${subject}`, '-keyout', `${file}.key`, '-out', `${file}.csr`);
      writeFileSync(join(folder, `${file}.ext`), `subjectAltName=DNS:${subject}\n`);
      const by = ['-CA', `${name}.pem`, '-CAkey', `${name}.key`, '-CAcreateserial'];
      const about = ['-in', `${file}.csr`, '-extfile', `${file}.ext`, '-days', '2'];
      run('x509', '-req', ...about, ...by, '-out', `${file}.pem`);
      return { cert: join(folder, `${file}.pem`), key: join(folder, `${file}.key`) };
    },
  };
}

/** Postgres takes only a key that is its own. */
export function ownKey(key: string): string {
  const user = unprivileged();
  if (user === undefined) return key;
  const own = `${key}.own`;
  copyFileSync(key, own);
  chownSync(own, user.uid, user.gid);
  return own;
}

/** The same key, for those who know the password. */
export function lockedKey(key: string, password: string): string {
  const locked = `${key}.locked`;
  const about = ['-topk8', '-v2', 'aes256', '-passout', `pass:${password}`];
  execFileSync(openssl!, ['pkcs8', ...about, '-in', key, '-out', locked]);
  return locked;
}
