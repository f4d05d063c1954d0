/** All attacks, in the order of the table. Those that leave work behind come last among their kind: they cost a server. */
import { AWARENESS } from './awareness.mjs';
import { CRAFTED } from './crafted.mjs';
import { CROWD } from './crowd.mjs';
import { FLOODS } from './floods.mjs';
import { HOOKS } from './hooks.mjs';
import { MALFORMED } from './malformed.mjs';
import { NAMES } from './names.mjs';
import { READERS } from './readers.mjs';
import { SESSIONS } from './sessions.mjs';
import { TOKENS } from './tokens.mjs';

export const ATTACKS = [
  ...MALFORMED,
  ...CROWD,
  ...NAMES,
  ...TOKENS,
  ...SESSIONS,
  ...AWARENESS,
  ...FLOODS,
  ...READERS,
  ...CRAFTED,
  ...HOOKS,
];
