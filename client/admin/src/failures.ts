/** What has failed in the last minutes, as far as this page has seen it. */
import { SHARE } from './levels.js';
import { growth, type Look, sum } from './samples.js';
import type { Warning } from './warnings.js';
import { count, lasting } from './words.js';

/** How far back it looks. */
const WINDOW_MS = 15 * 60_000;

interface Failure {
  readonly name: string;
  readonly labels?: readonly string[];
  readonly isGrave: boolean;
  readonly text: string;
  /** What happened so many times. */
  readonly one: string;
  readonly many?: string;
  /** The recipe in the handbook, `docs/operations/README.md`. */
  readonly recipe: string;
}

const COMMITS: Failure = {
  name: 'cowrite_commit_failures_total',
  isGrave: false,
  text: 'The store did not take some writes; they were tried again',
  one: 'failure',
  recipe: 'CowriteStoreFailing',
};

export const FAILURES: readonly Failure[] = [
  {
    name: 'cowrite_closes_total',
    labels: ['code="1011"'],
    isGrave: true,
    text: 'Documents could not be opened, or the server failed: its log says why',
    one: 'connection was closed',
    many: 'connections were closed',
    recipe: 'CowriteRoomsFail',
  },
  COMMITS,
  {
    name: 'cowrite_compaction_failures_total',
    isGrave: false,
    text: 'Logs could not be merged into snapshots; the rooms go on with their logs',
    one: 'failure',
    recipe: 'CowriteCompactionsFail',
  },
  {
    name: 'cowrite_evictions_total',
    isGrave: false,
    text: 'Clients did not keep up with what was sent to them, and were closed',
    one: 'client',
    recipe: 'CowriteSlowReaders',
  },
];

export class Failures {
  /** What happened of each at which look. */
  readonly #events = new Map<Failure, { readonly at: number; readonly times: number }[]>();
  #first: number | undefined;
  #last: Look | undefined;

  look(now: Look): void {
    this.#first ??= now.at;
    for (const failure of FAILURES) {
      const times = growth(now, this.#last, failure.name, ...(failure.labels ?? [])) ?? 0;
      const recent = this.#events.get(failure)?.filter(({ at }) => now.at - at <= WINDOW_MS) ?? [];
      this.#events.set(failure, times > 0 ? [...recent, { at: now.at, times }] : recent);
    }
    this.#last = now;
  }

  /** @param isStoreWell otherwise what the store does not take is told already, as something that goes on */
  warnings(isStoreWell: boolean): Warning[] {
    const now = this.#last;
    if (now === undefined) return [];
    const passed = Math.min(WINDOW_MS, now.at - (this.#first ?? now.at));
    const warnings = FAILURES.flatMap((failure) => {
      const total = (this.#events.get(failure) ?? []).reduce((sum, { times }) => sum + times, 0);
      if (total === 0 || (failure === COMMITS && !isStoreWell)) return [];
      const { text, one, many, isGrave, recipe } = failure;
      const more = `: ${count(total, one, many)} in the last ${lasting(passed / 1_000)}.`;
      return [{ text, more, isGrave, recipe }];
    });
    return [...warnings, ...filesOf(now)];
  }
}

function filesOf(now: Look): Warning[] {
  const open = sum(now, 'process_open_fds');
  const most = sum(now, 'process_max_fds');
  if (open === undefined || most === undefined || open <= SHARE.near * most) return [];
  const text = 'The process has nearly as many files and sockets open as it may have';
  const more = `: ${count(open, 'file')} of ${most.toLocaleString('en')}.`;
  return [{ text, more, isGrave: open > SHARE.bad * most }];
}
