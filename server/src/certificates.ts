/**
 * Files with certificates that the address of a service names, and why TLS to it failed.
 *
 * Invariant: a file is told by the parameter that names it, never by its path, since of an
 * address nothing is told but hosts, ports and the database.
 */
import { readFileSync } from 'node:fs';
import { shownName } from './shown.js';

export type PemKind = 'CERTIFICATE' | 'PRIVATE KEY';

/** What keeps TLS from beginning; the message is one line. */
export class CertificateUnusable extends Error {
  override readonly name = 'CertificateUnusable';
}

/**
 * Read when a connection is made, so that a certificate that was renewed counts from the next one on.
 *
 * @throws {CertificateUnusable}
 */
export function readPem(parameter: string, file: string, kind: PemKind): Buffer {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? (cause as Error).name;
    throw new CertificateUnusable(`the file that ${parameter} names cannot be read (${code})`, {
      cause,
    });
  }
  // Node takes a text without any for an authority that has signed nothing.
  if (new RegExp(`-----BEGIN [A-Z0-9 ]*${kind}-----`).test(pem.toString('latin1'))) return pem;
  throw new CertificateUnusable(
    `the file that ${parameter} names holds no ${kind.toLowerCase()} in PEM`,
  );
}

/** Nobody who is believed has signed the certificate. */
const UNTRUSTED = new Set([
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

interface TlsError extends NodeJS.ErrnoException {
  readonly reason?: string;
  readonly host?: string;
  readonly cert?: { readonly subjectaltname?: string };
}

/** Characters of a certificate's names that are told. */
const MAX_SHOWN = 200;

/** In one line, why TLS failed; undefined for an error that is not TLS's. @param parameter that names authorities */
export function tlsReason(error: Error, parameter: string): string | undefined {
  const { code = '', reason, host, cert } = error as TlsError;
  if (UNTRUSTED.has(code)) {
    return `its certificate is not believed (${error.message}): name the authority's certificate with ${parameter}=<file> in the address, or for the whole process with NODE_EXTRA_CA_CERTS`;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = shownName((cert?.subjectaltname ?? 'none').slice(0, MAX_SHOWN));
    return `${host} is not a name in its certificate, which has ${names}: have the address name the host as the certificate does`;
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'what answers there does not speak TLS';
  // Of OpenSSL: the message has files and lines of its source.
  return code.startsWith('ERR_SSL_') && reason ? `TLS failed: ${reason}` : undefined;
}
