/**
 * Attacks a running server in all the ways that are known, and measures meanwhile what
 * people in other rooms notice. Usage: `npm run attack [-- "part of an id or title"]`.
 *
 * With `--facts` delays are printed and not judged: for a machine that does other things as well.
 * With `--third` a third of them takes place, another one each day: where there is little time.
 */
import { parseArgs } from 'node:util';
import { Arena } from './arena.mjs';
import { ATTACKS } from './attacks/index.mjs';
import { printHead, printRow, printSum } from './table.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    facts: { type: 'boolean', default: false },
    third: { type: 'boolean', default: false },
  },
});
const TRIES = values.facts ? 1 : 3;
const only = positionals[0]?.toLowerCase();
const PARTS = 3;
const today = Math.floor(Date.now() / 86_400_000) % PARTS;
const chosen = ATTACKS.filter(
  ({ id, title }) => only === undefined || `${id} ${title}`.toLowerCase().includes(only),
).filter((_, at) => !values.third || at % PARTS === today);
if (values.third) {
  process.stdout.write(
    `${chosen.length} of ${ATTACKS.length} attacks: it is the turn of third ${today + 1}\n`,
  );
}
if (chosen.length === 0) {
  process.stdout.write(`no attack has ${only} in its id or title\n`);
  process.exit(1);
}

const started = performance.now();
const arena = new Arena(values.facts ? 'facts' : 'judged');
printHead();
let failed = 0;
for (const attack of chosen) {
  let result;
  for (let n = 1; n <= TRIES; n++) {
    result = { ...(await arena.attempt(attack)), tries: n };
    // Only a delay may be the machine's; what is wrong is wrong the first time.
    if (result.isQuick || result.isHopeless || result.problems.length > 0) break;
  }
  const isPassed = (values.facts || result.isQuick) && result.problems.length === 0;
  if (!isPassed) failed++;
  printRow(attack, result, isPassed);
}
const { problems, words } = await arena.close();
if (problems.length > 0) failed++;
printSum({ words, problems, failed, seconds: (performance.now() - started) / 1000 });
process.exit(failed > 0 ? 1 : 0);
