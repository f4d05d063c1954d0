/**
 * Drives one server with one load, as a process of its own: connects, says that it
 * is ready, and when told to go writes for the given time and says what came back.
 * Its clients stay, silent, until it is killed.
 *
 * The load: `rooms` rooms of `people` each; of those, `writers` type `keys` times a
 * second and `movers` send states `moves` times a second. Who writes when is spread
 * evenly over the time, those of one room far from each other. Of several servers each has its share of a room's people.
 */
import { addressOf, answerStep1, sleep, tell } from './helper.mjs';
import { at } from './numbers.mjs';
import { openSocket } from './socket.mjs';
import {
  dialectOf,
  eachStamp,
  STAMP_LENGTH,
  savedCount,
  stamp,
  state,
  typedUpdate,
} from './wire.mjs';

const {
  name,
  urls,
  /** Of the rooms' names, so that a server can be driven again. */
  prefix = 'bench',
  rooms,
  people,
  writers = 0,
  keys = 0,
  movers = 0,
  moves = 0,
  warmUp,
  seconds,
  /** Speak Cowrite's own dialect, and time how soon each keystroke is on the disk. */
  saving = false,
  /** For the self-check: what each client typed, and stamps of authors from this number up. */
  strangers = Infinity,
} = JSON.parse(process.argv[2]);
const CONNECTING_AT_ONCE = 100;
/** Milliseconds that the last ones may take to arrive. */
const TAIL_MS = 3_000;

const origin = performance.now();
const now = () => Math.round((performance.now() - origin) * 1000);
const result = { sent: 0, fromStrangers: 0 };
/** Deliveries, apart: a state may be passed over for a newer one, a keystroke never. */
const expected = { update: 0, awareness: 0 };
const received = { update: 0, awareness: 0 };
const lags = [];
const savedAfter = [];
let measuring = false;
let measuredFrom = Infinity;
let measuredTo = Infinity;

const clients = [];
const jobs = [];
for (let r = 0; r < rooms; r++) {
  for (let p = 0; p < people; p++) jobs.push({ room: `${prefix}-${r}`, place: p });
}
for (let i = 0; i < jobs.length; i += CONNECTING_AT_ONCE) {
  const some = jobs.slice(i, i + CONNECTING_AT_ONCE);
  clients.push(...(await Promise.all(some.map((job, k) => join(job, i + k)))));
}

tell('ready');
process.once('message', async () => {
  const writing = clients.filter(({ place }) => place < writers);
  const moving = clients.filter(({ place }) => place < movers);
  write(writing, keys, 'update', (client) => client.type());
  write(moving, moves, 'awareness', (client) => client.move());
  await sleep(warmUp * 1000);
  tell('go');
  const before = process.cpuUsage();
  measuredFrom = now();
  measuring = true;
  await sleep(seconds * 1000);
  measuring = false;
  measuredTo = now();
  tell('over');
  const { user, system } = process.cpuUsage(before);
  const deadline = performance.now() + TAIL_MS;
  while (isShort() && performance.now() < deadline) await sleep(20);
  const sorted = Float64Array.from(lags).sort();
  const saves = Float64Array.from(savedAfter).sort();
  tell({
    ...result,
    expected,
    received,
    p50: at(sorted, 0.5) / 1000,
    p99: at(sorted, 0.99) / 1000,
    worst: at(sorted, 1) / 1000,
    saved50: saving ? at(saves, 0.5) / 1000 : undefined,
    saved99: saving ? at(saves, 0.99) / 1000 : undefined,
    seconds: (measuredTo - measuredFrom) / 1e6,
    generator: (user + system) / (measuredTo - measuredFrom),
    closed: clients.filter((client) => !client.isAlive()).length,
    typed: strangers === Infinity ? undefined : clients.map((client) => client.typed()),
  });
});

async function join({ room, place }, index) {
  const dialect = dialectOf(name, room);
  let resolve;
  const joined = new Promise((done) => {
    resolve = done;
  });
  const seen = new Set();
  // y-websocket's clients send on what they hear of others' states, and a bare broadcast lets them.
  const isNew = (sentAt, author) => {
    if (strangers === Infinity) return true;
    const key = sentAt * 1_000 + author;
    return !seen.has(key) && seen.add(key);
  };
  const heard = [];
  let hear = (bytes) => heard.push(Buffer.from(bytes));
  const socket = await openSocket(`${urls[place % urls.length]}/${room}`, {
    onMessage: (bytes) => hear(bytes),
    localAddress: addressOf(index),
    protocol: saving ? 'cowrite.v1' : undefined,
  });
  /** When each document message was sent; the first is the answer to the server's step 1. */
  const sentAt = [0];
  let saved = 0;
  const settle = (count) => {
    for (; saved < count; saved++) {
      if (sentAt[saved] >= measuredFrom) savedAfter.push(now() - sentAt[saved]);
    }
  };
  hear = (bytes) => {
    const count = saving ? savedCount(bytes) : undefined;
    if (count !== undefined) return settle(count);
    const kind = dialect.kind(bytes);
    if (kind === 'step1') answerStep1(socket, dialect);
    else if (kind === 'step2') resolve();
    if (kind !== 'update' && kind !== 'awareness') return;
    eachStamp(bytes, (sentAt, author) => {
      if (author >= strangers) result.fromStrangers++;
      // Some servers send an author what it wrote; that is no delivery.
      else if (author !== place && isNew(sentAt, author)) arrived(sentAt, kind);
    });
  };
  for (const bytes of heard) hear(bytes);
  for (const frame of dialect.hello()) socket.send(frame);
  if (dialect.answersJoins) await joined;
  // Numbers of the length that Yjs draws, and never the same one twice.
  const id = 1_000_000_000 + index * 1_000 + (process.pid % 1_000);
  let clock = 0;
  let states = 0;
  let typed = '';
  return {
    place,
    isAlive: socket.isAlive,
    typed: () => ({ id, text: typed, states }),
    type() {
      const text = stamp(now(), place);
      if (strangers !== Infinity) typed += text;
      if (saving) sentAt.push(now());
      socket.send(dialect.update(typedUpdate(id, clock, text)));
      clock += STAMP_LENGTH;
    },
    move() {
      socket.send(dialect.awareness(state(id, ++states, stamp(now(), place))));
    },
  };
}

function isShort() {
  return received.update < expected.update || received.awareness < expected.awareness;
}

/** A stamp that came back: it counts when it was sent while it was measured. */
function arrived(sentAt, kind) {
  if (sentAt < measuredFrom || sentAt > measuredTo) return;
  received[kind]++;
  lags.push(now() - sentAt);
}

/**
 * Each does it `rate` times a second, all of them spread evenly: first one of each
 * room, then the next of each. In turn, those of a room would type as one.
 */
function write(some, rate, kind, act) {
  const who = some.toSorted((a, b) => a.place - b.place);
  if (who.length === 0 || rate === 0) return;
  const perSecond = who.length * rate;
  const start = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - start) / 1000) * perSecond);
    for (; done < due; done++) {
      act(who[done % who.length]);
      if (!measuring) continue;
      result.sent++;
      expected[kind] += people - 1;
    }
    if (measuredTo < Infinity) clearInterval(timer);
  }, 1);
}
