/** Which instances are there, as they note it in the Postgres that they share. */
import type { Row } from './postgres-connection.js';
import type { Heartbeat } from './storage.js';

export const INSTANCES = `
  CREATE TABLE cowrite.instances (
    name text PRIMARY KEY,
    beats bigint NOT NULL,
    is_relayed boolean NOT NULL,
    until timestamptz NOT NULL
  ) WITH (fillfactor = 50);
`;

/**
 * Parameters: the instance, its count, whether it is relayed, and for how many milliseconds that
 * counts. Rows are those of the others. Rows that another transaction removes as well are left to it.
 */
export const HEARTBEAT = `
  WITH gone AS (
    DELETE FROM cowrite.instances WHERE name IN (
      SELECT name FROM cowrite.instances WHERE until < now() AND name <> $1 FOR UPDATE SKIP LOCKED
    )
  ), own AS (
    INSERT INTO cowrite.instances (name, beats, is_relayed, until)
    VALUES ($1, $2, $3, now() + $4 * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET beats = excluded.beats, is_relayed = excluded.is_relayed,
      until = excluded.until
  )
  SELECT name, beats, is_relayed FROM cowrite.instances WHERE name <> $1 AND until >= now()
`;

export function toHeartbeat({ name, beats, is_relayed }: Row): Heartbeat {
  return { instance: name, count: beats, isRelayed: is_relayed };
}
