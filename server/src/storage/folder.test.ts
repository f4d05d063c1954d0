import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { wideness } from './folder.js';

it('[STO-83] what narrows a folder is the mount where chmod does nothing', ({ skip }) => {
  if (process.platform === 'win32') skip('Windows has no modes');
  const folder = mkdtempSync(join(tmpdir(), 'cowrite-wide-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  expect(wideness(folder, 'vfat')).toBe(undefined);
  chmodSync(folder, 0o755);
  expect(wideness(folder, 'ext4')).toContain(`0755; chmod -R go= ${folder} takes`);
  for (const name of ['vfat', 'exfat', 'SMB']) {
    const line = wideness(folder, name);
    expect(line).toContain(`the mount decides that for ${name}: its options umask=077`);
    expect(line).not.toContain('chmod');
  }
});
