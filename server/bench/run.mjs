/**
 * `npm run bench`: Cowrite beside a bare `ws` broadcast, the y-websocket server and
 * Hocuspocus, under the same loads in one run.
 *
 * The server has one core and the load another, where the machine has two and
 * `taskset`. Servers take turns, and every figure is the median of the repeats with
 * its range. Cowrite writes durably in all of them; the others keep documents in
 * memory.
 */
import { readArguments } from './arguments.mjs';
import { coresFor, demand, PRICED, reckoned } from './capacity.mjs';
import { check } from './check.mjs';
import { documentOf } from './documents.mjs';
import { installPeers, maxFiles } from './machine.mjs';
import { digits } from './numbers.mjs';
import { printed } from './print.mjs';
import { quick } from './quick.mjs';
import { merge, readResults, render } from './results.mjs';
import { SCENARIOS } from './scenarios/index.mjs';
import { bounded } from './scope.mjs';
import { OURS } from './servers.mjs';

const options = readArguments();
const files = maxFiles();

installPeers();
process.exit(await main());

/** @returns exit code */
async function main() {
  const exact = SCENARIOS.filter(({ id }) => id === options.only);
  const named = SCENARIOS.filter(({ id, title }) => `${id} ${title}`.includes(options.only ?? ''));
  const chosen = exact.length > 0 ? exact : named;
  if (options.list) return list(chosen);
  if (options.render) {
    await render(options.folder);
    return 0;
  }
  if (options.capacity !== undefined) return await capacity(options.capacity);
  if (options.quick) return quick({ ...options, files });
  if (options.check || options.only === undefined) {
    if (!(await check(options))) return 1;
    if (options.check) return 0;
  }
  if (chosen.length === 0) {
    process.stderr.write(`Nothing is called "${options.only}"; --list says what there is.\n`);
    return 1;
  }
  process.stdout.write(`This takes about ${Math.ceil(estimate(chosen) / 60)} minutes.\n`);
  for (const scenario of chosen) {
    const start = performance.now();
    const runs = await measure(scenario);
    process.stdout.write(printed(scenario, runs));
    process.stdout.write(`  (${Math.round((performance.now() - start) / 1000)} s)\n`);
    if (options.folder !== undefined) merge(options.folder, scenario, runs, options);
  }
  if (options.folder !== undefined) await render(options.folder);
  return 0;
}

async function measure(scenario) {
  const names = serversOf(scenario);
  const runs = Object.fromEntries(names.map((name) => [name, []]));
  // Building them is no part of anybody's time.
  for (const megabytes of scenario.documents ?? []) documentOf(megabytes);
  for (let repeat = 0; repeat < (options.repeats ?? scenario.repeats); repeat++) {
    for (const name of names) {
      // Who did not come to an end once does not get another minute.
      if (runs[name].some(({ failed, skipped }) => failed ?? skipped)) continue;
      runs[name].push(
        await bounded(scenario.limit, (scope) =>
          scenario.measure(scope, { name, seconds: options.seconds, files }),
        ),
      );
    }
  }
  return runs;
}

function serversOf({ servers }) {
  return servers.filter((name) => options.servers?.includes(name) ?? true);
}

/** Seconds. */
function estimate(scenarios) {
  let sum = 0;
  for (const scenario of scenarios) {
    const { lasts, repeats } = scenario;
    for (const name of serversOf(scenario)) {
      sum += (options.repeats ?? repeats) * (typeof lasts === 'number' ? lasts : lasts[name]);
    }
  }
  return sum;
}

/** @param words such as `rooms=1000 people=3 writers=1 keys=2` */
async function capacity(words) {
  const load = Object.fromEntries(
    words.split(/\s+/).map((word) => {
      const [name, value] = word.split('=');
      return [name, Number(value)];
    }),
  );
  const known = await reckoned(readResults(options.folder), SCENARIOS, OURS);
  if (known === undefined || !(load.rooms > 0 && load.people > 0)) {
    process.stderr.write(
      'There are no prices, or no rooms and people: measure "capacity" first.\n',
    );
    return 1;
  }
  for (const [name, amount] of Object.entries(demand(load))) {
    const cores = amount * known.prices[name];
    process.stdout.write(
      `${digits(amount).padStart(12)}  ${digits(cores)} cores  ${PRICED[name]}\n`,
    );
  }
  process.stdout.write(`${digits(coresFor(load, known.prices)).padStart(12)}  cores in all\n`);
  return 0;
}

function list(scenarios) {
  for (const scenario of scenarios) {
    process.stdout.write(
      `${scenario.id.padEnd(28)} ${String(Math.round(estimate([scenario]))).padStart(4)} s  ${scenario.title}\n`,
    );
  }
  process.stdout.write(
    `${scenarios.length} scenarios, ${Math.ceil(estimate(scenarios) / 60)} minutes\n`,
  );
  return 0;
}
