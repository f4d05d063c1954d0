/** One, two and three Cowrites that meet in Redis; each room's people are spread over them. Documents are in Redis, too, or in Postgres. */
import { at } from '../numbers.mjs';
import { postgresOf, whyNoPostgres } from '../postgres.mjs';
import { watched } from '../process.mjs';
import { redisOf, whyNoRedis } from '../redis.mjs';
import { LOAD_CORE, serverCore } from '../scope.mjs';
import { OURS } from '../servers.mjs';

const LOAD = { rooms: 50, people: 6, writers: 6 };

async function measure(scope, { count, store, keys, seconds }) {
  const skipped = whyNoRedis() ?? (store === 'postgres' ? whyNoPostgres() : undefined);
  if (skipped !== undefined) return { skipped };
  const redis = await redisOf(scope);
  const database = store === 'postgres' ? await postgresOf(scope) : undefined;
  const storage = database?.url ?? redis.url;
  const instances = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      scope.helper('instance.mjs', { redis: redis.url, storage }, serverCore(n, count)),
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
      keys,
      ...LOAD,
    },
    LOAD_CORE,
  );
  await load.heard();
  await load.ask('start');
  await Promise.all(instances.map((each) => each.ask('reset')));
  const counts = async () => ({
    redis: await redis.counts(),
    postgres: await database?.counts(),
    servers: instances.reduce((sum, { pid }) => sum + watched(pid).cpuSeconds(), 0),
  });
  const before = await counts();
  await load.heard();
  const after = await counts();
  const seen = await load.heard();
  const lags = (await Promise.all(instances.map((each) => each.ask('lags')))).flat();
  lags.sort((a, b) => a - b);
  const each = (figure) => (figure(after) - figure(before)) / seen.sent;
  const ofPostgres = database && {
    postgresCpu: 1e6 * each(({ postgres }) => postgres.cpu),
    transactions: each(({ postgres }) => postgres.transactions),
    wal: each(({ postgres }) => postgres.wal),
  };
  return {
    cpuPerUpdate: 1e6 * each(({ servers }) => servers),
    redisCpu: 1e6 * each(({ redis }) => redis.cpu),
    commands: each(({ redis }) => redis.commands),
    ...ofPostgres,
    p50: seen.p50,
    p99: seen.p99,
    lag50: count === 1 ? undefined : at(lags, 0.5),
    lag99: count === 1 ? undefined : at(lags, 0.99),
    lost: seen.expected.update - seen.received.update,
    peak: Math.max(...instances.map(({ pid }) => watched(pid).peakMegabytes())),
  };
}

const FIGURES = {
  cpuPerUpdate: { label: 'CPU of all instances per update', unit: 'µs' },
  redisCpu: { label: 'CPU of Redis per update', unit: 'µs' },
  commands: { label: 'Redis commands per update', unit: '' },
  postgresCpu: { label: 'CPU of Postgres per update', unit: 'µs' },
  transactions: { label: 'transactions per update', unit: '' },
  wal: { label: 'WAL per update', unit: 'bytes' },
  p50: { label: 'delivery p50', unit: 'ms' },
  p99: { label: 'delivery p99', unit: 'ms' },
  lag50: { label: 'relay lag p50', unit: 'ms' },
  lag99: { label: 'relay lag p99', unit: 'ms' },
  lost: { label: 'keystrokes not delivered', unit: '' },
  peak: { label: 'largest peak RSS', unit: 'MB' },
};

const of = ({ id, count, store, keys, often, curve }) => ({
  id: `instances/${id}`,
  title: `${count} ${count === 1 ? 'instance' : 'instances'} with Redis${store === 'postgres' ? ' and Postgres' : ''}: ${LOAD.rooms} rooms x ${LOAD.people} people typing ${often} a second`,
  servers: [OURS],
  repeats: 2,
  lasts: 9,
  limit: 60,
  main: 'cpuPerUpdate',
  figures: FIGURES,
  curve,
  measure: (scope, { seconds = 5 }) => measure(scope, { count, store, keys, seconds }),
});

const withRedis = (count) =>
  of({
    id: count,
    count,
    store: 'redis',
    keys: 1,
    often: 'once',
    curve: {
      name: 'instances',
      x: count,
      axis: 'instances',
      title: 'More instances with Redis',
      shown: ['cpuPerUpdate', 'p99', 'peak'],
      isLogarithmic: false,
    },
  });

const withPostgres = (keys, often) =>
  of({ id: `2-postgres-${keys}`, count: 2, store: 'postgres', keys, often });

export default [
  ...[1, 2, 3].map(withRedis),
  withPostgres(1, 'once'),
  withPostgres(10, 'ten times'),
];
