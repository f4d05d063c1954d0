// `npm run docs`: makes the API reference of the client from its docstrings, in docs/api, and the
// page of the server's settings from their schema.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { main, root, setup, step } from './setup.mjs';

main(async () => {
  await setup();
  const docs = join(root, 'docs');
  const typedoc = join(docs, 'node_modules/typedoc/bin/typedoc');
  await step('Making the API reference…', process.execPath, [typedoc], { cwd: docs });
  const { settingsPage } = await import('../server/dist/settings.js');
  writeFileSync(join(docs, 'operations/settings.md'), settingsPage());
  console.log('docs/api/index.html, docs/operations/settings.md');
});
