/** The highest rate of updates at which nearly everything still arrives soon. */
import { measureFlow } from '../flow.mjs';
import { EVERYONE } from '../servers.mjs';

const ROOMS = 100;
const PEOPLE = 5;
const P99_MS = 100;
const FIRST = 1_000;
/** Half a core: what scales evenly is doubled below it, and climbed in small steps above. */
const HALF = 50;
const SMALL_STEP = 1.15;
/** Percent of a core from which on somebody has no more to give. */
const FULL = 95;
/** Of what was to be typed; with less, the load is late by itself. */
const TYPED = 0.98;
const TRIES = 2;

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
      warmUp: 2,
      load,
      main: 'cpuPerUpdate',
    });
    const isTyped = seen.typed > TYPED * rate;
    return { ...seen, rate, isTyped, isHeld: isTyped && seen.p99 < P99_MS && seen.lost === 0 };
  };
  let best = { rate: 0 };
  let rate = FIRST;
  let seen;
  // One that stumbles once, as a neighbour on the machine may make it, is asked again.
  for (let tries = 0; tries < TRIES; ) {
    seen = await hold(rate);
    if (!seen.isHeld) {
      tries++;
      continue;
    }
    tries = 0;
    best = seen;
    rate = Math.round(rate * (seen.share < HALF ? 2 : SMALL_STEP));
  }
  if (best.rate === 0) throw new Error(`does not hold ${FIRST} updates/s`);
  return {
    rate: best.rate,
    cpuPerUpdate: best.cpuPerUpdate,
    share: best.share,
    p99: best.p99,
    generator: best.generator,
    // Delays of a load that is late are not the server's, unless it is full as well.
    note:
      (seen.isTyped && seen.generator < FULL) || seen.share > FULL
        ? undefined
        : 'at least: the generator had no more to give',
  };
}

export default [
  {
    id: 'saturation/100x5',
    title: `${ROOMS} rooms x ${PEOPLE} people: highest rate with p99 under ${P99_MS} ms and nothing lost`,
    servers: EVERYONE,
    repeats: 2,
    lasts: 65,
    limit: 240,
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
