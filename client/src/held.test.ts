import { afterEach, describe, expect, test, vi } from 'vitest';
import { FakeNetwork } from '../test/fake-socket.js';
import { ManualClock } from '../test/manual-clock.js';
import { CowriteProvider } from './provider.js';

const providers: CowriteProvider[] = [];

afterEach(() => {
  for (const provider of providers.splice(0)) provider.destroy();
});

type Headers = Readonly<Record<string, string>>;

const TOO_MANY: readonly [status: number, headers: Headers] = [429, { 'Retry-After': '5' }];

/** Resolves once a question has been answered, and what follows from it. */
const answered = () => new Promise((resolve) => setImmediate(resolve));

/** @param answers what is said to each question; the last one to all that follow */
function setUp(random: number, ...answers: (readonly [status: number, headers: Headers])[]) {
  const clock = new ManualClock();
  const network = new FakeNetwork();
  const fetch = vi.fn(async () => {
    const [status, headers] = answers.length > 1 ? answers.shift()! : answers[0]!;
    return new Response('too many rooms of yours are open\n', { status, headers });
  });
  const provider = new CowriteProvider({
    url: 'ws://host/ws',
    room: 'room',
    clock,
    random: () => random,
    WebSocket: network.WebSocket,
    fetch,
  });
  providers.push(provider);
  const told: string[] = [];
  provider.on('connection-error', ({ error }) => told.push(error.message));
  /** The attempt that is under way fails, and the question why is answered. */
  const fail = async () => {
    network.last.drop();
    await answered();
  };
  const attempts = () => network.sockets.length;
  return { clock, network, provider, fetch, told, fail, attempts };
}

describe('[CLI-60] a server that has too many', () => {
  test.each([
    [0, 5_000],
    [0.5, 6_250],
    [0.9, 7_250],
  ])(
    'is left alone for as long as it says, and a random part of that: at %d for %d ms',
    async (random, wait) => {
      const { clock, provider, fail, attempts, told } = setUp(random, TOO_MANY);
      await fail();
      expect(provider.status).toBe('retrying');
      expect(provider.nextRetryAt?.getTime()).toBe(clock.date().getTime() + wait);
      expect(told).toEqual(['too many rooms of yours are open']);
      clock.advance(wait - 1);
      expect(attempts()).toBe(1);
      clock.advance(1);
      expect(attempts()).toBe(2);
    },
  );

  test('is left alone as long after each attempt, of which each is asked about', async () => {
    const { clock, fail, attempts, fetch } = setUp(0, TOO_MANY);
    for (let n = 1; n <= 12; n++) {
      await fail();
      clock.advance(4_999);
      expect(attempts()).toBe(n);
      clock.advance(1);
      expect(attempts()).toBe(n + 1);
    }
    expect(fetch).toHaveBeenCalledTimes(12);
  });

  test('does not slow down what fails later for another reason', async () => {
    const { clock, network, fail, attempts } = setUp(0, TOO_MANY, [426, {}]);
    await fail();
    clock.advance(5_000);
    await fail();
    clock.advance(0);
    expect(attempts()).toBe(3);
    network.last.accept();
    network.last.drop();
    clock.advance(0);
    expect(attempts()).toBe(4);
  });

  test('holds up nobody who connects by hand', async () => {
    const { provider, fail, attempts } = setUp(0, TOO_MANY);
    await fail();
    provider.connect();
    expect(attempts()).toBe(2);
  });

  test.each([
    ['3600', 60_000],
    ['0', 0],
    ['-7', 0],
    ['soon', 0],
    ['Infinity', 60_000],
  ])('is believed up to a minute: %s', async (said, wait) => {
    const { clock, provider, fail } = setUp(0, [429, { 'Retry-After': said }]);
    await fail();
    expect(provider.nextRetryAt?.getTime()).toBe(clock.date().getTime() + wait);
  });

  test.each([
    [429, {}],
    [503, { 'Retry-After': '50' }],
    [200, { 'Retry-After': '50' }],
  ] as const)('is one that says so: not %i with %j', async (status, headers) => {
    const { clock, provider, fail } = setUp(0, [status, headers]);
    await fail();
    expect(provider.nextRetryAt?.getTime()).toBe(clock.date().getTime());
  });

  test('changes nothing where its answer comes during the next attempt, which is asked about', async () => {
    const { clock, network, provider, attempts, fail } = setUp(0, TOO_MANY);
    network.last.drop();
    clock.advance(0);
    expect(attempts()).toBe(2);
    await answered();
    expect(provider.status).toBe('connecting');
    await fail();
    clock.advance(4_999);
    expect(attempts()).toBe(2);
    clock.advance(1);
    expect(attempts()).toBe(3);
  });
});
