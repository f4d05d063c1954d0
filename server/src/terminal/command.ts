/** What a command of `cowrite` is: its arguments, its options, what it says about itself, and how it ends. */
import { parseArgs } from 'node:util';
import type { Config } from '../config.js';
import { shownText } from '../service-url.js';
import type { Purpose } from './output.js';

export const EXIT = { ok: 0, failure: 1, usage: 2, damage: 3 } as const;

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
}

type Options = Readonly<Record<string, Option>>;
type Values<O extends Options> = {
  readonly [Name in keyof O]: O[Name]['type'] extends 'boolean'
    ? true | undefined
    : O[Name] extends { readonly multiple: true }
      ? readonly string[] | undefined
      : string | undefined;
};

export interface Input<O extends Options> {
  readonly values: Values<O>;
  /** As many as there are {@link Definition.arguments}; undefined for one that may be left out and is. */
  readonly operands: readonly string[];
  readonly config: Config;
}

export interface Definition<O extends Options> {
  readonly name: string;
  readonly summary: string;
  /** Such as `<room>`, or `[file]` for one that may be left out. */
  readonly arguments: readonly string[];
  readonly options: O;
  /** What a person has to know to use it, examples too. */
  readonly details: string;
  /** What its stdout is for; a report if left out. */
  readonly output?: Purpose;
  /** @returns an exit code; none for a command that goes on */
  run(input: Input<O>): Promise<number | undefined>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** For `--help`. */
  readonly help: string;
  readonly output: Purpose;
  /** @throws {UsageError} */
  run(args: readonly string[], config: () => Config): Promise<number | undefined>;
}

/** The command line is not one that the command has. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** It could not be done, for a reason that one line tells. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

export function command<const O extends Options>(definition: Definition<O>): Command {
  const { name, summary, output = 'report', run } = definition;
  const help = helpOf(definition);
  return {
    name,
    summary,
    help,
    output,
    async run(args, config) {
      const { values, positionals } = parse(definition, args);
      if (values.help === true) {
        process.stdout.write(help);
        return EXIT.ok;
      }
      const required = definition.arguments.filter((argument) => argument.startsWith('<'));
      if (positionals.length < required.length) {
        throw wrong(name, `${required[positionals.length]} is missing`);
      }
      if (positionals.length > definition.arguments.length) {
        throw wrong(name, `${shownText(positionals.at(-1)!)} is one argument too many`);
      }
      return await run({
        values: values as Values<O>,
        operands: positionals,
        config: config(),
      });
    },
  };
}

export function wrong(name: string, problem: string): UsageError {
  return new UsageError(`${problem}; cowrite ${name} --help`);
}

function parse({ name, options }: Definition<Options>, args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...Object.fromEntries(
          Object.entries(options).map(([option, { type, multiple = false }]) => [
            option,
            { type, multiple },
          ]),
        ),
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error;
    throw wrong(name, message.split('. ')[0]!);
  }
}

function helpOf({ name, summary, arguments: operands, options, details }: Definition<Options>) {
  const rows = Object.entries(options).map(([option, { type, value = 'value', help }]) => [
    type === 'boolean' ? `--${option}` : `--${option} <${value}>`,
    help,
  ]);
  const width = Math.max(...rows.map(([left]) => left!.length), '--help'.length) + 2;
  const lines = [...rows, ['--help', 'shows this']].map(
    ([left, right]) => `  ${left!.padEnd(width)}${right}`,
  );
  const line = ['cowrite', name, '[options]', ...operands].join(' ');
  return `${line}\n\n${summary}.\n\n${lines.join('\n')}\n\n${details.replace(/^\n/, '').trimEnd()}\n`;
}
