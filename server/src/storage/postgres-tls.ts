/**
 * TLS to a Postgres, as libpq reads an address: `sslmode`, `sslrootcert`, `sslcert` and their like.
 *
 * Invariants: what is asked for is never weakened. `require`, `verify-ca` and `verify-full` never
 * go on without TLS, whatever the server says, and where authorities are named the certificate is
 * one of theirs in every mode. A parameter that cannot be obeyed is refused, not left out.
 *
 * Other than libpq: without `sslrootcert` those authorities are believed that Node knows, not a
 * file in the home folder; and a file that is named has to be there.
 */
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type SecureVersion } from 'node:tls';
import { readPem, tlsReason } from '../certificates.js';
import type { ServiceAddress } from '../service-url.js';

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof MODES)[number];
/** From here on there is no way without TLS. */
const STRICT: readonly SslMode[] = ['require', 'verify-ca', 'verify-full'];
const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/** Those that are obeyed. */
const KNOWN = new Set([
  'ssl',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'sslnegotiation',
  // There is none in TLS any more.
  'sslcompression',
  'ssl_min_protocol_version',
  'ssl_max_protocol_version',
]);

/** The authorities that Node knows. */
const SYSTEM = 'system';

type Parameters = ServiceAddress['parameters'];

export function isAboutTls(parameter: string): boolean {
  return parameter.startsWith('ssl') || parameter === 'requiressl';
}

/** @returns what an address has to be, where what it says about TLS cannot be obeyed */
export function tlsProblem({ parameters }: Pick<ServiceAddress, 'parameters'>): string | undefined {
  for (const name of parameters.keys()) {
    if (isAboutTls(name) && !KNOWN.has(name)) {
      return `an address without ${name}, which is not supported; about TLS there may be ${[...KNOWN].join(', ')}`;
    }
  }
  const mode = modeOf(parameters);
  if (mode === undefined) return `an address whose sslmode is one of ${MODES.join(', ')}`;
  const of = (name: string) => parameters.get(name) || undefined;
  if (of('sslrootcert') === SYSTEM && mode !== 'verify-full') {
    return 'an address with sslmode=verify-full, or none, where sslrootcert is system';
  }
  if ((of('sslcert') === undefined) !== (of('sslkey') === undefined)) {
    return 'an address with both sslcert and sslkey, or none of them';
  }
  const negotiation = of('sslnegotiation') ?? 'postgres';
  if (negotiation !== 'postgres' && negotiation !== 'direct') {
    return 'an address whose sslnegotiation is postgres or direct';
  }
  if (negotiation === 'direct' && !STRICT.includes(mode)) {
    return `an address with one of sslmode=${STRICT.join(', ')} where sslnegotiation is direct`;
  }
  for (const name of ['ssl_min_protocol_version', 'ssl_max_protocol_version']) {
    const version = of(name);
    if (version !== undefined && !VERSIONS.includes(version)) {
      return `an address whose ${name} is one of ${VERSIONS.join(', ')}`;
    }
  }
  return undefined;
}

function modeOf(parameters: Parameters): SslMode | undefined {
  const ssl = parameters.get('ssl') || undefined;
  const isOfSystem = parameters.get('sslrootcert') === SYSTEM;
  const otherwise = isOfSystem ? 'verify-full' : 'prefer';
  const mode = parameters.get('sslmode') || (ssl && (JDBC.get(ssl) ?? ssl)) || otherwise;
  return MODES.find((known) => known === mode);
}

/** As libpq reads what addresses for JDBC say. */
const JDBC: ReadonlyMap<string, SslMode> = new Map([
  ['true', 'require'],
  ['false', 'disable'],
]);

/** Whether with TLS: what is tried, in turn, until the server takes one. */
export function waysOf(parameters: Parameters, isSocketFile: boolean): readonly boolean[] {
  const mode = modeOf(parameters);
  // It does not leave the machine.
  if (isSocketFile || mode === 'disable') return [false];
  if (mode === 'allow') return [false, true];
  return mode === 'prefer' ? [true, false] : [true];
}

/** TLS could not begin. */
export class TlsFailed extends Error {
  override readonly name = 'TlsFailed';
}

/**
 * TLS over a connection on which nothing was said.
 *
 * @returns the connection itself where the server has no TLS and that is enough
 * @throws {TlsFailed} or CertificateUnusable
 */
export async function secured(
  socket: Socket,
  host: string,
  parameters: Parameters,
): Promise<Socket> {
  const options = optionsOf(host, parameters);
  if (parameters.get('sslnegotiation') === 'direct') {
    options.ALPNProtocols = ['postgresql'];
  } else if (!(await offersTls(socket))) {
    if (modeOf(parameters) === 'prefer') return socket;
    throw new TlsFailed('the server does not offer TLS, and sslmode asks for it');
  }
  return await new Promise((resolve, reject) => {
    const secure = connect({ ...options, socket });
    const failed = (cause: Error) => {
      const reason = tlsReason(cause, 'sslrootcert') ?? cause.message;
      reject(new TlsFailed(reason, { cause }));
    };
    const closed = () => reject(new TlsFailed('the connection was closed while TLS began'));
    secure.once('error', failed).once('close', closed);
    secure.once('secureConnect', () => {
      secure.off('error', failed).off('close', closed);
      resolve(secure);
    });
  });
}

/** Authorities that are named are asked in every mode, and otherwise where the mode says so. */
function optionsOf(host: string, parameters: Parameters): ConnectionOptions {
  const of = (name: string) => parameters.get(name) || undefined;
  const mode = modeOf(parameters)!;
  const authorities = of('sslrootcert') === SYSTEM ? undefined : of('sslrootcert');
  const [certificate, key] = [of('sslcert'), of('sslkey')];
  return {
    // The name that a certificate must have.
    host,
    // Several servers may be behind one address.
    ...(!isIP(host) && { servername: host }),
    rejectUnauthorized: mode.startsWith('verify') || authorities !== undefined,
    ...(mode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    ...(authorities && { ca: readPem('sslrootcert', authorities, 'CERTIFICATE') }),
    ...(certificate && { cert: readPem('sslcert', certificate, 'CERTIFICATE') }),
    ...(key && { key: readPem('sslkey', key, 'PRIVATE KEY'), passphrase: of('sslpassword') }),
    ...versions(of('ssl_min_protocol_version'), of('ssl_max_protocol_version')),
  };
}

function versions(least: string | undefined, most: string | undefined): ConnectionOptions {
  return {
    ...(least && { minVersion: least as SecureVersion }),
    ...(most && { maxVersion: most as SecureVersion }),
  };
}

/** Its length, and the number that stands where a startup message has a version. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

async function offersTls(socket: Socket): Promise<boolean> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const failed = (cause: Error) => reject(new TlsFailed(cause.message, { cause }));
    const closed = () =>
      reject(new TlsFailed('the server closed the connection when asked for TLS'));
    socket.once('error', failed).once('close', closed);
    socket.once('data', (bytes: Buffer) => {
      socket.off('error', failed).off('close', closed);
      resolve(bytes);
    });
    socket.write(SSL_REQUEST);
  });
  const said = answer.toString('latin1');
  // More than one letter was not said by the server: nothing is protected yet (CVE-2021-23222).
  if (said === 'S') return true;
  if (said === 'N') return false;
  throw new TlsFailed('what answers there is no Postgres that knows of TLS');
}
