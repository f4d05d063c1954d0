/** What two people in another room notice of a crowd that does not read, and what it costs to keep. */
import { measureFlow } from '../flow.mjs';
import { sleep } from '../helper.mjs';
import { ask } from '../quiet.mjs';
import { CROWD_CORE } from '../scope.mjs';
import { OURS, WITH_DOCUMENTS } from '../servers.mjs';

const EVERY_MS = 100;
/** By then the kernel's buffers of a socket that nobody reads are full. */
const UNTIL_FULL_MS = 9_000;
const KEYSTROKES = { rooms: 1, people: 2, writers: 1, keys: 50 };

const crowd = ({ readers, bytes, ...rest }) => ({
  title: `a room of ${readers.toLocaleString('en-US')} sockets and one writer of ${bytes / 1000} KB ten times a second; keystrokes in another room`,
  main: 'p99Behind',
  figures: {
    p99Idle: { label: 'keystroke p99, nobody writes', unit: 'ms' },
    p99Reading: { label: 'p99, all read', unit: 'ms' },
    p99Stopped: { label: 'p99, all have just stopped reading', unit: 'ms' },
    p99Behind: { label: `p99, ${UNTIL_FULL_MS / 1000} s later`, unit: 'ms' },
    share: { label: 'of a core by then', unit: '%' },
    peak: { label: 'peak RSS', unit: 'MB' },
  },
  repeats: 2,
  lasts: 30,
  limit: 80,
  async measure(scope, { name, seconds = 3 }) {
    const server = await scope.server({ name });
    const people = await scope.helper('crowd.mjs', { name, url: server.url }, CROWD_CORE);
    await people.heard();
    await ask(people, 'join', { rooms: ['crowd'], count: readers, keep: true });
    const phase = (number) =>
      measureFlow(scope, {
        server,
        name,
        seconds,
        warmUp: 0.5,
        load: { ...KEYSTROKES, prefix: `people-${number}` },
        main: 'cpuPerUpdate',
      });
    const idle = await phase(1);
    await ask(people, 'flood', { room: 'crowd', bytes, every: EVERY_MS });
    const reading = await phase(2);
    await ask(people, 'pause');
    const stopped = await phase(3);
    await sleep(UNTIL_FULL_MS);
    const behind = await phase(4);
    return {
      p99Idle: idle.p99,
      p99Reading: reading.p99,
      p99Stopped: stopped.p99,
      p99Behind: behind.p99,
      share: behind.share,
      peak: behind.peak,
    };
  },
  ...rest,
});

export default [
  crowd({ id: 'slow-readers/50', readers: 50, bytes: 100_000, servers: WITH_DOCUMENTS }),
  crowd({
    id: 'slow-readers/1000',
    readers: 1_000,
    bytes: 20_000,
    servers: [OURS],
    notes: 'Cowrite alone, for time',
  }),
];
