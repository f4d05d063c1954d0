/** Inputs that no honest client writes, or that cost whoever integrates them: sent again and again, by several at once. */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

// The tests' own builders: Node 20 reads no TypeScript.
const { module: builders } = await runnerImport(
  fileURLToPath(new URL('../../test/crafted.ts', import.meta.url)),
);
const { REFUSED } = builders;

const LANES = 8;
const ROOM = 'attacked';

const refused = Object.entries(REFUSED).map(([title, craft], n) => ({
  id: `crafted/refused-${n}`,
  title,
  expects: ['closed 4400', 'refused 429'],
  must: ['closed 4400'],
  async prepare(attacker) {
    await attacker.plant(attacker.room(ROOM));
  },
  async attack(attacker) {
    const update = craft();
    await attacker.lanes(LANES, async (lane) => {
      const peer = await attacker.connect(attacker.room(ROOM), { lane });
      if (peer === undefined) return;
      for (const type of ['update', 'step2', 'update', 'step2']) peer.send({ type, update });
      await peer.ended;
    });
  },
  async after(attacker) {
    await attacker.mustBeHonest(attacker.room(ROOM));
  },
}));

export const CRAFTED = [...refused];
