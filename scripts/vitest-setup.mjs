// Vitest's global set-up: tests import the built packages, and a stale build would mislead.
// `npm test` has built already, and says so in COWRITE_BUILT.
import { setup } from './setup.mjs';

export default async function buildFirst() {
  if (!process.env.COWRITE_BUILT) await setup();
}
