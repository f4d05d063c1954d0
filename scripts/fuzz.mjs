// `npm run fuzz`: set-up, then the fuzzer with its arguments.
import { join } from 'node:path';
import { main, root, setup } from './setup.mjs';

main(async () => {
  await setup();
  // It shares TypeScript with the tests, which Node 20 does not read by itself.
  const { runnerImport } = await import('vite');
  const { module } = await runnerImport(join(root, 'server/fuzz/main.ts'), { configFile: false });
  process.exit(await module.main(process.argv.slice(2)));
});
