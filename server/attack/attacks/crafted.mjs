/** Updates that no honest client writes, and some that cost whoever integrates them: sent again and again, by several at once. */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

// The tests' own builders: Node 20 reads no TypeScript.
const { module: builders } = await runnerImport(
  fileURLToPath(new URL('../../test/crafted.ts', import.meta.url)),
);
const { REFUSED, EXPENSIVE } = builders;

const ROOM = 'attacked';
const LANES = 8;
/** Of large updates fewer fill the same core. */
const LARGE_LANES = 4;
/** How long what was sent may take to be on disk, however much of it there is. */
const PATIENCE_MS = 20_000;

/** Those that have a row of their own; the others come in turn. */
const NAMED = 8;

const all = Object.entries(REFUSED);
const rows = [
  ...all.slice(0, NAMED).map((entry) => [entry[0], [entry]]),
  ['other updates that no client writes', all.slice(NAMED)],
];

const refused = rows.map(([title, crafts]) => ({
  id: 'crafted/refused',
  title,
  must: ['closed 4400'],
  expects: ['refused 429'],
  async prepare(attacker) {
    await attacker.plant(attacker.room(ROOM));
  },
  async attack(attacker) {
    const updates = crafts.map(([, craft]) => craft());
    let next = 0;
    await attacker.lanes(LANES, async (lane) => {
      const peer = await attacker.connect(attacker.room(ROOM), { lane });
      if (peer === undefined) return;
      const update = updates[next++ % updates.length];
      for (const type of ['update', 'step2', 'update', 'step2']) peer.send({ type, update });
      await peer.ended;
    });
  },
  async after(attacker) {
    await attacker.mustBeHonest(attacker.room(ROOM));
  },
}));

const expensive = Object.entries(EXPENSIVE).map(([title, craft]) => {
  let rooms = 0;
  return {
    id: 'crafted/expensive',
    title,
    must: ['saved'],
    expects: ['refused 429'],
    // A worker builds what is expensive to build.
    peakMb: 1_200,
    async attack(attacker) {
      const update = craft();
      // A room knows it the second time, so each gets it anew in another one.
      await attacker.lanes(LARGE_LANES, async (lane) => {
        const n = rooms++;
        // One who comes back under the same name pays for what it did before.
        const user = `spender-${lane}`;
        const peer = await attacker.connect(attacker.room(`${ROOM}-${n}`), { lane, user });
        if (peer === undefined) return;
        for (const type of ['update', 'step2']) peer.send({ type, update });
        await peer.untilSaved(2, PATIENCE_MS);
        attacker.count('saved');
        peer.leave();
      });
    },
    async after(attacker) {
      const updates = await attacker.updates(attacker.room(`${ROOM}-0`));
      const bytes = updates.reduce((sum, each) => sum + each.length, 0);
      if (bytes < 1_000) attacker.problem(`the room opens with ${bytes} bytes`);
    },
  };
});

export const CRAFTED = [...refused, ...expensive].map((attack, n) => ({
  ...attack,
  id: `${attack.id}-${n}`,
}));
