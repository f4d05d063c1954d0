/**
 * The server's figures over the last minutes, from what `/metrics` says at each look. A
 * figure that this server does not have is not shown.
 */
import { lasting } from './words.js';

export interface Figure {
  readonly label: string;
  readonly hint: string;
  /** Of more than the figure itself says. */
  readonly note: string | undefined;
  /** Oldest first; as many as there were looks. Null where there was nothing to measure. */
  readonly points: readonly (number | null)[];
  readonly shown: string;
  /** Whether somebody should look. */
  readonly isBad: boolean;
}

type Sample = ReadonlyMap<string, number>;

interface Kind {
  readonly label: string;
  readonly hint: string;
  readonly show: (value: number) => string;
  readonly isBad?: (value: number, now: Look) => boolean;
  readonly note?: (now: Look) => string | undefined;
  /** @returns undefined where it is not known, such as a rate at the first look; null where nothing was measured since */
  readonly read: (now: Look, before: Look | undefined) => number | null | undefined;
}

interface Look {
  readonly at: number;
  readonly sample: Sample;
}

const MAX_LOOKS = 120;
/** Seconds that an edit may wait for the store. */
export const LATE_S = 5;

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

function milliseconds(value: number): string {
  if (value >= 1_000) return `${short.format(value / 1_000)} s`;
  return `${value < 1 ? value.toFixed(1) : Math.round(value)} ms`;
}

const perSecond = (value: number): string => `${short.format(value)}/s`;

/** The sum over all labels that match. */
function sum({ sample }: Look, name: string, ...labels: string[]): number | undefined {
  let total: number | undefined;
  for (const [key, value] of sample) {
    if (key !== name && !key.startsWith(`${name}{`)) continue;
    if (labels.every((label) => key.includes(label))) total = (total ?? 0) + value;
  }
  return total;
}

function rate(
  now: Look,
  before: Look | undefined,
  name: string,
  ...labels: string[]
): number | undefined {
  const value = sum(now, name, ...labels);
  const last = before && sum(before, name, ...labels);
  if (value === undefined || last === undefined || before === undefined) return undefined;
  // A server that began anew counts from nothing.
  return Math.max(0, value - last) / ((now.at - before.at) / 1_000);
}

/** The mean of a histogram since the last look; null where nothing was counted. */
function mean(now: Look, before: Look | undefined, name: string): number | null | undefined {
  const counted = rate(now, before, `${name}_count`);
  const took = rate(now, before, `${name}_sum`);
  if (counted === undefined || took === undefined) return undefined;
  return counted === 0 ? null : (took / counted) * 1_000;
}

const oldestOf = (now: Look): number => sum(now, 'cowrite_unsaved_oldest_seconds') ?? 0;

const KINDS: readonly Kind[] = [
  {
    label: 'Connections',
    hint: 'Open WebSockets at this server',
    show: whole.format,
    read: (now) => sum(now, 'cowrite_connections'),
  },
  {
    label: 'Open rooms',
    hint: 'Rooms in this server’s memory',
    show: whole.format,
    read: (now) => sum(now, 'cowrite_rooms'),
  },
  {
    label: 'Edits in',
    hint: 'Updates received from clients',
    show: perSecond,
    read: (now, before) =>
      rate(now, before, 'cowrite_messages_total', 'direction="received"', 'kind="update"'),
  },
  {
    label: 'Time to disk',
    hint: 'From an edit’s admission to its being saved, on average since the last look',
    show: milliseconds,
    isBad: (value) => value > 1_000,
    read: (now, before) => mean(now, before, 'cowrite_append_seconds'),
  },
  {
    label: 'Delivery lag',
    hint: 'From an edit’s arrival to its last write to a socket, on average since the last look',
    show: milliseconds,
    isBad: (value) => value > 250,
    read: (now, before) => mean(now, before, 'cowrite_delivery_lag_seconds'),
  },
  {
    label: 'Loop lag',
    hint: 'How late the event loop is, on average',
    show: milliseconds,
    isBad: (value) => value > 200,
    read: (now, before) => mean(now, before, 'cowrite_loop_delay_seconds'),
  },
  {
    label: 'Slow readers',
    hint: 'Sockets that are behind now',
    show: whole.format,
    isBad: (value) => value > 0,
    read: (now) => sum(now, 'cowrite_slow_readers'),
  },
  {
    label: 'Set aside',
    hint: 'Entries of the log that could not be used, and were put into quarantine, since the server began',
    show: whole.format,
    isBad: (value) => value > 0,
    read: (now) => sum(now, 'cowrite_quarantined_entries_total'),
  },
  {
    label: 'Unsaved',
    hint: 'Edits that are not on disk yet',
    show: whole.format,
    isBad: (value, now) => value > 10_000 || oldestOf(now) > LATE_S,
    note: (now) => (oldestOf(now) > LATE_S ? `oldest ${lasting(oldestOf(now))}` : undefined),
    read: (now) => sum(now, 'cowrite_unsaved_updates'),
  },
  {
    label: 'Limits reached',
    hint: 'How often a client came to a bound',
    show: perSecond,
    read: (now, before) => rate(now, before, 'cowrite_limits_reached_total'),
  },
];

export class Figures {
  readonly #points = new Map<Kind, (number | null)[]>();
  #last: Look | undefined;

  /** @param at milliseconds */
  look(text: string, at: number): void {
    const now = { at, sample: parse(text) };
    for (const kind of KINDS) {
      const value = kind.read(now, this.#last);
      if (value === undefined) continue;
      const points = [...(this.#points.get(kind) ?? []), value];
      this.#points.set(kind, points.slice(-MAX_LOOKS));
    }
    this.#last = now;
  }

  get all(): Figure[] {
    const now = this.#last;
    if (now === undefined) return [];
    return KINDS.flatMap((kind) => {
      const points = this.#points.get(kind);
      const value = points?.at(-1);
      if (points === undefined || value === undefined) return [];
      const { label, hint, show, isBad, note } = kind;
      const shown = value === null ? '–' : show(value);
      const isProblem = value !== null && isBad?.(value, now) === true;
      return [{ label, hint, note: note?.(now), points, shown, isBad: isProblem }];
    });
  }

  /** Seconds that the oldest edit waits for the store. */
  /** Rooms whose documents are too large to merge. */
  get tooLarge(): number {
    return this.#last === undefined ? 0 : (sum(this.#last, 'cowrite_too_large_rooms') ?? 0);
  }

  get oldestUnsaved(): number {
    return this.#last === undefined ? 0 : oldestOf(this.#last);
  }
}

/** The text format of Prometheus: a name with its labels, and a value, a line. */
function parse(text: string): Sample {
  const sample = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    if (space > 0) sample.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return sample;
}
