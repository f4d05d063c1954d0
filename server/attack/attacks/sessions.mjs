/** Sessions that have come in, and do what they may not (any more). */
import { SignJWT } from 'jose';
import * as Y from 'yjs';
import { sleep } from '../../bench/helper.mjs';
import { typedUpdate } from '../../bench/wire.mjs';
import { inTime } from '../attack.mjs';
import { seeded, states, vector } from '../messages.mjs';
import { framed } from '../peer.mjs';

const LANES = 8;
const ROOM = 'attacked';
/** Seconds by which the server lets clocks differ: a token ends that much later than it says. */
const TOLERANCE = 30;
/** Milliseconds that such a session lasts. */
const LASTS = 1_500;
/** It writes so many, and pauses so long: this is about its end, a flood is another attack. */
const AT_ONCE = 4;
const PAUSE_MS = 10;
const AT = /@(\d{13})/g;
const READERS = 4;

/** @returns a token that is good for a moment yet, and when that is over */
async function nearlyOver(attacker, room, lane) {
  const exp = Math.ceil((Date.now() + LASTS) / 1000) - TOLERANCE;
  const token = await new SignJWT({ sub: `late-${lane}`, rooms: { [room]: 'write' }, exp })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(attacker.secret));
  return { token: attacker.used(token), end: (exp + TOLERANCE) * 1000 };
}

let clients = 1_000;

/** Writes what time it is, again and again, and goes on when it should have ended. */
async function writeOn(attacker, room, lane) {
  const { token, end } = await nearlyOver(attacker, room, lane);
  const peer = await attacker.connect(room, { lane, token });
  if (peer === undefined) return;
  const client = clients++;
  let clock = 0;
  let isOpen = true;
  while (isOpen) {
    const text = `@${Date.now()}`;
    const updates = [];
    for (let i = 0; i < AT_ONCE; i++, clock += text.length) {
      updates.push({ type: 'update', update: typedUpdate(client, clock, text) });
    }
    isOpen = await peer.pour(framed(updates));
    await sleep(PAUSE_MS);
  }
  await inTime(peer.ended, 'the end of a session whose token has ended');
  attacker.state.ends.set(client, end);
}

export const SESSIONS = [
  {
    id: 'sessions/expired',
    title: 'a token expires while its session writes on',
    must: ['closed 4401'],
    expects: ['refused 429'],
    async attack(attacker) {
      attacker.state = { ends: new Map() };
      await attacker.lanes(LANES, async (lane) => {
        await writeOn(attacker, attacker.room(`${ROOM}-${lane}`), lane);
      });
    },
    async after(attacker) {
      const { ends } = attacker.state;
      let written = 0;
      for (let lane = 0; lane < LANES; lane++) {
        const doc = await attacker.read(attacker.room(`${ROOM}-${lane}`));
        for (const [client, structs] of doc.store.clients) {
          const text = structs.map(({ content }) => content?.str ?? '').join('');
          const times = [...text.matchAll(AT)].map(([, time]) => Number(time));
          written += times.length;
          const late = times.filter((time) => time > ends.get(client));
          if (late.length > 0) attacker.problem(`${late.length} were written after the end`);
        }
      }
      attacker.note(`${written} written before`);
      if (written === 0) attacker.problem('nothing was written at all');
    },
  },
  {
    id: 'sessions/read-only',
    title: 'a read-only session sends every kind of message at full speed',
    must: ['rejected'],
    expects: ['refused 429'],
    async prepare(attacker) {
      await attacker.plant(attacker.room(ROOM));
    },
    async attack(attacker) {
      const room = attacker.room(ROOM);
      const token = await attacker.token('reader', { [room]: 'read' });
      const below = seeded(attacker.number);
      let client = 5_000;
      await attacker.flood({ lanes: READERS, room, token, onMessage: rejections(attacker) }, () => [
        ...Array.from({ length: 50 }, () => everyKind(client++, token, below)).flat(),
      ]);
    },
    async after(attacker) {
      await attacker.mustBeHonest(attacker.room(ROOM));
    },
  },
];

const REJECTED = 101;

function rejections(attacker) {
  return (bytes) => {
    if (bytes[0] === REJECTED) attacker.count('rejected');
  };
}

function everyKind(client, token, below) {
  const deletion = new Y.Doc();
  deletion.clientID = 77;
  return [
    { type: 'update', update: typedUpdate(client, 0, 'mallory') },
    { type: 'step2', update: typedUpdate(client, 0, 'mallory') },
    // The deletion of what is honest.
    { type: 'update', update: Uint8Array.of(0, 1, 77, 1, 0, 6) },
    { type: 'step2', update: Uint8Array.of(0, 1, 77, 1, 0, 6) },
    { type: 'update', update: typedUpdate(77, 6, 'more') },
    // Of something that is missing.
    { type: 'update', update: typedUpdate(client, 10, 'gap') },
    { type: 'step1', stateVector: vector([[77, below(7)]]) },
    { type: 'awareness', update: states([[client % 60, client, '{"name":"reader"}']]) },
    { type: 'queryAwareness' },
    { type: 'token', token },
  ];
}
