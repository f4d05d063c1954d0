/** What connections and open documents weigh, and how soon a document is there that is not open. */

import { fileURLToPath } from 'node:url';
import { documentOf } from '../documents.mjs';
import { sleep } from '../helper.mjs';
import { ask, untilQuiet } from '../quiet.mjs';
import { EVERYONE, OURS, WITH_DOCUMENTS } from '../servers.mjs';

const COLLECTOR = fileURLToPath(new URL('../peers/gc.cjs', import.meta.url));
const DOCUMENTS = 100;
/** Files that a process has open for itself. */
const OWN_FILES = 300;

/** What is garbage is nobody's weight, and when it is collected is chance. */
async function settledBytes(server) {
  await sleep(1_000);
  for (let i = 0; i < 2; i++) {
    server.signal('SIGUSR2');
    await sleep(500);
  }
  return server.residentBytes();
}

async function crowdOf(scope, name, options) {
  const server = await scope.server({ name, flags: ['--require', COLLECTOR], ...options });
  const crowd = await scope.helper('crowd.mjs', { name, url: server.url });
  await crowd.heard();
  return { server, crowd };
}

const names = (prefix, count) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);

const idle = {
  id: 'memory/idle',
  title: '10,000 idle connections, each in a room of its own',
  servers: EVERYONE,
  repeats: 3,
  lasts: 8,
  limit: 60,
  main: 'perConnection',
  figures: {
    perConnection: { label: 'per connection', unit: 'KB' },
    resident: { label: 'RSS with all of them', unit: 'MB' },
    connections: { label: 'connections', unit: '', isContext: true },
  },
  targets: [{ figure: 'perConnection', timesBare: 1.3 }],
  async measure(scope, { name, files }) {
    const count = Math.min(10_000, files - OWN_FILES);
    const { server, crowd } = await crowdOf(scope, name);
    await ask(crowd, 'join', { rooms: names('first', 100) });
    const before = await settledBytes(server);
    const { refused } = await ask(crowd, 'join', { rooms: names('idle', count), keep: true });
    if (refused > 0) throw new Error(`${refused} connections were refused`);
    const after = await settledBytes(server);
    return {
      perConnection: (after - before) / count / 1024,
      resident: after / 2 ** 20,
      connections: count,
    };
  },
};

const open = {
  id: 'memory/open',
  title: `${DOCUMENTS} documents of 1 MB open, one client in each`,
  documents: [1],
  servers: WITH_DOCUMENTS,
  repeats: 2,
  lasts: { cowrite: 20, 'y-websocket': 25, hocuspocus: 25 },
  limit: 120,
  main: 'perDocument',
  figures: {
    perDocument: { label: 'per document', unit: 'MB' },
    resident: { label: 'RSS with all of them', unit: 'MB' },
  },
  async measure(scope, { name }) {
    const { server, crowd } = await crowdOf(scope, name);
    const before = await settledBytes(server);
    const rooms = names('open', DOCUMENTS);
    await ask(crowd, 'upload', { rooms, file: documentOf(1).file });
    await untilQuiet(server);
    const after = await settledBytes(server);
    return { perDocument: (after - before) / DOCUMENTS / 2 ** 20, resident: after / 2 ** 20 };
  },
};

const cold = {
  id: 'memory/cold',
  title: `${DOCUMENTS} documents of 1 MB opened after a restart`,
  documents: [1],
  servers: [OURS],
  notes: 'the other servers keep nothing; the file is in the cache of the kernel',
  repeats: 2,
  lasts: 20,
  limit: 120,
  main: 'p50',
  figures: {
    p50: { label: 'one after the other: p50', unit: 'ms' },
    p99: { label: 'p99', unit: 'ms' },
    ready: { label: 'server ready after', unit: 's' },
    wall: { label: 'all at once, after another restart: all have it', unit: 's' },
    cpu: { label: 'CPU of that', unit: 's' },
  },
  async measure(scope, { name }) {
    const { server, crowd } = await crowdOf(scope, name);
    const rooms = names('cold', DOCUMENTS);
    await ask(crowd, 'upload', { rooms, file: documentOf(1).file });
    await untilQuiet(server);
    crowd.kill();
    await server.kill();
    const start = performance.now();
    const again = await crowdOf(scope, name, { folder: server.folder });
    const ready = (performance.now() - start) / 1000;
    const { p50, p99 } = await ask(again.crowd, 'join', { rooms, atOnce: 1 });
    again.crowd.kill();
    await again.server.kill();
    const third = await crowdOf(scope, name, { folder: server.folder });
    const before = third.server.cpuSeconds();
    const { seconds } = await ask(third.crowd, 'join', { rooms });
    return { p50, p99, ready, wall: seconds, cpu: third.server.cpuSeconds() - before };
  },
};

export default [idle, open, cold];
