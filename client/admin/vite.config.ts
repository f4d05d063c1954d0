import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const inside = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where the files are, from each page. */
const FOLDERS: Readonly<Record<string, string>> = {
  'index.html': './admin/',
  'docs.html': '../admin/',
};

export default defineConfig({
  root: inside('.'),
  base: './',
  // The icon, and what applies a chosen theme before the first paint.
  publicDir: inside('../demo/public'),
  // A page refers to its files from where the server shows it: `/admin`, `/api/docs`. Of the path that a
  // proxy puts before that, nothing is known here.
  experimental: {
    renderBuiltUrl: (file, { hostId, hostType }) =>
      hostType === 'html' ? `${FOLDERS[hostId] ?? './'}${file}` : { relative: true },
  },
  build: {
    // A part of the server's package.
    outDir: inside('../../server/dist/admin'),
    emptyOutDir: true,
    rollupOptions: { input: [inside('index.html'), inside('docs.html')] },
    // As the demo, whose styles these pages share.
    target: ['chrome125', 'edge125', 'firefox128', 'safari17.5'],
    // No script of Vite's own in the page: browsers of these versions preload by themselves.
    modulePreload: { polyfill: false },
  },
});
