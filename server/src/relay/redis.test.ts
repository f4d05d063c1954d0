import { createServer } from 'node:net';
import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import * as framework from 'vitest';
import { redisOfFile } from '../../test/redis-service.js';
import { relayContract, untilConnected } from './contract.js';
import { RedisRelay } from './redis.js';

const { describe, expect, it, onTestFinished } = framework;

/** One Redis for the file; a prefix for each test. */
const redis = redisOfFile();
let tests = 0;

async function clients(): Promise<{ id: string; name: string }[]> {
  const list = (await redis.admin.client('LIST')) as string;
  return [...list.matchAll(/^id=(\d+) .* name=(\S*) /gm)].map(([, id, name]) => ({
    id: id!,
    name: name!,
  }));
}

async function cutOff(name: string): Promise<void> {
  for (const client of await clients()) {
    if (client.name === name) await redis.admin.client('KILL', 'ID', client.id);
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

relayContract(framework, 'redis', async () => {
  const prefix = `test-${++tests}:`;
  const relays: RedisRelay[] = [];
  return {
    open: async () => {
      const relay = await RedisRelay.open(redis.service.url, { prefix });
      relays.push(relay);
      return relay;
    },
    interrupt: () => cutOff('cowrite-subscriber'),
    goAway: async () => {
      await redis.service.kill();
      await until(() => relays.every((relay) => !relay.isConnected));
    },
    comeBack: () => redis.service.restart(),
    dispose: async () => undefined,
  };
});

describe('[RLY] redis', () => {
  async function open(options = {}): Promise<RedisRelay> {
    const prefix = `test-${++tests}:`;
    const relay = await RedisRelay.open(redis.service.url, { prefix, ...options });
    onTestFinished(() => relay.close());
    return relay;
  }

  it('[RLY-15] losing the publisher alone is a gap, because what was to be said is lost', async () => {
    const relay = await open();
    await relay.subscribe('a', () => undefined).ready;
    const gap = new Promise<void>((resolve) => relay.onGap(resolve));
    await cutOff('cowrite-publisher');
    await gap;
    expect(relay.isConnected).toBe(true);
  });

  it('[RLY-11] 10,000 channels cost one connection to subscribe and one to publish', async () => {
    const relay = await open();
    let heard = 0;
    const all = new Promise<void>((resolve) => {
      for (let i = 0; i < 10_000; i++) {
        relay.subscribe(`${i}`, () => {
          if (++heard === 10_000) resolve();
        });
      }
    });
    await relay.subscribe('last', () => undefined).ready;
    for (let i = 0; i < 10_000; i++) relay.publish(`${i}`, Uint8Array.of(1));
    await all;
    const own = (await clients()).filter(({ name }) => name.startsWith('cowrite-'));
    expect(own.map(({ name }) => name).sort()).toEqual(['cowrite-publisher', 'cowrite-subscriber']);
    // All of them again, on one new connection.
    const gap = new Promise<void>((resolve) => relay.onGap(resolve));
    relay.reconnect();
    await gap;
    const channels = (await redis.admin.pubsub('CHANNELS', `test-${tests}:0:*`)) as string[];
    expect(channels.length).toBe(10_001);
  });

  it('[RLY-11] the last listener that closes ends the subscription', async () => {
    const relay = await open();
    const subscriptions = ['a', 'a', 'b'].map((name) => relay.subscribe(name, () => undefined));
    await Promise.all(subscriptions.map(({ ready }) => ready));
    const count = async () => {
      const names = [`test-${tests}:0:a`, `test-${tests}:0:b`];
      return (await redis.admin.pubsub('NUMSUB', ...names)) as (string | number)[];
    };
    expect((await count()).filter((n) => typeof n === 'number')).toEqual([1, 1]);
    for (const subscription of subscriptions) subscription.close();
    // Commands of one connection are answered in order.
    await relay.subscribe('c', () => undefined).ready;
    expect((await count()).filter((n) => typeof n === 'number')).toEqual([0, 0]);
  });

  it('[RLY-16] what a turn says on many channels is one command, and keeps its order', async () => {
    const prefix = `test-${++tests}:`;
    const relays = await Promise.all(
      Array.from({ length: 3 }, () => RedisRelay.open(redis.service.url, { prefix })),
    );
    onTestFinished(async () => void (await Promise.all(relays.map((relay) => relay.close()))));
    const [from, ...others] = relays;
    const heard: string[] = [];
    const listen = async (relay: RedisRelay, name: string): Promise<void> => {
      await relay.subscribe(name, ([value]) => heard.push(`${name}${value}`)).ready;
    };
    await listen(others[0]!, 'a');
    await listen(others[1]!, 'b');
    const publishes = async () => {
      const info = await redis.admin.info('commandstats');
      return Number(/cmdstat_publish:calls=(\d+)/.exec(info)?.[1] ?? 0);
    };
    /** Each turn says a number on four channels; resolves once all have heard it. */
    const turn = async (value: number, channels = ['a', 'b', 'c', 'd']) => {
      for (const channel of channels) from!.publish(channel, Uint8Array.of(value));
      await until(() => heard.length === 2);
      return heard.splice(0).sort();
    };
    const before = await publishes();
    expect(await turn(1)).toEqual(['a1', 'b1']);
    // Four are more than three instances: one command again. Two are fewer: one each.
    expect(await turn(2)).toEqual(['a2', 'b2']);
    expect((await publishes()) - before).toBe(2);
    expect(await turn(3, ['a', 'b'])).toEqual(['a3', 'b3']);
    expect((await publishes()) - before).toBe(4);
    for (let i = 0; i < 100; i++) {
      for (let k = 0; k <= i % 7; k++) from!.publish('a', Uint8Array.of(i));
      await new Promise((resolve) => setImmediate(resolve));
    }
    from!.publish('b', Uint8Array.of(0));
    await until(() => heard.includes('b0'));
    const values = heard
      .filter((said) => said.startsWith('a'))
      .map((said) => Number(said.slice(1)));
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  it('[RLY-12] what a Redis that stops answering makes it keep is bounded', async () => {
    const relay = await open({ timeout: 500 });
    const gap = new Promise<void>((resolve) => relay.onGap(resolve));
    redis.service.pause();
    onTestFinished(() => redis.service.resume());
    for (let i = 0; i < 40; i++) relay.publish('a', new Uint8Array(1_000_000));
    await until(() => relay.dropped > 0);
    expect(relay.dropped).toBe(40 - 16);
    // The publisher's connection is given up; the subscriber's shows only that nothing comes.
    await until(() => !relay.isConnected);
    relay.reconnect();
    redis.service.resume();
    await gap;
    await untilConnected(relay);
    let heard: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      heard = resolve;
    });
    await relay.subscribe('b', () => heard()).ready;
    relay.publish('b', Uint8Array.of(1));
    await arrived;
  });

  it('[RLY-12] what was answered counts no more; a tiny message costs more than its bytes', async () => {
    const relay = await open();
    let heard = 0;
    let wake: () => void = () => undefined;
    await relay.subscribe('a', () => {
      heard++;
      wake();
    }).ready;
    for (let i = 1; i <= 40; i++) {
      const arrived = new Promise<void>((resolve) => {
        wake = resolve;
      });
      relay.publish('a', new Uint8Array(1_000_000));
      await arrived;
      // What is published behind it was answered before it.
      await relay.subscribe(`${i}`, () => undefined).ready;
    }
    expect([heard, relay.dropped]).toEqual([40, 0]);
    redis.service.pause();
    onTestFinished(() => redis.service.resume());
    for (let i = 0; i < 100_000; i++) relay.publish('a', Uint8Array.of(1));
    await until(() => relay.dropped > 0);
    expect(relay.dropped).toBeGreaterThan(10_000);
  });

  it('[OPS-5] what a turn publishes is a span, which ends when Redis has answered', async () => {
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
    onTestFinished(() => trace.disable());
    const relay = await open();
    relay.publish('a', Uint8Array.of(1, 2, 3));
    await until(() => exporter.getFinishedSpans().length > 0);
    const [span] = exporter.getFinishedSpans();
    expect(span?.name).toBe('cowrite.publish');
    expect(span?.attributes['cowrite.messages']).toBe(1);
    expect(span?.attributes['cowrite.bytes']).toBeGreaterThan(3);
  });

  it('[RLY-7] what was published before the relay is closed still arrives', async () => {
    const relays = [
      await open(),
      await RedisRelay.open(redis.service.url, { prefix: `test-${tests}:` }),
    ];
    const heard = new Promise<void>((resolve) => {
      const subscription = relays[0]!.subscribe('a', () => resolve());
      void subscription.ready.then(async () => {
        relays[1]!.publish('a', Uint8Array.of(1));
        await relays[1]!.close();
      });
    });
    await heard;
  });

  it('[RLY-13] that Redis refuses it is told once', async () => {
    const user = `guest-${tests}`;
    await redis.admin.call('ACL', 'SETUSER', user, 'on', '>word', '~*', 'resetchannels', '+@all');
    const lines: string[] = [];
    const url = redis.service.url.replace('//', `//${user}:word@`);
    const relay = await RedisRelay.open(url, { onWarning: (line) => lines.push(line) });
    onTestFinished(() => relay.close());
    await relay.subscribe('a', () => undefined).ready;
    await relay.subscribe('b', () => undefined).ready;
    expect(lines).toEqual([expect.stringContaining('Redis refuses the relay: NOPERM')]);
  });

  it('[RLY-12] nor does it keep anybody waiting who opens or closes', async () => {
    redis.service.pause();
    onTestFinished(() => redis.service.resume());
    const relay = await open({ timeout: 300 });
    expect(relay.isConnected).toBe(false);
    relay.publish('a', Uint8Array.of(1));
    await relay.subscribe('a', () => undefined).ready;
    await relay.close();
  });

  it('[RLY-13] opens while Redis is away, tells an outage once and its end once', async () => {
    const lines: string[] = [];
    await redis.service.kill();
    onTestFinished(() => redis.service.restart());
    // In its place somebody who hangs up, until every connection was tried three times.
    let attempts = 0;
    const impostor = createServer((socket) => {
      attempts++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => impostor.listen(redis.service.port, '127.0.0.1', resolve));
    const relay = await open({ onWarning: (line: string) => lines.push(line) });
    expect(relay.isConnected).toBe(false);
    await relay.subscribe('a', () => undefined).ready;
    const gap = new Promise<void>((resolve) => relay.onGap(resolve));
    await until(() => attempts >= 6);
    await new Promise((resolve) => impostor.close(resolve));
    await redis.service.restart();
    await gap;
    await until(() => lines.length >= 4);
    expect(lines.map((line) => line.replace(/at \S+|: .*;|\d+ s$/g, '…')).sort()).toEqual([
      'Redis … (publisher) is away… trying until it is back',
      'Redis … (publisher) is back after …',
      'Redis … (subscriber) is away… trying until it is back',
      'Redis … (subscriber) is back after …',
    ]);
  });

  it('[RLY-14] deployments with other prefixes, or on other databases, do not hear each other', async () => {
    const relays = [
      await open(),
      await open(),
      await RedisRelay.open(`${redis.service.url}/1`, { prefix: `test-${tests}:` }),
    ];
    onTestFinished(() => relays[2]!.close());
    const heard: string[] = [];
    for (const [i, relay] of relays.entries()) {
      await relay.subscribe('a', () => heard.push(`${i}`)).ready;
      const own = new Promise<void>((resolve) => relay.subscribe('b', () => resolve()));
      await relay.subscribe('b', () => undefined).ready;
      relay.publish('a', Uint8Array.of(1));
      relay.publish('b', Uint8Array.of(1));
      await own;
    }
    // What lies before this on their connections has been delivered.
    for (const relay of relays) {
      let done: () => void = () => undefined;
      const fence = new Promise<void>((resolve) => {
        done = resolve;
      });
      await relay.subscribe('fence', () => done()).ready;
      relay.publish('fence', Uint8Array.of(1));
      await fence;
    }
    expect(heard).toEqual(['0', '1', '2']);
  });

  it('[RLY-14] what cannot be an address or a prefix is refused', async () => {
    for (const url of ['localhost:6379', 'http://localhost', 'redis://', 'redis://a?db=2', '']) {
      await expect(RedisRelay.open(url)).rejects.toThrow(TypeError);
    }
    for (const prefix of ['', 'a', 'a:b:', 'a b:', '*:']) {
      await expect(RedisRelay.open(redis.service.url, { prefix })).rejects.toThrow(TypeError);
    }
  });
});
