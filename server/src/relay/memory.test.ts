import * as framework from 'vitest';
import { Dice } from '../../test/seeded.js';
import { ManualClock } from '../clock.js';
import { relayContract } from './contract.js';
import { MemoryHub, MemoryRelay } from './memory.js';

relayContract(framework, 'memory', async () => {
  const hub = new MemoryHub();
  return {
    open: async () => new MemoryRelay(hub),
    interrupt: async (relay) => relay.reconnect(),
    goAway: async () => hub.disconnect(),
    comeBack: async () => hub.connect(),
    dispose: async () => undefined,
  };
});

framework.describe('[RLY] memory', () => {
  const { expect, it } = framework;

  function pair() {
    const clock = new ManualClock();
    const hub = new MemoryHub(clock);
    const [one, two] = [new MemoryRelay(hub), new MemoryRelay(hub)];
    const heard: number[] = [];
    two.subscribe('a', ([number]) => heard.push(number!));
    const publish = () => {
      for (let i = 0; i < 100; i++) one.publish('a', Uint8Array.of(i));
      clock.turn();
      return heard.splice(0);
    };
    return { clock, hub, heard, publish };
  }
  const sent = Array.from({ length: 100 }, (_, i) => i);
  const sorted = (numbers: number[]) => [...numbers].sort((a, b) => a - b);

  it('[RLY-10] the hub drops, doubles, delays and reorders as it is told', () => {
    const { clock, hub, heard, publish } = pair();
    const dice = new Dice(1);
    const random = () => dice.next();
    expect(publish()).toEqual(sent);
    hub.disturb({ random, drop: 0.3 });
    const kept = publish();
    expect(kept).toEqual(sorted(kept));
    expect(kept.length).toBeGreaterThan(50);
    expect(kept.length).toBeLessThan(90);
    hub.disturb({ random, double: 0.3 });
    const doubled = publish();
    expect(doubled.length).toBeGreaterThan(110);
    expect([...new Set(doubled)]).toEqual(sent);
    hub.disturb({ random, reorder: 0.3 });
    const reordered = publish();
    expect(reordered).not.toEqual(sent);
    expect(sorted(reordered)).toEqual(sent);
    hub.disturb({ random, delay: 0.3, delayMs: 100 });
    const punctual = publish();
    expect(punctual.length).toBeLessThan(90);
    clock.advance(100);
    expect(sorted([...punctual, ...heard.splice(0)])).toEqual(sent);
    hub.disturb();
    expect(publish()).toEqual(sent);
  });
});
