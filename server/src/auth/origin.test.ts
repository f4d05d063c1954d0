import { describe, expect, it } from 'vitest';
import { isLocalHost, isLoopback, trustIn } from './origin.js';

describe('[AUTH] origins', () => {
  it.each([
    ['what is no browser', undefined, 'docs.example', [], 'named'],
    ['a page of this host', 'https://docs.example', 'docs.example', [], 'named'],
    ['a page of this host, in capitals', 'https://docs.example', 'Docs.Example', [], 'named'],
    ['a page of this host and port', 'http://127.0.0.1:8080', '127.0.0.1:8080', [], 'named'],
    ['a page of another port', 'http://127.0.0.1:5173', '127.0.0.1:8080', [], 'none'],
    ['a page of another host', 'https://evil.example', 'docs.example', [], 'none'],
    ['a page whose host only begins so', 'https://docs.example.evil', 'docs.example', [], 'none'],
    ['a page of a subdomain', 'https://a.docs.example', 'docs.example', [], 'none'],
    ['one that is listed', 'https://app.example', 'docs.example', ['https://app.example'], 'named'],
    [
      'one that is listed with TLS',
      'http://app.example',
      'docs.example',
      ['https://app.example'],
      'none',
    ],
    ['a page that hides its origin', 'null', 'docs.example', [], 'none'],
    ['a header that says what allows all', '*', 'docs.example', [], 'none'],
    ['a header that is no origin', 'docs.example', 'docs.example', [], 'none'],
    ['a request without a host', 'https://docs.example', undefined, [], 'none'],
  ] as const)('[AUTH-11] %s', (_, origin, host, allowed, trust) => {
    expect(trustIn(origin, host, allowed)).toBe(trust);
    // Where all are listed, whoever had no name has still none.
    expect(trustIn(origin, host, [...allowed, '*'])).toBe(trust === 'none' ? 'any' : trust);
  });

  it.each([
    ['https://docs.example', 'docs.example:443', 'named'],
    ['http://docs.example', 'docs.example:80', 'named'],
    // A proxy that speaks TLS passes on its own port's name, or that of the next one.
    ['https://docs.example', 'docs.example:80', 'named'],
    ['http://docs.example', 'docs.example:443', 'named'],
    ['https://docs.example', 'docs.example.', 'named'],
    ['https://docs.example', 'docs.example.:443', 'named'],
    ['https://docs.example.', 'docs.example', 'named'],
    ['https://docs.example:8443', 'DOCS.example.:8443', 'named'],
    ['https://xn--bcher-kva.example', 'xn--bcher-kva.example', 'named'],
    // As Node reads UTF-8.
    ['https://xn--bcher-kva.example', 'b\u00c3\u00bccher.example', 'named'],
    ['http://[::1]:8080', '[::1]:8080', 'named'],
    ['https://docs.example', 'docs.example:8443', 'none'],
    ['https://docs.example:8443', 'docs.example', 'none'],
    ['https://docs.example:8443', 'docs.example:443', 'none'],
    ['https://docs.example', 'docs.example..', 'none'],
    ['https://docs.example', 'x@docs.example', 'none'],
    ['https://docs.example', 'docs.example/x', 'none'],
    ['https://docs.example', 'docs.example#', 'none'],
    ['https://docs.example', '', 'none'],
    ['https://x@docs.example', 'docs.example', 'none'],
    ['https://docs.example/x', 'docs.example', 'none'],
    ['https://evil.example, https://docs.example', 'docs.example', 'none'],
    ['evil://localhost', 'localhost', 'none'],
    ['capacitor://localhost', 'localhost', 'none'],
    ['file://localhost', 'localhost', 'none'],
  ] as const)('[AUTH-33] a page of %s at the host %j', (origin, host, trust) => {
    expect(trustIn(origin, host, [])).toBe(trust);
  });

  it('[AUTH-12] this machine goes by its own names only', () => {
    const local = [
      'localhost',
      'localhost.',
      'LOCALHOST:80',
      '127.0.0.1:8080',
      '127.9.9.9',
      '[::1]:8080',
    ];
    expect(local.map(isLocalHost)).toEqual(local.map(() => true));
    const other = [
      undefined,
      '',
      'evil.example',
      'localhost.evil',
      '0.0.0.0',
      '10.0.0.1',
      '[::]',
      '1270.0.0.1',
    ];
    expect(other.map(isLocalHost)).toEqual(other.map(() => false));
    expect(['127.0.0.1', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true]);
    expect(['0.0.0.0', '::', '127.0.0.1.evil', ''].map(isLoopback)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});
