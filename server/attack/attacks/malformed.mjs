/** Frames that are no message, and bytes that are no frame. */
import { encodeMessage } from '@cowrite/client/protocol';
import { typedUpdate } from '../../bench/wire.mjs';
import { seeded, states } from '../messages.mjs';
import { framed } from '../peer.mjs';

const LANES = 8;
const ROOM = 'attacked';
const MUTANTS = 20;
/** How long a socket whose mutants were all messages is waited for. */
const PATIENCE_MS = 200;

const SEEDS = [
  { type: 'update', update: typedUpdate(5, 0, 'text') },
  { type: 'step2', update: typedUpdate(6, 0, 'text') },
  { type: 'step1', stateVector: Uint8Array.of(1, 5, 4) },
  { type: 'awareness', update: states([[5, 1, '{"name":"ada"}']]) },
  { type: 'token', token: 'a.b.c' },
].map(encodeMessage);

/** Bits flipped, cut, made longer, or nothing but noise. */
function mutant(below) {
  const bytes = Buffer.from(SEEDS[below(SEEDS.length)]);
  const kind = below(4);
  if (kind === 0) return bytes.subarray(0, below(bytes.length));
  if (kind === 1) return Buffer.concat([bytes, Buffer.from([below(256)])]);
  if (kind === 2) return Buffer.from(Array.from({ length: below(40) }, () => below(256)));
  for (let i = 0; i <= below(3); i++) bytes[below(bytes.length)] ^= 1 << below(8);
  return bytes;
}

/** What RFC 6455 does not allow a client. */
const NO_FRAMES = [
  [0x82, 0x01, 0x03],
  [0xc2, 0x81, 0, 0, 0, 0, 3],
  [0x83, 0x81, 0, 0, 0, 0, 3],
  [0x80, 0x81, 0, 0, 0, 0, 3],
  [0x09, 0x80, 0, 0, 0, 0],
  [0x89, 0xfe, 0, 200, 0, 0, 0, 0],
  [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x82, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
  [0x88, 0x81, 0, 0, 0, 0, 3],
].map((bytes) => Buffer.from(bytes));

export const MALFORMED = [
  {
    id: 'malformed/messages',
    title: 'frames that are no message: mutants, noise, text',
    must: ['closed 4400'],
    // A mutant may be an update of other content under clocks that are known.
    expects: ['refused 429', 'closed 4401', 'closed 4409'],
    async prepare(attacker) {
      await attacker.plant(attacker.room(ROOM));
    },
    async attack(attacker) {
      const below = seeded(attacker.number);
      await attacker.lanes(LANES, async (lane) => {
        // The mutants that are updates after all must not end up in the honest room.
        const peer = await attacker.connect(attacker.room(`mutants-${lane}`), { lane });
        if (peer === undefined) return;
        const frames = Array.from({ length: MUTANTS }, () => mutant(below));
        if (below(10) === 0) peer.send('text');
        attacker.count('mutants', MUTANTS);
        await peer.pour(framed(frames));
        await Promise.race([peer.ended, new Promise((done) => setTimeout(done, PATIENCE_MS))]);
        peer.leave();
      });
    },
    async after(attacker) {
      await attacker.mustBeHonest(attacker.room(ROOM));
      for (let lane = 0; lane < LANES; lane++)
        await attacker.updates(attacker.room(`mutants-${lane}`));
    },
  },
  {
    id: 'malformed/frames',
    title: 'bytes that are no WebSocket frame',
    must: ['closed 1002'],
    expects: ['refused 429', 'closed 1009', 'closed 1006', 'closed 1007'],
    async prepare(attacker) {
      await attacker.plant(attacker.room(ROOM));
    },
    async attack(attacker) {
      let next = 0;
      await attacker.lanes(LANES, async (lane) => {
        const peer = await attacker.connect(attacker.room(ROOM), { lane });
        if (peer === undefined) return;
        await peer.pour(NO_FRAMES[next++ % NO_FRAMES.length]);
        await peer.ended;
      });
    },
    async after(attacker) {
      await attacker.mustBeHonest(attacker.room(ROOM));
    },
  },
].map((attack) => ({ ...attack, expects: [...attack.expects, 'mutants'] }));
