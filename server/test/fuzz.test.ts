/**
 * Fault row 15: raw frames, over TCP, at the command itself. What is sent and what has
 * to hold is in `server/fuzz/`; the long run is `npm run fuzz -- --frames 1000000`.
 */
import { describe, expect, it } from 'vitest';
import { fuzz } from '../fuzz/fuzz.js';
import { chosenSeed } from './seeded.js';

const FRAMES = Number(process.env.FRAMES ?? 5_000);

/** Each found something once. */
const SEEDS_THAT_FAILED: readonly number[] = [];

describe('[FLT-15] raw frames', () => {
  for (const seed of new Set([chosenSeed(), ...SEEDS_THAT_FAILED])) {
    it(`[FLT-15] the server lives through ${FRAMES} of seed ${seed}, its memory returns, and no other room is touched`, {
      timeout: 300_000 + FRAMES * 20,
    }, async () => {
      const { figures, witness } = await fuzz({ seed, frames: FRAMES });
      // What is held is in the run; here, that it was put to the test.
      expect(figures.statuses.get('101')).toBeGreaterThan(figures.sessions / 2);
      for (const outcome of ['taken', 'closed with 4400', 'closed with 1002', 'cut off']) {
        expect(figures.outcomes.get(outcome), outcome).toBeGreaterThan(FRAMES / 1_000);
      }
      expect(witness.edits).toBeGreaterThan(0);
      console.log(`[FLT-15] ${figures.frames} frames: ${figures.outcomes}`);
    });
  }
});
