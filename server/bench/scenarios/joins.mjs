/** Many clients open one large document that has just been edited, for the first time or again. */
import { documentOf } from '../documents.mjs';
import { ask, untilQuiet } from '../quiet.mjs';
import { OURS, WITH_DOCUMENTS } from '../servers.mjs';

const KEYSTROKES = 20;
const ROOM = 'large';

export const JOIN_FIGURES = {
  wall: { label: 'all have it', unit: 's' },
  cpu: { label: 'server CPU', unit: 's' },
  peak: { label: 'peak RSS', unit: 'MB' },
  before: { label: 'RSS before', unit: 'MB', isContext: true },
  uploading: { label: 'peak RSS while it was uploaded', unit: 'MB', isContext: true },
  p50: { label: 'one client p50', unit: 'ms' },
  sent: { label: 'received', unit: 'MB', isContext: true },
};

/** A server that holds a document, and the crowd that is to open it. */
export async function withDocument(scope, { name, megabytes }) {
  const document = documentOf(megabytes);
  const server = await scope.server({ name });
  const crowd = await scope.helper('crowd.mjs', { name, url: server.url });
  await crowd.heard();
  await ask(crowd, 'upload', { rooms: [ROOM], file: document.file });
  await untilQuiet(server);
  const uploading = server.peakMegabytes();
  return {
    /** @param vector `empty`, `half` or `current` */
    async join(clients, vector) {
      await ask(crowd, 'edit', { room: ROOM, times: KEYSTROKES });
      server.resetPeak();
      const resident = server.residentMegabytes();
      const before = server.cpuSeconds();
      const seen = await ask(crowd, 'join', {
        rooms: [ROOM],
        count: clients,
        vector: document.vectors[vector],
      });
      if (seen.refused > 0) throw new Error(`${seen.refused} clients were refused`);
      const isWhole = vector !== 'empty' || seen.bytes > clients * document.bytes * 0.9;
      if (!isWhole) throw new Error('clients were sent less than the document');
      return {
        wall: seen.seconds,
        cpu: server.cpuSeconds() - before,
        peak: server.peakMegabytes(),
        before: resident,
        uploading,
        p50: seen.p50,
        sent: seen.bytes / 1e6,
      };
    },
  };
}

const join = ({ megabytes, clients = 150, ...rest }) => ({
  title: `${clients} clients join a ${megabytes} MB document just edited`,
  documents: [megabytes],
  servers: WITH_DOCUMENTS,
  figures: JOIN_FIGURES,
  main: 'wall',
  async measure(scope, { name }) {
    const { join } = await withDocument(scope, { name, megabytes });
    return join(clients, 'empty');
  },
  ...rest,
});

const VECTORS = { empty: 'nothing', half: 'half of it', current: 'all but the last keystrokes' };
const SIZES = { small: 0.02, '4mb': 4, '20mb': 20 };
const ONLY_OURS =
  'the other servers are measured on the small document, and on the large ones in the rows above';

const reconnects = Object.entries(SIZES).flatMap(([size, megabytes]) =>
  [150, 1_500].map((clients) => ({
    id: `joins/again-${size}-${clients}`,
    title: `${clients.toLocaleString('en-US')} clients come back to a ${megabytes < 1 ? `${megabytes * 1000} KB` : `${megabytes} MB`} document just edited`,
    documents: [megabytes],
    servers: megabytes < 1 ? WITH_DOCUMENTS : [OURS],
    notes: megabytes < 1 ? undefined : ONLY_OURS,
    repeats: 2,
    lasts: { cowrite: 4 + (megabytes * clients) / 900, hocuspocus: 6, 'y-websocket': 6 },
    limit: 120,
    main: 'wallEmpty',
    figures: {
      ...Object.fromEntries(
        Object.entries(VECTORS).flatMap(([vector, words]) => [
          [`wall${capital(vector)}`, { label: `has ${words}: all have it`, unit: 's' }],
          [`cpu${capital(vector)}`, { label: `has ${words}: CPU`, unit: 's' }],
        ]),
      ),
      peak: { label: 'peak RSS', unit: 'MB' },
    },
    async measure(scope, { name }) {
      const { join } = await withDocument(scope, { name, megabytes });
      const figures = { peak: 0 };
      for (const vector of Object.keys(VECTORS)) {
        const { wall, cpu, peak } = await join(clients, vector);
        figures[`wall${capital(vector)}`] = wall;
        figures[`cpu${capital(vector)}`] = cpu;
        figures.peak = Math.max(figures.peak, peak);
      }
      return figures;
    },
  })),
);

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

export default [
  join({
    id: 'joins/4mb',
    megabytes: 4,
    repeats: 3,
    lasts: { cowrite: 6, hocuspocus: 15, 'y-websocket': 13 },
    limit: 60,
    targets: [
      { figure: 'wall', atMost: 1.0 },
      { figure: 'cpu', atMost: 0.6 },
    ],
  }),
  join({
    id: 'joins/20mb',
    megabytes: 20,
    repeats: 2,
    lasts: { cowrite: 12, hocuspocus: 90, 'y-websocket': 90 },
    limit: 200,
    targets: [
      { figure: 'wall', atMost: 2.5 },
      { figure: 'cpu', atMost: 1.5 },
      { figure: 'peak', atMost: 500 },
    ],
  }),
  ...reconnects,
];
