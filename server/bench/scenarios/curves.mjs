/** How costs grow: a few points on each curve, drawn as charts. */
import { FLOW_FIGURES, measureFlow } from '../flow.mjs';
import { EVERYONE, WITH_DOCUMENTS } from '../servers.mjs';
import { JOIN_FIGURES, withDocument } from './joins.mjs';

const EVERYBODY = 500;
const PEOPLE = [2, 10, 50, 250, EVERYBODY];
const ROOMS = [10, 100, 500, 2_000];
const MEGABYTES = [0.1, 1, 4, 20];
const JOINERS = 20;

const flow = ({ load, main = 'cpuPerUpdate', ...rest }) => ({
  servers: EVERYONE,
  repeats: 2,
  lasts: 5,
  limit: 40,
  figures: FLOW_FIGURES,
  main,
  measure: (scope, { name, seconds = 2.5 }) =>
    measureFlow(scope, { name, seconds, warmUp: 1, load, main }),
  ...rest,
});

const people = PEOPLE.map((x) =>
  flow({
    id: `curves/people-${x}`,
    title: `${EVERYBODY} people in rooms of ${x}, one in each typing 10/s`,
    load: { rooms: EVERYBODY / x, people: x, writers: 1, keys: 10 },
    main: 'cpuPerDelivery',
    curve: {
      name: 'people',
      x,
      axis: 'people in the room',
      title: 'The same people in larger rooms',
      shown: ['cpuPerDelivery', 'p99', 'peak'],
    },
  }),
);

const rooms = ROOMS.map((x) =>
  flow({
    id: `curves/rooms-${x}`,
    title: `${x.toLocaleString('en-US')} rooms of 3 people, 500 keystrokes/s in all`,
    load: { rooms: x, people: 3, writers: 1, keys: 500 / x },
    lasts: x > 1_000 ? 9 : 5,
    curve: {
      name: 'rooms',
      x,
      axis: 'rooms of 3 people',
      title: 'More rooms',
      shown: ['cpuPerUpdate', 'p99', 'peak'],
    },
  }),
);

const sizes = MEGABYTES.map((x) => ({
  id: `curves/size-${x}`,
  title: `${JOINERS} clients join a document of ${x} MB just edited`,
  documents: [x],
  servers: WITH_DOCUMENTS,
  repeats: 2,
  lasts: 4 + x,
  limit: 120,
  main: 'cpuPerJoin',
  figures: { cpuPerJoin: { label: 'CPU per join', unit: 'ms' }, ...JOIN_FIGURES },
  curve: {
    name: 'size',
    x,
    axis: 'MB of the document',
    title: 'Larger documents',
    shown: ['cpuPerJoin', 'wall', 'peak'],
  },
  async measure(scope, { name }) {
    const { join } = await withDocument(scope, { name, megabytes: x });
    const figures = await join(JOINERS, 'empty');
    return { cpuPerJoin: (figures.cpu / JOINERS) * 1000, ...figures };
  },
}));

export default [...people, ...rooms, ...sizes];
