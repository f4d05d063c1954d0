/**
 * Lists rooms: in pages by name, or those at the top of another order.
 *
 * A store lists by the beginning of names alone. Everything else is found by looking at name after
 * name, at most {@link MAX_LOOKED} of them for one request, however large the store is: the answer
 * says where the next request goes on. Rooms that are open here are all in memory.
 */
import type { Room } from '../room.js';
import type { Rooms } from '../rooms.js';
import { byBytes } from '../storage/listing.js';
import { MAX_LISTED, type RoomSummary, type Storage } from '../storage/storage.js';
import { Bystander } from './bystander.js';
import type { ListedRoom, OpenHere, Page } from './shapes.js';

/** Names that one request looks at. */
const MAX_LOOKED = 10_000;

/** What rooms are sorted by: by name ascending, by anything else from the largest down. */
export const SORTS = ['name', 'people', 'sockets', 'updates', 'snapshot'] as const;
export type Sort = (typeof SORTS)[number];

export interface Listing {
  readonly prefix: string;
  /** Text anywhere in a name, in capitals or not; empty for every name. */
  readonly contains: string;
  readonly after: string | undefined;
  readonly limit: number;
  /** Only those that this instance has in memory. */
  readonly isOpen: boolean;
  readonly deleted: 'false' | 'true' | 'only';
  readonly sort: Sort;
}

/** A page with how many names were looked at. `next` is null where there are no more. */
export async function listRooms(listing: Listing, rooms: Rooms, storage: Storage): Promise<Page> {
  const { sort, limit } = listing;
  const isIn = filterOf(listing);
  if (listing.isOpen) {
    const all = [...rooms.live()].filter(({ name }) => isIn(name)).map(openRoom);
    const sorted = all.sort(comparing(sort));
    const page = sorted.slice(0, limit);
    const next = sort === 'name' && page.length < all.length ? page.at(-1)!.room : null;
    return { rooms: page, next, looked: all.length };
  }
  const found: ListedRoom[] = [];
  let { after } = listing;
  let looked = 0;
  for (;;) {
    const count = Math.min(MAX_LISTED, MAX_LOOKED - looked, stepOf(listing));
    const page = await storage.rooms({
      prefix: listing.prefix,
      limit: count,
      withDeleted: listing.deleted !== 'false',
      ...(after !== undefined && { after }),
    });
    const isEnd = page.length < count;
    for (const [i, summary] of page.entries()) {
      looked++;
      after = summary.name;
      if (!isIn(after) || (listing.deleted === 'only' && !summary.isDeleted)) continue;
      found.push(storedRoom(summary, rooms));
      // In another order the largest may still come.
      if (sort === 'name' && found.length === limit) {
        return { rooms: found, next: isEnd && i === page.length - 1 ? null : after, looked };
      }
    }
    if (!isEnd && looked < MAX_LOOKED) continue;
    const sorted = sort === 'name' ? found : found.sort(comparing(sort)).slice(0, limit);
    return { rooms: sorted, next: isEnd ? null : after!, looked };
  }
}

/** Where every name is in the answer no more are asked for than it holds. */
function stepOf({ sort, contains, deleted, limit }: Listing): number {
  return sort === 'name' && contains === '' && deleted !== 'only' ? limit : MAX_LISTED;
}

function filterOf({ prefix, contains, after, isOpen }: Listing): (name: string) => boolean {
  const text = folded(contains);
  return (name) =>
    (text === '' || folded(name).includes(text)) &&
    // The store has looked at these itself.
    (!isOpen || (name.startsWith(prefix) && (after === undefined || byBytes(name, after) > 0)));
}

function folded(text: string): string {
  return text.normalize('NFC').toLowerCase();
}

function comparing(sort: Sort): (one: ListedRoom, two: ListedRoom) => number {
  const figure = FIGURES[sort];
  return (one, two) => figure(two) - figure(one) || byBytes(one.room, two.room);
}

const FIGURES: Readonly<Record<Sort, (room: ListedRoom) => number>> = {
  name: () => 0,
  people: ({ people }) => people,
  sockets: ({ sessions }) => sessions,
  updates: ({ seq, isDeleted }) => (isDeleted ? 0 : seq),
  snapshot: ({ snapshotBytes }) => snapshotBytes,
};

function openRoom(room: Room): ListedRoom {
  const { name, head, snapshotBytes } = room;
  return { room: name, seq: head, snapshotBytes, isDeleted: false, ...openHere(room) };
}

function storedRoom(summary: RoomSummary, rooms: Rooms): ListedRoom {
  const { name, lastSeq: seq, snapshotBytes, isDeleted } = summary;
  return { room: name, seq, snapshotBytes, isDeleted, ...openHere(rooms.at(name)) };
}

/** Beside those who are in it by a socket there may be some who watch, or write through this API. */
export function openHere(room: Room | undefined): OpenHere {
  if (room === undefined) return { isOpen: false, sessions: 0, people: 0 };
  const sessions = [...room.sessions].filter((member) => !(member instanceof Bystander)).length;
  return { isOpen: true, sessions, people: room.awareness.size };
}
