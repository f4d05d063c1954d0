/** What `/metrics` says at one look, and what has happened since an earlier one. */
export type Sample = ReadonlyMap<string, number>;

export interface Look {
  /** Milliseconds on a steady clock. */
  readonly at: number;
  readonly sample: Sample;
}

/** The text format of Prometheus: a name with its labels, and a value, a line. */
export function parse(text: string): Sample {
  const sample = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    if (space > 0) sample.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return sample;
}

/** The sum over all labels that match; undefined for a figure that this server does not have. */
export function sum({ sample }: Look, name: string, ...labels: string[]): number | undefined {
  let total: number | undefined;
  for (const [key, value] of sample) {
    if (key !== name && !key.startsWith(`${name}{`)) continue;
    if (labels.every((label) => key.includes(label))) total = (total ?? 0) + value;
  }
  return total;
}

/** How much a counter has grown. A server that was started again counts from nothing. */
export function growth(
  now: Look,
  before: Look | undefined,
  name: string,
  ...labels: string[]
): number | undefined {
  const value = sum(now, name, ...labels);
  const last = before && sum(before, name, ...labels);
  if (value === undefined || last === undefined) return undefined;
  return value < last ? value : value - last;
}

export function rate(
  now: Look,
  before: Look | undefined,
  name: string,
  ...labels: string[]
): number | undefined {
  const grown = growth(now, before, name, ...labels);
  if (grown === undefined || before === undefined) return undefined;
  return grown / ((now.at - before.at) / 1_000);
}

/** The mean of a histogram since the last look, in milliseconds; null where nothing was counted. */
export function mean(now: Look, before: Look | undefined, name: string): number | null | undefined {
  const counted = growth(now, before, `${name}_count`);
  const took = growth(now, before, `${name}_sum`);
  if (counted === undefined || took === undefined) return undefined;
  return counted === 0 ? null : (took / counted) * 1_000;
}

/** The mean of all that a histogram has counted, in milliseconds; null for nothing. */
export function total(now: Look, name: string): number | null | undefined {
  const counted = sum(now, `${name}_count`);
  const took = sum(now, `${name}_sum`);
  if (counted === undefined || took === undefined) return undefined;
  return counted === 0 ? null : (took / counted) * 1_000;
}
