/** Options that nobody reads are mistakes, and would go unnoticed: a misspelt one leaves a bound or a lock open. */
import { DEFAULT_LIMITS } from './limits.js';
import type { Hooks, ServerOptions } from './server-options.js';

/** One that is added there does not compile until it is here. */
const OPTIONS: Readonly<Record<keyof ServerOptions, true>> = {
  server: true,
  path: true,
  port: true,
  host: true,
  auth: true,
  allowedOrigins: true,
  trustedProxies: true,
  areReadersPresent: true,
  storage: true,
  allowNetworkFolder: true,
  redis: true,
  adminToken: true,
  metrics: true,
  staticDir: true,
  documentUrl: true,
  hooks: true,
  limits: true,
  logger: true,
  clock: true,
  random: true,
};
const HOOKS: Readonly<Record<keyof Hooks, true>> = {
  authenticate: true,
  onSaved: true,
  onRelayed: true,
  onQuarantine: true,
};
const TOKENS = ['secret', 'jwksUrl', 'issuer', 'audience', 'clockTolerance'];

/** @throws {TypeError} for an option that there is none of, and for one that has no effect */
export function checkOptions(options: ServerOptions): void {
  const { server, path, port, host, hooks, limits, auth, metrics } = options;
  check('option', options, Object.keys(OPTIONS));
  check('hook', hooks, Object.keys(HOOKS));
  check('limit', limits, Object.keys(DEFAULT_LIMITS));
  check('option of metrics', metrics, ['port', 'host']);
  const isEndpoint = typeof auth === 'object' && 'url' in auth;
  check('option of auth', auth === 'none' ? undefined : auth, isEndpoint ? ['url'] : TOKENS);
  if (server === undefined) {
    if (path !== undefined) throw new TypeError('path is about a server that is given: set server');
    return;
  }
  // 0 says nothing of where it listens.
  const useless = [Boolean(port) && 'port', host !== undefined && 'host'].find(Boolean);
  if (useless)
    throw new TypeError(`${useless} is for the server that is given to say: leave it out`);
}

function check(what: string, given: object | undefined, known: readonly string[]): void {
  if (typeof given !== 'object') return;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || known.includes(name)) continue;
    throw new TypeError(
      `there is no ${what} ${JSON.stringify(name)}: there are ${known.join(', ')}`,
    );
  }
}
