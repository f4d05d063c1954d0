/** One Cowrite of several that meet in Redis, as a process of its own that tells what the relay took. */
import { createServer } from '@cowrite/server';

import { tell } from './helper.mjs';

const { redis, storage } = JSON.parse(process.argv[2]);
let lags = [];
const server = await createServer({
  port: 0,
  storage,
  redis,
  logger: 'error',
  hooks: { onRelayed: ({ lagMs }) => void lags.push(lagMs) },
});
// What was heard since it was last asked.
process.on('message', () => {
  tell(lags);
  lags = [];
});
tell(server.url);
