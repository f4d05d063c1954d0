/** The HTTP API, route by route. */
import { Readable } from 'node:stream';
import { z } from '@hono/zod-openapi';
import { userId } from '../auth/user-id.js';
import { FORMS, KINDS } from '../compact/forms.js';
import type { LimitName } from '../limits.js';
import type { Ended, KickOptions } from '../orders.js';
import { MAX_LISTED } from '../storage/storage.js';
import type { Documents } from './documents.js';
import { ApiError, stored } from './errors.js';
import { SORTS } from './listing.js';
import { type Router, roomNamed } from './router.js';
import { beginning, client, count, described, flag, listed, person, seq } from './schemas.js';

export interface RoutesOptions {
  readonly documents: Documents;
  /** Milliseconds between two looks at each of those who watch. */
  readonly heartbeat: number;
  readonly maxWatchers: number;
  readonly onLimit: (limit: LimitName) => void;
  readonly orders: {
    kick(room: string, about: KickOptions): Ended;
    recheck(user: string): Ended;
    /** @throws whatever the store throws */
    remove(room: string): Promise<Ended>;
    /** @returns false for one that is not deleted @throws whatever the store throws */
    revive(room: string): Promise<boolean>;
    replaced(room: string): Ended;
  };
  /** Begins to let go of everybody, or has begun. @returns how many sessions are here */
  readonly drain: () => number;
}

const EVENTS = 'text/event-stream';
/** A close frame has room for no more. */
const MAX_REASON = 123;
const CONTENT_TYPES = {
  update: 'application/octet-stream',
  json: 'application/json',
  text: 'text/plain; charset=utf-8',
} as const;

const AS_JSON = `As JSON: \`{"<type>": …}\`, with all root types, or the one that \`type\` names. A type does not say of which kind it is, so that is guessed from what is in it, unless \`as\` says it: \`map\` and \`array\` are what they are called; a \`text\` is a string, without marks, and as \`delta\` Quill's; \`xml\`, what Tiptap and ProseMirror write, is \`{"type": "doc", "content": […]}\` as those two read it. One with nothing in it is \`null\`. Bytes are base64. As text: every text on a line of its own, of XML every element with text in it, without marks; root types by name, with an empty line between them.`;

