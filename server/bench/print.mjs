/** A scenario's figures as lines of text. */
import { digits, spread } from './numbers.mjs';
import { LABELS, OURS } from './servers.mjs';
import { judged, timesBare, valuesOf } from './targets.mjs';

export function printed(scenario, runs) {
  const lines = ['', `${scenario.id}: ${scenario.title}`];
  for (const name of Object.keys(runs)) {
    const reasons = reasonsOf(runs[name]);
    const parts = [];
    for (const [figure, { label, unit }] of Object.entries(scenario.figures)) {
      const values = valuesOf(runs, name, figure);
      if (values.length === 0) continue;
      const ratio = figure === scenario.main ? timesBare(runs, name, figure) : undefined;
      const times = ratio === undefined ? '' : `, ${digits(ratio)} x ws`;
      parts.push(`${label} ${spread(values)}${unit && ` ${unit}`}${times}`);
    }
    lines.push(`  ${LABELS[name].padEnd(12)} ${[...parts, ...reasons].join('; ')}`);
  }
  if (runs[OURS] !== undefined) {
    for (const { aim, reached, isMet } of judged(scenario, runs)) {
      lines.push(`  ${isMet ? 'met' : 'NOT MET'}: ${aim}; reached ${reached}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Why there are fewer figures than there might be. */
export function reasonsOf(runs) {
  const words = runs.flatMap(({ failed, skipped, note }) => [failed, skipped, note]);
  return [...new Set(words.filter(Boolean))];
}
