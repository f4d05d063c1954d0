/** The table, a row as soon as it is known. */
const COLUMNS = [
  ['attack', 52],
  ['what happened', 46],
  ['quiet', 7],
  ['attack', 7],
  ['after', 7],
  ['ratio', 6],
  ['RSS', 5],
];

const line = (cells) =>
  cells
    .map((cell, n) => {
      const width = COLUMNS[n]?.[1] ?? 0;
      return n < 2 ? String(cell).padEnd(width) : String(cell).padStart(width);
    })
    .join('  ');

export function printHead() {
  process.stdout.write('p99 of delivery in other rooms, in ms; RSS: the peak, in MB\n');
  process.stdout.write(`${line([...COLUMNS.map(([name]) => name), ' verdict'])}\n`);
}

export function printRow({ title }, result, isPassed) {
  const { tally, notes, quiet, attack, aftermath, ratio, peak, tries, problems } = result;
  const outcomes = Object.entries(tally).map(([outcome, times]) => `${times} x ${outcome}`);
  const ms = (value) => value?.toFixed(2) ?? '–';
  const verdict = `${isPassed ? ' ok' : ' FAILED'}${tries > 1 ? `, try ${tries}` : ''}`;
  const what = [...outcomes, ...notes].join(', ');
  const figures = [ms(quiet), ms(attack), ms(aftermath), ratio?.toFixed(1) ?? '–', peak ?? '–'];
  process.stdout.write(`${line([title, what, ...figures, verdict])}\n`);
  for (const problem of problems) process.stdout.write(`    ${problem}\n`);
}

export function printSum({ words, problems, failed, seconds }) {
  process.stdout.write(`${words}\n`);
  for (const problem of problems) process.stdout.write(`    ${problem}\n`);
  const verdict = failed === 0 ? 'all passed' : `${failed} FAILED`;
  process.stdout.write(`${verdict}, in ${Math.round(seconds)} s\n`);
}
