import { describe, expect, it } from 'vitest';
import { Grants, GrantsMalformed } from './grants.js';

describe('[AUTH] grants', () => {
  it('[AUTH-1] a name decides before a prefix, a longer prefix before a shorter one, and the rest is closed', () => {
    const grants = new Grants({
      '*': 'read',
      'team-7/*': 'write',
      'team-7/secret/*': 'none',
      'team-7/secret/mine': 'write',
      closed: 'none',
    });
    const access = Object.fromEntries(
      [
        'other',
        'closed',
        'team-7/',
        'team-7/a',
        'team-7',
        'team-7/secret/x',
        'team-7/secret/mine',
      ].map((room) => [room, grants.accessTo(room)]),
    );
    expect(access).toEqual({
      other: 'read',
      closed: 'none',
      'team-7/': 'write',
      'team-7/a': 'write',
      'team-7': 'read',
      'team-7/secret/x': 'none',
      'team-7/secret/mine': 'write',
    });
    expect(new Grants({ minutes: 'write' }).accessTo('minutes2')).toBe('none');
    expect(new Grants({}).accessTo('')).toBe('none');
  });

  it('[AUTH-1] names are NFC, and none reaches what every object has', () => {
    expect(new Grants({ 'caf\u0065\u0301': 'write' }).accessTo('caf\u00e9')).toBe('write');
    const grants = new Grants(JSON.parse('{"__proto__": "read"}'));
    expect(grants.accessTo('__proto__')).toBe('read');
    for (const room of ['constructor', 'toString', 'hasOwnProperty']) {
      expect(grants.accessTo(room)).toBe('none');
    }
  });

  it.each([undefined, null, 'write', ['write'], { a: 'admin' }, { a: 1 }, { a: null }])(
    '[AUTH-1] %j is refused',
    (value) => {
      expect(() => new Grants(value)).toThrow(GrantsMalformed);
    },
  );
});
