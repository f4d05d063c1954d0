/** What the API's answers are made of, as schemas: the same that shapes.ts says as types. */
import { z } from '@hono/zod-openapi';

/** Bytes of a room's name. */
const MAX_NAME = 256;

export const count = z.number().int().min(0);
export const beginning = z
  .string()
  .refine(
    (text) => Buffer.byteLength(text.normalize('NFC')) <= MAX_NAME,
    'is longer than any name',
  );
export const seq = z.object({
  seq: count.openapi({ description: 'how far the log goes, with this' }),
});
export const flag = z.enum(['true', 'false']).default('false');
/** An awareness client id. */
export const client = z.number().int().min(0);
const open = {
  isOpen: z.boolean().openapi({ description: 'whether this server has it in memory' }),
  sessions: count.openapi({ description: 'sockets at this server' }),
  people: count.openapi({ description: 'whom presence shows, of all servers, if it is open here' }),
};
export const listed = z
  .object({
    room: z.string(),
    seq: count,
    snapshotBytes: count,
    isDeleted: z.boolean(),
    ...open,
  })
  .openapi('ListedRoom');
export const described = z
  .object({
    room: z.string(),
    address: z.string().nullable().openapi({
      description: 'where the application shows it, by DOCUMENT_URL; null where that is not set',
    }),
    isDeleted: z.boolean(),
    seq: count.openapi({ description: 'the newest entry of its log' }),
    life: count.openapi({ description: 'the seq of its last deletion, revival or replacement' }),
    generation: count.openapi({
      description:
        'which of the documents of this name it is, as clients know it: 0 for the first, then a number that no other store gives. It goes with the document to other stores',
    }),
    snapshot: z
      .object({
        seq: count,
        bytes: count,
        writtenAt: z.iso.datetime().optional().openapi({
          description: 'of no snapshot from before Cowrite kept that',
        }),
      })
      .nullable(),
    tail: z.object({ updates: count, bytes: count }),
    quarantined: count.openapi({ description: 'entries that were set aside' }),
    merge: z
      .object({
        problem: z.enum(['too-large', 'too-slow']),
        needsBytes: count.nullable().openapi({
          description: 'memory that it is thought to need; null: more than there was',
        }),
        memoryBytes: count.openapi({ description: 'memory that workers could take' }),
      })
      .nullable()
      .openapi({
        description:
          'why the log is not merged into the snapshot, where a server has found that out',
      }),
    ...open,
  })
  .openapi('Room');
export const person = z
  .object({
    client: client.nullable().openapi({
      description:
        'its awareness client id; null for a connection to this server that shows nobody',
    }),
    state: z.unknown().openapi({ description: 'its awareness state' }),
    user: z.string().nullable().openapi({
      description: 'who it is, by its authentication; null where nobody was asked, and for a guest',
    }),
    since: z.iso.datetime().nullable().openapi({
      description:
        'when its connection began; null where the server that has it has not told it yet',
    }),
    connection: count.nullable().openapi({
      description: 'its number in the log of this server; null for one to another server',
    }),
  })
  .openapi('Person');
