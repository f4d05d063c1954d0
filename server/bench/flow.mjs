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
 * @param options `main` names what the servers' CPU time is divided by: a figure
 *   `cpuPer…`; `warm`: type elsewhere first; `processes`: so many servers, each with its
 *   share of the rooms and a load of its own, where one may not open enough files. Of
 *   those delays are the longest that any of them had, everything else is the sum
 */
export async function measureFlow(
  scope,
  { server: given, processes = 1, name, seconds, warmUp = 1.5, warm = false, load, main },
) {
  const servers =
    given === undefined
      ? await Promise.all(Array.from({ length: processes }, () => scope.server({ name })))
      : [given];
  if (warm) for (const server of servers) await makeWarm(scope, server, name);
  const crowds = await Promise.all(
    servers.map(async ({ url }, n) => {
      const rooms = shareOf(load.rooms, n, servers.length);
      const settings = { name, urls: [url], warmUp, seconds, ...load, rooms };
      const clients = await scope.helper('load.mjs', settings);
      await clients.heard();
      return clients;
    }),
  );
  const heard = () => Promise.all(crowds.map((clients) => clients.heard()));
  const cpuSeconds = () => sum(servers.map((server) => server.cpuSeconds()));
  await Promise.all(crowds.map((clients) => clients.ask('start')));
  const before = cpuSeconds();
  await heard();
  const cpu = cpuSeconds() - before;
  const seen = await heard();
  for (const clients of crowds) clients.kill();
  const total = (figure) => sum(seen.map(figure));
  const longest = (figure) => Math.max(...seen.map(figure));
  const closed = total((each) => each.closed);
  if (closed > 0) throw new Error(`${closed} connections were closed`);
  const expected = total((each) => each.expected.update);
  const received = total((each) => each.received.update);
  const moves = total((each) => each.expected.awareness);
  const moved = total((each) => each.received.awareness);
  const per = main === 'cpuPerDelivery' ? received + moved : total((each) => each.sent);
  return {
    [main]: (cpu / per) * 1e6,
    share: (100 * cpu) / longest((each) => each.seconds),
    /** A second. */
    typed: total((each) => each.sent) / longest((each) => each.seconds),
    p50: longest((each) => each.p50),
    p99: longest((each) => each.p99),
    worst: longest((each) => each.worst),
    saved50: seen[0].saved50,
    saved99: seen[0].saved99,
    lost: expected === 0 ? undefined : expected - received,
    passedOver: moves === 0 ? undefined : 100 * (1 - moved / moves),
    peak: sum(servers.map((server) => server.peakMegabytes())),
    generator: 100 * total((each) => each.generator),
  };
}

function shareOf(count, n, shares) {
  return Math.floor((count * (n + 1)) / shares) - Math.floor((count * n) / shares);
}

function sum(numbers) {
  return numbers.reduce((all, each) => all + each, 0);
}
