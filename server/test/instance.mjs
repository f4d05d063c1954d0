// One instance of several, as a process of its own, with time limits short enough for tests:
// `node instance.mjs '{"redis": "redis://…", "storage": "postgres://…", "timeout": 500, "limits": {}}'`.
import {
  createServer,
  PostgresStorage,
  RedisPresence,
  RedisRelay,
  RedisStorage,
} from '@cowrite/server';
import { pino } from 'pino';

const { redis, storage, timeout, limits, staticDir } = JSON.parse(process.argv[2]);
const server = await createServer({
  port: 0,
  storage: storage.startsWith('postgres')
    ? await opened(() => PostgresStorage.open(storage, { deadlineMs: timeout }))
    : await opened(() => RedisStorage.open(storage, { timeout })),
  redis: {
    relay: await RedisRelay.open(redis, { timeout }),
    presence: await RedisPresence.open(redis, { timeout }),
  },
  limits,
  staticDir,
  // What faults are made of is logged as errors and warnings.
  logger: pino({ level: process.env.LOG_LEVEL }, pino.destination(2)),
});

/** As its supervisor would: on a slow machine a start takes longer than these limits allow. */
async function opened(open) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      if (attempt === 100) throw error;
    }
  }
}

process.stdout.write(`ready: ${server.url}\n`);
