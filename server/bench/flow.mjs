/** One server under one load: what load.mjs saw, and what Linux counted meanwhile. */

import { untilQuiet } from './quiet.mjs';

/** Figures of a flow, in the order of the tables. */
export const FLOW_FIGURES = {
  cpuPerUpdate: { label: 'CPU per update', unit: 'µs' },
  cpuPerDelivery: { label: 'CPU per delivery', unit: 'µs' },
  cpuPerMove: { label: 'CPU per move', unit: 'µs' },
  share: { label: 'of a core', unit: '%', isContext: true },
  p50: { label: 'delivery p50', unit: 'ms' },
  p99: { label: 'delivery p99', unit: 'ms' },
  worst: { label: 'worst', unit: 'ms', isContext: true },
  saved50: { label: 'on disk p50', unit: 'ms' },
  saved99: { label: 'on disk p99', unit: 'ms' },
  lost: { label: 'keystrokes not delivered', unit: '' },
  passedOver: { label: 'cursor moves passed over', unit: '%' },
  peak: { label: 'peak RSS', unit: 'MB' },
  generator: { label: 'generator, of a core', unit: '%', isContext: true },
};

/** Enough that what is hot is compiled: a server that runs for days is not measured by its first seconds. */
const WARM_UP = {
  rooms: 20,
  people: 2,
  writers: 2,
  keys: 60,
  movers: 2,
  moves: 60,
  warmUp: 8,
  seconds: 0.1,
};

/**
 * Types and moves in rooms of its own, and waits until the server is done with that.
 * Its clients stay: what a server does with rooms that all have left is not what a
 * flow costs, and must not fall into it.
 */
async function makeWarm(scope, server, name) {
  const urls = [server.url];
  const clients = await scope.helper('load.mjs', { name, urls, prefix: 'warm', ...WARM_UP });
  await clients.heard();
  await clients.ask('start');
  await clients.heard();
  await clients.heard();
  await untilQuiet(server);
}

/**
 * @param options `main` names what the server's CPU time is divided by: a figure
 *   `cpuPer…`; `warm`: type elsewhere first
 */
export async function measureFlow(
  scope,
  { server: given, name, seconds, warmUp = 1.5, warm = false, load, main },
) {
  const server = given ?? (await scope.server({ name }));
  if (warm) await makeWarm(scope, server, name);
  const clients = await scope.helper('load.mjs', {
    name,
    urls: [server.url],
    warmUp,
    seconds,
    ...load,
  });
  await clients.heard();
  await clients.ask('start');
  const before = server.cpuSeconds();
  await clients.heard();
  const cpu = server.cpuSeconds() - before;
  const seen = await clients.heard();
  clients.kill();
  if (seen.closed > 0) throw new Error(`${seen.closed} connections were closed`);
  const { expected, received } = seen;
  const per = main === 'cpuPerDelivery' ? received.update + received.awareness : seen.sent;
  return {
    [main]: (cpu / per) * 1e6,
    share: (100 * cpu) / seen.seconds,
    p50: seen.p50,
    p99: seen.p99,
    worst: seen.worst,
    saved50: seen.saved50,
    saved99: seen.saved99,
    lost: expected.update === 0 ? undefined : expected.update - received.update,
    passedOver:
      expected.awareness === 0 ? undefined : 100 * (1 - received.awareness / expected.awareness),
    peak: server.peakMegabytes(),
    generator: 100 * seen.generator,
  };
}
