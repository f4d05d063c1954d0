/**
 * Files with certificates that the address of a service names, and why TLS to it failed.
 *
 * Invariant: a file is told by the parameter that names it, never by its path, since of an
 * address nothing is told but hosts, ports and the database.
 */
import { readFileSync } from 'node:fs';

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

/** In one line, why TLS failed; undefined for an error that is not TLS's. @param parameter that names authorities */
export function tlsReason(error: Error, parameter: string): string | undefined {
  const { code = '', reason } = error as NodeJS.ErrnoException & { readonly reason?: string };
  if (UNTRUSTED.has(code)) {
    return `its certificate is not believed (${error.message}): name the authority's certificate with ${parameter}=<file> in the address, or for the whole process with NODE_EXTRA_CA_CERTS`;
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'what answers there does not speak TLS';
  // Of OpenSSL: the message has files and lines of its source.
  return code.startsWith('ERR_SSL_') && reason ? `TLS failed: ${reason}` : undefined;
}
