/** RESULTS.md as text: notes.md, and what can be said of the figures without anybody's help. */
import { existsSync, readFileSync } from 'node:fs';
import { PRICED } from './capacity.mjs';
import { digits, spread } from './numbers.mjs';
import { reasonsOf } from './print.mjs';
import { GROUPS, SCENARIOS } from './scenarios/index.mjs';
import { BARE, EVERYONE, LABELS, OURS } from './servers.mjs';
import { judged, timesBare, valuesOf, worseThanPeers } from './targets.mjs';

const NOTES = new URL('notes.md', import.meta.url);
const MARK = '<!-- figures -->';

/**
 * @param charts file and title of each that was drawn, by group
 * @param capacity prices, and what they predict; undefined for none
 */
export function report(results, charts, capacity) {
  const notes = existsSync(NOTES) ? readFileSync(NOTES, 'utf8') : `# Results\n\n${MARK}\n`;
  const [before, after = ''] = notes.split(MARK);
  const known = SCENARIOS.filter(({ id }) => results[id] !== undefined);
  const figures = [
    '<!-- From here on written by `npm run bench`; prose belongs into notes.md. -->',
    ...circumstances(known, results),
    ...overview(known, results),
    ...pictures(charts.overview),
    ...worse(known, results),
    ...Object.entries(GROUPS).flatMap(([group, title]) =>
      table(
        title,
        known.filter(({ id }) => id.startsWith(`${group}/`)),
        results,
        charts[group],
      ),
    ),
    ...prices(capacity),
  ];
  return `${before.trimEnd()}\n\n${figures.join('\n')}\n${after.trim() === '' ? '' : `\n${after.trim()}\n`}`;
}

function circumstances(known, results) {
  const rows = new Map();
  for (const { id } of known) {
    const { date, commit, versions, machine } = results[id];
    const what =
      `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel}; ` +
      `Node ${versions.node}; Cowrite ${versions.cowrite} (${commit}), ws ${versions.ws}, ` +
      `y-websocket ${versions['y-websocket']}, Hocuspocus ${versions.hocuspocus}; ${date}`;
    rows.set(what, [...(rows.get(what) ?? []), id]);
  }
  const lines = ['## Measured on'];
  for (const [what, ids] of rows) {
    lines.push(`- ${what}${rows.size === 1 ? '' : `: ${ids.join(', ')}`}`);
  }
  return [...lines, ''];
}

/** Everything with a target. */
function overview(known, results) {
  const lines = [
    '## Targets',
    `Medians; in brackets times ${LABELS[BARE]}.`,
    '',
    `| | ${EVERYONE.map((name) => LABELS[name]).join(' | ')} | target | reached | |`,
    `|---|${EVERYONE.map(() => '---:').join('|')}|---|---|---|`,
  ];
  for (const scenario of known) {
    const { runs } = results[scenario.id];
    for (const { figure, label, aim, reached, isMet } of judged(scenario, runs)) {
      const cells = EVERYONE.map((name) => medianCell(scenario, runs, name, figure));
      const reasons = reasonsOf(runs[OURS] ?? []).join('; ');
      const verdict =
        isMet === undefined
          ? 'not measured'
          : isMet
            ? 'met'
            : `**not met**${reasons && `: ${reasons}`}`;
      lines.push(
        `| ${scenario.title}: ${label} | ${cells.join(' | ')} | ${aim.replace(`${label} `, '')} | ${reached} | ${verdict} |`,
      );
    }
  }
  return [...lines, ''];
}

function medianCell(scenario, runs, name, figure) {
  const values = valuesOf(runs, name, figure);
  if (values.length === 0) return reasonsOf(runs[name] ?? []).join('; ') || '–';
  const middle = spread(values).split(' ')[0];
  const ratio = name === BARE ? undefined : timesBare(runs, name, figure);
  const { unit } = scenario.figures[figure];
  return `${middle} ${unit}${ratio === undefined ? '' : ` (${ratio.toFixed(2)})`}`;
}

function pictures(charts = []) {
  return charts.flatMap(({ file, title }) => [`![${title}](charts/${file})`, '']);
}

function worse(known, results) {
  const lines = known.flatMap((scenario) =>
    worseThanPeers(scenario, results[scenario.id].runs).map(
      (words) => `- ${scenario.title}: ${words}`,
    ),
  );
  return [
    '## Worse than a peer',
    ...(lines.length === 0
      ? ['Nothing that was measured.']
      : ['Every figure at which y-websocket or Hocuspocus does better than Cowrite:', ...lines]),
    '',
  ];
}

function prices(capacity) {
  if (capacity === undefined) return [];
  const lines = [
    'What the loads above come to, by least squares ([capacity.mjs](capacity.mjs)):',
    '',
    '| | µs of CPU |',
    '|---|---:|',
  ];
  for (const [name, words] of Object.entries(PRICED)) {
    lines.push(`| ${words} | ${digits(capacity.prices[name] * 1e6)} |`);
  }
  lines.push('', '| | measured, of a core | the model says | off by |', '|---|---:|---:|---:|');
  for (const { title, isCheck, cores, predicted } of capacity.rows) {
    const cells = [percent(cores), percent(predicted), percent(predicted / cores - 1)];
    lines.push(`| ${title}${isCheck ? ': **not fitted to**' : ''} | ${cells.join(' | ')} |`);
  }
  return [...lines, ''];
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** @returns a table for each row of scenarios that have the same figures */
function table(title, scenarios, results, charts) {
  if (scenarios.length === 0 && charts === undefined) return [];
  const lines = [`## ${title}`, ...pictures(charts)];
  let last;
  for (const scenario of scenarios) {
    const { runs } = results[scenario.id];
    const columns = Object.entries(scenario.figures).filter(([figure]) =>
      Object.keys(runs).some((name) => valuesOf(runs, name, figure).length > 0),
    );
    const head = columns.map(([, { label, unit }]) => (unit ? `${label}, ${unit}` : label));
    if (head.join() !== last) {
      if (last !== undefined) lines.push('');
      lines.push(`| | | ${head.join(' | ')} |`, `|---|---|${head.map(() => '---:').join('|')}|`);
      last = head.join();
    }
    for (const [index, name] of Object.keys(runs).entries()) {
      const cells = columns.map(([figure]) => {
        const values = valuesOf(runs, name, figure);
        return values.length === 0 ? '–' : spread(values).replace(' (one run)', '');
      });
      const reasons = reasonsOf(runs[name]).join('; ');
      const server = `${LABELS[name]}${reasons && `: ${reasons}`}`;
      const count = runs[name].length;
      const first = index > 0 ? '' : `${scenario.title}${count < 2 ? ' (one run)' : ''}`;
      lines.push(
        `| ${first} | ${name === OURS ? `**${server}**` : server} | ${cells.join(' | ')} |`,
      );
    }
    if (scenario.notes !== undefined)
      lines.push(`| | ${scenario.notes} |${' |'.repeat(head.length)}`);
  }
  return [...lines, ''];
}
