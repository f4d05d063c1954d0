/**
 * One job in a process of its own, for what may not fit into a heap. A thread that runs out of its
 * heap now and then takes the whole process with it (Node 22 and 24); a process takes itself.
 *
 * Invariant: when the job is over, for whatever reason, its process has ended.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EndedEarly, readFrame, writeFrame } from './frames.js';
import type { Task } from './worker.js';

/** What the process is sent. */
export interface ApartTask {
  readonly task: Task;
  /** Milliseconds after which it gives up by itself. */
  readonly patience: number;
}

/** What it answers. */
export interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly name: string; readonly message: string; readonly stack?: string };
}

/** It reached the end of its heap. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory';
}

/** It has ended before it had anything to say, such as because the kernel killed it. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded';
  /** In words, without what it wrote: that is in the message. */
  readonly how: string;

  constructor(how: string, said: string) {
    super(`a process for a document ended: ${how}${said && ` ${said}`}`);
    this.how = how;
  }
}

/** A compiled file, also when this module is run from its source. */
const ENTRY = fileURLToPath(new URL('../../dist/compact/apart-entry.js', import.meta.url));
const MB = 1024 * 1024;
/** Objects that are new lie beside that heap: no more of them than in a thread. Node's own word, which Deno does not know. */
const YOUNG = process.versions.deno === undefined ? ['--max-semi-space-size=16'] : [];
/** Milliseconds: by so much later than it is ended here, it ends by itself. */
const ORPHAN_MS = 5_000;
/** Characters of what it says when it ends that are kept: V8's reason stands before a long trace. */
const MAX_SAID = 16_384;
/** And those that are told. */
const SHOWN = 1_000;
/** What says nothing by itself. */
const ENDS: Readonly<Record<string, string>> = {
  SIGKILL: 'it was killed, as the kernel does where memory is short',
};

/**
 * @param heap bytes
 * @param signal ends the process
 * @throws {OutOfMemory}
 * @throws {ProcessEnded} or whatever the job threw
 */
export async function runApart<T>(
  task: Task,
  { heap, patience, signal }: { heap: number; patience: number; signal: AbortSignal },
): Promise<T> {
  signal.throwIfAborted();
  const child = fork(ENTRY, {
    // Not those of this process, such as an inspector's port.
    execArgv: [`--max-old-space-size=${Math.ceil(heap / MB)}`, ...YOUNG],
    // It has no use for settings and secrets.
    env: {},
    stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
  });
  const ended = endOf(child);
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  process.once('exit', kill);
  let answer: Answer;
  try {
    const sent = { task, patience: patience + ORPHAN_MS } satisfies ApartTask;
    child.stdin!.on('error', () => undefined);
    // Where it is not read to its end, the process has ended, and how it did says more.
    writeFrame(child.stdin!, sent).catch(() => undefined);
    answer = (await readFrame(child.stdout!)) as Answer;
  } catch (error) {
    // Where it could not be started there is nothing to be read either.
    if (child.pid !== undefined && !(error instanceof EndedEarly)) throw error;
    const end = await ended;
    signal.throwIfAborted();
    throw end;
  } finally {
    signal.removeEventListener('abort', kill);
    process.off('exit', kill);
    kill();
    // Before that, its memory is not free.
    await ended;
  }
  const { error, result } = answer;
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return result as T;
}

/** Resolves once it has ended, to what that means for whoever waits for its answer. */
async function endOf(child: ChildProcess): Promise<Error> {
  const said = lastOf(child.stderr!);
  return await new Promise((resolve) => {
    child.once('error', ({ message }) => {
      resolve(new ProcessEnded('it could not be started', message));
    });
    child.once('close', (code, signal) => {
      const how = signal ?? `exit code ${code}`;
      const text = said();
      resolve(
        /out of memory/i.test(text)
          ? new OutOfMemory(`a process for a document ran out of memory (${how})`)
          : new ProcessEnded(ENDS[how] ?? how, text.slice(-SHOWN)),
      );
    });
  });
}

function lastOf(stream: Readable): () => string {
  let said = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MAX_SAID);
  });
  return () => said.trim();
}
