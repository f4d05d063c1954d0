import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const inside = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: inside('.'),
  base: '/admin/',
  // The icon, and what applies a chosen theme before the first paint.
  publicDir: inside('../demo/public'),
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
