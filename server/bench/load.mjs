/**
 * Drives one server with one load, as a process of its own: connects, says that it
 * is ready, and when told to go writes for the given time and says what came back.
 *
 * The load: `rooms` rooms of `people` each; of those, `writers` type `keys` times a
 * second and `movers` send states `moves` times a second. Who writes when is spread
 * evenly over the time.
 */
import { WebSocket } from 'ws';
import { dialectOf, eachStamp, STAMP_LENGTH, stamp, state, typedUpdate } from './wire.mjs';

const {
  name,
  url,
  rooms,
  people,
  writers = 0,
  keys = 0,
  movers = 0,
  moves = 0,
  warmUp,
  seconds,
} = JSON.parse(process.argv[2]);
const CONNECTING_AT_ONCE = 50;
/** Milliseconds that the last ones may take to arrive. */
const TAIL_MS = 3_000;

const origin = performance.now();
const now = () => (performance.now() - origin) * 1000;
const result = { sent: 0, expected: 0, received: 0, first: 0, lags: [] };
let measuring = false;
let measuredFrom = 0;

const clients = [];
const jobs = [];
for (let r = 0; r < rooms; r++) {
  for (let p = 0; p < people; p++) jobs.push({ room: `bench-${r}`, place: p });
}
for (let i = 0; i < jobs.length; i += CONNECTING_AT_ONCE) {
  clients.push(...(await Promise.all(jobs.slice(i, i + CONNECTING_AT_ONCE).map(join))));
}

const writing = clients.filter(({ place }) => place < writers);
const moving = clients.filter(({ place }) => place < movers);
write(writing, keys, (client) => client.type());
write(moving, moves, (client) => client.move());
await new Promise((resolve) => setTimeout(resolve, warmUp * 1000));
process.on('message', async () => {
  measuredFrom = now();
  measuring = true;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  measuring = false;
  const measuredTo = now();
  process.send('over');
  const deadline = performance.now() + TAIL_MS;
  while (result.received < result.expected && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  result.lags.sort((a, b) => a - b);
  const at = (quantile) =>
    (result.lags[Math.min(result.lags.length - 1, Math.floor(result.lags.length * quantile))] ??
      0) / 1000;
  process.send({
    sent: result.sent,
    expected: result.expected,
    received: result.received,
    p50: at(0.5),
    p99: at(0.99),
    worst: at(1),
    seconds: (measuredTo - measuredFrom) / 1e6,
  });
});
process.send('ready');

async function join({ room, place }) {
  const dialect = dialectOf(name, room);
  const socket = new WebSocket(`${url}/${room}`, { perMessageDeflate: false });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const joined = new Promise((resolve) => {
    if (!dialect.answersJoins) resolve();
    socket.on('message', (bytes) => {
      const kind = dialect.kind(bytes);
      if (kind === 'step1') socket.send(dialect.nothing);
      else if (kind === 'step2') resolve();
      if (kind !== 'update' && kind !== 'awareness') return;
      // Some servers send an author what it wrote; that is no delivery.
      eachStamp(bytes, (at, author) => {
        if (author !== place) arrived(at);
      });
    });
  });
  for (const frame of dialect.hello()) socket.send(frame);
  await joined;
  const id = 1_000_000 + Math.floor(Math.random() * 2 ** 31);
  let clock = 0;
  let states = 0;
  return {
    place,
    type() {
      socket.send(dialect.update(typedUpdate(id, clock, stamp(now(), place))));
      clock += STAMP_LENGTH;
    },
    move() {
      socket.send(dialect.awareness(state(id, ++states, stamp(now(), place))));
    },
  };
}

/** A stamp that came back: of this run when it was sent while it was measured. */
function arrived(at) {
  if (at < measuredFrom || measuredFrom === 0) return;
  if (!measuring && at > measuredFrom + seconds * 1e6) return;
  result.received++;
  result.lags.push(now() - at);
}

/** Each does it `rate` times a second, all of them spread evenly. */
function write(who, rate, act) {
  if (who.length === 0 || rate === 0) return;
  const perSecond = who.length * rate;
  const start = performance.now();
  let done = 0;
  setInterval(() => {
    const due = Math.floor(((performance.now() - start) / 1000) * perSecond);
    for (; done < due; done++) {
      act(who[done % who.length]);
      if (!measuring) continue;
      result.sent++;
      result.expected += people - 1;
    }
  }, 1);
}
