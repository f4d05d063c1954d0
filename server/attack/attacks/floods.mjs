/** What anybody may send, much more often than anybody needs to. */
import { sleep } from '../../bench/helper.mjs';
import { typedUpdate } from '../../bench/wire.mjs';
import { states, vector } from '../messages.mjs';
import { framed } from '../peer.mjs';

const LANES = 8;
const ROOM = 'flooded';
const MB = 1024 * 1024;
const DOCUMENT = 4 * MB;
const PARAGRAPH = 1_024;
const AUTHORS = 8;
const BATCH = 500;

/** A document of 4 MB, of several authors, so that what somebody lacks has to be cut out of it. */
async function plantLarge(attacker) {
  const peer = await attacker.surely(attacker.room(ROOM));
  const count = DOCUMENT / PARAGRAPH;
  const updates = [];
  for (let i = 0; i < count; i++) {
    const clock = Math.floor(i / AUTHORS) * PARAGRAPH;
    const text = String(i).padEnd(PARAGRAPH, 'x');
    updates.push({ type: 'update', update: typedUpdate(1 + (i % AUTHORS), clock, text) });
  }
  await peer.pour(framed(updates));
  await peer.untilSaved(count);
  peer.leave();
  // It is merged meanwhile.
  await sleep(1_000);
}

/** Every one another question, from nothing known to nearly all. */
function questions(n) {
  return Array.from({ length: BATCH }, (_, i) => {
    const clock = (((n * BATCH + i) * 7_919) % (DOCUMENT / PARAGRAPH / AUTHORS)) * PARAGRAPH;
    return {
      type: 'step1',
      stateVector:
        i % 5 === 0
          ? vector([])
          : vector([
              [1, clock],
              [2, 5],
            ]),
    };
  });
}

async function mustOpen(attacker) {
  const updates = await attacker.updates(attacker.room(ROOM));
  if (updates.length === 0) attacker.problem('the room does not open');
}

async function mustBeWhole(attacker) {
  const updates = await attacker.updates(attacker.room(ROOM));
  const bytes = updates.reduce((sum, each) => sum + each.length, 0);
  if (bytes < DOCUMENT) attacker.problem(`of the document ${bytes} bytes are left`);
}

export const FLOODS = [
  {
    id: 'floods/awareness',
    title: 'awareness at full speed, and questions who is here',
    expects: ['refused 429', 'closed 1006', 'closed 1013'],
    async attack(attacker) {
      await attacker.flood({ lanes: LANES, room: attacker.room(ROOM) }, (n, round) =>
        Array.from({ length: BATCH }, (_, i) =>
          i % 10 === 0
            ? { type: 'queryAwareness' }
            : {
                type: 'awareness',
                update: states([[100 + n, 1 + round * BATCH + i, `{"cursor":${i}}`]]),
              },
        ),
      );
    },
    after: mustOpen,
  },
  {
    id: 'floods/updates',
    title: 'keystrokes at full speed',
    expects: ['refused 429', 'closed 1006', 'closed 1013'],
    async attack(attacker) {
      await attacker.flood({ lanes: LANES, room: attacker.room(ROOM) }, (n, round) =>
        Array.from({ length: BATCH }, (_, i) => ({
          type: 'update',
          update: typedUpdate(100 + n, round * BATCH + i, 'k'),
        })),
      );
    },
    after: mustOpen,
  },
  {
    id: 'floods/step1',
    title: 'step 1 at full speed on a document of 4 MB',
    expects: ['refused 429'],
    prepare: plantLarge,
    async attack(attacker) {
      await attacker.flood({ lanes: LANES, room: attacker.room(ROOM) }, questions);
    },
    after: mustBeWhole,
  },
  {
    id: 'floods/step1-unread',
    title: 'the same from sockets that read nothing',
    expects: ['refused 429', 'closed 1006'],
    prepare: plantLarge,
    async attack(attacker) {
      await attacker.flood(
        { lanes: LANES, room: attacker.room(ROOM), isReading: false },
        questions,
      );
    },
    after: mustBeWhole,
  },
];
