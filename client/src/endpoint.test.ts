import { afterEach, describe, expect, test, vi } from 'vitest';
import { checkProtocols, checkRoom, resolveUrl, roomAddress } from './endpoint.js';

afterEach(() => vi.unstubAllGlobals());

describe('[CLI-8] the url', () => {
  test.each([
    ['ws://host:1234/ws', 'ws://host:1234/ws'],
    ['wss://host/ws/', 'wss://host/ws'],
    ['http://host:1234', 'ws://host:1234'],
    ['https://host/a/b//', 'wss://host/a/b'],
    ['ws://[::1]:80/ws', 'ws://[::1]/ws'],
  ])('%s becomes %s', (url, resolved) => {
    expect(resolveUrl(url)).toBe(resolved);
  });

  test('that is a path belongs to the page', () => {
    vi.stubGlobal('location', { href: 'https://example.org:8443/page/?a=b#c' });
    expect(resolveUrl('/ws')).toBe('wss://example.org:8443/ws');
    expect(resolveUrl('/')).toBe('wss://example.org:8443');
  });

  test.each([
    ['/ws', 'absolute url'],
    ['ws', 'not an absolute url'],
    ['', 'not an absolute url'],
    ['host:1234/ws', 'none of the schemes'],
    ['ftp://host/ws', 'none of the schemes'],
    ['ws://host/ws?token=1', 'pass params'],
    ['ws://host/ws#part', 'fragment'],
  ])('%j is refused: %s', (url, message) => {
    expect(() => resolveUrl(url)).toThrow(message);
  });
});

describe('[CLI-62] in React Native before 0.80', () => {
  /** As its Libraries/Blob has them: no part of a URL can be read, and a query is not encoded. */
  class BareURL {
    readonly #url: string;
    constructor(url: string) {
      this.#url = /[/?]$/.test(url) ? url : `${url}/`;
    }
    get href() {
      return this.#url;
    }
    toString() {
      return this.#url;
    }
  }
  for (const part of [
    'hash',
    'host',
    'hostname',
    'origin',
    'pathname',
    'port',
    'protocol',
    'search',
  ]) {
    Object.defineProperty(BareURL.prototype, part, {
      get() {
        throw new Error(`URL.${part} is not implemented`);
      },
    });
  }
  class BareSearchParams {
    constructor() {
      throw new Error('not implemented');
    }
  }

  test.each([
    ['ws://host:1234/ws', 'ws://host:1234/ws'],
    ['wss://host/ws/', 'wss://host/ws'],
    ['https://host', 'wss://host'],
    ['http://192.168.0.7:8080/ws', 'ws://192.168.0.7:8080/ws'],
  ])('%s becomes %s', (url, resolved) => {
    vi.stubGlobal('URL', BareURL);
    vi.stubGlobal('URLSearchParams', BareSearchParams);
    expect(resolveUrl(url)).toBe(resolved);
    expect(roomAddress(resolveUrl(url), 'a b', { token: 'x&y=z +', page: '2' })).toBe(
      `${resolved}/a%20b?token=x%26y%3Dz%20%2B&page=2`,
    );
  });

  test.each([
    '/ws',
    'host:1234/ws',
    'ftp://host/ws',
    'ws://',
    'ws://host/ws?a=b',
    'ws://host/ws#a',
    '',
  ])('%j is refused', (url) => {
    vi.stubGlobal('URL', BareURL);
    expect(() => resolveUrl(url)).toThrow(TypeError);
  });
});

describe('[CLI-8] the room', () => {
  test.each(['a', 'a/b room', '...', 'é', '?#%'])('%j is a name', (room) => {
    checkRoom(room);
    const { pathname } = new URL(roomAddress('ws://host/ws', room, {}));
    expect(decodeURIComponent(pathname.slice('/ws/'.length))).toBe(room);
  });

  test.each(['', '.', '..', '\ud800'])('%j is refused', (room) => {
    expect(() => checkRoom(room)).toThrow(TypeError);
  });
});

test('the address holds the room and the params, encoded', () => {
  expect(roomAddress('ws://host/ws', 'a/b room', {})).toBe('ws://host/ws/a%2Fb%20room');
  const address = roomAddress('ws://host/ws', 'a', { token: 'x&y', version: '2' });
  expect(address).toBe('ws://host/ws/a?token=x%26y&version=2');
});

test.each([[['a b']], [['']], [['é']], [['a', 'a']]])('the subprotocols %j are refused', (list) => {
  expect(() => checkProtocols(list)).toThrow(TypeError);
});

test('subprotocols of allowed characters are accepted', () => {
  checkProtocols(['cowrite.v1', 'token.eyJhbGciOi_-~']);
});
