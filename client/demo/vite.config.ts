import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const server = `ws://127.0.0.1:${process.env.DEMO_SERVER_PORT ?? 8080}`;

/**
 * Nothing but what comes from where the page does. In the page, so that it holds wherever that is
 * served from; not while it is developed, when Vite puts styles and a socket of its own into it.
 */
const policy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      injectTo: 'head-prepend',
      attrs: {
        'http-equiv': 'Content-Security-Policy',
        content: [
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          // What is pasted says by these what is bold, and is read before anything is shown of it.
          "style-src-attr 'unsafe-inline'",
          "img-src 'self' data:",
          "connect-src 'self'",
          "form-action 'none'",
          "base-uri 'none'",
        ].join('; '),
      },
    },
  ],
};

export default defineConfig({
  plugins: [policy],
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Its own path is known to the browser alone: a proxy may show it under any.
  base: './',
  resolve: {
    // The demo is built against what other applications import, not against the client's sources.
    alias: {
      '@cowrite/client': fileURLToPath(new URL('../dist/index.js', import.meta.url)),
    },
    // Yjs compares constructors: a second copy in the bundle silently loses edits.
    dedupe: ['yjs', 'y-protocols', 'lib0', '@tiptap/core', '@tiptap/pm', '@tiptap/y-tiptap'],
  },
  build: {
    // The first versions with both `light-dark()` and popovers, which the styles are written for.
    target: ['chrome125', 'edge125', 'firefox128', 'safari17.5'],
  },
  server: { proxy: { '/ws': { target: server, ws: true } } },
  preview: { proxy: { '/ws': { target: server, ws: true } } },
});
