/** The only reader of the environment. What it returns is complete, checked and frozen. */
import { z } from 'zod';
import {
  isSharedStorageUrl,
  isStorageUrl,
  STORAGE_URL_FORMS,
  withoutPassword,
} from './storage/open.js';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
const PORT = 'a whole number from 0 to 65535';

const schema = z.object({
  PORT: z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT).default(8080),
  HOST: z.string().default('127.0.0.1'),
  STORAGE_URL: z.string().refine(isStorageUrl, STORAGE_URL_FORMS).optional(),
  REDIS_URL: z
    .string()
    .refine((url) => /^rediss?:\/\/./.test(url), 'redis://<host>:<port> or rediss://<host>:<port>')
    .optional(),
  LOG_LEVEL: z.enum(LEVELS, `one of ${LEVELS.join(', ')}`).default('info'),
  STATIC_DIR: z.string().optional(),
});

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly storageUrl: string;
  /** Where instances meet; undefined for one that is alone. */
  readonly redisUrl: string | undefined;
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
    throw new ConfigError(
      `${name} must be ${issue.message}, not ${withoutPassword(JSON.stringify(set[name]))}`,
    );
  }
  const { data } = result;
  if (data.REDIS_URL !== undefined && data.STORAGE_URL !== undefined) {
    const problem = notShared(data.STORAGE_URL);
    if (problem !== undefined) throw new ConfigError(problem);
  }
  return Object.freeze({
    port: data.PORT,
    host: data.HOST,
    // With a Redis alone, documents are kept there too, so that several instances can share them.
    storageUrl: data.STORAGE_URL ?? data.REDIS_URL ?? 'lmdb:./data',
    redisUrl: data.REDIS_URL,
    logLevel: data.LOG_LEVEL,
    staticDir: data.STATIC_DIR,
  });
}

function notShared(storageUrl: string): string | undefined {
  if (isSharedStorageUrl(storageUrl)) return undefined;
  return (
    `REDIS_URL is for instances that share their documents, and STORAGE_URL=${storageUrl} is for one alone: ` +
    'set STORAGE_URL to postgres://<host>/<database> or redis://<host>:<port>, or leave one of the two out'
  );
}
