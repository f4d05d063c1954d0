/** People who type and move cursors. The first five have targets. */
import { FLOW_FIGURES, measureFlow } from '../flow.mjs';
import { EVERYONE, OURS } from '../servers.mjs';

const flow = ({ main, p99, target, ...rest }) => ({
  servers: EVERYONE,
  repeats: 3,
  lasts: target === undefined ? 7.5 : 15,
  limit: 60,
  figures: FLOW_FIGURES,
  main,
  targets: [
    ...(target === undefined ? [] : [{ figure: main, timesBare: target }]),
    ...(p99 === undefined ? [] : [{ figure: 'p99', atMost: p99 }]),
  ],
  measure: (scope, { name, seconds = 4 }) =>
    measureFlow(scope, { name, seconds, warm: target !== undefined, load: rest.load, main }),
  ...rest,
});

export default [
  flow({
    id: 'typing/200x3',
    title: '200 rooms x 3 people typing 5/s',
    load: { rooms: 200, people: 3, writers: 3, keys: 5 },
    main: 'cpuPerUpdate',
    target: 1.5,
  }),
  flow({
    id: 'typing/1-to-100',
    title: '1 writer 50/s, 100 readers',
    load: { rooms: 1, people: 101, writers: 1, keys: 50 },
    main: 'cpuPerDelivery',
    target: 1.2,
  }),
  flow({
    id: 'typing/20-to-100',
    title: '20 writers 10/s each, 100 readers',
    load: { rooms: 1, people: 120, writers: 20, keys: 10 },
    main: 'cpuPerDelivery',
    target: 0.45,
  }),
  flow({
    id: 'cursors/50',
    title: '50 people moving cursors 10/s',
    load: { rooms: 1, people: 50, movers: 50, moves: 10 },
    main: 'cpuPerMove',
    target: 0.35,
    p99: 30,
  }),
  flow({
    id: 'cursors/200',
    title: '200 people moving cursors 2/s',
    load: { rooms: 1, people: 200, movers: 200, moves: 2 },
    main: 'cpuPerMove',
    target: 0.17,
    p99: 60,
  }),
  ...[2, 5].map((people) =>
    flow({
      id: `typing/1000x${people}`,
      title: `1,000 rooms x ${people} people, one of each typing once a second`,
      load: { rooms: 1_000, people, writers: 1, keys: 1 },
      main: 'cpuPerUpdate',
      repeats: 2,
      lasts: 9,
    }),
  ),
  flow({
    id: 'typing/saved',
    title:
      "200 rooms x 3 people typing 5/s in Cowrite's own dialect, each keystroke reported saved",
    servers: [OURS],
    notes: 'the other servers have no such report',
    repeats: 2,
    load: { rooms: 200, people: 3, writers: 3, keys: 5, saving: true },
    main: 'cpuPerUpdate',
  }),
  flow({
    id: 'cursors/500',
    title: '500 people in one room: 20 typing 2/s, all moving cursors once a second',
    load: { rooms: 1, people: 500, writers: 20, keys: 2, movers: 500, moves: 1 },
    main: 'cpuPerDelivery',
    repeats: 2,
    lasts: 10,
  }),
];
