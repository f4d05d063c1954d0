/** The command: finds the one that is asked for, `serve` where none is, and says in one line what went wrong. */
import { type Config, ConfigError, misspeltSettings, readConfig } from './config.js';
import { UnusableRedis } from './redis-signs.js';
import { checkRuntime, UnsupportedRuntime } from './runtime.js';
import { shownText } from './service-url.js';
import { StorageInUse, StorageLost } from './storage/lock.js';
import { StorageUnavailable } from './storage/open.js';
import { type Command, EXIT, Failure, UsageError } from './terminal/command.js';
import { complain, endingOf, useStdout, watchOutput } from './terminal/output.js';
import { failWhereUnfinished } from './terminal/unfinished.js';

/** What it is without a command. */
const SERVE = 'serve';

/** Each is loaded when it is asked for: the server's parts take longer to load than most commands take. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./commands/serve.js')).serveCommand,
  token: async () => (await import('./commands/token.js')).tokenCommand,
  rooms: async () => (await import('./commands/rooms.js')).roomsCommand,
  export: async () => (await import('./commands/export.js')).exportCommand,
  import: async () => (await import('./commands/import.js')).importCommand,
  check: async () => (await import('./commands/check.js')).checkCommand,
  backup: async () => (await import('./commands/backup.js')).backupCommand,
  restore: async () => (await import('./commands/restore.js')).restoreCommand,
  migrate: async () => (await import('./commands/migrate.js')).migrateCommand,
  top: async () => (await import('./commands/top.js')).topCommand,
};

const END = `
cowrite <command> --help says more. Settings are in the environment; the README lists them.
It ends with 0 when all is well, 1 when something failed, 2 for a command line or a setting
that cannot be, and 3 when something in a store is damaged.
`;

async function help(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(9)}${summary}\n`);
  return `cowrite [command]\n\nA self-hosted backend for collaborative editors built on Yjs.\n\n${lines.join('')}${END}`;
}

/** Once it is read. */
let config: Config | undefined;

async function main([name = SERVE, ...rest]: readonly string[]): Promise<number | undefined> {
  checkRuntime();
  if (name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(await help());
    return EXIT.ok;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    throw new UsageError(`there is no command ${shownText(name)}; cowrite --help lists them`);
  }
  const command = await COMMANDS[name]!();
  useStdout(command.output);
  return await command.run(rest, () => configOf(command));
}

function configOf({ name }: Command): Config {
  // A server tells it in its log, once it has one. Where a setting is wrong, this may be why.
  let isTold = false;
  try {
    config = readConfig(undefined, name === SERVE);
    isTold = name === SERVE;
    return config;
  } finally {
    if (!isTold) for (const line of misspeltSettings()) complain(line);
  }
}

/** The settings that may have led to this port. */
function portSettings(port: number | undefined): string {
  const settings = [
    config?.port === port && 'PORT',
    config?.metrics?.port === port && 'METRICS_PORT',
  ];
  const names = settings.filter((name) => name !== false);
  return port === undefined || names.length === 0 ? 'PORT' : names.join(' or ');
}

/** What the person at the terminal can mend, as one line; everything else with its stack. */
function explain(error: unknown): { line: string; code: number } {
  if (error instanceof ConfigError || error instanceof UsageError) {
    return { line: error.message, code: EXIT.usage };
  }
  if (
    error instanceof Failure ||
    error instanceof StorageInUse ||
    error instanceof StorageLost ||
    error instanceof StorageUnavailable ||
    error instanceof UnsupportedRuntime ||
    error instanceof UnusableRedis
  ) {
    return { line: error.message, code: EXIT.failure };
  }
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const port = (error as { readonly port?: number }).port;
  if (code === 'EADDRINUSE') {
    return { line: `${message}: choose another ${portSettings(port)}`, code: EXIT.failure };
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    const settings = `${portSettings(port)}, HOST, METRICS_HOST or STORAGE_URL`;
    return { line: `${message}: choose another ${settings}`, code: EXIT.failure };
  }
  return { line: stack ?? String(error), code: EXIT.failure };
}

watchOutput();
const ending = main(process.argv.slice(2));
failWhereUnfinished(ending);
ending.then(
  (code) => {
    // What was written to a pipe is still on its way.
    if (code !== undefined) process.exitCode = endingOf(code);
  },
  (error: unknown) => {
    const { line, code } = explain(error);
    complain(line);
    process.exit(code);
  },
);
