// `npm run attack`: set-up, then the attacks on a running server with their arguments.
import { main, setup } from './setup.mjs';

main(async () => {
  await setup();
  await import('../server/attack/run.mjs');
});
