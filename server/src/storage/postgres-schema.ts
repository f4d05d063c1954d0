/**
 * What the Postgres adapter keeps in the database, as a list of migrations, and how they are applied.
 *
 * Invariant: a migration that was released is never changed; what is different next is
 * the next one in the list. Everything lies in the schema `cowrite`, so that it can live
 * beside an app's own tables, and is named in full, whatever the search path.
 *
 *   rooms           name → how far the log goes, which part of it is a snapshot, where its
 *                   life begins, which document it is, and whether it is deleted
 *   updates         (room, seq) → one entry of the log
 *   snapshots       room → what describes its snapshot
 *   snapshot_parts  (snapshot, part) → its bytes, so that who reads a description reads none of them
 *   quarantine      (room, seq) → what was set aside
 *   instances       which instances are there (postgres-instances.ts)
 *   merges          room → what is remembered of merging it, as JSON
 *   writers         id of a storage object → its last batch and the seqs that it was given
 *
 * Every change of a room begins with the lock of its row in `rooms`, and of several
 * rooms in the order of their names' bytes: so changes of one room come one after the
 * other, become visible in the order of their seqs, and never deadlock.
 */

import type { Connection, Run } from './postgres-connection.js';
import { INSTANCES } from './postgres-instances.js';

/** Any number that nobody else in the database is likely to take a lock on. */
const LOCK = 0x636f7772;
/** How long a storage object that wrote nothing is remembered. */
export const WRITER_DAYS = 30;

const TABLES = `
  CREATE TABLE cowrite.rooms (
    name text COLLATE "C" PRIMARY KEY,
    last_seq bigint NOT NULL,
    snapshot_seq bigint NOT NULL
  ) WITH (fillfactor = 70);

  CREATE TABLE cowrite.updates (
    room text COLLATE "C",
    seq bigint,
    author text NOT NULL,
    update bytea NOT NULL,
    PRIMARY KEY (room, seq)
  );
  -- Compressing costs more than it saves for what the next compaction removes.
  ALTER TABLE cowrite.updates ALTER COLUMN update SET STORAGE EXTERNAL;

  CREATE TABLE cowrite.snapshots (
    room text COLLATE "C" PRIMARY KEY,
    id uuid NOT NULL,
    seq bigint NOT NULL,
    size bigint NOT NULL,
    state_vector bytea NOT NULL,
    deletes bytea NOT NULL
  );

  CREATE TABLE cowrite.snapshot_parts (
    snapshot uuid,
    part int,
    bytes bytea NOT NULL,
    PRIMARY KEY (snapshot, part)
  );

  CREATE TABLE cowrite.quarantine (
    room text COLLATE "C",
    seq bigint,
    reason text NOT NULL,
    author text NOT NULL,
    update bytea NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, seq)
  );

  CREATE TABLE cowrite.writers (
    id uuid PRIMARY KEY,
    batch bigint NOT NULL,
    seqs bigint[] NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 50);
`;

/** A commit that the server reports before it is on disk would be a broken promise. */
const DURABLY = `
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;`;

/**
 * Null when the writer is not known: nothing is written then. The lock of the writer's
 * row makes a second attempt wait for the end of a first that is still running; and as it is
 * written itself, the second waits for a synchronous standby as the first did.
 *
 * p_places, p_ends: for each entry the place of its room in p_rooms and where its bytes end in p_bytes.
 */
const APPEND = `
  CREATE FUNCTION cowrite.append(
    p_writer uuid, p_batch bigint, p_rooms text[], p_counts int[],
    p_places int[], p_ends int[], p_authors text[], p_bytes bytea
  ) RETURNS bigint[] LANGUAGE plpgsql AS $$
  DECLARE
    last_batch bigint;
    firsts bigint[];
  BEGIN
    SELECT batch, seqs INTO last_batch, firsts FROM cowrite.writers WHERE id = p_writer FOR UPDATE;
    IF NOT FOUND OR last_batch = p_batch THEN
      RETURN firsts;
    END IF;
    IF last_batch > p_batch THEN
      RAISE EXCEPTION 'batch % comes after batch %', p_batch, last_batch;
    END IF;
    ${DURABLY}

    WITH wanted AS (
      SELECT name, count, place
      FROM unnest(p_rooms, p_counts) WITH ORDINALITY AS w (name, count, place)
    ), taken AS (
      INSERT INTO cowrite.rooms AS r (name, last_seq, snapshot_seq)
      SELECT name, count, 0 FROM wanted ORDER BY name COLLATE "C"
      ON CONFLICT (name) DO UPDATE SET last_seq = r.last_seq + excluded.last_seq
      RETURNING r.name, r.last_seq
    )
    SELECT array_agg(last_seq - count + 1 ORDER BY place) INTO firsts
    FROM wanted JOIN taken USING (name);

    INSERT INTO cowrite.updates (room, seq, author, update)
    SELECT r.name, r.first + row_number() OVER (PARTITION BY e.place ORDER BY e.number) - 1,
      e.author, substring(p_bytes FROM e.start + 1 FOR e.finish - e.start)
    FROM (
      SELECT place, author, number, finish, lag(finish, 1, 0) OVER (ORDER BY number) AS start
      FROM unnest(p_places, p_authors, p_ends) WITH ORDINALITY AS u (place, author, finish, number)
    ) AS e
    JOIN unnest(p_rooms, firsts) WITH ORDINALITY AS r (name, first, place) ON r.place = e.place;

    UPDATE cowrite.writers SET batch = p_batch, seqs = firsts, seen_at = now() WHERE id = p_writer;
    RETURN firsts;
  END $$;
`;

