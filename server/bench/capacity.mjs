/**
 * What a load costs: a linear model of one instance's CPU, its constants found by
 * least squares from what `scenarios/capacity.mjs` measured. SCALING.md says what
 * follows from it.
 */
import { medianOf } from './targets.mjs';

/** As in server/src/fanout.ts: rooms up to this size are flushed at once, larger ones gather. */
const SMALL_ROOM = 8;
const GATHER_PER_PERSON = 0.00055;
const LONGEST_GATHER = 0.05;
/** From about so many keystrokes and cursors a second on a server is never at rest; its commits are 40 then. */
const BUSY = 40;

/** What is done in a second, and what the model knows the price of. */
export const PRICED = {
  typed: 'a keystroke that comes in: read, looked at, put into the log',
  moved: 'a cursor that comes in',
  frame: 'a frame that goes out to one person',
  awake: 'a second in which it is not at rest: commits, timers, what the garbage collector does',
};

/**
 * @param load `rooms` of `people`, of whom `writers` type `keys` times a second and
 *   `movers` move `moves` times a second
 * @returns how much of each of {@link PRICED} there is in a second
 */
export function demand({ rooms, people, writers = 0, keys = 0, movers = 0, moves = 0 }) {
  const typing = writers * keys;
  const moving = movers * moves;
  const events = typing + moving;
  const gather = people <= SMALL_ROOM ? 0 : Math.min(LONGEST_GATHER, people * GATHER_PER_PERSON);
  // What comes while a room gathers waits for its end; what comes later leaves at once.
  const perRoom = events === 0 ? 0 : 1 / (gather + Math.exp(-events * gather) / events);
  const together = events / (perRoom || 1);
  const has = (share) => 1 - (1 - share) ** together;
  const isAlone = gather === 0;
  const updates = isAlone ? typing * (people - 1) : perRoom * people * has(typing / events);
  const states = isAlone ? moving * people : perRoom * people * has(moving / events);
  const typed = rooms * typing;
  const moved = rooms * moving;
  return {
    typed,
    moved,
    frame: events === 0 ? 0 : rooms * (updates + states),
    awake: 1 - Math.exp(-(typed + moved) / BUSY),
  };
}

/** @returns seconds of CPU a second, which is cores */
export function coresFor(load, prices) {
  const amounts = demand(load);
  return Object.keys(PRICED).reduce((sum, name) => sum + amounts[name] * prices[name], 0);
}

/**
 * The prices that fit best, none below zero: what comes out below is left out, and
 * the rest is fitted again. Each row counts by its share of error, not by its size.
 *
 * @param rows loads and the cores that they took
 * @returns seconds of CPU by name
 */
export async function fitted(rows) {
  const { Matrix, solve } = await import('ml-matrix');
  let names = Object.keys(PRICED);
  for (;;) {
    const amounts = rows.map(({ load, cores }) => names.map((name) => demand(load)[name] / cores));
    const found = solve(new Matrix(amounts), Matrix.columnVector(rows.map(() => 1)), true)
      .to1DArray()
      .map((price, i) => [names[i], price]);
    const fit = found.filter(([, price]) => price > 0);
    if (fit.length === found.length) {
      return Object.fromEntries(
        Object.keys(PRICED).map((name) => [name, Object.fromEntries(found)[name] ?? 0]),
      );
    }
    names = fit.map(([name]) => name);
  }
}

/**
 * @param results as they are kept in results.json
 * @param scenarios those of `capacity/` give the prices, but for its checks; these and
 *   whatever else has a load and a target are held against them
 * @returns undefined when nothing of it has been measured
 */
export async function reckoned(results, scenarios, name) {
  const rows = scenarios
    .filter(({ id, load }) => load !== undefined && results[id] !== undefined)
    .filter(({ id, targets = [] }) => id.startsWith('capacity/') || targets.length > 0)
    .map(({ id, title, load, isCheck }) => {
      const cores = medianOf(results[id].runs, name, 'share') / 100;
      return { title, load, isCheck: isCheck ?? true, cores };
    });
  const known = rows.filter(({ isCheck }) => !isCheck);
  if (known.length === 0) return undefined;
  const prices = await fitted(known);
  return {
    prices,
    rows: rows.map((row) => ({ ...row, predicted: coresFor(row.load, prices) })),
  };
}
