import { describe, expect, test } from 'vitest';
import { ManualClock } from '../test/manual-clock.js';
import { renewalWait, Token, type TokenSource, timeLeft } from './token.js';

const encoded = (value: unknown) =>
  btoa(JSON.stringify(value)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const holding = (claims: object) => `${encoded({ alg: 'HS256' })}.${encoded(claims)}.x`;
const ending = (exp: unknown) => holding({ exp, name: 'é>?'.slice(1) });

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
    [`a.${btoa('null')}.c`, null],
    ['', null],
  ])('%s: %s', (token, left) => {
    expect(timeLeft(token, 0, 0, Number.POSITIVE_INFINITY)).toBe(left);
  });

  test.each([
    [3600, 3540_000],
    [121, 61_000],
    [120, 60_000],
    [10, 5_000],
    [1, 1_000],
    // Never after its end.
    [0.5, 500],
    // The server may tolerate it for a while.
    [0, 10_000],
    [-5, 10_000],
  ])('one that lives %d s is renewed after %d ms', (seconds, wait) => {
    expect(renewalWait(seconds * 1000)).toBe(wait);
  });
});

describe('[CLI-32] how long a token that comes is good for, whatever the date of the page', () => {
  const NOW = 1_700_000_000;
  const MINUTE = 60;
  const hour = { iat: NOW, exp: NOW + 60 * MINUTE };
  const never = Number.POSITIVE_INFINITY;

  test.each<[what: string, claims: object, date: number, maxAge: number, left: number]>([
    ['a new one', hour, NOW, never, 60],
    ['a new one, and the page is late', hour, NOW - 10 * MINUTE, never, 60],
    ['a new one, and the page is late by a day', hour, NOW - 1440 * MINUTE, never, 60],
    ['a new one, and the page is ahead by a day', hour, NOW + 1440 * MINUTE, never, 60],
    ['one that the application has kept', hour, NOW + 50 * MINUTE, never, 10],
    ['one in the place of another, and the page is ahead', hour, NOW + 50 * MINUTE, 30, 60],
    ['one in the place of another, kept since', hour, NOW + 20 * MINUTE, 30 * MINUTE, 40],
    ['one that says from when it is good', { nbf: NOW, exp: NOW + 600 }, NOW - 600, never, 10],
    ['one made after its end', { iat: NOW + 700, exp: NOW + 600 }, NOW, never, 10],
    ['one that does not say when it was made', { exp: NOW + 600 }, NOW, never, 10],
    ['the same, and the page is ahead', { exp: NOW + 600 }, NOW + 6000, never, 2],
  ])('%s', (_, claims, date, maxAge, left) => {
    const found = timeLeft(holding(claims), date * 1000, maxAge * 1000, never);
    expect(found).toBe(left * MINUTE * 1000);
  });

  test('whole seconds of `iat` say nothing of the clock', () => {
    const claims = { iat: NOW, exp: NOW + 10 };
    expect(timeLeft(holding(claims), NOW * 1000 - 900, 0, never)).toBe(10_000);
    expect(timeLeft(holding(claims), NOW * 1000 + 900, 0, never)).toBe(9_100);
  });
});

describe('[CLI-32] a token is renewed in time', () => {
  const SECOND = 1000;

  /** An application whose tokens live so long, by a clock that is right; and a server that ends a session with its token. */
  function setUpServer(life: number, page: number, claims: (now: number) => object) {
    let asked = 0;
    const parts = setUp(() => {
      asked++;
      return holding({ ...claims(now()), exp: now() + life, jti: asked });
    });
    const { clock, token } = parts;
    clock.error = page * SECOND;
    const now = () => (clock.date().getTime() - clock.error) / SECOND;
    let endsAt = 0;
    let cut = 0;
    const connect = async () => {
      endsAt = Number(
        (JSON.parse(atob((await token.show()).split('.')[1]!)) as { exp: number }).exp,
      );
      token.start();
    };
    const run = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        clock.advance(SECOND);
        await answered();
        for (const text of parts.heard.splice(0)) {
          endsAt = Number((JSON.parse(atob(text.split('.')[1]!)) as { exp: number }).exp);
        }
        if (now() <= endsAt) continue;
        cut++;
        token.ended();
        token.stop();
        await connect();
      }
      return { cut, asked };
    };
    return { clock, connect, run };
  }

  const dated = (now: number) => ({ iat: Math.floor(now) });

  test.each([0, 600, -600, 86_400, -86_400, 290, 595])(
    'on a page that is ahead by %i s, with tokens of 5 and 10 minutes and of 8 s',
    async (ahead) => {
      for (const life of [8, 300, 600]) {
        const { connect, run } = setUpServer(life, ahead, dated);
        await connect();
        const { cut, asked } = await run(6 * life);
        expect(cut).toBe(0);
        expect(asked).toBeLessThan(16);
      }
    },
  );

  test('the page’s date is set right, and wrong again, while it is open', async () => {
    const { clock, connect, run } = setUpServer(300, 600, dated);
    await connect();
    for (const error of [0, -3600, 3600, 250, 0]) {
      clock.error = error * SECOND;
      expect((await run(400)).cut).toBe(0);
    }
  });

  test('without `iat`, a page that is late is cut off once, and knows after that', async () => {
    const { connect, run } = setUpServer(300, -600, () => ({}));
    await connect();
    expect((await run(3600)).cut).toBe(1);
  });

  test('without `iat`, on a page that is ahead', async () => {
    const { connect, run } = setUpServer(300, 600, () => ({}));
    await connect();
    const { cut, asked } = await run(3600);
    expect(cut).toBe(0);
    expect(asked).toBeLessThanOrEqual(61);
  });

  test('one that the application keeps to its end is asked for again until there is another', async () => {
    let made = 0;
    const { clock, heard, token, now } = setUp(() => {
      // It was made 50 minutes ago.
      const at = clock.date().getTime() / SECOND - now < 600 ? now - 3000 : now + 600;
      if (at > now) made++;
      return holding({ iat: at, exp: at + 3600 });
    });
    await token.show();
    token.start();
    for (let second = 0; second < 620; second++) {
      clock.advance(SECOND);
      await answered();
    }
    expect(heard).toHaveLength(1);
    expect(made).toBe(1);
    token.stop();
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
    isDown = false;
    clock.advance(60_000);
    await answered();
    expect(heard).toEqual(['there is no new token', 'there is no new token']);
    token.stop();
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
