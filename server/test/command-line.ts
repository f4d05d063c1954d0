/** The real command, run to its end as a process of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export interface Ending {
  readonly code: number | null;
  readonly out: string;
  readonly bytes: Buffer;
  readonly errors: string;
}

export interface Around {
  readonly environment?: Readonly<Record<string, string>>;
  /** For stdin, which is empty otherwise. */
  readonly input?: Uint8Array;
  readonly folder?: string;
  /** What stdout is instead: a file, or something that nobody reads. */
  readonly stdout?: number | 'closed';
}

export async function cowrite(
  args: readonly string[],
  { environment = {}, input, folder, stdout }: Around = {},
): Promise<Ending> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    cwd: folder,
    stdio: ['pipe', typeof stdout === 'number' ? stdout : 'pipe', 'pipe'],
  });
  const { stdin, stderr } = child as ChildProcessWithoutNullStreams;
  onTestFinished(() => void child.kill('SIGKILL'));
  // It may end before it has read all.
  stdin.on('error', () => undefined).end(input);
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout?.on('data', (part: Buffer) => out.push(part));
  if (stdout === 'closed') child.stdout?.destroy();
  stderr.on('data', (part: Buffer) => errors.push(part));
  const [code] = await once(child, 'close');
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), bytes, errors: Buffer.concat(errors).toString() };
}
