import { describe, expect, it } from 'vitest';
import { isLocalHost, isLoopback, mayConnect } from './origin.js';

describe('[AUTH] origins', () => {
  it.each([
    ['what is no browser', undefined, 'docs.example', [], true],
    ['a page of this host', 'https://docs.example', 'docs.example', [], true],
    ['a page of this host and port', 'http://127.0.0.1:8080', '127.0.0.1:8080', [], true],
    ['a page of another port', 'http://127.0.0.1:5173', '127.0.0.1:8080', [], false],
    ['a page of another host', 'https://evil.example', 'docs.example', [], false],
    ['a page whose host only begins so', 'https://docs.example.evil', 'docs.example', [], false],
    ['a page of a subdomain', 'https://a.docs.example', 'docs.example', [], false],
    ['one that is listed', 'https://app.example', 'docs.example', ['https://app.example'], true],
    [
      'one that is listed with TLS',
      'http://app.example',
      'docs.example',
      ['https://app.example'],
      false,
    ],
    ['any, where all are listed', 'https://evil.example', 'docs.example', ['*'], true],
    ['a page that hides its origin', 'null', 'docs.example', [], false],
    ['a header that is no origin', 'docs.example', 'docs.example', [], false],
    ['a request without a host', 'https://docs.example', undefined, [], false],
  ] as const)('[AUTH-11] %s', (_, origin, host, allowed, isAllowed) => {
    expect(mayConnect(origin, host, allowed)).toBe(isAllowed);
  });

  it('[AUTH-12] this machine goes by its own names only', () => {
    const local = ['localhost', 'LOCALHOST:80', '127.0.0.1:8080', '127.9.9.9', '[::1]:8080'];
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
