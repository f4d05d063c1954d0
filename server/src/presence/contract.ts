/** What every presence adapter must do, as tests. An adapter's own test file only calls this. */
import type { TestFramework } from '../storage/contract.js';
import type { Person, Presence, PresentPerson } from './presence.js';

/** Presence of instances that share it. */
export interface PresenceUnderTest {
  /** Another instance's. */
  open(): Promise<Presence>;
  /** Waits for that many milliseconds, or moves the clock; may take longer. */
  pass(ms: number): Promise<void>;
  /** Forgets everybody. */
  flush(): Promise<void>;
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  dispose(): Promise<void>;
}

/** Long enough for a test, short enough to wait for. */
const LONG = 60_000;
const SHORT = 200;
const SINCE = 1_800_000_000_000;

export function presenceContract(
  framework: TestFramework,
  name: string,
  create: () => Promise<PresenceUnderTest>,
): void {
  const { describe, it, afterEach, expect } = framework;
  let under: PresenceUnderTest | undefined;
  let opened: Presence[] = [];

  const start = async (): Promise<[Presence, Presence]> => {
    under = await create();
    const [one, two] = [await under.open(), await under.open()];
    opened = [one, two];
    return [one, two];
  };
  /** Looks again until it holds; the test's own time is the bound. */
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await under!.pass(20);
  };

  describe(`[PRS] presence contract: ${name}`, () => {
    afterEach(async () => {
      await Promise.all(opened.map((presence) => presence.close()));
      await under?.dispose();
      opened = [];
      under = undefined;
    });

    it('[PRS-1] everybody in a room is listed on any instance', async () => {
      const [one, two] = await start();
      expect(await one.list('a')).toEqual([]);
      await one.put('i1', [person('a', 1, 5), person('a', 2), person('b', 1, 9)], LONG);
      await two.put('i2', [person('a', 3)], LONG);
      for (const presence of [one, two]) {
        expect(plain(await presence.list('a'))).toEqual([
          { client: 1, clock: 5, since: SINCE, state: 'state 1', instance: 'i1' },
          { client: 2, clock: 0, since: SINCE, state: 'state 2', instance: 'i1' },
          { client: 3, clock: 0, since: SINCE, state: 'state 3', instance: 'i2' },
        ]);
        expect(plain(await presence.list('b'))).toEqual([
          { client: 1, clock: 9, since: SINCE, state: 'state 1', instance: 'i1' },
        ]);
      }
      await one.put('i1', [person('a', 1, 6)], LONG);
      expect(plain(await two.list('a'))[0]!.clock).toBe(6);
      await one.put('i1', [], LONG);
      await one.remove('i1', []);
    });

    it("[PRS-2] who is not refreshed is gone after their time, and nobody else's matters", async () => {
      const [one, two] = await start();
      await one.put('i1', [person('a', 1), person('a', 2)], SHORT);
      await two.put('i2', [person('a', 3)], LONG);
      await one.put('i1', [person('a', 2)], LONG);
      // A shorter time behind a longer one.
      await two.put('i2', [person('a', 4)], SHORT);
      await until(async () => (await two.list('a')).length === 2);
      expect(plain(await two.list('a')).map(({ client }) => client)).toEqual([2, 3]);
      await under!.pass(SHORT);
      expect((await one.list('a')).length).toBe(2);
      await one.put('i1', [person('a', 1)], LONG);
      expect((await two.list('a')).length).toBe(3);
    });

    it('[PRS-3] who was taken over by another instance is not removed by the first', async () => {
      const [one, two] = await start();
      const people = [person('a', 1), person('a', 2)];
      await one.put('i1', people, LONG);
      await two.put('i2', [person('a', 2, 7)], LONG);
      await one.remove('i1', people);
      expect(plain(await one.list('a'))).toEqual([
        { client: 2, clock: 7, since: SINCE, state: 'state 2', instance: 'i2' },
      ]);
      // An instance whose name begins with this one's is another.
      await two.remove('i', [person('a', 2)]);
      expect((await one.list('a')).length).toBe(1);
      await two.remove('i2', [person('a', 2), person('never', 1)]);
      expect(await one.list('a')).toEqual([]);
    });

    it('[PRS-4] rooms that look alike, and any bytes of a state, are kept apart', async () => {
      const [one, two] = await start();
      const rooms = ['a', 'a:1', '1:a', ':a', 'a*', '*', 'A', 'é', '😀', '__proto__', 'a b'];
      await one.put(
        'i1',
        rooms.map((room, i) => person(room, i)),
        LONG,
      );
      for (const [i, room] of rooms.entries()) {
        expect((await two.list(room)).map(({ client }) => client)).toEqual([i]);
      }
      await one.remove('i1', [{ room: 'a', client: 0 }]);
      expect((await two.list('a:1')).length).toBe(1);
      const state = Uint8Array.from({ length: 5_000 }, (_, i) => i & 0xff);
      const highest = 2 ** 32 - 1;
      await one.put(
        'i1',
        [{ room: 'bytes', client: highest, clock: highest, since: SINCE, state }],
        LONG,
      );
      const [read] = await two.list('bytes');
      expect([read!.client, read!.clock]).toEqual([highest, highest]);
      expect(Buffer.compare(read!.state, state)).toBe(0);
    });

    it('[PRS-5] a thousand people in a room, and as many in rooms of their own', async () => {
      const [one, two] = await start();
      const clients = Array.from({ length: 1_000 }, (_, i) => i);
      const crowd = clients.map((client) => person('crowd', client));
      const alone = clients.map((client) => person(`room ${client}`, client));
      await one.put('i1', [...crowd, ...alone], LONG);
      expect(plain(await two.list('crowd')).map(({ client }) => client)).toEqual(clients);
      expect((await two.list('room 999')).map(({ client }) => client)).toEqual([999]);
      await one.remove('i1', [...crowd.slice(1), ...alone]);
      expect((await two.list('crowd')).length).toBe(1);
      expect(await two.list('room 999')).toEqual([]);
    });

    it('[PRS-6] after it was emptied, the next write brings people back', async () => {
      const [one, two] = await start();
      await one.put('i1', [person('a', 1)], LONG);
      await under!.flush();
      expect(await two.list('a')).toEqual([]);
      await one.put('i1', [person('a', 1)], LONG);
      expect((await two.list('a')).length).toBe(1);
    });

    it('[PRS-7] while it is away calls reject, and work again when it is back', async () => {
      const [one] = await start();
      await one.put('i1', [person('a', 1)], LONG);
      await under!.goAway();
      const calls = [
        () => one.put('i1', [person('a', 1)], LONG),
        () => one.remove('i1', [person('a', 1)]),
        () => one.list('a'),
      ];
      for (const call of calls) expect(await succeeds(call)).toBe(false);
      await under!.comeBack();
      await until(() => succeeds(() => one.put('i1', [person('a', 1)], LONG)));
      expect((await one.list('a')).length).toBe(1);
    });
  });
}

async function succeeds(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch {
    return false;
  }
}

function person(room: string, client: number, clock = 0): Person {
  return { room, client, clock, since: SINCE, state: new TextEncoder().encode(`state ${client}`) };
}

/** By client, with the state as text. */
function plain(people: readonly PresentPerson[]) {
  return people
    .map((person) => ({ ...person, state: Buffer.from(person.state).toString() }))
    .sort((a, b) => a.client - b.client);
}
