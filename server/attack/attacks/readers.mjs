/** A thousand who have a busy room sent to them, and do not read it. */
import { decodeMessage } from '@cowrite/client/protocol';
import * as Y from 'yjs';
import { sleep } from '../../bench/helper.mjs';
import { typedUpdate } from '../../bench/wire.mjs';

const ROOM = 'busy';
const COUNT = 1_000;
const AT_ONCE = 20;
const WITNESSES = 10;
const WRITERS = 4;
/** Of each writer, a second. */
const RATE = 100;
const TEXT = 'x'.repeat(1_000);
const PATIENCE_MS = 8_000;

async function connectReaders(attacker) {
  const readers = [];
  const lane = async () => {
    while (readers.length < COUNT) {
      const n = readers.length;
      readers.push(undefined);
      const room = attacker.room(ROOM);
      const peer = await attacker.surely(room, { lane: n, user: `reader-${n}` });
      const updates = [];
      if (n < WITNESSES) peer.onBytes = (bytes) => keep(updates, bytes);
      peer.send({ type: 'step1', stateVector: Uint8Array.of(0) });
      await peer.until(({ type }) => type === 'step2');
      peer.pause();
      readers[n] = { peer, updates };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  attacker.state = { readers };
}

function keep(updates, bytes) {
  const message = decodeMessage(bytes);
  if (message.type === 'update' || message.type === 'step2') updates.push(message.update.slice());
}

/** Caught up, or shown the door. */
async function mustHaveAll(attacker, { peer, updates }, length) {
  const doc = new Y.Doc();
  peer.resume();
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    for (const update of updates.splice(0)) Y.applyUpdate(doc, update);
    if (doc.getText('t').length === length) return attacker.count('caught up');
    if (peer.closed !== undefined) return;
    await sleep(50);
  }
  attacker.problem(`a reader has ${doc.getText('t').length} of ${length} letters`);
}

export const READERS = [
  {
    id: 'readers',
    title: '1,000 readers that stop reading a busy room',
    must: ['caught up'],
    expects: ['closed 1013', 'closed 1006'],
    prepare: connectReaders,
    async attack(attacker) {
      const clocks = Array(WRITERS).fill(0);
      const writers = await Promise.all(
        clocks.map((_, n) => attacker.surely(attacker.room(ROOM), { user: `writer-${n}` })),
      );
      const start = performance.now();
      let done = 0;
      while (!attacker.isOver) {
        const due = ((performance.now() - start) / 1000) * RATE * WRITERS;
        for (; done < due; done++) {
          const n = done % WRITERS;
          writers[n].send({ type: 'update', update: typedUpdate(1 + n, clocks[n], TEXT) });
          clocks[n] += TEXT.length;
        }
        await sleep(2);
      }
      // The answer to the server's question was left out, so it counts edits alone.
      const perWriter = clocks.map((clock) => clock / TEXT.length);
      await Promise.all(writers.map((writer, n) => writer.untilSaved(perWriter[n])));
      attacker.state.length = done * TEXT.length;
    },
    async after(attacker) {
      const { readers, length } = attacker.state;
      await Promise.all(
        readers.slice(0, WITNESSES).map((reader) => mustHaveAll(attacker, reader, length)),
      );
    },
  },
];
