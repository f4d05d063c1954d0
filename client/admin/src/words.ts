/** Numbers and times as people say them. */
const UNITS = ['B', 'KB', 'MB', 'GB'];

export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

export function lasting(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3_600)} h`;
}

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

export function timeOf(moment: Date): string {
  return clock.format(moment);
}

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });
const minute = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });

/** The time, and the day where that is another one. */
export function momentOf(moment: Date, now = new Date()): string {
  const time = minute.format(moment);
  return day.format(moment) === day.format(now) ? time : `${day.format(moment)}, ${time}`;
}

/** In the middle of a long text: many names begin alike, and differ at their ends. */
export function halves(text: string, tail: number): readonly [start: string, end: string] {
  const characters = [...text];
  if (characters.length < 2 * tail) return [text, ''];
  return [characters.slice(0, -tail).join(''), characters.slice(-tail).join('')];
}

const TIMES: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function ago(then: Date, now: number): string {
  const passed = now - then.getTime();
  const [unit, length] = TIMES.find(([, each]) => passed >= each) ?? TIMES.at(-1)!;
  return relative.format(-Math.round(passed / length), unit);
}
