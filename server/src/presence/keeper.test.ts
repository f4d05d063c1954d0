import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { gate } from '../../test/support.js';
import { ManualClock } from '../clock.js';
import { PresenceKeeper } from './keeper.js';
import type { Person, Presence } from './presence.js';

/** What was asked of the presence store, in order; fails when told to. */
class Recorder implements Presence {
  readonly name = 'recorder';
  readonly asked: string[] = [];
  written: readonly Person[] = [];
  fails = false;
  /** While set, calls end only when it does. */
  held: Promise<void> | undefined;

  async put(_instance: string, people: readonly Person[], ttl: number): Promise<void> {
    this.asked.push(`put ${people.map(({ client, clock }) => `${client}@${clock}`)} for ${ttl}`);
    this.written = people;
    await this.held;
    if (this.fails) throw new Error('away');
  }

  async remove(_instance: string, people: readonly { client: number }[]): Promise<void> {
    this.asked.push(`remove ${people.map(({ client }) => client)}`);
    await this.held;
    if (this.fails) throw new Error('away');
  }

  async list(): Promise<[]> {
    return [];
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  take(): string[] {
    return this.asked.splice(0);
  }
}

function setUp() {
  const clock = new ManualClock();
  const presence = new Recorder();
  const logger = pino({ level: 'silent' });
  const keeper = new PresenceKeeper({ presence, instance: 'one', clock, logger, ttl: 15_000 });
  onTestFinished(() => keeper.close());
  const set = (client: number, at: number) =>
    keeper.set({ room: 'room', client, clock: at, state: new Uint8Array(1) });
  /** Moves the time on second by second, because a write ends between two of them. */
  const advance = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000);
      await settled();
    }
  };
  /** Holds up what is asked from now on. @returns what lets it go */
  const hold = () => {
    const { opened, open } = gate();
    presence.held = opened;
    return async () => {
      presence.held = undefined;
      open();
      await settled();
    };
  };
  return { clock, presence, keeper, set, advance, hold };
}

async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

describe('[INS-12] an instance keeps its people present', () => {
  it('[INS-12] who comes in one turn is written at its end, in one write', async () => {
    const { clock, presence, set } = setUp();
    set(1, 1);
    set(2, 1);
    expect(presence.take()).toEqual([]);
    clock.turn();
    expect(presence.take()).toEqual(['put 1@1,2@1 for 15000']);
    await settled();
  });

  it('[INS-12] a state that moves is written once a second, the last one always', async () => {
    const { clock, presence, set, advance } = setUp();
    set(1, 1);
    clock.turn();
    await settled();
    presence.take();
    for (let at = 2; at < 30; at++) {
      set(1, at);
      clock.advance(50);
      await settled();
    }
    await advance(2);
    expect(presence.take()).toEqual(['put 1@21 for 15000', 'put 1@29 for 15000']);
  });

  it('[API-15] since when somebody is here stays the same while they are, and no longer', async () => {
    const { clock, presence, keeper, set, advance } = setUp();
    const start = clock.date();
    set(1, 1);
    await advance(1);
    expect(presence.written).toMatchObject([{ since: start }]);
    await advance(20);
    set(1, 2);
    await advance(2);
    expect(presence.written).toMatchObject([{ clock: 2, since: start }]);
    keeper.remove('room', 1);
    await advance(1);
    set(1, 3);
    const back = clock.date();
    await advance(1);
    expect(back).toBeGreaterThan(start);
    expect(presence.written).toMatchObject([{ clock: 3, since: back }]);
  });

  it('[INS-12] who stays is written again within a third of the time to live', async () => {
    const { clock, presence, set, advance } = setUp();
    set(1, 1);
    clock.turn();
    await settled();
    presence.take();
    await advance(30);
    const { length } = presence.take();
    expect(length).toBeGreaterThanOrEqual(6);
    expect(length).toBeLessThanOrEqual(8);
  });

  it('[INS-12] who leaves is removed at once, also when a write failed in between', async () => {
    const { clock, presence, keeper, set, advance } = setUp();
    set(1, 1);
    clock.turn();
    await settled();
    presence.take();
    presence.fails = true;
    keeper.remove('room', 1);
    clock.turn();
    await settled();
    expect(presence.take()).toEqual(['remove 1']);
    presence.fails = false;
    await advance(1);
    expect(presence.take()).toEqual(['remove 1']);
    await advance(10);
    expect(presence.take()).toEqual([]);
  });

  it('[INS-12] who is back before the removal was written is not removed', async () => {
    const { clock, presence, keeper, set, advance } = setUp();
    set(1, 1);
    clock.turn();
    await settled();
    presence.take();
    keeper.remove('room', 1);
    set(1, 2);
    clock.turn();
    await settled();
    expect(presence.take()).toEqual(['put 1@2 for 15000']);
    presence.fails = true;
    keeper.remove('room', 1);
    clock.turn();
    // Back while the removal is failing.
    set(1, 3);
    await settled();
    presence.fails = false;
    presence.take();
    await advance(1);
    expect(presence.take()).toEqual(['put 1@3 for 15000']);
  });

  it('[INS-12] while a write is on its way nothing else is written; what gathers is next, at once', async () => {
    const { clock, presence, set, hold } = setUp();
    const release = hold();
    set(1, 1);
    clock.turn();
    presence.take();
    set(2, 1);
    clock.advance(3_000);
    expect(presence.take()).toEqual([]);
    await release();
    clock.turn();
    expect(presence.take()).toEqual(['put 2@1 for 15000']);
    await settled();
  });

  it('[INS-12] who moves on while they are written is written again', async () => {
    const { clock, presence, set, hold, advance } = setUp();
    const release = hold();
    set(1, 1);
    clock.turn();
    set(1, 2);
    await release();
    await advance(2);
    expect(presence.take()).toEqual(['put 1@1 for 15000', 'put 1@2 for 15000']);
  });

  it('[INS-12] who could not be written is due again at the next tick', async () => {
    const { clock, presence, set, advance } = setUp();
    presence.fails = true;
    set(1, 1);
    clock.turn();
    await settled();
    presence.fails = false;
    await advance(1);
    expect(presence.take()).toEqual(['put 1@1 for 15000', 'put 1@1 for 15000']);
    // Also when nothing has changed but that its time runs out.
    presence.fails = true;
    await advance(5);
    expect(presence.take()).toEqual(['put 1@1 for 15000', 'put 1@1 for 15000']);
  });

  it('[INS-12] at the end who has just left is removed too, and nobody is written', async () => {
    const { clock, presence, keeper, set } = setUp();
    set(1, 1);
    clock.turn();
    await settled();
    presence.take();
    keeper.remove('room', 1);
    await keeper.close();
    set(2, 1);
    clock.turn();
    expect(presence.take()).toEqual(['remove 1']);
  });

  it('[INS-12] at the end everybody is removed', async () => {
    const { clock, presence, keeper, set } = setUp();
    set(1, 1);
    set(2, 1);
    clock.turn();
    await settled();
    presence.take();
    await keeper.close();
    expect(presence.take()).toEqual(['remove 1,2']);
    expect(clock.pending).toBe(0);
  });
});
