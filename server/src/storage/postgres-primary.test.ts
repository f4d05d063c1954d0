import { describe, expect, it } from 'vitest';
import { isSign, judge, nameOf, type ServerState } from './postgres-primary.js';

const server = (
  started: string,
  lineage?: [system: string, timeline: number, flushed: number],
): ServerState => ({
  isInRecovery: false,
  isReadOnly: false,
  started,
  lineage: lineage && { system: lineage[0], timeline: lineage[1], flushed: BigInt(lineage[2]) },
});

describe('[STO-67] which server is the primary', () => {
  it.each([
    ['itself, further on', server('1', ['a', 1, 5]), server('1', ['a', 1, 9]), 'same'],
    ['itself, restarted', server('1', ['a', 1, 5]), server('2', ['a', 1, 5]), 'same'],
    ['a standby that was promoted', server('1', ['a', 1, 5]), server('2', ['a', 2, 3]), 'other'],
    ['one that was promoted twice', server('1', ['a', 1, 5]), server('2', ['a', 4, 3]), 'other'],
    ['the one before it', server('2', ['a', 2, 3]), server('1', ['a', 1, 9]), 'stale'],
    ['another cluster', server('1', ['a', 7, 5]), server('2', ['b', 1, 9]), 'other'],
    [
      'a copy of its disk that is older',
      server('1', ['a', 1, 5]),
      server('2', ['a', 1, 4]),
      'other',
    ],
    ['itself, where it tells nothing', server('1'), server('1'), 'same'],
    ['another one that tells nothing', server('1'), server('2'), 'other'],
    ['itself, though it has begun to tell', server('1'), server('1', ['a', 1, 5]), 'same'],
    ['another one that does not tell any more', server('1', ['a', 1, 5]), server('2'), 'other'],
  ] as const)('[STO-67] %s', (_, known, found, verdict) => {
    expect(judge(known, found, known)).toBe(verdict);
  });

  it('[STO-67] what was asked before another one was found counts less than that', () => {
    const [old, now] = [server('1', ['a', 1, 9]), server('2', ['a', 2, 3])];
    expect(judge(now, old, old)).toBe('stale');
    expect(judge(server('2'), server('1'), server('1'))).toBe('stale');
    // Its log moved on while another connection was asked.
    expect(
      judge(server('1', ['a', 1, 9]), server('1', ['a', 1, 5]), server('1', ['a', 1, 5])),
    ).toBe('same');
  });

  it('[STO-67] is named alike by all who are at it, over restarts where it tells its lineage', () => {
    expect(nameOf(server('1', ['a', 2, 5]))).toBe(nameOf(server('2', ['a', 2, 7])));
    expect(nameOf(server('1', ['a', 2, 5]))).not.toBe(nameOf(server('1', ['a', 1, 5])));
    expect(nameOf(server('1'))).not.toBe(nameOf(server('2')));
  });

  it('[STO-67] a write that is refused for being read-only says that it is not the primary; other errors do not', () => {
    for (const code of ['25006', 'CW001', 'CW002']) expect(isSign({ code })).toBe(true);
    for (const code of ['57014', '40001', undefined]) expect(isSign({ code })).toBe(false);
  });
});
