import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { Waiting } from './waiting.js';

function room(cost = 0) {
  const clock = new ManualClock();
  const tries: string[] = [];
  const now = clock.now.bind(clock);
  let spent = 0;
  clock.now = () => now() + spent;
  const waiting = new Waiting<{ name: string; isWaiting: boolean }>(clock, (waiter, isFreed) => {
    tries.push(isFreed ? `${waiter.name} freed` : waiter.name);
    spent += cost;
  });
  return { clock, tries, waiting };
}

describe('[SAVE-5] what waits', () => {
  it('[SAVE-5] is tried once for many changes, and forgotten once it waits no more', () => {
    const { clock, tries, waiting } = room();
    const one = { name: 'one', isWaiting: true };
    waiting.add(one);
    for (let i = 0; i < 5; i++) waiting.changed(i === 3);
    clock.advance(50);
    expect(tries).toEqual(['one freed']);
    one.isWaiting = false;
    waiting.changed(false);
    clock.advance(50);
    waiting.changed(false);
    clock.advance(50);
    expect(tries).toEqual(['one freed', 'one']);
    expect(clock.pending).toBe(0);
  });

  it('[SAVE-5] takes a tenth of the time at most, and one turn of the loop for each slice', () => {
    const { clock, tries, waiting } = room(20);
    for (const name of ['one', 'two', 'three']) waiting.add({ name, isWaiting: true });
    waiting.changed(false);
    clock.advance(50);
    expect(tries.length).toBe(3);
    waiting.changed(false);
    clock.advance(9 * 60 - 1);
    expect(tries.length).toBe(3);
    clock.advance(1);
    expect(tries.length).toBe(6);
  });

  it('[SAVE-5] a change while a round runs leads to another round', () => {
    const { clock, tries, waiting } = room();
    waiting.add({ name: 'one', isWaiting: true });
    waiting.add({
      name: 'two',
      get isWaiting() {
        // Its try changes the room, as an admitted update does.
        if (tries.length === 2) waiting.changed(false);
        return true;
      },
    });
    waiting.changed(false);
    clock.advance(50);
    expect(tries).toEqual(['one', 'two']);
    clock.advance(50);
    expect(tries).toEqual(['one', 'two', 'one', 'two']);
    clock.advance(500);
    expect(tries.length).toBe(4);
  });
});
