// `npm run docs`: makes the API reference of the client from its docstrings, in docs/api.
import { join } from 'node:path';
import { install, main, root, step } from './setup.mjs';

main(async () => {
  await install();
  const docs = join(root, 'docs');
  const typedoc = join(docs, 'node_modules/typedoc/bin/typedoc');
  await step('Making the API reference…', process.execPath, [typedoc], { cwd: docs });
  console.log('docs/api/index.html');
});
