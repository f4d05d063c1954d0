import { describe, expect, it } from 'vitest';
import { readToken } from './credentials.js';

const protocols = (...names: string[]) => ({ 'sec-websocket-protocol': names.join(', ') });

describe('[AUTH] where a token may stand', () => {
  it('[AUTH-2] in the subprotocols, in Authorization, in the query, or nowhere', () => {
    expect(readToken('/ws/room', protocols('cowrite.v1', 'cowrite.token.a.b.c'))).toBe('a.b.c');
    expect(readToken('/ws/room', { authorization: 'bearer a.b.c' })).toBe('a.b.c');
    expect(readToken('/ws/room?x=1&token=a.b.c', {})).toBe('a.b.c');
    expect(readToken('/ws/token=a.b.c', protocols('cowrite.v1'))).toBeUndefined();
    expect(readToken('/ws/room?token=', protocols('cowrite.token.'))).toBeUndefined();
    expect(readToken('/ws/room', { authorization: 'Basic YTpi' })).toBeUndefined();
  });

  it('[AUTH-2] the same in several places is one; two that differ are refused', () => {
    const same = { authorization: 'Bearer a', ...protocols('cowrite.token.a') };
    expect(readToken('/ws/room?token=a', same)).toBe('a');
    for (const [url, headers] of [
      ['/ws/room?token=b', { authorization: 'Bearer a' }],
      ['/ws/room?token=a&token=b', {}],
      ['/ws/room', protocols('cowrite.token.a', 'cowrite.token.b')],
    ] as const) {
      expect(() => readToken(url, headers)).toThrow('two different tokens at once');
    }
  });

  it('[AUTH-2] one over 16 KB is refused, and not quoted', () => {
    expect(() => readToken(`/ws/room?token=${'x'.repeat(16_385)}`, {})).toThrow(
      /^the token is longer than 16384 bytes$/,
    );
  });
});
