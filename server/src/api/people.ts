/** Who is in a room, as JSON. */
import type { AwarenessEntry } from '../awareness.js';
import type { Clock } from '../clock.js';
import type { PresentPerson as PersonThere, Presence } from '../presence/presence.js';
import type { Room } from '../room.js';
import { Session } from '../session.js';
import { within } from '../within.js';
import { ApiError } from './errors.js';
import type { PresentPerson, ShownPerson } from './shapes.js';

/** Milliseconds that the presence store has to say since when people at other instances are there. */
const SINCE_MS = 1_000;
/** People, and bytes of their states, in one answer. */
const MAX_PEOPLE = 1_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** @returns as many as fit into an answer */
export function peopleOf(entries: readonly AwarenessEntry[]): ShownPerson[] {
  const people: ShownPerson[] = [];
  let bytes = 0;
  for (const { client, state } of entries.slice(0, MAX_PEOPLE)) {
    bytes += state.length;
    if (bytes > MAX_BYTES) break;
    people.push({ client, state: stateOf(state) });
  }
  return people;
}

/** Whoever took the state over has made sure that it is JSON; another instance's presence store only says so. */
export function stateOf(state: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(state).toString());
  } catch {
    return null;
  }
}

export interface PresentOptions {
  /** Undefined where it is not open here. */
  readonly room: Room | undefined;
  /** Whom other instances hold; undefined for one that is alone. */
  readonly presence: Presence | undefined;
  /** Whether anybody is asked who they are: then a state says it as the server has found it. */
  readonly areUsersKnown: boolean;
  readonly clock: Clock;
}

/**
 * Everybody in a room, on all instances, and the connections to this one that show nobody.
 *
 * @returns as many as fit into an answer, and how many there are
 * @throws {ApiError} where only the presence store knows, and does not answer
 */
export async function presentIn(
  name: string,
  { room, presence, areUsersKnown, clock }: PresentOptions,
): Promise<{ people: PresentPerson[]; total: number }> {
  const there = await listed(name, room, presence, clock);
  const since = new Map(there.map((person) => [person.client, person.since]));
  const entries = room?.awareness.present() ?? there;
  const people = peopleOf(entries).map(({ client, state }): PresentPerson => {
    const holder = room?.awareness.ownerOf(client);
    const session = holder instanceof Session ? holder : undefined;
    const known = areUsersKnown ? userIn(state) : undefined;
    return {
      client,
      state,
      user: session?.user?.id ?? known ?? null,
      since: dateOf(session?.since ?? since.get(client)),
      connection: session?.id ?? null,
    };
  });
  const silent = [...(room?.sessions ?? [])].filter(
    (member) => member instanceof Session && room!.awareness.heldBy(member).size === 0,
  ) as Session[];
  for (const session of silent.slice(0, MAX_PEOPLE - people.length)) {
    const { user, since, id } = session;
    people.push({
      client: null,
      state: null,
      user: user?.id ?? null,
      since: dateOf(since),
      connection: id,
    });
  }
  return { people, total: entries.length + silent.length };
}

/** Of a room that is open here only since when they are there is missing without the presence store. */
async function listed(
  name: string,
  room: Room | undefined,
  presence: Presence | undefined,
  clock: Clock,
): Promise<readonly PersonThere[]> {
  if (presence === undefined) return [];
  const asked = presence.list(name);
  if (room !== undefined)
    return (
      (await within(
        SINCE_MS,
        clock,
        asked.catch(() => []),
      )) ?? []
    );
  try {
    return await asked;
  } catch (cause) {
    const problem = 'who is at other servers is not known: Redis does not answer';
    throw new ApiError('unavailable', problem, {}, { cause });
  }
}

function dateOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** The server has bound it into the state. */
function userIn(state: unknown): string | undefined {
  const { user } = (state ?? {}) as { user?: { id?: unknown } | null };
  return typeof user?.id === 'string' ? user.id : undefined;
}
