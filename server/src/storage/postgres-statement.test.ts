import { describe, expect, it } from 'vitest';
import { statement } from './postgres-statement.js';

describe('[STO] statements with their values', () => {
  it('[STO-80] bytes take four characters for three of them, and none of those ends a literal', () => {
    for (const size of [0, 1, 2, 3, 1_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const text = statement('$1', [bytes]);
      const [, encoded] = /^decode\('([A-Za-z0-9+/=]*)', 'base64'\)$/.exec(text)!;
      expect(encoded!.length).toBe(Math.ceil(size / 3) * 4);
      expect(Buffer.compare(Buffer.from(encoded!, 'base64'), bytes)).toBe(0);
    }
  });

  it('[STO-80] of a view only what it shows', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4, 5).subarray(1, 3);
    expect(statement('SELECT $1', [bytes])).toBe(`SELECT decode('AgM=', 'base64')`);
  });
});
