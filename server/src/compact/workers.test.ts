import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';

/** Each worker is ended at another moment of its beginning: while it starts, loads its code, or works. */
const SCRIPT = `
  import { Workers } from '${new URL('../../dist/compact/workers.js', import.meta.url).href}';
  for (let i = 0; i < 60; i++) {
    const workers = new Workers({ threads: 1, budget: 10_000, heap: 200 });
    const job = workers.compact({ snapshot: undefined, updates: [Uint8Array.of(0, 0)] });
    const over = job.then(() => 'done', () => 'ended');
    await new Promise((resolve) => setTimeout(resolve, i));
    await workers.close();
    await over;
  }
`;

describe('[CMP] workers', () => {
  it('[CMP-12] one that is ended while it begins ends alone', async () => {
    // A process of its own: what this looks for is its end.
    const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    const [code, signal] = await once(child, 'close');
    expect({ code, signal }, said).toEqual({ code: 0, signal: null });
  });
});
