/** The real command, run to its end as a process of its own. */
import { spawn } from 'node:child_process';
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
}

export async function cowrite(
  args: readonly string[],
  { environment = {}, input, folder }: Around = {},
): Promise<Ending> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    cwd: folder,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.end(input);
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => out.push(part));
  child.stderr.on('data', (part: Buffer) => errors.push(part));
  const [code] = await once(child, 'close');
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), bytes, errors: Buffer.concat(errors).toString() };
}
