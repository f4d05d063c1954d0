/** The only reader of the environment. What it returns is complete, checked and frozen. */
import { z } from 'zod';
import { isStorageUrl, STORAGE_URL_FORMS } from './storage/open.js';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const PORT = 'a whole number from 0 to 65535';

const schema = z.object({
  PORT: z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT).default(8080),
  HOST: z.string().default('127.0.0.1'),
  STORAGE_URL: z.string().refine(isStorageUrl, STORAGE_URL_FORMS).default('lmdb:./data'),
  LOG_LEVEL: z.enum(LEVELS, `one of ${LEVELS.join(', ')}`).default('info'),
  STATIC_DIR: z.string().optional(),
});

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly storageUrl: string;
  readonly logLevel: (typeof LEVELS)[number];
  /** Folder of a built web app to serve at `/`. */
  readonly staticDir: string | undefined;
}

/** A setting has a value that it cannot have. The message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * @param environment an empty value counts as not set
 * @throws {ConfigError}
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([name, value]) => name in schema.shape && value !== ''),
  );
  const result = schema.safeParse(set);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const name = String(issue.path[0]);
    throw new ConfigError(`${name} must be ${issue.message}, not ${JSON.stringify(set[name])}`);
  }
  const { data } = result;
  return Object.freeze({
    port: data.PORT,
    host: data.HOST,
    storageUrl: data.STORAGE_URL,
    logLevel: data.LOG_LEVEL,
    staticDir: data.STATIC_DIR,
  });
}
