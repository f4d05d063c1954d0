import { describe, expect, it } from 'vitest';
import { originProblem, readAllowedOrigins } from './allowed-origins.js';
import { trustIn } from './origin.js';

/** A host of which none of these pages is. */
const HOST = 'cowrite.internal:8080';
const EXTENSION = 'chrome-extension://abcdefghijklmnopabcdefghijklmnop';

describe('[AUTH] origins that are named', () => {
  it.each([
    ['https://docs.example', 'https://docs.example'],
    ['https://docs.example/', 'https://docs.example'],
    ['HTTPS://Docs.Example', 'https://docs.example'],
    ['https://docs.example:443', 'https://docs.example'],
    ['https://docs.example.', 'https://docs.example'],
    ['https://docs.example', 'https://docs.example.'],
    ['http://docs.example:80/', 'http://docs.example'],
    ['https://docs.example.:8443', 'https://docs.example:8443'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['http://tauri.localhost', 'http://tauri.localhost'],
    ['https://localhost', 'https://localhost'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['Capacitor://localhost/', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    ['app://obsidian.md', 'app://obsidian.md'],
    ['app://.', 'app://.'],
    [EXTENSION, EXTENSION],
    [`${EXTENSION}/`, EXTENSION],
    [
      'moz-extension://1c3f8a34-2b1e-4c4c-9a55-0f3c5d6e7f80',
      'moz-extension://1c3f8a34-2b1e-4c4c-9a55-0f3c5d6e7f80',
    ],
    // Safari writes it so.
    [
      'safari-web-extension://1C3F8A34-2B1E-4C4C-9A55-0F3C5D6E7F80',
      'safari-web-extension://1C3F8A34-2B1E-4C4C-9A55-0F3C5D6E7F80',
    ],
    ['ms-appx-web://microsoft.app_8wekyb3d8bbwe', 'ms-appx-web://microsoft.app_8wekyb3d8bbwe'],
  ])('[AUTH-35] %s lets pages of %s in', (named, page) => {
    expect(trustIn(page, HOST, readAllowedOrigins([named]))).toBe('named');
    const others = [
      `${page}x`,
      `${page}:81`,
      `x${page}`,
      'evil://localhost',
      'null',
      'file://',
      '',
    ];
    for (const other of others) {
      expect(trustIn(other, HOST, readAllowedOrigins([named])), other).toBe('none');
    }
  });

  it.each([
    ['null', /anybody can make one; \* lets them in, without cookies/],
    ['file://', /anybody can make one/],
    ['file://localhost', /anybody can make one/],
    ['https://*.example', /stands alone, .* name each of them/],
    ['https://docs.example:*', /stands alone/],
    ['*.docs.example', /stands alone/],
    ['app://*', /stands alone/],
    ['docs.example', /begins with a scheme/],
    ['localhost:5173', /begins with a scheme/],
    ['ionic', /begins with a scheme/],
    ['app', /begins with a scheme/],
    ['', /begins with a scheme/],
    ['"https://docs.example"', /begins with a scheme/],
    ['javascript:alert(1)', /begins with a scheme/],
    ['wss://docs.example', /pages are of https:\/\/ or http:\/\/, not of wss:\/\//],
    ['ftp://docs.example', /pages are of/],
    ['https://docs.example/path', /nothing behind them/],
    ['https://docs.example/?x', /nothing behind them/],
    ['https://docs.example?', /nothing behind them/],
    ['https://docs.example#', /nothing behind them/],
    ['https://a.example https://b.example', /nothing behind them/],
    ['https://a.example;https://b.example', /nothing behind them/],
    ['https://docs.example:port', /nothing behind them/],
    ['https://', /nothing behind them/],
    ['app://', /nothing behind them/],
    ['capacitor://localhost/index.html', /nothing behind them/],
  ])('[AUTH-35] %j is refused with the reason', (entry, reason) => {
    expect(originProblem(entry)).toMatch(reason);
    expect(() => readAllowedOrigins(['https://docs.example', entry])).toThrow(reason);
  });

  it('[AUTH-35] all, and some by name beside it; a password in one is not repeated', () => {
    const allowed = readAllowedOrigins(['*', 'https://docs.example/']);
    expect(trustIn('https://docs.example', HOST, allowed)).toBe('named');
    expect(trustIn('null', HOST, allowed)).toBe('any');
    expect(originProblem('https://u:SECRET@docs.example')).toMatch(/^one of them: /);
  });
});
