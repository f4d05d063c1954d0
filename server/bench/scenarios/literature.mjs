/** Loads that papers and projects of the field report: one core, under 4 GB, p99 under 50 ms. */
import { FLOW_FIGURES, measureFlow } from '../flow.mjs';
import { EVERYONE } from '../servers.mjs';

const P99_MS = 50;
const MEMORY_MB = 4_096;
/** Files that a process has open for itself. */
const OWN_FILES = 300;
const count = (number) => number.toLocaleString('en-US');

/** So many connections in rooms of `people`, of whom one types, so that `delivered` arrive a second. */
const crowd = ({ connections, people, delivered, lasts }) => ({
  id: `literature/${connections}`,
  title: `${count(connections)} connections in rooms of ${people}, ${count(delivered)} messages/s delivered`,
  servers: EVERYONE,
  repeats: 2,
  lasts,
  limit: 150,
  main: 'p99',
  figures: { connections: { label: 'connections', unit: '', isContext: true }, ...FLOW_FIGURES },
  targets: [
    { figure: 'p99', atMost: P99_MS },
    { figure: 'lost', atMost: 0 },
    { figure: 'peak', atMost: MEMORY_MB },
    { figure: 'connections', atLeast: connections },
  ],
  async measure(scope, { name, seconds = 5, files }) {
    const processes = Math.ceil(connections / (files - OWN_FILES));
    const rooms = Math.floor(connections / people);
    const load = { rooms, people, writers: 1, keys: delivered / (people - 1) / rooms };
    const main = 'cpuPerDelivery';
    const figures = await measureFlow(scope, { name, processes, seconds, load, main });
    return {
      ...figures,
      connections: rooms * people,
      note:
        processes > 1
          ? `in ${processes} processes on the one core, as for each server here: one may open ${count(files)} files on this machine`
          : undefined,
    };
  },
});

const lossless = {
  id: 'literature/10000-messages',
  title: '100 connections in rooms of 10, 10,000 messages typed in 10 s, none lost',
  servers: EVERYONE,
  repeats: 2,
  lasts: 14,
  limit: 60,
  main: 'lost',
  figures: FLOW_FIGURES,
  targets: [
    { figure: 'lost', atMost: 0 },
    { figure: 'p99', atMost: P99_MS },
  ],
  measure: (scope, { name, seconds = 10 }) =>
    measureFlow(scope, {
      name,
      seconds,
      load: { rooms: 10, people: 10, writers: 10, keys: 10 },
      main: 'cpuPerUpdate',
    }),
};

const roundTrip = {
  id: 'literature/10-round-trip',
  title: '10 connections in one room: a keystroke and its answer',
  servers: EVERYONE,
  repeats: 2,
  lasts: 4.5,
  limit: 30,
  main: 'mean',
  figures: {
    mean: { label: 'mean round trip', unit: 'ms' },
    p99: { label: 'p99', unit: 'ms' },
    first: { label: 'first message after dialling', unit: 'ms' },
  },
  targets: [
    { figure: 'mean', atMost: 24 },
    { figure: 'first', atMost: 6.84 },
    { figure: 'p99', atMost: P99_MS },
  ],
  async measure(scope, { name, seconds = 3 }) {
    const server = await scope.server({ name });
    const people = await scope.helper('roundtrip.mjs', {
      name,
      url: server.url,
      people: 10,
      seconds,
    });
    await people.heard();
    return people.ask('start');
  },
};

export default [
  crowd({ connections: 50_000, people: 2, delivered: 100, lasts: 40 }),
  crowd({ connections: 20_000, people: 5, delivered: 5_000, lasts: 20 }),
  crowd({ connections: 10_000, people: 5, delivered: 10_000, lasts: 13 }),
  crowd({ connections: 1_000, people: 50, delivered: 50_000, lasts: 10 }),
  lossless,
  roundTrip,
];
