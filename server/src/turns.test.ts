import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { Turns } from './turns.js';

/** Time goes by with each look at it, as it does while work is done. */
function ticking(ms: number): ManualClock {
  const clock = new ManualClock();
  const now = clock.now.bind(clock);
  let spent = 0;
  clock.now = () => {
    spent += ms;
    return now() + spent;
  };
  return clock;
}

describe('[LIM] turns', () => {
  it('[LIM-11] everybody has a piece of their work done in turn, until there is no more of it', () => {
    const clock = new ManualClock();
    const turns = new Turns(clock);
    const done: string[] = [];
    const work = (name: string, pieces: number) => {
      let left = pieces;
      turns.take(() => {
        done.push(name);
        return --left > 0;
      });
    };
    work('a', 3);
    work('b', 1);
    work('c', 2);
    expect(done).toEqual([]);
    clock.turn();
    expect(done.join('')).toBe('abcaca');
  });

  it('[LIM-11] lets others have the loop in between, and as long as a piece that was too long took', () => {
    const clock = ticking(0.5);
    const turns = new Turns(clock);
    let pieces = 0;
    turns.take(() => ++pieces < 100);
    let between = 0;
    const look = () => {
      between++;
      if (pieces < 100) clock.soon(look);
    };
    clock.soon(look);
    clock.turn();
    expect(pieces).toBe(100);
    expect(between).toBeGreaterThan(20);
    // Ten milliseconds each.
    const slow = ticking(10);
    const others = new Turns(slow);
    let slowPieces = 0;
    others.take(() => ++slowPieces < 3);
    slow.turn();
    expect(slowPieces).toBeLessThan(3);
    slow.advance(1_000);
    expect(slowPieces).toBe(3);
  });

  it('[LIM-11] rests while it has to, and then goes on', () => {
    const clock = new ManualClock();
    let mustRest = true;
    const turns = new Turns(clock, () => mustRest);
    let pieces = 0;
    turns.take(() => ++pieces < 3);
    clock.advance(1_000);
    expect(pieces).toBe(0);
    mustRest = false;
    clock.advance(5);
    expect(pieces).toBe(3);
    turns.take(() => ++pieces < 10);
    turns.close();
    clock.advance(1_000);
    expect([pieces, clock.pending]).toEqual([3, 0]);
  });
});
