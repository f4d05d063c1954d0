/**
 * What every relay adapter must do, as tests. An adapter's own test file calls
 * this with its own ways to cut a relay off.
 */
import type { TestFramework } from '../storage/contract.js';
import type { Relay } from './relay.js';

/** Relays that reach each other, and nobody else's. */
export interface RelaysUnderTest {
  /** Another instance's relay, connected. */
  open(): Promise<Relay>;
  /** Breaks once what this relay hears through, at least; it comes back by itself. What others publish goes on. */
  interrupt(relay: Relay): Promise<void>;
  /** Takes away what connects the relays. Resolves once each of them has noticed. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  dispose(): Promise<void>;
}

export function relayContract(
  framework: TestFramework,
  name: string,
  create: () => Promise<RelaysUnderTest>,
): void {
  const { describe, it, afterEach, expect } = framework;
  let under: RelaysUnderTest | undefined;
  let relays: Relay[] = [];

  const start = async (count: number): Promise<Relay[]> => {
    under = await create();
    relays = await Promise.all(Array.from({ length: count }, () => under!.open()));
    return relays;
  };

  describe(`[RLY] relay contract: ${name}`, () => {
    afterEach(async () => {
      await Promise.all(relays.map((relay) => relay.close()));
      await under?.dispose();
      relays = [];
      under = undefined;
    });

    it('[RLY-1] a message reaches all who are subscribed to its channel, its publisher too', async () => {
      const [one, two, three] = await start(3);
      const heard = [await listen(one!, 'a'), await listen(two!, 'a')];
      const other = await listen(three!, 'b');
      one!.publish('a', bytes('hello'));
      for (const inbox of heard) expect(await inbox.take(1)).toEqual(['hello']);
      three!.publish('b', bytes('for b'));
      expect(await other.take(1)).toEqual(['for b']);
      expect(heard.map(({ messages }) => messages.length)).toEqual([1, 1]);
    });

    it('[RLY-2] messages of one instance on one channel keep their order', async () => {
      const [one, two] = await start(2);
      const inboxes = [await listen(two!, 'a'), await listen(two!, 'b')];
      const sent = Array.from({ length: 1_000 }, (_, i) => String(i));
      for (const [i, message] of sent.entries()) {
        one!.publish('a', bytes(message));
        one!.publish('b', bytes(message));
        if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
      }
      for (const inbox of inboxes) expect(await inbox.take(1_000)).toEqual(sent);
    });

    it("[RLY-3] any bytes arrive as they were, and are the listener's own", async () => {
      const [one, two] = await start(2);
      const large = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 7) & 0xff);
      const heard: Uint8Array[] = [];
      const both = new Inbox();
      for (let listener = 0; listener < 2; listener++) {
        const subscription = two!.subscribe('a', (message) => {
          heard.push(message.slice());
          // What one listener does to it is nothing to the other.
          message.fill(0);
          both.add('');
        });
        await subscription.ready;
      }
      const sent = [new Uint8Array(), Uint8Array.of(0, 13, 10, 255, 128), large];
      for (const message of sent) one!.publish('a', message);
      await both.take(6);
      for (const [i, message] of heard.entries()) {
        expect(Buffer.compare(message, sent[Math.floor(i / 2)]!)).toBe(0);
      }
    });

    it('[RLY-4] several listeners are one subscription: each hears until it closes', async () => {
      const [one, two] = await start(2);
      const first = await listen(two!, 'a');
      const second = await listen(two!, 'a');
      one!.publish('a', bytes('1'));
      expect([await first.take(1), await second.take(1)]).toEqual([['1'], ['1']]);
      first.close();
      first.close();
      one!.publish('a', bytes('2'));
      expect(await second.take(2)).toEqual(['1', '2']);
      second.close();
      const third = await listen(two!, 'a');
      one!.publish('a', bytes('3'));
      expect(await third.take(1)).toEqual(['3']);
      expect([first.messages.length, second.messages.length]).toEqual([1, 2]);
    });

    it('[RLY-5] names that look alike, or like patterns, are channels of their own', async () => {
      const [one, two] = await start(2);
      const names = ['a', 'A', 'a*', '*', '?', '[a]', 'a b', 'a:b', 'é', '😀', '__proto__', ''];
      const inboxes = await Promise.all(names.map((channel) => listen(two!, channel)));
      for (const channel of names) one!.publish(channel, bytes(`to ${channel}`));
      for (const [i, inbox] of inboxes.entries()) {
        expect(await inbox.take(1)).toEqual([`to ${names[i]}`]);
      }
      one!.publish('', bytes('last'));
      await inboxes.at(-1)!.take(2);
      expect(inboxes.map(({ messages }) => messages.length)).toEqual(
        names.map((channel) => (channel === '' ? 2 : 1)),
      );
    });

    it('[RLY-6] however subscribing and closing race, the last word counts', async () => {
      const [one, two] = await start(2);
      for (let round = 0; round < 50; round++) {
        const early = two!.subscribe('a', () => undefined);
        // Closed before it was asked for, while that is on its way, or after.
        if (round % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
        if (round % 3 === 2) await early.ready;
        early.close();
        if (round % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
        const inbox = await listen(two!, 'a');
        one!.publish('a', bytes(`${round}`));
        expect(await inbox.take(1)).toEqual([`${round}`]);
        inbox.close();
      }
    });

    it('[RLY-7] nothing is delivered after a subscription or its relay is closed', async () => {
      const [one, two] = await start(2);
      const closed = await listen(two!, 'a');
      const open = await listen(two!, 'a');
      one!.publish('a', bytes('1'));
      closed.close();
      expect(await open.take(1)).toEqual(['1']);
      expect(closed.messages).toEqual([]);
      // One listener closes another that is due for the same message.
      const late = new Inbox();
      const closer = one!.subscribe('b', () => victim.close());
      const victim = one!.subscribe('b', () => late.add('heard'));
      await Promise.all([closer.ready, victim.ready]);
      const after = await listen(one!, 'b');
      two!.publish('b', bytes('2'));
      await after.take(1);
      expect(late.messages).toEqual([]);
      one!.publish('a', bytes('3'));
      await two!.close();
      await under!.open().then(async (relay) => {
        relays.push(relay);
        const inbox = await listen(relay, 'a');
        one!.publish('a', bytes('4'));
        await inbox.take(1);
      });
      expect(open.messages.filter((message) => message === '4')).toEqual([]);
      two!.publish('a', bytes('nobody hears this'));
    });

    it('[RLY-8] while it is away nothing throws or waits', async () => {
      const [one, two] = await start(2);
      const before = await listen(two!, 'a');
      expect([one!.isConnected, two!.isConnected]).toEqual([true, true]);
      let gaps = 0;
      const gap = new Promise<void>((resolve) => two!.onGap(() => resolve(void gaps++)));
      const back = new Promise<void>((resolve) => one!.onGap(resolve));
      await under!.goAway();
      expect([one!.isConnected, two!.isConnected]).toEqual([false, false]);
      const during = await listen(two!, 'b');
      const closed = await listen(two!, 'c');
      closed.close();
      one!.publish('a', bytes('dropped'));
      await new Promise((resolve) => setImmediate(resolve));
      expect(gaps).toBe(0);
      await under!.comeBack();
      await Promise.all([gap, back]);
      await untilConnected(one!);
      for (const channel of ['a', 'b', 'c']) one!.publish(channel, bytes('again'));
      expect(await before.take(1)).toEqual(['again']);
      expect(await during.take(1)).toEqual(['again']);
      expect(closed.messages).toEqual([]);
      expect(gaps).toBe(1);
    });

    it('[RLY-9] after it was cut off, everything is subscribed again before the gap is told', async () => {
      const [one, two] = await start(2);
      const inboxes: Inbox[] = [];
      for (let i = 0; i < 20; i++) inboxes.push(await listen(two!, `${i}`));
      let told: (() => void) | undefined;
      two!.onGap(() => {
        // In the very turn of the call.
        for (let i = 0; i < 20; i++) one!.publish(`${i}`, bytes('now'));
        told?.();
      });
      for (const interrupt of [() => under!.interrupt(two!), async () => two!.reconnect()]) {
        const gap = new Promise<void>((resolve) => {
          told = resolve;
        });
        await interrupt();
        await gap;
        for (const inbox of inboxes) {
          await inbox.take(1);
          expect(inbox.messages.splice(0)).toEqual(['now']);
        }
      }
    });
  });
}

/** What a listener heard, as text. */
class Inbox {
  readonly messages: string[] = [];
  close: () => void = () => undefined;
  #wake: () => void = () => undefined;

  add(message: string): void {
    this.messages.push(message);
    this.#wake();
  }

  /** Waits for `count` messages. @returns all of them */
  async take(count: number): Promise<readonly string[]> {
    while (this.messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return [...this.messages];
  }
}

async function listen(relay: Relay, channel: string): Promise<Inbox> {
  const inbox = new Inbox();
  const subscription = relay.subscribe(channel, (message) =>
    inbox.add(Buffer.from(message).toString()),
  );
  inbox.close = () => subscription.close();
  await subscription.ready;
  return inbox;
}

/** There is no event for the side that publishes. */
export async function untilConnected(relay: Relay): Promise<void> {
  while (!relay.isConnected) await new Promise((resolve) => setTimeout(resolve, 5));
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
