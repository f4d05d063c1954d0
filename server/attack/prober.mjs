/**
 * The honest people: some quiet rooms of two, who type at a steady pace and time how
 * soon the other sees it. A process of its own, so that what an attacker burns is not
 * taken for the server's delay.
 *
 * Asked `begin` it starts a window; asked `end` it says what became of every edit
 * of that window once all have arrived and are on disk, or it has waited long enough.
 */
import { signToken } from '@cowrite/server';
import { sleep, tell } from '../bench/helper.mjs';
import { at } from '../bench/numbers.mjs';
import { openSocket } from '../bench/socket.mjs';
import {
  dialectOf,
  eachStamp,
  STAMP_LENGTH,
  savedCount,
  stamp,
  typedUpdate,
} from '../bench/wire.mjs';

const { url, secret } = JSON.parse(process.argv[2]);
const ROOMS = 5;
const PEOPLE = 2;
/** In all rooms together: enough for a p99 of three seconds, and no load for a server. */
const EDITS_PER_SECOND = 200;
/** Milliseconds that the last edits of a window may take to arrive and to be saved. */
const PATIENCE_MS = 10_000;

const origin = performance.now();
const now = () => Math.round((performance.now() - origin) * 1000);
const tokens = [];
let delays = [];
let from = Infinity;
let to = Infinity;
let sent = 0;
let closed = 0;

const people = [];
for (let room = 0; room < ROOMS; room++) {
  for (let place = 0; place < PEOPLE; place++)
    people.push(await join(`quiet-${room}`, room, place));
}
type();
tell({ tokens });

process.on('message', async (word) => {
  if (word === 'begin') {
    delays = [];
    sent = 0;
    to = Infinity;
    from = now();
    tell('begun');
    return;
  }
  to = now();
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline && !isSettled()) await sleep(20);
  const sorted = Float64Array.from(delays).sort();
  tell({
    p50: at(sorted, 0.5) / 1000,
    p99: at(sorted, 0.99) / 1000,
    worst: at(sorted, 1) / 1000,
    lost: sent - delays.length,
    unsaved: people.reduce((sum, person) => sum + person.unsaved(to), 0),
    closed,
  });
});

function isSettled() {
  return delays.length >= sent && people.every((person) => person.unsaved(to) === 0);
}

/** All in turn, evenly, those of one room far from each other. */
function type() {
  const start = performance.now();
  let done = 0;
  const order = people.toSorted((a, b) => a.place - b.place);
  setInterval(() => {
    const due = Math.floor(((performance.now() - start) / 1000) * EDITS_PER_SECOND);
    for (; done < due; done++) order[done % order.length].type();
  }, 1);
}

async function join(room, index, place) {
  const dialect = dialectOf('cowrite', room);
  const token = await signToken(
    { user: { id: `honest-${index}-${place}` }, rooms: { [room]: 'write' }, expiresIn: '1h' },
    { secret },
  );
  tokens.push(token);
  // Numbers of the length that Yjs draws.
  const client = 1_000_000_000 + index * PEOPLE + place;
  /** When each document message was sent; the first is the answer to the server's step 1. */
  const sentAt = [0];
  let saved = 0;
  let clock = 0;
  let synced;
  const joined = new Promise((resolve) => {
    synced = resolve;
  });
  const heard = [];
  let hear = (bytes) => heard.push(Buffer.from(bytes));
  const socket = await openSocket(`${url}/${room}`, {
    onMessage: (bytes) => hear(bytes),
    onClose: () => closed++,
    protocol: `cowrite.v1, cowrite.token.${token}`,
  });
  hear = (bytes) => {
    const count = savedCount(bytes);
    if (count !== undefined) {
      saved = count;
      return;
    }
    const kind = dialect.kind(bytes);
    if (kind === 'step1') socket.send(dialect.nothing);
    else if (kind === 'step2') synced();
    if (kind !== 'update') return;
    const arrival = now();
    eachStamp(bytes, (time, author) => {
      if (author !== place && time >= from && time < to) delays.push(arrival - time);
    });
  };
  for (const bytes of heard) hear(bytes);
  for (const frame of dialect.hello()) socket.send(frame);
  await joined;
  return {
    place,
    unsaved: (until) => sentAt.filter((time, n) => time < until && n >= saved).length,
    type() {
      const time = now();
      if (time >= from && time < to) sent++;
      sentAt.push(time);
      socket.send(dialect.update(typedUpdate(client, clock, stamp(time, place))));
      clock += STAMP_LENGTH;
    },
  };
}
