import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { WORKER_ENTRY } from './workers.js';

describe('[CMP] workers', () => {
  it('[CMP-12] what Piscina requires is no ES module, which would take the process with it when it is ended', () => {
    const code = `require(${JSON.stringify(fileURLToPath(WORKER_ENTRY))})`;
    const flags = ['--no-experimental-require-module', '-e', code];
    const { status, stderr } = spawnSync(process.execPath, flags, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });
});
