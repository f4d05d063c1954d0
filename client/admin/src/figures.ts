/**
 * The server's figures over the last minutes, from what `/metrics` says at each look. A
 * figure that this server does not have is not shown; one of which nothing was measured since the
 * last look keeps its last value, and says when that was.
 */
import {
  APPEND_MS,
  DELIVERY_MS,
  LATE_S,
  type Level,
  LIMITS_A_SECOND,
  LOOP_MS,
  levelOf,
  REFUSED_A_SECOND,
  SHARE,
  SLOW,
} from './levels.js';
import { type Look, mean, parse, rate, sum, total } from './samples.js';
import { lasting, size } from './words.js';

export interface Figure {
  readonly label: string;
  readonly hint: string;
  /** Of more than the figure itself says. */
  readonly note: string | undefined;
  /** Oldest first; as many as there were looks. Null where there was nothing to measure. */
  readonly points: readonly (number | null)[];
  readonly shown: string;
  /** When it was measured, where that was not at the last look. */
  readonly of: Date | undefined;
  readonly level: Level;
}

interface Kind {
  readonly label: string;
  readonly hint: string;
  readonly show: (value: number) => string;
  readonly level?: (value: number, now: Look) => Level;
  readonly note?: (value: number, now: Look) => string | undefined;
  /** @returns undefined where it is not known, such as a rate at the first look; null where nothing was measured since */
  readonly read: (now: Look, before: Look | undefined) => number | null | undefined;
  /** Of all since the server was started, for as long as nothing was measured since this page was opened. */
  readonly total?: (now: Look) => number | null | undefined;
}

interface Measured {
  readonly value: number;
  readonly at: Date;
  readonly level: Level;
  readonly note: string | undefined;
}

const MAX_LOOKS = 120;

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat('en', { style: 'percent' });

function milliseconds(value: number): string {
  if (value >= 1_000) return `${short.format(value / 1_000)} s`;
  return `${value < 1 ? value.toFixed(1) : Math.round(value)} ms`;
}

const perSecond = (value: number): string => `${short.format(value)}/s`;

const oldestOf = (now: Look): number => sum(now, 'cowrite_unsaved_oldest_seconds') ?? 0;

/** What part of a limit it is; 0 where the limit is not known. */
const partOf = (value: number, limit: number | undefined): number =>
  limit === undefined || limit === 0 ? 0 : value / limit;

const nearLimit = (part: number, limit: string): string | undefined =>
  part > SHARE.near ? `${percent.format(part)} of ${limit}` : undefined;

const connectionsLimit = (now: Look) => sum(now, 'cowrite_connections_limit');
const memoryLimit = (now: Look) => sum(now, 'cowrite_memory_limit_bytes');
const unsavedPart = (now: Look): number =>
  partOf(sum(now, 'cowrite_unsaved_bytes') ?? 0, sum(now, 'cowrite_unsaved_bytes_limit'));

