import { describe, expect, it } from 'vitest';
import { clientAddress, ownerOf, TrustedProxies } from './address.js';

const of = (remote: string, forwarded: string | string[] | undefined, ...proxies: string[]) =>
  clientAddress(remote, forwarded, new TrustedProxies(proxies));

describe('[LIM] whose a socket is', () => {
  it('[LIM-2] nobody is believed who is not trusted', () => {
    expect(of('198.51.100.7', '203.0.113.1')).toBe('198.51.100.7');
    expect(of('198.51.100.7', '203.0.113.1', '10.0.0.0/8')).toBe('198.51.100.7');
  });

  it('[LIM-2] a trusted proxy says whose it is, and what was there before it says nothing', () => {
    expect(of('127.0.0.1', '203.0.113.1', 'loopback')).toBe('203.0.113.1');
    expect(of('::1', '203.0.113.1', 'loopback')).toBe('203.0.113.1');
    expect(of('127.0.0.1', '1.2.3.4, 203.0.113.1', 'loopback')).toBe('203.0.113.1');
    expect(of('10.1.1.1', '1.2.3.4, 203.0.113.1, 10.2.2.2', '10.0.0.0/8')).toBe('203.0.113.1');
    expect(of('10.1.1.1', ['1.2.3.4', '203.0.113.1'], '10.0.0.0/8')).toBe('203.0.113.1');
    expect(of('10.1.1.1', '2001:db8::1', '10.0.0.0/8')).toBe('2001:db8::1');
    expect(of('10.1.1.1', '[2001:db8::1]:4711', '10.1.1.1')).toBe('2001:db8::1');
    expect(of('10.1.1.1', '203.0.113.1:4711', '10.1.1.1')).toBe('203.0.113.1');
    expect(of('::ffff:10.1.1.1', '203.0.113.1', '10.1.1.1')).toBe('203.0.113.1');
  });

  it('[LIM-2] what cannot be read ends it', () => {
    expect(of('10.1.1.1', '203.0.113.1, unknown', '10.1.1.1')).toBe('10.1.1.1');
    expect(of('10.1.1.1', '', '10.1.1.1')).toBe('10.1.1.1');
    expect(of('10.1.1.1', undefined, '10.1.1.1')).toBe('10.1.1.1');
    expect(clientAddress(undefined, undefined, new TrustedProxies([]))).toBe('');
  });

  it.each(['', 'proxy', '10.0.0.0/33', '10.0.0.0/x', '10.0.0/8', '::/129', '1.1.1.1/8/8'])(
    '[LIM-2] %j is no proxy',
    (entry) => {
      expect(() => new TrustedProxies([entry])).toThrow(TypeError);
    },
  );

  it('[LIM-2] whoever has an address of IPv6 has its net', () => {
    expect(ownerOf('203.0.113.1')).toBe('203.0.113.1');
    expect(ownerOf('2001:db8::1')).toBe('2001:db8:0:0::/64');
    expect(ownerOf('2001:DB8:0:0:ffff:ffff:ffff:ffff')).toBe('2001:db8:0:0::/64');
    expect(ownerOf('2001:db8:0:1::1')).toBe('2001:db8:0:1::/64');
    expect(ownerOf('::1')).toBe('0:0:0:0::/64');
    expect(ownerOf('fe80::')).toBe('fe80:0:0:0::/64');
  });
});
