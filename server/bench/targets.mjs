/** Whether what was measured is what was aimed at, and where another server is better. */
import { digits, median } from './numbers.mjs';
import { BARE, LABELS, OURS, PEERS } from './servers.mjs';

/** Less is noise. */
const NOTICEABLE = 1.02;

/** @returns the values of one figure of one server; empty when it has none */
export function valuesOf(runs, name, figure) {
  return (runs[name] ?? []).map((run) => run[figure]).filter((value) => Number.isFinite(value));
}

export function medianOf(runs, name, figure) {
  const values = valuesOf(runs, name, figure);
  return values.length === 0 ? undefined : median(values);
}

/** @returns how many times what the bare broadcast costs */
export function timesBare(runs, name, figure) {
  const floor = medianOf(runs, BARE, figure);
  const value = medianOf(runs, name, figure);
  return floor > 0 && value !== undefined ? value / floor : undefined;
}

/** @returns for each target what it is, what was reached, and whether that will do */
export function judged({ targets = [], figures }, runs) {
  return targets.map((target) => {
    const { figure, timesBare: times, atMost, atLeast } = target;
    const { label, unit } = figures[figure];
    const ratio = timesBare(runs, OURS, figure);
    const value = medianOf(runs, OURS, figure);
    const reached = times === undefined ? value : ratio;
    const bound = times ?? atMost ?? atLeast;
    const sign = atLeast === undefined ? '≤' : '≥';
    const suffix = times === undefined ? ` ${unit}` : ' x ws';
    return {
      figure,
      label,
      aim: `${label} ${sign} ${digits(bound)}${suffix}`,
      reached: reached === undefined ? '–' : `${digits(reached)}${suffix}`,
      isMet:
        reached === undefined
          ? undefined
          : atLeast === undefined
            ? reached <= bound
            : reached >= bound,
    };
  });
}

/** @returns each figure at which a peer did better, in words */
export function worseThanPeers({ figures }, runs) {
  const found = [];
  for (const [figure, { label, unit, isContext, isMore }] of Object.entries(figures)) {
    const ours = medianOf(runs, OURS, figure);
    if (isContext || ours === undefined) continue;
    for (const peer of PEERS) {
      const theirs = medianOf(runs, peer, figure);
      if (theirs === undefined) continue;
      const [less, more] = isMore ? [ours, theirs] : [theirs, ours];
      if (more > less * NOTICEABLE) {
        found.push(
          `${label}: ${digits(ours)} ${unit}, ${LABELS[peer]} ${digits(theirs)} ${unit}`.trim(),
        );
      }
    }
  }
  return found;
}
