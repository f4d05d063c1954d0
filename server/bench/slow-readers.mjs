/**
 * What people in another room notice of a crowd that does not read:
 * `node server/bench/slow-readers.mjs [readers] [rounds]` after `npm run build`.
 *
 * A room has `readers` sockets (1,000) and one writer of 20 KB edits, ten a
 * second. In another room two people type. Measured is the time of their
 * keystrokes from one to the other while the crowd is idle, reads, has stopped
 * reading (the kernel's buffers fill up), and is behind (nothing more is written to
 * it). The crowd and the two people are a process each; server and
 * people have a core to themselves where `taskset` is there and cores suffice.
 */
import { spawn } from 'node:child_process';
import { connect as connectTcp } from 'node:net';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { encodeMessage } from '@cowrite/client/protocol';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { pinned, startServer } from './process.mjs';

const EDIT_BYTES = 20_000;
const EDIT_EVERY = 100;
const KEY_EVERY = 10;
const PHASE_MS = 10_000;
/** By then the kernel's buffers of a socket that nobody reads are full. */
const LATER_MS = 15_000;

const [role, ...rest] = process.argv.slice(2);
if (role === 'crowd') await crowd(...rest);
else if (role === 'people') await people(...rest);
else await measure(Number(role ?? 1_000), Number(rest[0] ?? 3));

async function measure(readers, rounds) {
  const cores = cpus().length;
  const server = await startServer({ core: cores > 1 ? 0 : undefined });
  const phases = ['idle', 'reading', 'stopped', 'reading, later', 'behind'];
  const table = Object.fromEntries(phases.map((phase) => [phase, []]));
  const people = start(cores > 1 ? 1 : undefined, ['people', server.url]);
  const measurePhase = async (phase, round) => {
    const cpu = server.cpuSeconds();
    const { median, p99, worst } = await people.say('measure');
    const share = (server.cpuSeconds() - cpu) / (PHASE_MS / 1000);
    table[phase].push(p99);
    process.stdout.write(
      `round ${round + 1}, crowd of ${readers} ${phase}: keystroke median ${ms(median)}, ` +
        `p99 ${ms(p99)}, worst ${ms(worst)}; server at ${Math.round(100 * share)} %, ` +
        `${server.residentMegabytes()} MB\n`,
    );
  };
  try {
    await people.say('warm up');
    for (let round = 0; round < rounds; round++) {
      for (const phase of ['idle', 'reading', 'stopped']) {
        const others = start(cores > 2 ? 2 : cores - 1 || undefined, [
          'crowd',
          `${server.url}/crowd-${round}-${phase}`,
          String(readers),
        ]);
        await others.say(phase);
        await measurePhase(phase, round);
        if (phase !== 'idle') {
          await new Promise((resolve) => setTimeout(resolve, LATER_MS));
          await measurePhase(phase === 'stopped' ? 'behind' : 'reading, later', round);
        }
        others.child.kill('SIGKILL');
      }
    }
    people.child.kill('SIGKILL');
    for (const phase of phases) {
      const sorted = table[phase].sort((a, b) => a - b);
      process.stdout.write(
        `${phase}: p99 median ${ms(at(sorted, 0.5))} (${ms(sorted[0])} to ${ms(sorted.at(-1))})\n`,
      );
    }
  } finally {
    server.stop();
  }
  process.exit(0);
}

/** A copy of this script in a part of its own; `say` resolves to its answer. */
function start(core, args) {
  const [command, all] = pinned(core, process.execPath, [fileURLToPath(import.meta.url), ...args]);
  const child = spawn(command, all, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const say = (word) =>
    new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', (code) => reject(new Error(`${args[0]} ended with ${code}`)));
      child.send(word);
    });
  return { child, say };
}

