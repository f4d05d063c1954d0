/** One, two and three Cowrites that meet in Redis; each room's people are spread over them. */
import { at } from '../numbers.mjs';
import { watched } from '../process.mjs';
import { redisOf, whyNoRedis } from '../redis.mjs';
import { LOAD_CORE, serverCore } from '../scope.mjs';
import { OURS } from '../servers.mjs';

const LOAD = { rooms: 50, people: 6, writers: 6, keys: 1 };
const storage = process.env.REDIS_URL ? process.env.STORAGE_URL : undefined;

async function measure(scope, count, seconds) {
  const skipped = whyNoRedis();
  if (skipped !== undefined) return { skipped };
  const redis = await redisOf(scope);
  const instances = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      scope.helper(
        'instance.mjs',
        { redis: redis.url, storage: storage ?? redis.url },
        serverCore(n, count),
      ),
    ),
  );
  const urls = await Promise.all(instances.map(({ heard }) => heard()));
  const load = await scope.helper(
    'load.mjs',
    {
      name: OURS,
      urls: urls.map((url) => `${url.replace('http', 'ws')}/ws`),
      // A Redis that is not of this measurement has what earlier ones left.
      prefix: `bench-${process.pid}-${Date.now()}`,
      warmUp: 1.5,
      seconds,
      ...LOAD,
    },
    LOAD_CORE,
  );
  await load.heard();
  await load.ask('start');
  await Promise.all(instances.map((each) => each.ask('reset')));
  const cpu = () => instances.reduce((sum, { pid }) => sum + watched(pid).cpuSeconds(), 0);
  const before = { ...(await redis.counts()), servers: cpu() };
  await load.heard();
  const after = { ...(await redis.counts()), servers: cpu() };
  const seen = await load.heard();
  const lags = (await Promise.all(instances.map((each) => each.ask('lags')))).flat();
  lags.sort((a, b) => a - b);
  return {
    cpuPerUpdate: ((after.servers - before.servers) / seen.sent) * 1e6,
    redisCpu: ((after.cpu - before.cpu) / seen.sent) * 1e6,
    commands: (after.commands - before.commands) / seen.sent,
    p50: seen.p50,
    p99: seen.p99,
    lag50: count === 1 ? undefined : at(lags, 0.5),
    lag99: count === 1 ? undefined : at(lags, 0.99),
    lost: seen.expected.update - seen.received.update,
    peak: Math.max(...instances.map(({ pid }) => watched(pid).peakMegabytes())),
  };
}

const of = (count) => ({
  id: `instances/${count}`,
  title: `${count} ${count === 1 ? 'instance' : 'instances'} with Redis: ${LOAD.rooms} rooms x ${LOAD.people} people typing once a second`,
  servers: [OURS],
  repeats: 2,
  lasts: 9,
  limit: 60,
  main: 'cpuPerUpdate',
  figures: {
    cpuPerUpdate: { label: 'CPU of all instances per update', unit: 'µs' },
    redisCpu: { label: 'CPU of Redis per update', unit: 'µs' },
    commands: { label: 'Redis commands per update', unit: '' },
    p50: { label: 'delivery p50', unit: 'ms' },
    p99: { label: 'delivery p99', unit: 'ms' },
    lag50: { label: 'relay lag p50', unit: 'ms' },
    lag99: { label: 'relay lag p99', unit: 'ms' },
    lost: { label: 'keystrokes not delivered', unit: '' },
    peak: { label: 'largest peak RSS', unit: 'MB' },
  },
  curve: {
    name: 'instances',
    x: count,
    axis: 'instances',
    title: 'More instances with Redis',
    shown: ['cpuPerUpdate', 'p99', 'peak'],
    isLogarithmic: false,
  },
  measure: (scope, { seconds = 5 }) => measure(scope, count, seconds),
});

export default [of(1), of(2), of(3)];
