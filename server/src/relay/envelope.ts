/**
 * What instances say to each other through the relay.
 *
 * Format: version, kind, origin, sent at (milliseconds since 1970), the server that the
 * store is at, then what the kind needs; integers and lengths as lib0's varUint. Whoever can write to the
 * relay is trusted; what cannot be read is of another version, and is passed over.
 */
import { Reader, uintSize, Writer } from '../update/bytes.js';

export type Content =
  /** Entries of the room's log, committed: the first has this seq, the others follow. */
  | { readonly kind: 'updates'; readonly first: number; readonly updates: readonly Uint8Array[] }
  /** The room's log goes up to this seq, by entries too large to be sent: they are in the store. */
  | { readonly kind: 'head'; readonly seq: number }
  /** States of people whom the origin holds, as an awareness message. */
  | { readonly kind: 'awareness'; readonly update: Uint8Array }
  /** Everybody whom the origin holds in this room; whoever is not among them has left it. */
  | { readonly kind: 'everybody'; readonly update: Uint8Array }
  /** The origin may have missed something: who is there? */
  | { readonly kind: 'who' }
  /** The store went back: the room has to be loaded anew. */
  | { readonly kind: 'lost' }
  /** The room has a new snapshot, up to this seq. */
  | { readonly kind: 'snapshot'; readonly seq: number }
  /** Does that instance still hold this client? */
  | { readonly kind: 'probe'; readonly instance: string; readonly client: number }
  /** The origin holds this client and looks whether it is alive. */
  | { readonly kind: 'held'; readonly client: number }
  /** These clients have left the origin, most likely for another instance: it is theirs who bring them. */
  | { readonly kind: 'moving'; readonly clients: readonly number[] }
  /** The origin is there. */
  | { readonly kind: 'here' }
  /** The origin is there, and ends: it takes nobody in any more. */
  | { readonly kind: 'ending' }
  /** The origin is leaving, with everybody it holds. */
  | { readonly kind: 'gone' }
  /** Those in this room, or one user of them, are to be kicked. */
  | ({ readonly kind: 'kick' } & Kick)
  /** The session in this room that holds this client is to be closed: one person, also of those whom nobody knows. */
  | ({ readonly kind: 'kick-client' } & ClientKick)
  /** Sessions of this user are to be asked about again. */
  | { readonly kind: 'recheck'; readonly user: string }
  /** This room was removed from the store: those in it are to be told so. */
  | { readonly kind: 'delete'; readonly room: string }
  /** Another document has taken the place of the one in this room: those in it are to be told so. */
  | { readonly kind: 'replace'; readonly room: string }
  /** This room's name may be used again. */
  | { readonly kind: 'undelete'; readonly room: string };

export interface Kick {
  readonly room: string;
  /** Not empty; left out for everybody. */
  readonly user?: string | undefined;
  /** As they are told. */
  readonly reason: string;
}

export interface ClientKick {
  readonly room: string;
  /** An awareness client id. */
  readonly client: number;
  /** As they are told. */
  readonly reason: string;
}

export interface Envelope {
  /** The instance that sent it. */
  readonly origin: string;
  /** Milliseconds since 1970, by the origin's clock. */
  readonly sentAt: number;
  /** The server that the origin's store is at, 0 where there is only one. Seqs are of that server. */
  readonly primary: number;
  readonly content: Content;
}

const VERSION = 2;
const KINDS = [
  'updates',
  'awareness',
  'snapshot',
  'probe',
  'held',
  'here',
  'gone',
  'head',
  'everybody',
  'who',
  'lost',
  'kick',
  'recheck',
  'delete',
  'moving',
  'ending',
  'undelete',
  'replace',
  'kick-client',
] as const;
const encoder = new TextEncoder();