/** Joins the room, and then reads or does not; when told to, somebody writes. */
async function crowd(url, readers) {
  const sockets = [];
  for (let i = 0; i < Number(readers); i++) sockets.push(await rawReader(url));
  const writer = new WebSocket(url, ['cowrite.v1']);
  await new Promise((resolve) => writer.once('open', resolve));
  process.on('message', (phase) => {
    if (phase === 'stopped') for (const socket of sockets) socket.pause();
    if (phase !== 'idle') {
      const doc = new Y.Doc();
      doc.on('update', (update) => writer.send(encodeMessage({ type: 'update', update })));
      const text = doc.getText('t');
      setInterval(() => text.insert(text.length, 'y'.repeat(EDIT_BYTES)), EDIT_EVERY);
    }
    process.send('ready');
  });
}

/** A socket that has joined, and answers pings; what else it reads it steps over, so that a thousand cost little. */
async function rawReader(url) {
  const { hostname, port, pathname } = new URL(url);
  const socket = connectTcp({ host: hostname, port: Number(port) });
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await new Promise((resolve) => socket.once('data', resolve));
  // A masked step 1 with an empty state vector (mask of zeros).
  socket.write(Buffer.from([0x82, 0x84, 0, 0, 0, 0, 0, 0, 1, 0]));
  socket.on('data', answerPings(socket));
  return socket;
}

/** Steps from frame to frame. A header that is cut by the end of what was read is put together again. */
function answerPings(socket) {
  let rest = Buffer.alloc(0);
  let skip = 0;
  return (data) => {
    let at = Math.min(skip, data.length);
    skip -= at;
    if (at === data.length) return;
    const bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
    while (bytes.length - at >= 10 || (bytes.length - at >= 2 && (bytes[at + 1] & 127) < 126)) {
      const short = bytes[at + 1] & 127;
      const [header, length] =
        short < 126
          ? [2, short]
          : short === 126
            ? [4, bytes.readUInt16BE(at + 2)]
            : [10, Number(bytes.readBigUInt64BE(at + 2))];
      const isPing = (bytes[at] & 15) === 9;
      if (isPing && bytes.length - at < header + length) break;
      if (isPing) {
        const payload = bytes.subarray(at + header, at + header + length);
        // A mask of zeros.
        socket.write(Buffer.concat([Buffer.from([0x8a, 0x80 | length, 0, 0, 0, 0]), payload]));
      }
      at += header + length;
      if (at > bytes.length) {
        skip = at - bytes.length;
        rest = Buffer.alloc(0);
        return;
      }
    }
    rest = Buffer.from(bytes.subarray(at));
  };
}

/** Two people: the time from one's keystroke to the other's screen. */
async function people(url) {
  const [typing] = await Promise.all([
    person(`${url}/people`, () => undefined),
    person(`${url}/people`, () => seen()),
  ]);
  let seen = () => undefined;
  const doc = new Y.Doc();
  doc.on('update', (update) => typing.send(encodeMessage({ type: 'update', update })));
  const text = doc.getText('t');
  process.on('message', async (word) => {
    const times = [];
    const end = performance.now() + (word === 'measure' ? PHASE_MS : 2_000);
    while (performance.now() < end) {
      const start = performance.now();
      const arrived = new Promise((resolve) => {
        seen = resolve;
      });
      text.insert(text.length, 'x');
      await arrived;
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, KEY_EVERY));
    }
    times.sort((a, b) => a - b);
    process.send({ median: at(times, 0.5), p99: at(times, 0.99), worst: times.at(-1) });
  });
}

async function person(url, onUpdate) {
  const socket = new WebSocket(url, ['cowrite.v1']);
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(encodeMessage({ type: 'step1', stateVector: Uint8Array.of(0) }));
  // Sync message (0) that is an update (2).
  socket.on('message', (data) => {
    if (data[0] === 0 && data[1] === 2) onUpdate();
  });
  return socket;
}

function at(sorted, quantile) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))];
}

function ms(value) {
  return `${value.toFixed(1)} ms`;
}
