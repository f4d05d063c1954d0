/**
 * What a second instance costs: `REDIS_URL=redis://… STORAGE_URL=postgres://… node
 * server/bench/instances.mjs [updates a second] [rooms] [seconds]` after `npm run build`.
 * Give it a Redis and a database that nobody else uses meanwhile.
 *
 * In each room one person types at the one instance and another reads at the other.
 * Measured: from one's send to the other's receipt, what the relay took of it by
 * the stamps in its messages, and the commands that Redis carried out (by its own
 * count, without those of connections that look at it).
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { encodeMessage } from '@cowrite/client/protocol';
import { createServer } from '@cowrite/server';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

const { REDIS_URL, STORAGE_URL } = process.env;
const WARM_UP_MS = 2_000;

if (process.argv[2] === 'server') await serve();
else
  await measure(
    Number(process.argv[2] ?? 100),
    Number(process.argv[3] ?? 1),
    Number(process.argv[4] ?? 10),
  );

async function serve() {
  let lags = [];
  const server = await createServer({
    port: 0,
    storage: STORAGE_URL ?? REDIS_URL,
    redis: REDIS_URL,
    logger: 'error',
    hooks: { onRelayed: ({ lagMs }) => void lags.push(lagMs) },
  });
  process.on('message', () => {
    process.send(lags);
    lags = [];
  });
  process.send(server.url);
}

async function measure(rate, rooms, seconds) {
  if (REDIS_URL === undefined)
    throw new Error('set REDIS_URL, and STORAGE_URL unless it is the same');
  const redis = new Redis(REDIS_URL);
  const children = [1, 2].map(() =>
    fork(fileURLToPath(import.meta.url), ['server'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  );
  const [one, two] = await Promise.all(children.map(heard));
  const times = [];
  const run = `${process.pid}-${Date.now()}`;
  const writers = [];
  for (let r = 0; r < rooms; r++) {
    const sentAt = [];
    const room = `${run}-${r}`;
    const writer = await person(`${one}/ws/${room}`.replace('http', 'ws'));
    const doc = new Y.Doc();
    let received = 0;
    const copy = new Y.Doc();
    await person(`${two}/ws/${room}`.replace('http', 'ws'), (update) => {
      Y.applyUpdate(copy, update);
      const now = performance.now();
      for (const length = copy.getText('t').length; received < length; received++) {
        times.push(now - sentAt[received]);
      }
    });
    doc.on('update', (update) => {
      sentAt.push(performance.now());
      writer.send(encodeMessage({ type: 'update', update }));
    });
    writers.push(() => doc.getText('t').insert(doc.getText('t').length, 'x'));
  }
  const type = async (ms) => {
    const start = performance.now();
    let sent = 0;
    while (performance.now() - start < ms) {
      const due = Math.floor(((performance.now() - start) / 1000) * rate);
      for (; sent < due; sent++) writers[sent % rooms]();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return sent;
  };
  await type(WARM_UP_MS);
  for (const child of children) child.send('reset');
  await Promise.all(children.map(heard));
  times.length = 0;
  const before = await commands(redis);
  const sent = await type(seconds * 1000);
  const after = await commands(redis);
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const child of children) child.send('lags');
  const lags = (await Promise.all(children.map(heard))).flat();
  process.stdout.write(
    `${sent} updates in ${seconds} s over ${rooms} rooms, ${times.length} received: ` +
      `send to receipt p50 ${at(times, 0.5)} ms, p99 ${at(times, 0.99)} ms, worst ${at(times, 1)} ms; ` +
      `relay lag p50 ${at(lags, 0.5)} ms, p99 ${at(lags, 0.99)} ms; ` +
      `Redis commands per update ${((after - before) / sent).toFixed(2)}\n`,
  );
  for (const child of children) child.kill('SIGKILL');
  process.exit(0);
}

function heard(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`a server ended with ${code}`)));
  });
}

async function person(url, onUpdate = () => undefined) {
  const socket = new WebSocket(url, ['cowrite.v1']);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const joined = new Promise((resolve) => {
    socket.on('message', (data) => {
      // Sync messages (0): step 2 (1) and updates (2), whose length comes before them.
      if (data[0] !== 0 || data[1] === 0) return;
      if (data[1] === 1) resolve();
      let pos = 2;
      while (data[pos++] >= 0x80);
      onUpdate(data.subarray(pos));
    });
  });
  socket.send(encodeMessage({ type: 'step1', stateVector: Uint8Array.of(0) }));
  await joined;
  return socket;
}

async function commands(redis) {
  const stats = await redis.info('stats');
  return Number(/total_commands_processed:(\d+)/.exec(stats)[1]);
}

function at(values, quantile) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]?.toFixed(1);
}
