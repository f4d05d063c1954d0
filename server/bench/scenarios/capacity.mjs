/** Loads from which the prices of capacity.mjs are found, and those it is held against. */
import { FLOW_FIGURES, measureFlow } from '../flow.mjs';
import { OURS } from '../servers.mjs';

const LOADS = {
  '100x3': { rooms: 100, people: 3, writers: 1, keys: 10 },
  '400x3': { rooms: 400, people: 3, writers: 2, keys: 5 },
  '600x2': { rooms: 600, people: 2, writers: 1, keys: 5 },
  '100x6': { rooms: 100, people: 6, writers: 2, keys: 10 },
  '20x20': { rooms: 20, people: 20, writers: 5, keys: 4 },
  '5x100': { rooms: 5, people: 100, writers: 10, keys: 4 },
  '1x400': { rooms: 1, people: 400, writers: 20, keys: 2 },
  '100x4-cursors': { rooms: 100, people: 4, movers: 4, moves: 5 },
  '10x50-cursors': { rooms: 10, people: 50, movers: 50, moves: 4 },
  // Hardly anything: what is left is the price of connections.
  '4000x2-idle': { rooms: 4_000, people: 2, writers: 1, keys: 0.002 },
};
/** None of these is used to find the prices. */
const CHECKS = {
  '60x12': { rooms: 60, people: 12, writers: 4, keys: 3, movers: 12, moves: 1.5 },
  '250x4': { rooms: 250, people: 4, writers: 1, keys: 4, movers: 2, moves: 2 },
  '2x200': { rooms: 2, people: 200, writers: 15, keys: 3, movers: 200, moves: 0.5 },
};

const scenario =
  (kind) =>
  ([key, load]) => {
    const main = load.keys === undefined ? 'cpuPerMove' : 'cpuPerUpdate';
    return {
      id: `capacity/${kind}${key}`,
      title: describe(load),
      servers: [OURS],
      repeats: 2,
      lasts: 18,
      limit: 60,
      main,
      figures: FLOW_FIGURES,
      load,
      isCheck: kind !== '',
      measure: (scope, { name, seconds = 4 }) =>
        measureFlow(scope, { name, seconds, warm: true, load, main }),
    };
  };

function describe({ rooms, people, writers, keys, movers, moves }) {
  const parts = [
    `${rooms.toLocaleString('en-US')} ${rooms === 1 ? 'room' : 'rooms'} x ${people} people`,
  ];
  if (writers !== undefined) parts.push(`${writers} typing ${keys}/s`);
  if (movers !== undefined) parts.push(`${movers} moving cursors ${moves}/s`);
  return parts.join(', ');
}

export default [
  ...Object.entries(LOADS).map(scenario('')),
  ...Object.entries(CHECKS).map(scenario('check-')),
];
