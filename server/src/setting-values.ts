/**
 * Values as they stand in an environment, before anybody knows what they mean: with what a tool or a
 * file leaves around them, and with what no number has.
 *
 * Pure. Invariant: nothing here shows a value.
 */

/** Signed with by others, too, who may have taken white space for a part of it, or not. */
const EXACT: ReadonlySet<string> = new Set(['AUTH_SECRET']);

/** @returns without the white space around it, which is a part of none; undefined where nothing is left */
export function withoutSpace(name: string, value: string): string | undefined {
  const inner = EXACT.has(name) && value !== '' ? value : value.trim();
  return inner === '' ? undefined : inner;
}

/** Why a value cannot be meant, whichever setting it is of: one line. */
export function valueProblem(name: string, value: string): string | undefined {
  if (/^(["']).*\1$/s.test(value.trim())) {
    return `${name} stands in quotes, and they would be a part of it (docker run --env-file keeps them): leave them out`;
  }
  if (EXACT.has(name) && value !== value.trim()) {
    return `${name} begins or ends with a space or a line break, which others who use it may not have: leave it out`;
  }
  return undefined;
}

const UNITS: readonly (readonly [end: string, unit: string])[] = [
  ['_BYTES', 'bytes'],
  ['_MS', 'milliseconds'],
  ['_SECONDS', 'seconds'],
  ['_TOLERANCE', 'seconds'],
  ['_MB', 'MB'],
];

/** What there is to be said of `5MB` where a number is expected; empty for anything else. */
export function unitHint(name: string, value: string): string {
  if (!/^\d[\d.,_ ]*[a-z]+$/i.test(value)) return '';
  const unit = UNITS.find(([end]) => name.endsWith(end))?.[1];
  return unit === undefined ? '' : ` (it is in ${unit}, and the unit is left out)`;
}

export const HOST_FORM =
  'an address or a name, without a scheme and a port, such as 127.0.0.1, or 0.0.0.0 for all of this machine';

/** `[::1]` is written as `::1`. @returns undefined for what is no host */
export function hostOf(text: string): string | undefined {
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  // More than one colon: an address of IPv6, perhaps with a zone.
  return /^[\w.-]+$/.test(host) || /^[\da-f.]*:[\da-f.]*:[\da-f:.]*(%\w+)?$/i.test(host)
    ? host
    : undefined;
}
