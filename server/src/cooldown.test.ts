import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { Cooldowns, clientKey } from './cooldown.js';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

function setUp() {
  const clock = new ManualClock();
  const cooldowns = new Cooldowns(clock);
  const close = (key: string, code = 4400, user: string | undefined = 'ada', room = 'room') =>
    cooldowns.closed({ key, user, room }, code, 'why');
  return { clock, cooldowns, close };
}

describe('[LIM] cooldowns', () => {
  it('[LIM-16] are longer each time, up to a minute, and begin again after a pause', () => {
    const { clock, cooldowns, close } = setUp();
    const lengths = [];
    for (let i = 0; i < 6; i++) {
      // In each of three tabs.
      for (let tab = 0; tab < 3; tab++) close('x');
      const { retryAfter = 0 } = cooldowns.of('x') ?? {};
      lengths.push(retryAfter);
      clock.advance(retryAfter * SECOND - 1);
      expect(cooldowns.of('x')?.retryAfter).toBe(1);
      clock.advance(1);
      expect(cooldowns.of('x')).toBeUndefined();
    }
    expect(lengths).toEqual([10, 20, 40, 60, 60, 60]);
    clock.advance(HOUR);
    close('x');
    expect(cooldowns.of('x')?.retryAfter).toBe(10);
  });

  it.each([
    [4400, 403, 10],
    [4403, 403, 60],
    [4404, 410, 10],
    [4413, 413, 10],
    [1009, 413, 10],
    [4409, 409, 10],
    [1011, 503, 1],
    [1013, 503, 1],
  ])('[LIM-16] %i is answered with %i', (code, status, retryAfter) => {
    const { cooldowns, close } = setUp();
    close('x', code);
    expect(cooldowns.of('x')).toMatchObject({ status, retryAfter });
    expect(cooldowns.of('x')?.message).toContain('why');
    expect(cooldowns.of('y')).toBeUndefined();
  });

  it('[LIM-16] of clients that nobody knows are short, because others may look the same', () => {
    const { cooldowns, clock } = setUp();
    for (const code of [4400, 4413, 4403]) {
      cooldowns.closed({ key: 'x', user: undefined, room: 'room' }, code, 'why');
      expect(cooldowns.of('x')?.retryAfter).toBe(10);
      clock.advance(10 * SECOND);
    }
  });

  it('[LIM-19] for what is wrong with the server are short, up to ten seconds, for everybody', () => {
    for (const user of ['ada', undefined]) {
      const { cooldowns, clock } = setUp();
      const lengths = [];
      for (let i = 0; i < 6; i++) {
        cooldowns.closed({ key: 'x', user, room: 'room' }, i % 2 === 0 ? 1011 : 1013, 'why');
        const { retryAfter = 0 } = cooldowns.of('x') ?? {};
        lengths.push(retryAfter);
        clock.advance(retryAfter * SECOND);
      }
      expect(lengths).toEqual([1, 2, 4, 8, 10, 10]);
      // Those of the one kind say nothing of the other.
      cooldowns.closed({ key: 'x', user, room: 'room' }, 4400, 'why');
      expect(cooldowns.of('x')?.retryAfter).toBe(10);
      clock.advance(10 * SECOND);
      cooldowns.closed({ key: 'x', user, room: 'room' }, 1011, 'why');
      expect(cooldowns.of('x')?.retryAfter).toBe(1);
      clock.advance(HOUR);
    }
  });

  it('[LIM-17] end when a room is undeleted, and when what a user may do has changed', () => {
    const { cooldowns, close } = setUp();
    close('x', 4404, 'ada');
    close('y', 4404, 'ada', 'other');
    close('z', 4413, 'ada');
    expect(cooldowns.of('x')).toMatchObject({ status: 410, retryAfter: 10 });
    cooldowns.undeleted('room');
    expect(['x', 'y', 'z'].map((key) => cooldowns.of(key)?.status)).toEqual([undefined, 410, 413]);
    close('x', 4403, 'bob');
    cooldowns.reauthorized('ada');
    expect(['x', 'y', 'z'].map((key) => cooldowns.of(key)?.status)).toEqual([
      403,
      undefined,
      undefined,
    ]);
  });

  it('[LIM-16] are bounded, the oldest go first', () => {
    const { cooldowns, close } = setUp();
    for (let i = 0; i < 12_000; i++) close(`client ${i}`);
    expect(cooldowns.size).toBe(10_000);
    expect(cooldowns.of('client 1999')).toBeUndefined();
    expect(cooldowns.of('client 2000')).toBeDefined();
  });

  it('[LIM-16] are of one client in one room: by all that it brings, and without its token', () => {
    const key = (room: string, address: string, url: string, headers = {}) =>
      clientKey(room, address, { url, headers } as IncomingMessage);
    const first = ['room', '10.0.0.1', '/ws/room?token=secret', { cookie: 'a' }] as const;
    expect(key(...first)).toBe(key(...first));
    expect(key(...first)).toMatch(/^[\w-]{22}$/);
    const others = [
      key('room 2', first[1], first[2], first[3]),
      key(first[0], '10.0.0.2', first[2], first[3]),
      key(first[0], first[1], '/ws/room?token=other', first[3]),
      ...['cookie', 'authorization', 'sec-websocket-protocol', 'origin', 'user-agent'].map((name) =>
        key(first[0], first[1], first[2], { ...first[3], [name]: 'b' }),
      ),
    ];
    expect(new Set([key(...first), ...others]).size).toBe(others.length + 1);
  });
});
