import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { Crowd } from './crowd.js';
import { DEFAULT_LIMITS } from './limits.js';

describe('[LIM] the crowd', () => {
  it('[LIM-12] sockets that have said nothing are bounded by address, and count until they are closed', () => {
    const limits = { ...DEFAULT_LIMITS, maxConnectionsPerAddress: 2 };
    const crowd = new Crowd(limits, new ManualClock());
    const opened = ['a', 'b', 'c', 'd', 'e'].map((end) => crowd.mayOpen(`2001:db8::${end}`));
    expect(opened).toEqual([true, true, true, true, false]);
    expect(crowd.mayOpen('192.0.2.1')).toBe(true);
    crowd.closed('2001:db8::a');
    expect(crowd.mayOpen('2001:db8::f')).toBe(true);
    expect(crowd.mayOpen('2001:db8::f')).toBe(false);
  });

  it('[LIM-11] who leaves in debt, and comes back, is not read before it is paid', () => {
    const clock = new ManualClock();
    const crowd = new Crowd(DEFAULT_LIMITS, clock);
    const ada = { address: '192.0.2.1', user: 'ada', room: 'a' };
    const guest = { address: '192.0.2.1', user: undefined, room: 'a' };
    for (const member of [ada, ada, guest]) crowd.enter(member);
    crowd.leave(ada, 1_000);
    crowd.leave(ada, 200);
    crowd.leave(guest, 50);
    // Not by address: others behind it have done nothing.
    expect(['ada', 'bob', undefined].map((user) => crowd.debtOf(user))).toEqual([1_000, 0, 0]);
    clock.advance(600);
    expect(crowd.debtOf('ada')).toBe(400);
    clock.advance(400);
    expect(crowd.debtOf('ada')).toBe(0);
    crowd.enter(ada);
    crowd.leave(ada, 60_000);
    expect(crowd.debtOf('ada')).toBe(10_000);
  });

  it('[LIM-3] rooms of a user and sessions of a room are bounded, and are free again once left', () => {
    const limits = { ...DEFAULT_LIMITS, maxRoomsPerUser: 2, maxSessionsPerRoom: 3 };
    const crowd = new Crowd(limits, new ManualClock());
    const enter = (user: string | undefined, room: string) =>
      crowd.enter({ address: '192.0.2.1', user, room });
    expect([enter('ada', 'a'), enter('ada', 'b'), enter('ada', 'a')]).toEqual(
      Array(3).fill(undefined),
    );
    expect(enter('ada', 'c')).toBe('rooms-per-user');
    expect(enter(undefined, 'c')).toBeUndefined();
    expect(enter('bob', 'a')).toBeUndefined();
    expect(enter('bob', 'a')).toBe('sessions-per-room');
    crowd.leave({ address: '192.0.2.1', user: 'ada', room: 'b' });
    expect(enter('ada', 'c')).toBeUndefined();
    expect(crowd.size).toBe(5);
  });
});