/** Of a snapshot whose parts the same transaction has written. False changes nothing else. */
const COMPACT = `
  CREATE FUNCTION cowrite.compact(
    p_room text, p_base bigint, p_snapshot uuid, p_seq bigint, p_size bigint,
    p_state_vector bytea, p_deletes bytea
  ) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    ${DURABLY}
    IF p_base = 0 THEN
      INSERT INTO cowrite.rooms (name, last_seq, snapshot_seq) VALUES (p_room, 0, 0)
      ON CONFLICT (name) DO NOTHING;
    END IF;
    UPDATE cowrite.rooms SET snapshot_seq = p_seq, last_seq = greatest(last_seq, p_seq)
    WHERE name = p_room AND snapshot_seq = p_base;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    DELETE FROM cowrite.snapshot_parts
    WHERE snapshot = (SELECT id FROM cowrite.snapshots WHERE room = p_room);
    INSERT INTO cowrite.snapshots (room, id, seq, size, state_vector, deletes)
    VALUES (p_room, p_snapshot, p_seq, p_size, p_state_vector, p_deletes)
    ON CONFLICT (room) DO UPDATE SET id = excluded.id, seq = excluded.seq, size = excluded.size,
      state_vector = excluded.state_vector, deletes = excluded.deletes;
    DELETE FROM cowrite.updates WHERE room = p_room AND seq <= p_seq;
    RETURN true;
  END $$;
`;

const REMOVE = `
  CREATE FUNCTION cowrite.remove(p_room text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    ${DURABLY}
    DELETE FROM cowrite.rooms WHERE name = p_room;
    DELETE FROM cowrite.snapshot_parts
    WHERE snapshot = (SELECT id FROM cowrite.snapshots WHERE room = p_room);
    DELETE FROM cowrite.snapshots WHERE room = p_room;
    DELETE FROM cowrite.updates WHERE room = p_room;
    DELETE FROM cowrite.quarantine WHERE room = p_room;
  END $$;
`;

/** A room that is deleted has an empty snapshot. Its life begins with the last removal or revival. */
const LIVES = `
  ALTER TABLE cowrite.rooms
    ADD COLUMN life bigint NOT NULL DEFAULT 0,
    ADD COLUMN is_deleted boolean NOT NULL DEFAULT false;
`;

/**
 * As before, but that a room which was removed since is passed over, and given 0. Its row is
 * locked all the same, so that a removal comes before or after.
 *
 * p_lives: for each of p_rooms. An instance of the version before says nothing of it.
 */
