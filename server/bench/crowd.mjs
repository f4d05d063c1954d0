/**
 * Clients that open documents, as a process of its own. They count what they are
 * sent and step over it, so that hundreds of large documents cost them little.
 */
import { readFileSync } from 'node:fs';
import { addressOf, answerStep1, sleep, tell } from './helper.mjs';
import { at } from './numbers.mjs';
import { openSocket } from './socket.mjs';
import { dialectOf, STAMP_LENGTH, stamp, typedUpdate } from './wire.mjs';

const { name, url } = JSON.parse(process.argv[2]);
/** A server's queue of those who knock has room for 511. */
const KNOCKING_AT_ONCE = 250;
/** Enough to see what kind of message it is, whatever its room's name. */
const KEPT_BYTES = 512;
const EMPTY = 'AA==';
const ATTEMPTS = 3;

const kept = [];
const writers = new Map();
const commands = { join, leave, upload, edit, flood, pause };
process.on('message', async ({ command, ...options }) => {
  try {
    tell(await commands[command](options));
  } catch (error) {
    tell({ error: error.message });
  }
});
tell('ready');

/** @param rooms one for each client, or with `count` one for all */
async function join({ rooms, count = rooms.length, vector = EMPTY, keep = false, atOnce }) {
  const start = performance.now();
  const times = [];
  const joined = [];
  let bytes = 0;
  let refused = 0;
  let next = 0;
  const waiting = [];
  const knock = async () => {
    while (next < count) {
      const index = next++;
      const from = performance.now();
      let client;
      try {
        client = await dialled(rooms[index % rooms.length], vector, index);
      } catch (error) {
        if (refused++ === 0) process.stderr.write(`a client was refused: ${error.message}\n`);
        continue;
      }
      const whole = client.synced.then(() => {
        times.push(performance.now() - from);
        bytes += client.received();
      });
      joined.push(client);
      // Without `atOnce` all wait together, once they are through the door.
      if (atOnce !== undefined) await whole;
      else waiting.push(whole);
    }
  };
  await Promise.all(Array.from({ length: atOnce ?? KNOCKING_AT_ONCE }, knock));
  await Promise.all(waiting);
  const seconds = (performance.now() - start) / 1000;
  if (keep) kept.push(...joined);
  else for (const client of joined) client.close();
  times.sort((a, b) => a - b);
  return { seconds, bytes, refused, p50: at(times, 0.5), p99: at(times, 0.99) };
}

/** A server that is busy for a minute lets an upgrade time out (408); a client dials again. */
async function dialled(room, vector, index) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open(room, vector, index);
    } catch (error) {
      if (attempt === ATTEMPTS || !error.message.includes('408')) throw error;
    }
  }
}

function leave() {
  for (const client of kept.splice(0)) client.close();
  return {};
}

/** Resolves once the server hands it out again. */
async function upload({ rooms, file }) {
  const update = readFileSync(file);
  for (const room of rooms) {
    const writer = await writerOf(room);
    writer.send(writer.dialect.update(update));
    for (;;) {
      const reader = await open(room, EMPTY, 0);
      await reader.synced;
      const isThere = reader.received() > update.length * 0.9;
      reader.close();
      if (isThere) break;
      await sleep(200);
    }
  }
  return {};
}

/** Some keystrokes; the document has just been edited. */
async function edit({ room, times }) {
  const writer = await writerOf(room);
  for (let i = 0; i < times; i++) {
    writer.send(writer.dialect.update(typedUpdate(writer.id, writer.clock, stamp(0, 0))));
    writer.clock += STAMP_LENGTH;
  }
  await sleep(300);
  return {};
}

/** From now on somebody writes a lot. */
async function flood({ room, bytes, every }) {
  const writer = await writerOf(room);
  const text = 'y'.repeat(bytes);
  setInterval(() => {
    writer.send(writer.dialect.update(typedUpdate(writer.id, writer.clock, text)));
    writer.clock += bytes;
  }, every);
  return {};
}

/** From now on nobody of those that were kept reads. */
function pause() {
  for (const client of kept) client.pause();
  return {};
}

async function writerOf(room) {
  if (!writers.has(room)) {
    const writer = await open(room, EMPTY, 0);
    await writer.synced;
    writers.set(room, Object.assign(writer, { id: 2_000_000_000 + writers.size, clock: 0 }));
  }
  return writers.get(room);
}

async function open(room, vector, index) {
  const dialect = dialectOf(name, room);
  let bytes = 0;
  let settle;
  const synced = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Who waits for it hears of it.
  synced.catch(() => undefined);
  const early = [];
  let hear = (head) => early.push(Buffer.from(head));
  const socket = await openSocket(`${url}/${room}`, {
    keep: KEPT_BYTES,
    localAddress: addressOf(index),
    onMessage: (head, length) => {
      bytes += length;
      hear(head);
    },
    onClose: () => settle.reject(new Error('the server closed a connection')),
  });
  hear = (head) => {
    const kind = dialect.kind(head);
    if (kind === 'step1') answerStep1(socket, dialect);
    else if (kind === 'step2') settle.resolve();
  };
  for (const head of early) hear(head);
  if (!dialect.answersJoins) settle.resolve();
  for (const frame of dialect.hello(Buffer.from(vector, 'base64'))) socket.send(frame);
  return { ...socket, dialect, synced, received: () => bytes };
}