const KINDS: readonly Kind[] = [
  {
    label: 'Connections',
    hint: 'Open WebSockets at this server',
    show: whole.format,
    level: (value, now) => levelOf(partOf(value, connectionsLimit(now)), SHARE),
    note: (value, now) => {
      const limit = connectionsLimit(now);
      return nearLimit(partOf(value, limit), whole.format(limit ?? 0));
    },
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
    level: (value) => levelOf(value, APPEND_MS),
    read: (now, before) => mean(now, before, 'cowrite_append_seconds'),
    total: (now) => total(now, 'cowrite_append_seconds'),
  },
  {
    label: 'Delivery lag',
    hint: 'From an edit’s arrival to its last write to a socket, on average since the last look',
    show: milliseconds,
    level: (value) => levelOf(value, DELIVERY_MS),
    read: (now, before) => mean(now, before, 'cowrite_delivery_lag_seconds'),
    total: (now) => total(now, 'cowrite_delivery_lag_seconds'),
  },
  {
    label: 'Loop lag',
    hint: 'How late the event loop is, on average',
    show: milliseconds,
    level: (value) => levelOf(value, LOOP_MS),
    read: (now, before) => mean(now, before, 'cowrite_loop_delay_seconds'),
  },
  {
    label: 'Memory',
    hint: 'What this server’s process takes, and may take',
    show: size,
    level: (value, now) => levelOf(partOf(value, memoryLimit(now)), SHARE),
    note: (value, now) => {
      const limit = memoryLimit(now);
      return nearLimit(partOf(value, limit), size(limit ?? 0));
    },
    read: (now) => sum(now, 'process_resident_memory_bytes'),
  },
  {
    label: 'Unsaved',
    hint: 'Edits that are not on disk yet',
    show: whole.format,
    level: (_, now) => (oldestOf(now) > LATE_S ? 'bad' : levelOf(unsavedPart(now), SHARE)),
    note: (_, now) =>
      oldestOf(now) > LATE_S
        ? `oldest ${lasting(oldestOf(now))}`
        : nearLimit(unsavedPart(now), 'the memory for them'),
    read: (now) => sum(now, 'cowrite_unsaved_updates'),
  },
  {
    label: 'Slow clients',
    hint: 'Clients that do not keep up with what is sent to them now',
    show: whole.format,
    level: (value, now) => {
      if (value === 0) return 'fine';
      const most = SLOW.part * (sum(now, 'cowrite_connections') ?? 0);
      return value > SLOW.atLeast && value > most ? 'bad' : 'near';
    },
    read: (now) => sum(now, 'cowrite_slow_readers'),
  },
  {
    label: 'Refused',
    hint: 'Connections that were not let in',
    show: perSecond,
    level: (value) => (value > REFUSED_A_SECOND ? 'near' : 'fine'),
    read: (now, before) => rate(now, before, 'cowrite_upgrades_refused_total'),
  },
  {
    label: 'Limits reached',
    hint: 'How often a client came to a bound',
    show: perSecond,
    level: (value) => (value > LIMITS_A_SECOND ? 'near' : 'fine'),
    read: (now, before) => rate(now, before, 'cowrite_limits_reached_total'),
  },
  {
    label: 'Quarantined',
    hint: 'Entries of the log that could not be used, and are kept apart, since the server was started',
    show: whole.format,
    level: (value) => (value > 0 ? 'bad' : 'fine'),
    read: (now) => sum(now, 'cowrite_quarantined_entries_total'),
  },
];

export class Figures {
  readonly #points = new Map<Kind, (number | null)[]>();
  readonly #measured = new Map<Kind, Measured>();
  #last: Look | undefined;
  #lastDate: Date | undefined;

  /** @param at milliseconds on a steady clock @param date the same moment, for people */
  look(text: string, at: number, date: Date): void {
    const now = { at, sample: parse(text) };
    for (const kind of KINDS) {
      const value = kind.read(now, this.#last);
      if (value === undefined) continue;
      const points = [...(this.#points.get(kind) ?? []), value];
      this.#points.set(kind, points.slice(-MAX_LOOKS));
      if (value === null) continue;
      const level = kind.level?.(value, now) ?? 'fine';
      this.#measured.set(kind, { value, at: date, level, note: kind.note?.(value, now) });
    }
    this.#last = now;
    this.#lastDate = date;
  }

  get all(): Figure[] {
    return KINDS.flatMap((kind) => {
      const points = this.#points.get(kind);
      if (points === undefined) return [];
      const { label, hint, show } = kind;
      const last = this.#measured.get(kind);
      if (last === undefined) {
        const total = (this.#last && kind.total?.(this.#last)) ?? null;
        const note = total === null ? 'nothing yet' : 'since its start';
        const shown = total === null ? '–' : show(total);
        return [{ label, hint, note, points, shown, of: undefined, level: 'fine' as const }];
      }
      const of = last.at === this.#lastDate ? undefined : last.at;
      // What was bad a while ago is no reason to look now.
      const level = of === undefined ? last.level : 'fine';
      return [{ label, hint, note: last.note, points, shown: show(last.value), of, level }];
    });
  }

  /** The newest look. */
  get last(): Look | undefined {
    return this.#last;
  }

  /** Rooms whose documents are too large to merge. */
  get tooLarge(): number {
    return this.#last === undefined ? 0 : (sum(this.#last, 'cowrite_too_large_rooms') ?? 0);
  }

  /** Seconds that the oldest edit waits for the store. */
  get oldestUnsaved(): number {
    return this.#last === undefined ? 0 : oldestOf(this.#last);
  }
}
