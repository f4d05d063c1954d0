/** The command: settings from the environment, one line when ready, a clean end on SIGINT and SIGTERM. `cowrite token` makes a token instead. */
import { pino } from 'pino';
import { ConfigError, readConfig } from './config.js';
import { createServer } from './server.js';
import { StorageInUse } from './storage/lock.js';
import { StorageUnavailable } from './storage/open.js';
import { makeToken, UsageError } from './token-command.js';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

async function main([command, ...rest]: readonly string[]): Promise<void> {
  if (command === undefined) return await serve();
  if (command !== 'token') throw new UsageError(`there is no command ${command}, only token`);
  process.stdout.write(`${await makeToken(rest, readConfig())}\n`);
}

async function serve(): Promise<void> {
  const config = readConfig();
  // stderr, so that stdout has the ready line alone.
  const logger = pino({ level: config.logLevel }, pino.destination(2));
  const server = await createServer({
    port: config.port,
    host: config.host,
    storage: config.storageUrl,
    ...(config.redisUrl !== undefined && { redis: config.redisUrl }),
    ...(config.auth !== undefined && { auth: config.auth }),
    allowedOrigins: config.allowedOrigins,
    areReadersPresent: config.areReadersPresent,
    trustedProxies: config.trustedProxies,
    limits: config.limits,
    ...(config.adminToken !== undefined && { adminToken: config.adminToken }),
    logger,
    ...(config.staticDir !== undefined && { staticDir: config.staticDir }),
  });
  const stop = (signal: NodeJS.Signals): void => {
    logger.info({ signal }, 'closing');
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.fatal({ err: error }, 'closed without saving everything');
        process.exit(EXIT_FAILURE);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.stdout.write(`Cowrite is ready: ${server.url}\n`);
  if (config.auth === undefined) {
    logger.info('nobody is asked who they are, so only this machine can connect');
  } else if (config.auth === 'none') {
    logger.warn('AUTH=none: whoever can reach this server can read and change every document');
  }
}

/** What the person at the terminal can mend, as one line; everything else with its stack. */
function explain(error: unknown): { line: string; code: number } {
  if (error instanceof ConfigError || error instanceof UsageError)
    return { line: error.message, code: EXIT_USAGE };
  if (error instanceof StorageInUse || error instanceof StorageUnavailable) {
    return { line: error.message, code: EXIT_FAILURE };
  }
  const { code, message, stack } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return { line: `${message}: choose another PORT`, code: EXIT_FAILURE };
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return { line: `${message}: choose another PORT, HOST or STORAGE_URL`, code: EXIT_FAILURE };
  }
  return { line: stack ?? String(error), code: EXIT_FAILURE };
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const { line, code } = explain(error);
  process.stderr.write(`cowrite: ${line}\n`);
  process.exit(code);
});
