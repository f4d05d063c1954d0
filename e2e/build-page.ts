/** Pages of these tests, built as an application would build them. */
import { build } from 'vite';
import { temporaryFolder } from './fixtures.js';

/**
 * @param root the folder with the page's index.html
 * @returns the folder of the built page, which is gone when the test ends
 */
export async function buildPage(root: string): Promise<string> {
  const outDir = temporaryFolder();
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    // Yjs compares constructors, so there must be one copy of it.
    resolve: { dedupe: ['yjs', 'y-protocols', 'lib0', '@codemirror/state', '@codemirror/view'] },
    build: {
      outDir,
      emptyOutDir: true,
      minify: false,
      target: 'es2022',
      chunkSizeWarningLimit: 4096,
    },
  });
  return outDir;
}
