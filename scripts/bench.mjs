// `npm run bench`: set-up, then the side-by-side benchmark with its arguments.
import { main, setup } from './setup.mjs';

main(async () => {
  await setup();
  await import('../server/bench/run.mjs');
});
