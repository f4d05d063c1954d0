/**
 * Statements with their values written into them.
 *
 * A server in transaction mode (PgBouncer and its like) may give each transaction to another
 * connection. So nothing is prepared under a name, and nothing is set for a session: a
 * transaction goes to the server as one text, with its settings, in one round trip. That is what
 * the simple protocol is for, and it has no parameters.
 *
 * Invariant: no value ends the literal that it stands in, whatever the server's settings are.
 */

export type Value = string | number | boolean | null | Uint8Array;

/** @param sql with `$1` for the first of the values, and so on */
export function statement(sql: string, values: readonly Value[] = []): string {
  if (values.length === 0) return sql;
  return sql.replaceAll(/\$(\d+)/g, (_, place: string) => literal(values[Number(place) - 1]!));
}

/** `E` says what a backslash means; without it `standard_conforming_strings` would. */
function literal(value: Value): string {
  if (value === null) return 'NULL';
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new RangeError(`no whole number: ${value}`);
    return value < 0 ? `(${value})` : String(value);
  }
  if (typeof value !== 'string') return `decode('${base64Of(value)}', 'base64')`;
  return `E'${toText(value).replaceAll(/['\\]/g, (sign) => (sign === "'" ? "''" : '\\\\'))}'`;
}

/** Half as much work for the server as hex, which it reads sign by sign. Nothing in it ends a literal. */
function base64Of({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** Text in Postgres holds no NUL. Halves of surrogate pairs become U+FFFD on their way into bytes. */
export function toText(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}

/** An array as Postgres writes it. */
export function textArray(texts: readonly string[]): string {
  const quoted = texts.map((text) => `"${toText(text).replaceAll(/["\\]/g, '\\$&')}"`);
  return `{${quoted.join(',')}}`;
}

export function intArray(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`;
}