export function encodeEnvelope({ origin, sentAt, primary, content }: Envelope): Uint8Array {
  const from = encoder.encode(origin);
  const fields = fieldsOf(content);
  const size = fields.reduce<number>(
    (sum, field) =>
      sum + (typeof field === 'number' ? uintSize(field) : uintSize(field.length) + field.length),
    2 + uintSize(from.length) + from.length + uintSize(sentAt) + uintSize(primary),
  );
  const writer = new Writer(size);
  writer.uint(VERSION);
  writer.uint(KINDS.indexOf(content.kind));
  writer.uint(from.length);
  writer.raw(from);
  writer.uint(sentAt);
  writer.uint(primary);
  for (const field of fields) {
    if (typeof field === 'number') {
      writer.uint(field);
    } else {
      writer.uint(field.length);
      writer.raw(field);
    }
  }
  return writer.bytes;
}

function fieldsOf(content: Content): (number | Uint8Array)[] {
  switch (content.kind) {
    case 'updates':
      return [content.first, content.updates.length, ...content.updates];
    case 'awareness':
    case 'everybody':
      return [content.update];
    case 'head':
    case 'snapshot':
      return [content.seq];
    case 'probe':
      return [encoder.encode(content.instance), content.client];
    case 'held':
      return [content.client];
    case 'moving':
      return [content.clients.length, ...content.clients];
    case 'kick':
      return [content.room, content.user ?? '', content.reason].map((text) => encoder.encode(text));
    case 'kick-client':
      return [encoder.encode(content.room), content.client, encoder.encode(content.reason)];
    case 'recheck':
      return [encoder.encode(content.user)];
    case 'delete':
    case 'replace':
    case 'undelete':
      return [encoder.encode(content.room)];
    case 'here':
    case 'ending':
    case 'gone':
    case 'who':
    case 'lost':
      return [];
  }
}

/** @returns undefined for what this version cannot read. Byte arrays are views into `bytes`. */
export function decodeEnvelope(bytes: Uint8Array): Envelope | undefined {
  const reader = new Reader(bytes);
  try {
    if (reader.uint() !== VERSION) return undefined;
    const kind = KINDS[reader.uint()];
    const origin = reader.string();
    const sentAt = reader.uint();
    const primary = reader.uint();
    const content = kind && readContent(kind, reader);
    return content && { origin, sentAt, primary, content };
  } catch {
    // Cut short: as good as lost, which a message on the relay may be.
    return undefined;
  }
}

function readContent(kind: (typeof KINDS)[number], reader: Reader): Content {
  switch (kind) {
    case 'updates': {
      const first = reader.uint();
      const count = reader.uint();
      const updates: Uint8Array[] = [];
      for (let i = 0; i < count; i++) updates.push(readBytes(reader));
      return { kind, first, updates };
    }
    case 'awareness':
    case 'everybody':
      return { kind, update: readBytes(reader) };
    case 'head':
    case 'snapshot':
      return { kind, seq: reader.uint() };
    case 'probe':
      return { kind, instance: reader.string(), client: reader.uint() };
    case 'held':
      return { kind, client: reader.uint() };
    case 'moving': {
      const count = reader.uint();
      const clients: number[] = [];
      for (let i = 0; i < count; i++) clients.push(reader.uint());
      return { kind, clients };
    }
    case 'kick': {
      const [room, user, reason] = [reader.string(), reader.string(), reader.string()];
      return { kind, room, ...(user !== '' && { user }), reason };
    }
    case 'kick-client':
      return { kind, room: reader.string(), client: reader.uint(), reason: reader.string() };
    case 'recheck':
      return { kind, user: reader.string() };
    case 'delete':
    case 'replace':
    case 'undelete':
      return { kind, room: reader.string() };
    case 'here':
    case 'ending':
    case 'gone':
    case 'who':
    case 'lost':
      return { kind };
  }
}

function readBytes(reader: Reader): Uint8Array {
  const length = reader.uint();
  const start = reader.pos;
  reader.skip(length);
  return reader.bytes.subarray(start, reader.pos);
}
