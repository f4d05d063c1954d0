/** The examples of the client package, built as an application would build them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildPage } from './build-page.js';
import { writeListTogether } from './shopping-list.js';

const EXAMPLES = new URL('../client/examples/', import.meta.url);

describe.each([
  ['vanilla', 'main.ts'],
  ['react', 'main.tsx'],
])('%s', (name, main) => {
  test('[E2E-22] two people write a list together; it is saved, and there again', async () => {
    await writeListTogether(await buildPage(fileURLToPath(new URL(name, EXAMPLES))));
  });

  test('has less than 60 lines', () => {
    const source = readFileSync(new URL(`${name}/${main}`, EXAMPLES), 'utf8');
    expect(source.split('\n').length).toBeLessThan(60);
  });
});
