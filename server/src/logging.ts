/** The command's log: JSON lines, or lines for people. On stderr, so that stdout has the ready line alone. */
import { type Logger, pino } from 'pino';
import type { Config } from './config.js';

const STDERR = 2;

export async function createLogger({
  logLevel: level,
  logFormat,
}: Pick<Config, 'logLevel' | 'logFormat'>): Promise<Logger> {
  if (!isPretty(logFormat)) return pino({ level }, pino.destination(STDERR));
  // Whose logs are for machines does not have it in memory.
  const { default: pretty } = await import('pino-pretty');
  return pino(
    { level },
    pretty({ destination: STDERR, sync: true, singleLine: true, ignore: 'pid,hostname' }),
  );
}

function isPretty(format: Config['logFormat']): boolean {
  return format === undefined ? process.stderr.isTTY === true : format === 'pretty';
}