const APPEND_TO_LIVES = `
  DROP FUNCTION cowrite.append(uuid, bigint, text[], int[], int[], int[], text[], bytea);
  CREATE FUNCTION cowrite.append(
    p_writer uuid, p_batch bigint, p_rooms text[], p_counts int[],
    p_places int[], p_ends int[], p_authors text[], p_bytes bytea, p_lives bigint[] DEFAULT '{}'
  ) RETURNS bigint[] LANGUAGE plpgsql AS $$
  DECLARE
    last_batch bigint;
    firsts bigint[];
  BEGIN
    SELECT batch, seqs INTO last_batch, firsts FROM cowrite.writers WHERE id = p_writer FOR UPDATE;
    IF NOT FOUND OR last_batch = p_batch THEN
      RETURN firsts;
    END IF;
    IF last_batch > p_batch THEN
      RAISE EXCEPTION 'batch % comes after batch %', p_batch, last_batch;
    END IF;
    ${DURABLY}

    WITH wanted AS (
      SELECT name, count, coalesce(life, 0) AS life, place
      FROM unnest(p_rooms, p_counts, p_lives) WITH ORDINALITY AS w (name, count, life, place)
    ), taken AS (
      INSERT INTO cowrite.rooms AS r (name, last_seq, snapshot_seq, life)
      SELECT name, count, 0, life FROM wanted ORDER BY name COLLATE "C"
      ON CONFLICT (name) DO UPDATE SET last_seq = r.last_seq + excluded.last_seq
      WHERE NOT r.is_deleted AND r.life <= excluded.life
      RETURNING r.name, r.last_seq
    )
    SELECT array_agg(coalesce(last_seq - count + 1, 0) ORDER BY place) INTO firsts
    FROM wanted LEFT JOIN taken USING (name);

    INSERT INTO cowrite.updates (room, seq, author, update)
    SELECT r.name, r.first + row_number() OVER (PARTITION BY e.place ORDER BY e.number) - 1,
      e.author, substring(p_bytes FROM e.start + 1 FOR e.finish - e.start)
    FROM (
      SELECT place, author, number, finish, lag(finish, 1, 0) OVER (ORDER BY number) AS start
      FROM unnest(p_places, p_authors, p_ends) WITH ORDINALITY AS u (place, author, finish, number)
    ) AS e
    JOIN unnest(p_rooms, firsts) WITH ORDINALITY AS r (name, first, place) ON r.place = e.place
    WHERE r.first > 0;

    UPDATE cowrite.writers SET batch = p_batch, seqs = firsts, seen_at = now() WHERE id = p_writer;
    RETURN firsts;
  END $$;
`;

/** Nothing is in the room from now on, in another life. False where that would change nothing. */
const RENEW = `
  DROP FUNCTION cowrite.remove(text);
  CREATE FUNCTION cowrite.renew(
    p_room text, p_is_removed boolean, p_snapshot uuid, p_update bytea,
    p_state_vector bytea, p_deletes bytea
  ) RETURNS boolean LANGUAGE plpgsql AS $$
  DECLARE
    new_life bigint;
  BEGIN
    ${DURABLY}
    IF p_is_removed THEN
      INSERT INTO cowrite.rooms (name, last_seq, snapshot_seq) VALUES (p_room, 0, 0)
      ON CONFLICT (name) DO NOTHING;
    END IF;
    UPDATE cowrite.rooms SET last_seq = last_seq + 1, snapshot_seq = last_seq + 1,
      life = last_seq + 1, is_deleted = p_is_removed
    WHERE name = p_room AND is_deleted <> p_is_removed
    RETURNING life INTO new_life;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    DELETE FROM cowrite.snapshot_parts
    WHERE snapshot = (SELECT id FROM cowrite.snapshots WHERE room = p_room);
    DELETE FROM cowrite.snapshots WHERE room = p_room;
    DELETE FROM cowrite.updates WHERE room = p_room;
    DELETE FROM cowrite.quarantine WHERE room = p_room;
    INSERT INTO cowrite.snapshots (room, id, seq, size, state_vector, deletes)
    VALUES (p_room, p_snapshot, new_life, length(p_update), p_state_vector, p_deletes);
    INSERT INTO cowrite.snapshot_parts (snapshot, part, bytes) VALUES (p_snapshot, 0, p_update);
    RETURN true;
  END $$;
`;

/** An instance of the version before says nothing of it. */
const TIMES = `
  ALTER TABLE cowrite.snapshots ADD COLUMN written_at timestamptz;
  ALTER TABLE cowrite.snapshots ALTER COLUMN written_at SET DEFAULT now();
`;

/** As before, with the time. */
const COMPACT_AT = COMPACT.replace('CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION').replace(
  'deletes = excluded.deletes;',
  'deletes = excluded.deletes, written_at = now();',
);

/**
 * The first statement of every transaction. A pooler may have another server behind it since the
 * last one, and a server may have been demoted. What is set holds until the transaction ends.
 *
 * p_started: as `postgres-primary.ts` asks for it.
 */
