/**
 * The command's log: JSON lines, or lines for people. On stderr, so that stdout has the ready line
 * alone. What clients put into a line cannot begin another one, nor be obeyed by a terminal.
 */
import { type Logger, pino } from 'pino';
import type { Config } from './config.js';
import { escapedJson, visible } from './shown.js';

const STDERR = 2;

export async function createLogger({
  logLevel: level,
  logFormat,
}: Pick<Config, 'logLevel' | 'logFormat'>): Promise<Logger> {
  if (!isPretty(logFormat)) {
    const lines = pino.destination(STDERR);
    return pino({ level }, escaping(lines, escapedJson));
  }
  // Whose logs are for machines does not have it in memory.
  const { default: pretty } = await import('pino-pretty');
  const lines = pretty({
    destination: STDERR,
    sync: true,
    singleLine: true,
    ignore: 'pid,hostname',
  });
  return pino({ level }, escaping(lines, readable));
}

function escaping(
  lines: { write(line: string): unknown; flushSync?(): void },
  rewrite: (line: string) => string,
) {
  return {
    write: (line: string) => void lines.write(rewrite(line)),
    // What is fatal is written before the process ends.
    flushSync: () => lines.flushSync?.(),
  };
}

/** A line as it came, but for what a terminal would obey; only a stack has several lines. */
function readable(line: string): string {
  const record: unknown = JSON.parse(line, (key: string, value: unknown) => {
    if (typeof value !== 'string') return value;
    return visible(key === 'stack' ? value : value.replaceAll('\n', ' '));
  });
  return `${JSON.stringify(record)}\n`;
}

function isPretty(format: Config['logFormat']): boolean {
  return format === undefined ? process.stderr.isTTY === true : format === 'pretty';
}
