import { describe, expect, it } from 'vitest';
import { Acknowledgements } from './acknowledgements.js';

function received(count: number): Acknowledgements {
  const acknowledgements = new Acknowledgements();
  for (let i = 0; i < count; i++) acknowledgements.received();
  return acknowledgements;
}

describe('[ACK] acknowledgements', () => {
  it('[ACK-1] a message counts once its seq is on disk, and is reported once', () => {
    const acks = received(2);
    acks.settle(1, 5);
    acks.settle(2, 6);
    expect(acks.saved(4)).toBeUndefined();
    expect(acks.saved(5)).toBe(1);
    expect(acks.saved(5)).toBeUndefined();
    expect(acks.saved(9)).toBe(2);
  });

  it('[ACK-2] nothing behind an open message is reported before it', () => {
    const acks = received(3);
    acks.settle(1, 1);
    acks.open(2);
    acks.settle(3, 2);
    expect(acks.saved(9)).toBe(1);
    expect(acks.openCount).toBe(1);
    acks.settle(2, 3);
    expect(acks.saved(2)).toBeUndefined();
    expect(acks.saved(3)).toBe(3);
    expect(acks.openCount).toBe(0);
  });

  it('[ACK-3] a whole step 2 settles everything before it', () => {
    const acks = received(4);
    acks.open(1);
    acks.open(2);
    acks.settle(3, 1);
    acks.settleAllUpTo(4, 7);
    expect(acks.saved(6)).toBeUndefined();
    expect(acks.saved(7)).toBe(4);
  });

  it('[ACK-4] never reports a smaller count, and settling twice changes nothing', () => {
    const acks = received(2);
    acks.settle(1, 1);
    acks.settle(2, 1);
    expect(acks.saved(1)).toBe(2);
    acks.settle(1, 1);
    expect(acks.saved(9)).toBeUndefined();
  });
});
