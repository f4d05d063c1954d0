/**
 * The number by which clients know a room's document from the others of its name.
 *
 * Two stores may have the same past: a restored backup, a copied folder. What a store counts, and
 * the time that it knows, the other has as well. So a generation is drawn at random, and says
 * nothing but which document it is. 0 is that of the first document of a name.
 */
import { randomInt } from 'node:crypto';

/** `randomInt` takes no larger range. */
const BITS = 48;

export function drawGeneration(): number {
  return randomInt(1, 2 ** BITS);
}
