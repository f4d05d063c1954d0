/** What a document costs that grows by a million keystrokes: on the disk, and for those in other rooms. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { measureFlow } from '../flow.mjs';
import { loopDelay } from '../loop-delay.mjs';
import { deviceBytesWritten } from '../machine.mjs';
import { at } from '../numbers.mjs';
import { ask, untilQuiet } from '../quiet.mjs';
import { CROWD_CORE } from '../scope.mjs';
import { OURS } from '../servers.mjs';

const ROOM = 'novel';
const KEYSTROKES = 1_000_000;
/** A keystroke costs a core some 50 µs; what is to be seen is the growth, not a full core. */
const RATE = 12_500;
const OTHERS = { rooms: 1, people: 2, writers: 1, keys: 100 };

async function measure(scope, { name, seconds }) {
  const keystrokes = seconds === undefined ? KEYSTROKES : RATE * seconds;
  const compactions = [];
  const delay = await loopDelay(scope);
  const server = await scope.server({
    name,
    flags: delay.flags,
    // One session that types what thousands do.
    env: {
      LOG_LEVEL: 'debug',
      MAX_UPDATE_RATE: `${2 * RATE}:${2 * RATE}`,
      MAX_UPDATE_BYTES_RATE: '100000000:100000000',
      ...delay.env,
    },
    onLog({ msg, room, ms }) {
      if (msg === 'compacted' && room === ROOM) compactions.push(ms);
    },
  });
  const others = (prefix, duration) =>
    measureFlow(scope, {
      server,
      name,
      seconds: duration,
      warmUp: 0.5,
      load: { ...OTHERS, prefix },
      main: 'cpuPerUpdate',
    });
  const before = await others('before', 3);
  const writer = await scope.helper(
    'grow.mjs',
    { url: server.url, room: ROOM, keystrokes, rate: RATE },
    CROWD_CORE,
  );
  await writer.heard();
  const cpu = server.cpuSeconds();
  const written = deviceBytesWritten(server.folder);
  await delay.since(server);
  const [grown, meanwhile] = await Promise.all([
    writer.ask('start'),
    others('meanwhile', keystrokes / RATE),
  ]);
  const loop = await delay.since(server);
  if (grown.saved < keystrokes) throw new Error(`${grown.saved} of ${keystrokes} were saved`);
  await untilQuiet(server);
  const figures = {
    cpuPerKeystroke: ((server.cpuSeconds() - cpu) / keystrokes) * 1e6,
    seconds: grown.seconds,
    updates: grown.bytes / 1e6,
    amplification: (deviceBytesWritten(server.folder) - written) / grown.bytes || undefined,
    compactions: compactions.length,
    compaction50: at(Float64Array.from(compactions).sort(), 0.5),
    compactionLongest: Math.max(...compactions),
    p99Before: before.p99,
    p99: meanwhile.p99,
    worst: meanwhile.worst,
    loop99: loop.p99,
    loopWorst: loop.worst,
    peak: server.peakMegabytes(),
    disk: sizeOf(server.folder) / 1e6,
  };
  const crowd = await scope.helper('crowd.mjs', { name, url: server.url });
  await crowd.heard();
  const opened = await ask(crowd, 'join', { rooms: [ROOM] });
  return { ...figures, document: opened.bytes / 1e6, open: opened.seconds * 1000 };
}

function sizeOf(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => statSync(join(folder, file)))
    .reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

export default [
  {
    id: 'growth/1m',
    title: 'a document grown by 1,000,000 keystrokes at 12,500/s, and two people in another room',
    servers: [OURS],
    notes:
      'compactions run meanwhile, on the same core, and are part of all of it; bytes written are those of the whole device',
    repeats: 2,
    lasts: 95,
    limit: 180,
    main: 'amplification',
    figures: {
      amplification: { label: 'bytes written to disk for each of updates', unit: '' },
      compactions: { label: 'compactions', unit: '', isContext: true },
      compaction50: { label: 'compaction p50', unit: 'ms' },
      compactionLongest: { label: 'longest compaction', unit: 'ms' },
      cpuPerKeystroke: { label: 'CPU per keystroke', unit: 'µs' },
      seconds: { label: 'all saved after', unit: 's' },
      p99Before: { label: 'other room: p99 before', unit: 'ms' },
      p99: { label: 'p99 meanwhile', unit: 'ms' },
      worst: { label: 'worst meanwhile', unit: 'ms' },
      loop99: { label: 'event loop late, p99', unit: 'ms' },
      loopWorst: { label: 'worst', unit: 'ms' },
      peak: { label: 'peak RSS', unit: 'MB' },
      updates: { label: 'updates', unit: 'MB', isContext: true },
      document: { label: 'the document in the end', unit: 'MB' },
      disk: { label: 'the folder in the end', unit: 'MB' },
      open: { label: 'to open it', unit: 'ms' },
    },
    measure,
  },
];