const BEGIN = `
  CREATE FUNCTION cowrite.begin(p_started text, p_deadline_ms int) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    -- Also a transaction whose caller is gone must end: it may hold locks.
    PERFORM set_config('statement_timeout', p_deadline_ms::text, true),
      set_config('idle_in_transaction_session_timeout', p_deadline_ms::text, true),
      -- As it is read here, whatever the database has it set to.
      set_config('bytea_output', 'hex', true);
    IF pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN
      RAISE EXCEPTION 'this server takes no writes any more' USING ERRCODE = 'CW001';
    END IF;
    IF extract(epoch FROM pg_postmaster_start_time())::text <> p_started THEN
      RAISE EXCEPTION 'another server answers than before' USING ERRCODE = 'CW002';
    END IF;
  END $$;
`;
/** What is remembered of merging a room; gone with what was in the room. */
const MERGES = `
  CREATE TABLE cowrite.merges (room text COLLATE "C" PRIMARY KEY, note text NOT NULL);
`;
const RENEW_WITH_MERGES = RENEW.replace('DROP FUNCTION cowrite.remove(text);', '')
  .replace('CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION')
  .replace(
    'DELETE FROM cowrite.quarantine WHERE room = p_room;',
    `DELETE FROM cowrite.quarantine WHERE room = p_room;
    DELETE FROM cowrite.merges WHERE room = p_room;`,
  );

/** Null where it is the life. */
const GENERATIONS = `
  ALTER TABLE cowrite.rooms ADD COLUMN generation bigint;
`;
const RENEW_WITH_GENERATION = RENEW_WITH_MERGES.replace(
  'is_deleted = p_is_removed\n',
  'is_deleted = p_is_removed, generation = NULL\n',
);

/** Each is a number of its own, which is given: generation.ts. */
const DRAWN_GENERATIONS = `
  UPDATE cowrite.rooms SET generation = life WHERE generation IS NULL;
  ALTER TABLE cowrite.rooms ALTER COLUMN generation SET DEFAULT 0;
  ALTER TABLE cowrite.rooms ALTER COLUMN generation SET NOT NULL;
  DROP FUNCTION cowrite.renew(text, boolean, uuid, bytea, bytea, bytea);
  ${RENEW_WITH_GENERATION}`
  .replace('CREATE OR REPLACE', 'CREATE')
  .replace('p_deletes bytea\n', 'p_deletes bytea, p_generation bigint\n')
  .replace('generation = NULL', 'generation = p_generation');

const MIGRATIONS: readonly string[] = [
  TABLES + APPEND + COMPACT + REMOVE,
  LIVES + APPEND_TO_LIVES + RENEW,
  TIMES + COMPACT_AT,
  INSTANCES,
  BEGIN,
  MERGES + RENEW_WITH_MERGES,
  GENERATIONS + RENEW_WITH_GENERATION,
  DRAWN_GENERATIONS,
];

/**
 * Brings the database up to date. Several may do so at once: they come one after the other.
 *
 * @throws when the database is not for us to use
 */
export async function migrate(connection: Connection): Promise<void> {
  const run: Run = (sql) => connection.run(sql);
  const [server] = await run(`SELECT current_setting('server_encoding') AS encoding`);
  if (server!.encoding !== 'UTF8') {
    throw new Error(`the database must have the encoding UTF8, not ${server!.encoding}`);
  }
  // An app's user need not own the database, as long as somebody has migrated it.
  if ((await version(run)) === MIGRATIONS.length) return;
  await connection.transaction(migrateIn);
}

async function migrateIn(run: Run): Promise<boolean> {
  // Until the transaction ends, however it does.
  await run(`SELECT pg_advisory_xact_lock(${LOCK})`);
  const [existing] = await run(`SELECT to_regnamespace('cowrite') IS NOT NULL AS found`);
  if (!existing!.found) await run('CREATE SCHEMA cowrite');
  await run(`CREATE TABLE IF NOT EXISTS cowrite.migrations (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`);
  const applied = await version(run);
  for (const [i, migration] of MIGRATIONS.entries()) {
    if (i < applied) continue;
    await run(migration);
    await run(`INSERT INTO cowrite.migrations (version) VALUES (${i + 1})`);
  }
  return true;
}

/** How many migrations the database has had. */
async function version(run: Run): Promise<number> {
  const [table] = await run(`SELECT to_regclass('cowrite.migrations') IS NOT NULL AS found`);
  if (!table!.found) return 0;
  const [newest] = await run('SELECT coalesce(max(version), 0) AS version FROM cowrite.migrations');
  if (newest!.version > MIGRATIONS.length) {
    throw new Error(
      `the database is of a newer Cowrite (version ${newest!.version} of its tables, ${MIGRATIONS.length} is the newest known here)`,
    );
  }
  return newest!.version as number;
}

/** What of the server's settings breaks the promise that what is saved survives a loss of power. */
export async function riskySettings(connection: Connection): Promise<readonly string[]> {
  const rows = await connection.one(
    `SELECT name FROM pg_settings
     WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name`,
  );
  return rows.map(({ name }) => name as string);
}
