/**
 * Ten people in one room, as a process of its own: the time from dialling to the
 * server's first message, and from one's keystroke through another's answer to it
 * back to the first.
 */
import { answerStep1, sleep, tell } from './helper.mjs';
import { at } from './numbers.mjs';
import { openSocket } from './socket.mjs';
import { dialectOf, eachStamp, STAMP_LENGTH, stamp, typedUpdate } from './wire.mjs';

const { name, url, people, seconds } = JSON.parse(process.argv[2]);
const ROOM = 'round';
const ASKING = 1;
const ANSWERING = 2;
const EVERY_MS = 20;

const firsts = [];
const clients = [];
for (let i = 0; i < people; i++) clients.push(await join(i));
tell('ready');

let answered = () => undefined;
clients[1].onStamp = (asked, author) => {
  if (author === ASKING) clients[1].type(asked, ANSWERING);
};
clients[0].onStamp = (asked, author) => {
  if (author === ANSWERING) answered(asked);
};
process.once('message', async () => {
  const times = [];
  const end = performance.now() + seconds * 1000;
  for (let n = 1; performance.now() < end; n++) {
    const start = performance.now();
    const back = new Promise((resolve) => {
      answered = (asked) => asked === n && resolve();
    });
    clients[0].type(n, ASKING);
    await back;
    times.push(performance.now() - start);
    await sleep(EVERY_MS);
  }
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const sorted = [...times].sort((a, b) => a - b);
  tell({
    mean: mean(times),
    p99: at(sorted, 0.99),
    first: firsts.length === 0 ? undefined : mean(firsts),
  });
});

async function join(index) {
  const dialect = dialectOf(name, ROOM);
  const start = performance.now();
  let clock = 0;
  const client = {
    onStamp: () => undefined,
    type(number, author) {
      socket.send(dialect.update(typedUpdate(3_000_000_000 + index, clock, stamp(number, author))));
      clock += STAMP_LENGTH;
    },
  };
  let isFirst = true;
  let settle;
  const synced = new Promise((resolve) => {
    settle = resolve;
  });
  const early = [];
  let hear = (bytes) => early.push(Buffer.from(bytes));
  const socket = await openSocket(`${url}/${ROOM}`, {
    onMessage(bytes) {
      // Of a bare broadcast the first message is another client's, whenever that comes.
      if (isFirst && dialect.answersJoins) firsts.push(performance.now() - start);
      isFirst = false;
      hear(bytes);
    },
  });
  hear = (bytes) => {
    const kind = dialect.kind(bytes);
    if (kind === 'step1') answerStep1(socket, dialect);
    else if (kind === 'step2') settle();
    else if (kind === 'update')
      eachStamp(bytes, (number, author) => client.onStamp(number, author));
  };
  for (const bytes of early) hear(bytes);
  for (const frame of dialect.hello()) socket.send(frame);
  if (dialect.answersJoins) await synced;
  return client;
}
