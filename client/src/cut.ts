/**
 * A step 2 in several messages, for a server to which it is too large as one.
 *
 * Most pages never need this, and load it when they do. Invariant: each message can be applied
 * once those before it are, if the step 2 itself could be.
 */
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { below, NOTHING, outside, type Ranges } from './change.js';
import type { DocumentMessage } from './pending.js';

type Struct = ReturnType<typeof Y.decodeUpdate>['structs'][number];

/**
 * What a step 2 brings, in messages of about so many bytes; what cannot be cut further may have
 * more. The last is a step 2 again, and brings what was deleted.
 *
 * @param doc of which the step 2 was made in this moment
 */
export function cut(doc: Y.Doc, step2: DocumentMessage, maxBytes: number): DocumentMessage[] {
  if (step2.update.length <= maxBytes) return [step2];
  const messages: DocumentMessage[] = [];
  let structs: Struct[] = [];
  let size = 0;
  /** Where each client's structs end in the piece. */
  const ends = new Map<number, number>();
  const flush = () => {
    if (size > 0) messages.push(pieceOf(structs, step2.known));
    [structs, size] = [[], 0];
    ends.clear();
  };
  for (const struct of inOrder(Y.decodeUpdate(step2.update).structs, step2.known)) {
    const encoder = new Y.UpdateEncoderV1();
    struct.write(encoder, 0);
    const { length } = encoder.toUint8Array();
    const { client, clock } = struct.id;
    // A client's structs in a piece follow each other: only the first says its clock.
    const isBehindGap = (ends.get(client) ?? clock) !== clock;
    if (size + length > maxBytes || isBehindGap) flush();
    structs.push(struct);
    size += length;
    ends.set(client, clock + struct.length);
  }
  flush();
  const stateVector = Y.encodeStateVector(doc);
  const update = Y.encodeStateAsUpdate(doc, stateVector);
  return [...messages, { type: 'step2', update, known: below(stateVector) }];
}

/** Each behind what it needs, as far as that is there at all. */
function* inOrder(structs: readonly Struct[], known: Ranges | undefined): Generator<Struct> {
  const sent = new Map<number, number>();
  const isThere = (id: Y.ID) =>
    id.clock < (sent.get(id.client) ?? 0) || (known !== undefined && Y.isDeleted(known, id));
  const isReady = (struct: Struct) => needsOf(struct).every(isThere);
  const queues = [...byClient(structs).values()].map((queue) => ({ queue, at: 0 }));
  let hasMoved: boolean;
  do {
    hasMoved = false;
    for (const each of queues) {
      for (; each.at < each.queue.length; each.at++) {
        const struct = each.queue[each.at] as Struct;
        if (!isReady(struct)) break;
        yield struct;
        sent.set(struct.id.client, struct.id.clock + struct.length);
        hasMoved = true;
      }
    }
  } while (hasMoved);
  for (const { queue, at } of queues) yield* queue.slice(at);
}

function needsOf(struct: Struct): readonly Y.ID[] {
  if (!(struct instanceof Y.Item)) return [];
  return [struct.origin, struct.rightOrigin, struct.parent].filter((id) => id instanceof Y.ID);
}

function byClient(structs: readonly Struct[]): Map<number, Struct[]> {
  const clients = new Map<number, Struct[]>();
  for (const struct of structs) {
    // A gap: behind it is what needs something that nobody has.
    if (struct instanceof Y.Skip) continue;
    const of = clients.get(struct.id.client);
    if (of === undefined) clients.set(struct.id.client, [struct]);
    else of.push(struct);
  }
  return clients;
}

/** Yjs's first update format, as its `writeClientsStructs` writes it, with an empty delete set. */
function pieceOf(structs: readonly Struct[], known: Ranges = NOTHING): DocumentMessage {
  const insertions = Y.createDeleteSet();
  const encoder = new Y.UpdateEncoderV1();
  const { restEncoder } = encoder;
  const clients = byClient(structs);
  encoding.writeVarUint(restEncoder, clients.size);
  for (const [client, of] of clients) {
    const { clock } = (of[0] as Struct).id;
    const len = of.reduce((sum, { length }) => sum + length, 0);
    insertions.clients.set(client, [{ clock, len }]);
    encoding.writeVarUint(restEncoder, of.length);
    encoder.writeClient(client);
    encoding.writeVarUint(restEncoder, clock);
    for (const struct of of) struct.write(encoder, 0);
  }
  encoding.writeVarUint(restEncoder, 0);
  const update = encoder.toUint8Array();
  // What the server has is not to be reverted with the rest.
  const piece = { insertions: outside(insertions, known), deletions: NOTHING };
  return { type: 'update', update, piece, isDivisible: structs.length > 1 };
}
