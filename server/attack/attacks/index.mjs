/** All attacks, in the order of the table. */
import { CRAFTED } from './crafted.mjs';

export const ATTACKS = [...CRAFTED];
