/** The server under fuzz: the real command in a process of its own, its log and its memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Counts } from './figures.js';
import { within } from './patience.js';
import { SECRET } from './tokens.js';

const COMMAND = fileURLToPath(new URL('../bin/cowrite.js', import.meta.url));
const MEMORY = fileURLToPath(new URL('./memory.mjs', import.meta.url));
/** pino's number of the level. */
const ERROR = 50;
const MAX_PROBLEMS = 20;
const END_MS = 1_000;
/** It gives itself ten seconds. */
const STOP_MS = 20_000;

/** Errors that say that something crafted was found, and that it was dealt with as SPEC says. */
const EXPECTED: ReadonlySet<string> = new Set([
  // CMP-3: of what attackers wrote, some only a document can tell from honest updates.
  'entries of the log were set aside',
]);

export interface Memory {
  readonly heapUsed: number;
  /** ArrayBuffers among it. */
  readonly external: number;
  readonly rss: number;
  readonly sockets: number;
}

export class Target {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #onProblem: (problem: string) => void;
  readonly #problems: string[] = [];
  #isStopping = false;
  /** How often it logged each message, from warnings up. */
  readonly logged = new Counts();

  private constructor(child: ChildProcess, port: number, onProblem: (problem: string) => void) {
    this.#child = child;
    this.port = port;
    this.#onProblem = onProblem;
    const log = createInterface(child.stderr!).on('line', (line) => this.#hear(line));
    // In this order: what it said last is heard before its end.
    this.#ended = Promise.all([once(log, 'close'), once(child, 'exit')]).then(() => {
      const how = child.exitCode ?? child.signalCode;
      if (!this.#isStopping || how !== 0) this.#problem(`the server ended with ${how}`);
    });
  }

  /** @param onProblem hears of its end, unless it is stopped, and of what it must not log */
  static async start(onProblem: (problem: string) => void): Promise<Target> {
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-fuzz-'));
    const args = ['--expose-gc', '--import', pathToFileURL(MEMORY).href, COMMAND];
    const child = spawn(process.execPath, args, {
      env: {
        PATH: process.env.PATH,
        PORT: '0',
        STORAGE_URL: `lmdb:${folder}`,
        AUTH_SECRET: SECRET,
        AUTH_CLOCK_TOLERANCE: '0',
        LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    const end = () => {
      child.kill('SIGKILL');
      remove();
    };
    process.once('exit', end);
    child.once('exit', () => {
      process.off('exit', end);
      remove();
    });
    const ready = createInterface(child.stdout!);
    const [line] = await Promise.race([once(ready, 'line'), once(child, 'exit')]);
    const port = /:(\d+)$/.exec(String(line))?.[1];
    if (port === undefined) throw new Error(`the server did not start: ${line}`);
    return new Target(child, Number(port), onProblem);
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  #hear(line: string): void {
    const entry = parsed(line);
    const message = entry?.msg ?? line;
    this.logged.add(message);
    const isExpected = entry !== undefined && (entry.level < ERROR || EXPECTED.has(message));
    // Tokens begin so, being JSON that begins with `{"alg`.
    if (!isExpected || line.includes('eyJhbGci')) this.#problem(`it logged: ${line}`);
  }

  #problem(problem: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
    this.#onProblem(problem);
  }

  /** What {@link Target.start} was told of; waits a moment for what is about to be. */
  async problems(): Promise<readonly string[]> {
    await Promise.race([this.#ended, setTimeout(END_MS)]);
    return this.#problems;
  }

  /** After a garbage collection. */
  async memory(): Promise<Memory> {
    this.#child.send('memory?');
    const [memory] = await once(this.#child, 'message');
    return memory as Memory;
  }

  /** SIGTERM, to which it has to end with 0. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#child.kill('SIGTERM');
    await within(STOP_MS, 'the server ends', this.#ended);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

function parsed(line: string): { level: number; msg: string } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
