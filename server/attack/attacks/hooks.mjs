/** An application whose hooks fail while people come in, write, renew their tokens, and what is poisoned is set aside. */
import { typedUpdate } from '../../bench/wire.mjs';

const LANES = 8;
const WAYS = {
  throws: 503,
  rejects: 503,
  'throws-nothing': 503,
  hangs: 503,
  'answers-nothing': 503,
  'answers-nonsense': 503,
  'answers-a-number': 503,
  'answers-late': 503,
  'answers-a-trap': 503,
};
const POISONED = 2_000;

export const HOOKS = [
  {
    id: 'hooks/authenticate',
    title: 'authenticate throws, rejects, hangs, answers nonsense',
    server: 'hooks',
    must: ['refused 503'],
    expects: ['refused 429'],
    async attack(attacker) {
      const ways = Object.entries(WAYS);
      // Those that hang hold up a lane, so there is one for each.
      await attacker.lanes(4 * ways.length, async (lane) => {
        const [way, status] = ways[lane % ways.length];
        await attacker.connect(attacker.room(`${lane}`).concat(way), {
          lane,
          onRefused: (told) => {
            if (told !== status && told !== 429) attacker.problem(`${way}: ${told}`);
          },
        });
      });
    },
  },
  {
    id: 'hooks/renewal',
    title: 'authenticate fails when a session brings a new token',
    server: 'hooks',
    must: ['saved'],
    expects: ['refused 429'],
    async attack(attacker) {
      const bad = attacker.used('a.token-that-nobody-has-signed-and-nobody-should-see.bad');
      await attacker.flood({ lanes: LANES, room: attacker.room('renewed') }, () =>
        Array(50).fill({ type: 'token', token: bad }),
      );
    },
    async after(attacker) {
      await attacker.plant(attacker.room('renewed'));
      attacker.count('saved');
    },
  },
  {
    id: 'hooks/saved',
    title: 'onSaved and onQuarantine throw and reject',
    server: 'hooks',
    must: ['saved'],
    expects: ['refused 429'],
    async attack(attacker) {
      let next = 0;
      await attacker.lanes(LANES, async (lane) => {
        const n = next++ % POISONED;
        const user = `user-${n}`;
        const peer = await attacker.connect(`poisoned-${n}`, { lane, user });
        if (peer === undefined) return;
        peer.send({ type: 'update', update: typedUpdate(1_000 + next, 0, 'saved') });
        await peer.untilSaved(1);
        attacker.count('saved');
        peer.leave();
      });
    },
  },
];
