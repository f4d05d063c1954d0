/**
 * What it costs a server when many clients open one large document that has just
 * been edited: `node server/bench/joins.mjs [MB] [clients]` after `npm run build`.
 *
 * Prints the server's CPU time and peak memory as Linux counts them for its
 * process (/proc). The clients share this process, so the wall time is theirs.
 */
import { decodeMessage, encodeMessage } from '@cowrite/client/protocol';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { startServer } from './process.mjs';

const megabytes = Number(process.argv[2] ?? 4);
const clients = Number(process.argv[3] ?? 150);
const EMPTY_STATE_VECTOR = Uint8Array.of(0);
const EMPTY_UPDATE = Uint8Array.of(0, 0);

const server = await startServer();
try {
  await run(`${server.url}/large`);
} finally {
  server.stop();
}
process.exit(0);

async function run(url) {
  const doc = typedDocument();
  const size = Y.encodeStateAsUpdate(doc).length;
  const writer = await connect(url);
  writer.send({ type: 'step1', stateVector: Y.encodeStateVector(doc) });
  const { stateVector } = await writer.next('step1');
  writer.send({ type: 'step2', update: Y.encodeStateAsUpdate(doc, stateVector) });
  await writer.saved(1);
  await untilQuiet();
  const edits = 20;
  for (let i = 0; i < edits; i++) {
    const before = Y.encodeStateVector(doc);
    doc.getText('title').insert(i, 'x');
    writer.send({ type: 'update', update: Y.encodeStateAsUpdate(doc, before) });
  }
  await writer.saved(1 + edits);

  const cpu = server.cpuSeconds();
  const start = performance.now();
  const joined = Array.from({ length: clients }, async () => {
    const client = await connect(url);
    client.send({ type: 'step1', stateVector: EMPTY_STATE_VECTOR });
    await client.next('step1');
    client.send({ type: 'step2', update: EMPTY_UPDATE });
    return (await client.next('step2')).update.length;
  });
  const sizes = await Promise.all(joined);
  const seconds = (performance.now() - start) / 1000;
  const sent = sizes.reduce((sum, each) => sum + each, 0);
  process.stdout.write(
    `${clients} clients open a document of ${mb(size)}, just edited: ` +
      `server CPU ${(server.cpuSeconds() - cpu).toFixed(2)} s, wall ${seconds.toFixed(2)} s, ` +
      `${mb(sent)} sent, peak memory since its start ${server.peakMegabytes()} MB\n`,
  );
}

/** Inserts at places all over, so that nothing merges into long runs. */
function typedDocument() {
  const doc = new Y.Doc();
  const texts = doc.getArray('texts');
  let seed = 1;
  const random = () => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  // One text of 4,000 insertions has about 150 KB.
  for (let n = 0; n < megabytes * 7; n++) {
    doc.transact(() => {
      const text = new Y.Text();
      texts.push([text]);
      for (let i = 0; i < 4_000; i++) {
        const words = 'some words '.slice(0, 3 + Math.floor(random() * 8));
        text.insert(Math.floor(random() * (text.length + 1)), words);
      }
    });
  }
  return doc;
}

async function connect(url) {
  const socket = new WebSocket(url, ['cowrite.v1'], { maxPayload: 2 ** 30 });
  const received = [];
  let wake = () => undefined;
  let saved = 0;
  socket.on('message', (data) => {
    const message = decodeMessage(data);
    if (message.type === 'saved') saved = message.count;
    else received.push(message);
    wake();
  });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const until = async (find) => {
    for (;;) {
      const found = find();
      if (found) return found;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    send: (message) => socket.send(encodeMessage(message)),
    next: (type) => until(() => received.find((message) => message.type === type)),
    saved: (count) => until(() => saved >= count),
  };
}

/** The compaction that follows the import is not part of what is measured. */
async function untilQuiet() {
  for (let before = -1; server.cpuSeconds() > before; ) {
    before = server.cpuSeconds();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

function mb(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
