/** Who is where, said by who lies about it. */
import { states } from '../messages.mjs';

const LANES = 8;
const ROOM = 'present';
const VICTIM = 77;
const FAR = 2 ** 53 - 1;
const MANY = 100_000;
/** States that a session may introduce. */
const KEPT = 64;

/** @returns what somebody who joins is told of who is here */
async function present(attacker, room) {
  const peer = await attacker.surely(room);
  const heard = peer.until(({ type }) => type === 'awareness');
  peer.send({ type: 'step1', stateVector: Uint8Array.of(0) });
  const { update } = await heard;
  peer.leave();
  return update;
}

async function victim(attacker) {
  const peer = await attacker.surely(attacker.room(ROOM), { user: 'victim' });
  peer.send({ type: 'awareness', update: states([[VICTIM, 1, '{"name":"victim"}']]) });
}

async function mustBeThere(attacker) {
  const shown = Buffer.from(await present(attacker, attacker.room(ROOM))).toString('latin1');
  if (!shown.includes('"victim"')) attacker.problem('the victim is not shown any more');
  if (shown.includes('mallory')) attacker.problem('the victim is shown as somebody else');
}

export const AWARENESS = [
  {
    id: 'awareness/far-clock',
    title: 'awareness with clock 2^53, in another’s name',
    prepare: victim,
    expects: ['refused 429'],
    async attack(attacker) {
      const update = states([
        [VICTIM, FAR, '{"name":"mallory"}'],
        [VICTIM + 1, FAR, '{"name":"mallory"}'],
        [VICTIM, 2, 'null'],
      ]);
      await attacker.flood({ lanes: LANES, room: attacker.room(ROOM) }, () =>
        Array(200).fill({ type: 'awareness', update }),
      );
    },
    after: mustBeThere,
  },
  {
    id: 'awareness/many',
    title: '100,000 awareness states in one message',
    prepare: victim,
    expects: ['refused 429', 'closed 4400'],
    async attack(attacker) {
      // Each socket with ids of its own, or they would be another's.
      await attacker.flood({ lanes: LANES, room: attacker.room(ROOM) }, (n) => {
        const from = 1_000_000 * (n + 1);
        return [
          { type: 'awareness', update: states(idsFrom(from).map((id) => [id, 1, '{}'])) },
          { type: 'awareness', update: states(idsFrom(from).map((id) => [id, 2, '{}'])) },
        ];
      });
    },
    async after(attacker) {
      await mustBeThere(attacker);
      const [count] = await present(attacker, attacker.room(ROOM));
      if (count > 1 + KEPT * LANES) attacker.problem(`${count} states are kept`);
    },
  },
];

function idsFrom(from) {
  return Array.from({ length: MANY }, (_, i) => from + i);
}
