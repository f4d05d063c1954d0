/** `cowrite serve`: the server. One line when it is ready, a drain on SIGINT and SIGTERM, the end on a second one. */
import { statSync } from 'node:fs';
import { type Config, ConfigError, misspeltSettings } from '../config.js';
import { createLogger } from '../logging.js';
import { createServer } from '../server.js';
import type { CowriteServer } from '../server-options.js';
import { settingsText } from '../settings.js';
import { StorageLost } from '../storage/lock.js';
import { command, EXIT } from '../terminal/command.js';

export const serveCommand = command({
  name: 'serve',
  summary: 'Runs the server; what cowrite does without a command',
  arguments: [],
  options: {},
  details: `
The line "Cowrite is ready: <url>" on stdout says when rooms can be
opened; logs go to stderr. SIGTERM and SIGINT save everything and end it with 0, or with 1
where something could not be saved, which the log says. A second one ends it at once.

Settings, in the environment, with what they are when left out:

${settingsText()}`,
  run: async ({ config }) => await serve(config),
});

async function serve(config: Config): Promise<undefined> {
  checkFolder(config.staticDir);
  const logger = await createLogger(config);
  for (const line of misspeltSettings()) logger.warn(line);
  let server: CowriteServer | undefined;
  let isStopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    logger.info({ signal }, 'stopping');
    if (isStopping) {
      logger.fatal({ signal }, 'ended by a second signal; what was not saved, clients still have');
      process.exit(EXIT.failure);
    }
    isStopping = true;
    // How it ends, whenClosed says.
    server?.drain().catch(() => undefined);
  };
  // A store may take its time to open: who is told to end meanwhile ends well, too.
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  server = await createServer({
    port: config.port,
    host: config.host,
    storage: config.storageUrl,
    allowNetworkFolder: config.allowNetworkFolder,
    ...(config.redisUrl !== undefined && { redis: config.redisUrl }),
    ...(config.auth !== undefined && { auth: config.auth }),
    allowedOrigins: config.allowedOrigins,
    areReadersPresent: config.areReadersPresent,
    trustedProxies: config.trustedProxies,
    limits: config.limits,
    ...(config.adminToken !== undefined && { adminToken: config.adminToken }),
    ...(config.metrics !== undefined && { metrics: config.metrics }),
    logger,
    ...(config.staticDir !== undefined && { staticDir: config.staticDir }),
    ...(config.documentUrl !== undefined && { documentUrl: config.documentUrl }),
  });
  server.whenClosed.then(
    () => {
      logger.info('ended; everything is saved');
      process.exit(EXIT.ok);
    },
    (error: unknown) => {
      const isLost = error instanceof StorageLost;
      logger.fatal({ err: error }, isLost ? 'ended' : 'closed without saving everything');
      process.exit(EXIT.failure);
    },
  );
  if (isStopping) {
    // As above.
    server.drain().catch(() => undefined);
    return;
  }
  process.stdout.write(`Cowrite is ready: ${server.url}\n`);
  logger.info({ url: server.url }, 'ready');
  if (server.metricsUrl !== undefined) {
    logger.info({ url: server.metricsUrl }, 'metrics are served without a token');
  }
  if (config.auth === undefined) {
    logger.info('nobody is asked who they are, so only this machine can connect');
  } else if (config.auth === 'none') {
    logger.warn('AUTH=none: whoever can reach this server can read and change every document');
  } else if ('url' in config.auth && config.allowedOrigins.includes('*')) {
    logger.warn(
      'ALLOWED_ORIGINS=*: cookies of pages that are not named there are not passed to AUTH_URL, so these pages need tokens',
    );
  }
}

/** @throws {ConfigError} where every page would be a 404 */
function checkFolder(staticDir: string | undefined): void {
  if (staticDir === undefined || statSync(staticDir, { throwIfNoEntry: false })?.isDirectory()) {
    return;
  }
  throw new ConfigError(
    `STATIC_DIR must be a folder, and ${JSON.stringify(staticDir)} is none, as seen from ${process.cwd()}`,
  );
}