export function addRoutes(router: Router, options: RoutesOptions): void {
  const { documents, heartbeat, maxWatchers, onLimit, orders, drain } = options;

  router.add({
    method: 'get',
    path: '/api/rooms',
    summary: 'Rooms',
    description:
      'By name (its bytes), in pages. With `open=true` only those that this server has in memory. A request looks at 10,000 names of the store at most: with `contains`, `sort` or `deleted=only` a page may hold few rooms or none, and still have a `next`. With a `sort` other than `name` a page is the top of those that were looked at.',
    query: z.object({
      prefix: beginning.default(''),
      after: beginning.optional(),
      limit: z.coerce.number().int().min(1).max(MAX_LISTED).default(100),
      contains: beginning.default('').openapi({
        description: 'text anywhere in a name, in capitals or not',
      }),
      sort: z.enum(SORTS).default('name').openapi({
        description: 'by `name` ascending, by anything else from the largest down',
      }),
      open: flag,
      deleted: z.enum(['true', 'false', 'only']).default('false').openapi({
        description: '`true`: also those that were deleted; `only`: no others',
      }),
    }),
    answers: {
      200: {
        says: 'A page; `next` is what `after` has to be for the next one, and null at the end.',
        schema: z.object({
          rooms: z.array(listed),
          next: z.string().nullable(),
          looked: count.openapi({ description: 'among how many names they were found' }),
        }),
      },
    },
    errors: ['unavailable'],
    handle: async ({ c, query: { open: isOpen, prefix, ...query } }) => {
      const listing = { ...query, prefix: prefix.normalize('NFC'), isOpen: isOpen === 'true' };
      return c.json(await stored(() => documents.list({ after: undefined, ...listing })));
    },
  });

  router.add({
    method: 'get',
    path: '/api/rooms/{room}',
    summary: 'What is known of a room',
    description: 'Read from the store, so the same on every server, but for what is open here.',
    answers: { 200: { says: 'The room.', schema: described } },
    errors: ['not-found', 'unavailable'],
    handle: async ({ c, room }) => c.json(await stored(() => documents.describe(room))),
  });

  router.addUpdate({
    method: 'post',
    path: '/api/rooms/{room}',
    summary: 'Make a room',
    description:
      'The body is a Yjs update that holds a whole document. A room in which something is, or which was deleted, stays as it is.',
    answers: { 201: { says: 'It is on disk.', schema: seq } },
    errors: [
      'exists',
      'deleted',
      'refused',
      'incomplete',
      'too-large',
      'document-too-large',
      'not-saved',
      'unavailable',
    ],
    handle: async ({ c, room, body }) => c.json({ seq: await documents.create(room, body) }, 201),
  });

  router.add({
    method: 'delete',
    path: '/api/rooms/{room}',
    summary: 'Delete a room for good',
    answers: {
      200: {
        says: 'It is gone. An instance that could not be told finds out by itself.',
        schema: z.object({ sessions: count, isEverywhere: z.boolean() }),
      },
    },
    errors: ['unavailable'],
    handle: async ({ c, room }) => c.json(await stored(() => orders.remove(room))),
  });

  router.add({
    method: 'post',
    path: '/api/rooms/{room}/revive',
    summary: 'Make a deleted name usable again',
    answers: { 200: { says: 'The room is empty.', schema: z.object({}) } },
    errors: ['not-found', 'unavailable'],
    handle: async ({ c, room }) => {
      if (await stored(() => orders.revive(room))) return c.json({});
      throw new ApiError('not-found', 'no deleted room has this name');
    },
  });

  router.add({
    method: 'get',
    path: '/api/rooms/{room}/document',
    summary: 'The document',
    description: `As the store has it. ${AS_JSON}`,
    query: z.object({
      form: z.enum(FORMS).default('update'),
      type: z.string().optional(),
      as: z.enum(KINDS).optional().openapi({ description: 'of which kind `type` is' }),
    }),
    answers: {
      200: {
        says: 'All of it, as one Yjs update unless told otherwise.',
        types: Object.values(CONTENT_TYPES),
      },
    },
    errors: ['not-found', 'deleted', 'over-budget', 'unavailable'],
    handle: async ({ c, room, query: { form, type, as } }) => {
      const isPart = type !== undefined;
      if ((form === 'update' && isPart) || (as !== undefined && !isPart)) {
        throw new ApiError('bad-request', '`type` is for JSON and text, `as` is for a `type`');
      }
      const bytes = await documents.read(room, form, type, as);
      return c.body(bytes as Uint8Array<ArrayBuffer>, 200, { 'Content-Type': CONTENT_TYPES[form] });
    },
  });

  router.addUpdate({
    method: 'put',
    path: '/api/rooms/{room}/document',
    summary: 'Replace the document',
    description:
      'The body is a Yjs update that holds a whole document. It takes the place of all that is in the room, in one step; who reads meanwhile has either. It is another document from then on (`generation`): everybody in the room is closed with 4404 and has to open it again, and clients of `cowrite.v1` mix nothing of the old one with it. Those of y-websocket cannot know, and bring the old one when they come back. To change a document while people write in it, write what is to be different (`POST /api/rooms/{room}/updates`).',
    answers: {
      200: {
        says: 'It is on disk. How many sessions were here, and whether the other servers were told; one that was not finds out by itself.',
        schema: z.object({
          seq: count,
          generation: count,
          sessions: count,
          isEverywhere: z.boolean(),
        }),
      },
    },
    errors: [
      'deleted',
      'refused',
      'incomplete',
      'too-large',
      'document-too-large',
      'over-budget',
      'unavailable',
    ],
    handle: async ({ c, room, body }) => {
      const { seq, generation } = await documents.replace(room, body);
      return c.json({ seq, generation, ...orders.replaced(room) });
    },
  });

  router.addUpdate({
    method: 'post',
    path: '/api/rooms/{room}/updates',
    summary: 'Write to a document',
    description:
      'The body is a Yjs update. What of it is new is admitted as from a session, and everybody in the room gets it.',
    answers: { 200: { says: 'It is on disk.', schema: seq } },
    errors: [
      'deleted',
      'refused',
      'incomplete',
      'too-large',
      'document-too-large',
      'not-saved',
      'unavailable',
    ],
    handle: async ({ c, room, body }) => c.json({ seq: await documents.append(room, body) }),
  });

  router.add({
    method: 'post',
    path: '/api/rooms/{room}/copy',
    summary: 'Copy a document to another name',
    description: 'As the store has it: not its log, nor what was set aside.',
    body: z.strictObject({ to: z.string() }),
    answers: { 201: { says: 'The copy is on disk.', schema: seq } },
    errors: [
      'not-found',
      'exists',
      'deleted',
      'document-too-large',
      'over-budget',
      'not-saved',
      'unavailable',
    ],
    handle: async ({ c, room, body }) =>
      c.json({ seq: await documents.copy(room, roomNamed(body.to)) }, 201),
  });

  router.add({
    method: 'post',
    path: '/api/rooms/{room}/compact',
    summary: 'Merge the log into the snapshot now',
    answers: {
      200: {
        says: 'Whether the snapshot holds all that was in the log; the server’s log says why not.',
        schema: z.object({ isCompacted: z.boolean() }),
      },
    },
    errors: ['not-found', 'deleted', 'unavailable'],
    handle: async ({ c, room }) => c.json({ isCompacted: await documents.compact(room) }),
  });

  router.add({
    method: 'get',
    path: '/api/rooms/{room}/presence',
    summary: 'Who is there, at all servers',
    description:
      'Those whom presence shows, and the connections to this server that show nobody. `user` is what a kick takes, `client` where nobody knows who it is.',
    answers: {
      200: {
        says: 'As many as fit, and how many there are.',
        schema: z.object({ people: z.array(person), total: count }),
      },
    },
    errors: ['unavailable'],
    handle: async ({ c, room }) => c.json(await documents.present(room)),
  });

  let watchers = 0;
  router.add({
    method: 'get',
    path: '/api/rooms/{room}/events',
    summary: 'What happens there, as server-sent events',
    description:
      '`presence` says who is there: first everybody, then who has changed, with `null` for who has left. `change` says how many bytes were written, and, up to 256 KB, the Yjs update in base64. `end` says why there will be no more. Whoever reads too slowly is told later what they missed, and dropped in the end.',
    answers: { 200: { says: 'Until somebody hangs up.', types: [EVENTS] } },
    errors: ['deleted', 'busy', 'unavailable'],
    needsNoPlace: true,
    handle: async ({ c, room }) => {
      const { outgoing } = c.env;
      if (c.req.method === 'HEAD') return c.body(null, 200, { 'Content-Type': EVENTS });
      if (watchers >= maxWatchers) {
        onLimit('watchers');
        throw new ApiError('busy', 'too many watch already');
      }
      watchers++;
      outgoing.once('close', () => {
        watchers--;
      });
      await documents.watch(room, outgoing, heartbeat);
      return alreadySent();
    },
  });

  router.add({
    method: 'post',
    path: '/api/rooms/{room}/kick',
    summary: 'End the sessions in a room, those of one user, or the one of a client',
    description:
      'By `client` the connection ends that holds this awareness client id, at whichever server; tabs that share it end with it.',
    body: z
      .strictObject({
        user: userId.optional(),
        client: client.optional(),
        reason: z
          .string()
          .refine(
            (text) => Buffer.byteLength(text) <= MAX_REASON,
            `has more than ${MAX_REASON} bytes`,
          )
          .optional(),
      })
      .refine(
        ({ user, client }) => user === undefined || client === undefined,
        'either a user or a client, not both',
      ),
    answers: { 200: { says: 'How many were here.', schema: z.object({ sessions: count }) } },
    errors: ['not-everywhere'],
    needsNoPlace: true,
    handle: ({ c, room, body }) => c.json(told(orders.kick(room, body))),
  });

  router.add({
    method: 'post',
    path: '/api/users/{id}/recheck',
    summary: 'Ask again what a user may do',
    answers: {
      200: { says: 'How many sessions were here.', schema: z.object({ sessions: count }) },
    },
    errors: ['not-everywhere'],
    needsNoPlace: true,
    handle: ({ c, id }) => c.json(told(orders.recheck(id))),
  });

  router.add({
    method: 'post',
    path: '/api/drain',
    summary: 'Lead everybody to the other servers, save, and end',
    description:
      'As SIGTERM does. It is about the server that is asked: through a load balancer that is any of them.',
    answers: {
      202: {
        says: 'It has begun: how many sessions are here.',
        schema: z.object({ sessions: count }),
      },
    },
    errors: [],
    needsNoPlace: true,
    handle: ({ c }) => {
      const sessions = drain();
      // The server ends, and waits for nothing that may come behind the answer.
      c.header('Connection', 'close');
      return c.json({ sessions }, 202);
    },
  });

  router.add({
    method: 'get',
    path: '/api/backup',
    summary: 'A backup of the whole store',
    description:
      'Each room as it is at one moment, with all that was reported saved before the request. `cowrite restore` reads it, and sees whether it is whole; so does `cowrite backup --server`, which asks for it.',
    answers: {
      200: {
        says: 'As long as it takes; cut off where the store fails.',
        types: ['application/octet-stream'],
      },
    },
    errors: [],
    handle: ({ c }) => {
      const headers = { 'Content-Type': 'application/octet-stream' };
      // A backup that nobody reads would keep what it has begun to read from the store.
      if (c.req.method === 'HEAD') return c.body(null, 200, headers);
      const stream = Readable.toWeb(Readable.from(documents.backup())) as ReadableStream;
      return c.body(stream, 200, headers);
    },
  });
}

/**
 * For the listener of @hono/node-server: this is answered already. As it comes from `Response` it may be
 * of that package's own class, which takes the global's place with the first listener in the process,
 * and is sent without a look at its headers. Once it is read it is one of the platform's.
 */
function alreadySent(): Response {
  const response = new Response(null, { headers: { 'x-hono-already-sent': 'true' } });
  void response.body;
  return response;
}

function told({ sessions, isEverywhere }: Ended): { sessions: number } {
  if (isEverywhere) return { sessions };
  throw new ApiError('not-everywhere', 'other servers could not be told: try again', { sessions });
}
