import { describe, expect, test } from 'vitest';
import { ManualClock } from '../test/manual-clock.js';
import { endOf, renewalWait, Token, type TokenSource } from './token.js';

const encoded = (value: unknown) =>
  btoa(JSON.stringify(value)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const ending = (exp: unknown) =>
  `${encoded({ alg: 'HS256' })}.${encoded({ exp, name: 'é>?'.slice(1) })}.x`;

/** Resolves once all that was waited for has been answered. */
const answered = () => new Promise((resolve) => setImmediate(resolve));

function setUp(source: TokenSource) {
  const clock = new ManualClock();
  const heard: string[] = [];
  const token = new Token(source, clock, {
    renewed: (text) => heard.push(text),
    failed: ({ message }) => heard.push(message),
  });
  return { clock, heard, token, now: clock.date().getTime() / 1000 };
}

describe('[CLI-13] when a token ends', () => {
  test.each([
    [ending(1000), 1_000_000],
    [ending(undefined), null],
    [ending('soon'), null],
    ['opaque', null],
    ['a.b.c', null],
    ['', null],
  ])('%s: %s', (token, end) => {
    expect(endOf(token)).toBe(end);
  });

  test.each([
    [3600, 3540_000],
    [121, 61_000],
    [120, 60_000],
    [10, 5_000],
    [1, 1_000],
    // Never after its end.
    [0.5, 500],
    [0, null],
    [-5, null],
  ])('one that lives %i s is renewed after %s ms', (seconds, wait) => {
    expect(renewalWait(ending(seconds), 0)).toBe(wait);
  });
});

describe('[CLI-13] a token is renewed', () => {
  test('a text is what it is', async () => {
    const { clock, heard, token } = setUp(ending(1e9));
    expect(token.show()).toBe(ending(1e9));
    expect(token.canRenew).toBe(false);
    token.start();
    expect(clock.pending).toBe(0);
    expect(heard).toEqual([]);
  });

  test('a function is asked before the token ends, again and again', async () => {
    let asked = 0;
    const { clock, heard, token, now } = setUp(() => ending(now + 600 * ++asked));
    expect(await token.show()).toBe(ending(now + 600));
    token.start();
    clock.advance(539_999);
    expect(asked).toBe(1);
    clock.advance(1);
    await answered();
    expect(heard).toEqual([ending(now + 1200)]);
    clock.advance(600_000);
    await answered();
    expect(heard).toEqual([ending(now + 1200), ending(now + 1800)]);
    token.stop();
    expect(clock.pending).toBe(0);
  });

  test('one that has no new token, or fails, is asked again before the old one ends', async () => {
    let isDown = false;
    let asked = 0;
    const { clock, heard, token, now } = setUp(() => {
      asked++;
      if (isDown) throw new Error('down');
      return ending(now + 600);
    });
    await token.show();
    token.start();
    clock.advance(540_000);
    await answered();
    expect(asked).toBe(2);
    isDown = true;
    clock.advance(30_000);
    await answered();
    clock.advance(15_000);
    await answered();
    expect(asked).toBe(4);
    expect(heard).toEqual(['there is no new token', 'there is no new token']);
    clock.advance(60_000);
    await answered();
    expect(clock.pending).toBe(0);
  });

  test('an answer that comes after the connection is gone renews nothing', async () => {
    let answer: (token: string) => void = () => undefined;
    let isFirst = true;
    const { clock, heard, token, now } = setUp(() => {
      if (isFirst) return ending(now + 10);
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    await token.show();
    isFirst = false;
    token.start();
    clock.advance(5_000);
    token.stop();
    answer(ending(now + 20));
    await answered();
    expect(heard).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test('one that was asked for earlier and comes later is not the newest', async () => {
    const answers: ((token: string) => void)[] = [];
    const { clock, token, now } = setUp(() => new Promise((resolve) => answers.push(resolve)));
    const [first, second] = [token.show(), token.show()];
    answers[1]!(ending(now + 600));
    await second;
    answers[0]!(ending(now + 10));
    await first;
    token.start();
    // Before the end of the newest, not of the other.
    clock.advance(539_999);
    expect(answers).toHaveLength(2);
    clock.advance(1);
    expect(answers).toHaveLength(3);
    token.stop();
  });

  test('what returns no text is an error', async () => {
    const { token } = setUp((() => 7) as never);
    await expect(token.show()).rejects.toThrow('token() did not return a string');
  });
});
