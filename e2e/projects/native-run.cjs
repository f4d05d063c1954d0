/**
 * Runs a bundle of `native.js` with the globals of React Native before 0.80, as far as they differ
 * from Node's: `node native-run.cjs <bundle>`.
 */
const { readFileSync } = require('node:fs');
const { webcrypto } = require('node:crypto');
const { createContext, runInContext } = require('node:vm');
const { createServer } = require('@cowrite/server');
const { WebSocket } = require('ws');

/** As its Libraries/Blob/URL.js has it. */
class BareURL {
  constructor(url) {
    this.href = /[/?]$/.test(url) ? url : `${url}/`;
  }
  toString() {
    return this.href;
  }
}
const PARTS = ['hash', 'host', 'hostname', 'origin', 'pathname', 'port', 'protocol', 'search'];
for (const part of PARTS) {
  Object.defineProperty(BareURL.prototype, part, {
    get() {
      throw new Error(`URL.${part} is not implemented`);
    },
  });
}

async function main() {
  const server = await createServer({
    port: 0,
    storage: 'memory:',
    logger: 'warn',
    hooks: { authenticate: ({ token }) => ({ access: token === 'a.b.c' ? 'write' : 'none' }) },
  });
  const scope = createContext({
    ...{ console, performance, queueMicrotask, TextDecoder, TextEncoder, fetch, WebSocket },
    ...{ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate },
    URL: BareURL,
    URLSearchParams: undefined,
    AbortSignal: class {},
    // Of a polyfill, which Yjs needs there.
    crypto: { getRandomValues: (bytes) => webcrypto.getRandomValues(bytes) },
    navigator: { product: 'ReactNative' },
  });
  const globalObject = runInContext('globalThis', scope);
  Object.assign(globalObject, { global: globalObject, window: globalObject, self: globalObject });
  runInContext(readFileSync(process.argv[2], 'utf8'), scope);
  const { CowriteProvider, CLOSE, hooks, Y } = globalObject.bundled;

  const url = `${server.url}/ws`;
  const open = (token) => new CowriteProvider({ url, room: 'a b', doc: new Y.Doc(), token });
  const writer = open('a.b.c');
  writer.doc.getMap('page').set('title', new Y.Text('hello'));
  await writer.whenSaved();
  const reader = open('a.b.c');
  await reader.whenSynced();
  const seen = new Promise((resolve) => {
    reader.awareness.on('change', () => {
      const states = [...reader.awareness.getStates().values()];
      if (states.some((state) => state.at === 7)) resolve();
    });
  });
  writer.awareness.setLocalState({ at: 7 });
  await seen;
  const title = reader.doc.getMap('page').get('title');
  const stranger = open('x.y.z');
  await stranger.whenSynced().catch(() => undefined);
  const { reason } = stranger.refusal;
  console.log(`${title}, ${title instanceof Y.Text}, ${CLOSE.deleted}, ${typeof hooks.useDoc}`);
  console.log(`a stranger: ${reason}`);
  for (const each of [writer, reader, stranger]) each.destroy();
  await server.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
