/** The highest rate of updates at which nearly everything still arrives soon. */
import { measureFlow } from '../flow.mjs';
import { EVERYONE } from '../servers.mjs';

const ROOMS = 100;
const PEOPLE = 5;
const P99_MS = 100;
const FIRST = 500;
const BISECTIONS = 3;
/** Somebody who is told to write more than it can is no measure of a server. */
const GENERATOR_LIMIT = 90;

async function measure(scope, { name, seconds = 2 }) {
  const server = await scope.server({ name });
  let step = 0;
  const hold = async (rate) => {
    const load = {
      rooms: ROOMS,
      people: PEOPLE,
      writers: PEOPLE,
      keys: rate / ROOMS / PEOPLE,
      prefix: `step-${++step}`,
    };
    const seen = await measureFlow(scope, {
      server,
      name,
      seconds,
      warmUp: 1,
      load,
      main: 'cpuPerUpdate',
    });
    const isHeld = seen.p99 < P99_MS && seen.lost === 0;
    return { ...seen, rate, isHeld, isBusy: seen.generator > GENERATOR_LIMIT };
  };
  let best = { rate: 0 };
  let rate = FIRST;
  let seen = await hold(rate);
  while (seen.isHeld) {
    best = seen;
    // The next one would measure the generator.
    if (best.generator > GENERATOR_LIMIT / 1.6) break;
    rate *= 2;
    seen = await hold(rate);
  }
  let above = seen.isHeld ? undefined : rate;
  for (let i = 0; i < BISECTIONS && above !== undefined && best.rate > 0; i++) {
    const middle = (best.rate + above) / 2;
    seen = await hold(middle);
    if (seen.isHeld) best = seen;
    else above = middle;
  }
  if (best.rate === 0) throw new Error(`does not hold ${FIRST} updates/s`);
  return {
    rate: best.rate,
    cpuPerUpdate: best.cpuPerUpdate,
    share: best.share,
    p99: best.p99,
    generator: best.generator,
    note:
      seen.isBusy || above === undefined
        ? 'at least: the generator had no more to give'
        : undefined,
  };
}

export default [
  {
    id: 'saturation/100x5',
    title: `${ROOMS} rooms x ${PEOPLE} people: highest rate with p99 under ${P99_MS} ms and nothing lost`,
    servers: EVERYONE,
    repeats: 2,
    lasts: 45,
    limit: 110,
    main: 'rate',
    figures: {
      rate: { label: 'updates/s held', unit: '', isMore: true },
      cpuPerUpdate: { label: 'CPU per update there', unit: 'µs', isContext: true },
      share: { label: 'of a core', unit: '%', isContext: true },
      p99: { label: 'p99 there', unit: 'ms', isContext: true },
      generator: { label: 'generator, of a core', unit: '%', isContext: true },
    },
    measure,
  },
];
