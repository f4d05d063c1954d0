/**
 * Somebody types a long text, as a process of its own: keystroke by keystroke, a
 * jump to another place now and then, and some that delete. Waits when too much of
 * it is not yet on disk.
 */
import { sleep, tell } from './helper.mjs';
import { openSocket } from './socket.mjs';
import { dialectOf, savedCount, uint } from './wire.mjs';

const { url, room, keystrokes, rate } = JSON.parse(process.argv[2]);
const CLIENT = 3_000_000_000;
const JUMP_EVERY = 20;
const DELETE_EVERY = 15;
/** Document messages that may be on their way to the disk. */
const WINDOW = 10_000;

const dialect = dialectOf('cowrite', room);
let saved = 0;
const socket = await openSocket(`${url}/${room}`, {
  protocol: 'cowrite.v1',
  onMessage(bytes) {
    saved = savedCount(bytes) ?? saved;
  },
});
for (const frame of dialect.hello()) socket.send(frame);
tell('ready');

process.once('message', async () => {
  const start = performance.now();
  let clock = 0;
  let bytes = 0;
  let seed = 7;
  const below = (limit) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % limit;
  };
  let done = 0;
  while (done < keystrokes) {
    const due = Math.min(keystrokes, Math.floor(((performance.now() - start) / 1000) * rate));
    for (; done < due && done - saved < WINDOW; done++) {
      const isDeletion = done % DELETE_EVERY === DELETE_EVERY - 1;
      const update = isDeletion ? deletion(below(clock)) : insertion(clock, below);
      if (!isDeletion) clock++;
      bytes += update.length;
      socket.send(dialect.update(update));
    }
    await sleep(1);
  }
  while (saved < keystrokes && socket.isAlive()) await sleep(5);
  tell({ seconds: (performance.now() - start) / 1000, bytes, saved });
});

function insertion(clock, below) {
  const isJump = clock > 1 && clock % JUMP_EVERY === 0;
  const left = isJump ? below(clock - 1) : clock - 1;
  const id = uint(CLIENT);
  const place =
    clock === 0
      ? [0x04, 1, 1, 0x74]
      : isJump
        ? [0xc4, ...id, ...uint(left), ...id, ...uint(left + 1)]
        : [0x84, ...id, ...uint(left)];
  return Buffer.from([1, 1, ...id, ...uint(clock), ...place, 1, 0x78, 0]);
}

function deletion(at) {
  return Buffer.from([0, 1, ...uint(CLIENT), 1, ...uint(at), 1]);
}
