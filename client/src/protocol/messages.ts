/**
 * Bytes to messages and back, for the two dialects of a Cowrite socket.
 *
 * Owns the framing only: what a message means is decided by the session that
 * receives it. Every frame holds exactly one message; y-websocket 3.x reads no
 * second one, so nothing may be appended.
 *
 * The first five types are those of y-protocols and y-websocket
 * (https://github.com/yjs/y-protocols, PROTOCOL.md). Types from 100 up exist
 * only on a socket that negotiated the subprotocol {@link COWRITE_SUBPROTOCOL}.
 */
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';

/** The WebSocket subprotocol that adds `saved`, `rejected` and `token` to the y-websocket messages. */
export const COWRITE_SUBPROTOCOL = 'cowrite.v1';

/** A frame's first number: something of the document follows, as {@link SYNC_STEP_1} and the next two say. */
export const MESSAGE_SYNC = 0;
/** A frame's first number: who is where. */
export const MESSAGE_AWARENESS = 1;
/** A frame's first number: permission is denied. A Cowrite server closes the socket instead. */
export const MESSAGE_AUTH = 2;
/** A frame's first number: the question who is here. */
export const MESSAGE_QUERY_AWARENESS = 3;
/** A frame's first number: `saved` of {@link Message}. */
export const MESSAGE_SAVED = 100;
/** A frame's first number: `rejected` of {@link Message}. */
export const MESSAGE_REJECTED = 101;
/** A frame's first number: `drain` of {@link Message}. */
export const MESSAGE_DRAIN = 102;
/** A frame's first number: `token` of {@link Message}. */
export const MESSAGE_TOKEN = 103;
/** A frame's first number: `access` of {@link Message}. */
export const MESSAGE_ACCESS = 104;
/** A frame's first number: `generation` of {@link Message}. */
export const MESSAGE_GENERATION = 105;
/** A frame's first number: `probe` of {@link Message}. */
export const MESSAGE_PROBE = 106;

/** Behind {@link MESSAGE_SYNC}: what the sender has, as a state vector. */
export const SYNC_STEP_1 = 0;
/** Behind {@link MESSAGE_SYNC}: what the receiver lacks. */
export const SYNC_STEP_2 = 1;
/** Behind {@link MESSAGE_SYNC}: an edit. */
export const SYNC_UPDATE = 2;

/**
 * Shared types, and values, may be nested so many levels deep; what lies in a root type is on
 * level 1. A change that lies deeper is rejected with `too-deep`.
 */
export const MAX_NESTING = 400;

/** Why the server refused a change; a session that gets one of these lives on. */
export const REJECT_REASONS = ['read-only', 'document-too-large', 'too-deep'] as const;
/** One of {@link REJECT_REASONS}. */
export type ToldReason = (typeof REJECT_REASONS)[number];

/**
 * Why the server refused a change: as it says, or `message-too-large` where it closed the
 * connection with {@link CLOSE.messageTooBig}, which is all that it can say of that.
 */
export type RejectReason = ToldReason | 'message-too-large';

/** What a session may do in its room. */
export const ACCESSES = ['write', 'read'] as const;
/** One of {@link ACCESSES}. */
export type Access = (typeof ACCESSES)[number];

/**
 * One message. Byte arrays are views into the frame they were decoded from:
 * copy them to keep them beyond the frame.
 *
 * `saved` and `rejected` count *document messages*: the sync step 2 and update
 * messages that this client sent on this socket, the first one being 1.
 * `saved n` says that all of the first n are on disk. `rejected n` says that
 * message n never will be; later `saved` counts pass over it.
 *
 * `access` is sent before the first step 2 to those who may only read, and whenever it
 * changes. `token` is sent by a client, to go on with a newer token than it came with.
 *
 * `generation` comes before everything else, and says which document this room is: where a room
 * is deleted or its document replaced, the next one of its name has another number.
 *
 * `probe` is sent by a client that waits for a `saved`, to find out whether the line lives: a
 * server answers with an awareness message, at the least with one that has nothing in it.
 *
 * `drain` is sent by a server that is about to end: the client is to connect anew, which leads
 * it to another one, in `delay` milliseconds. Each is told another delay.
 */
export type Message =
  | { readonly type: 'step1'; readonly stateVector: Uint8Array }
  | { readonly type: 'step2'; readonly update: Uint8Array }
  | { readonly type: 'update'; readonly update: Uint8Array }
  | { readonly type: 'awareness'; readonly update: Uint8Array }
  | { readonly type: 'auth'; readonly reason: string }
  | { readonly type: 'queryAwareness' }
  | { readonly type: 'saved'; readonly count: number }
  | { readonly type: 'rejected'; readonly count: number; readonly reason: ToldReason }
  | { readonly type: 'drain'; readonly delay: number }
  | { readonly type: 'token'; readonly token: string }
  | { readonly type: 'access'; readonly access: Access }
  | { readonly type: 'generation'; readonly generation: number }
  | { readonly type: 'probe' };

/** The frame is not one whole message of a known type. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

/**
 * @throws {MalformedMessage} when the frame is cut short, has bytes after its
 *   message, or is of a type that this protocol does not have.
 */
export function decodeMessage(frame: Uint8Array): Message {
  const decoder = decoding.createDecoder(frame);
  let message: Message;
  try {
    message = readMessage(decoder);
  } catch (cause) {
    if (cause instanceof MalformedMessage) throw cause;
    throw new MalformedMessage('the frame ends before its message does', { cause });
  }
  if (decoder.pos !== frame.length) {
    throw new MalformedMessage(`${frame.length - decoder.pos} bytes after the message`);
  }
  return message;
}

function readMessage(decoder: decoding.Decoder): Message {
  const type = decoding.readVarUint(decoder);
  switch (type) {
    case MESSAGE_SYNC:
      return readSync(decoder);
    case MESSAGE_AWARENESS:
      return { type: 'awareness', update: readBytes(decoder) };
    case MESSAGE_AUTH:
      if (decoding.readVarUint(decoder) !== 0) throw new MalformedMessage('unknown auth message');
      return { type: 'auth', reason: decoding.readVarString(decoder) };
    case MESSAGE_QUERY_AWARENESS:
      return { type: 'queryAwareness' };
    case MESSAGE_SAVED:
      return { type: 'saved', count: decoding.readVarUint(decoder) };
    case MESSAGE_REJECTED: {
      const count = decoding.readVarUint(decoder);
      return { type: 'rejected', count, reason: readOneOf(REJECT_REASONS, decoder) };
    }
    case MESSAGE_DRAIN:
      return { type: 'drain', delay: decoding.readVarUint(decoder) };
    case MESSAGE_TOKEN:
      return { type: 'token', token: readText(decoder) };
    case MESSAGE_ACCESS:
      return { type: 'access', access: readOneOf(ACCESSES, decoder) };
    case MESSAGE_GENERATION:
      return { type: 'generation', generation: decoding.readVarUint(decoder) };
    case MESSAGE_PROBE:
      return { type: 'probe' };
    default:
      throw new MalformedMessage(`unknown message type ${type}`);
  }
}

function readSync(decoder: decoding.Decoder): Message {
  const step = decoding.readVarUint(decoder);
  switch (step) {
    case SYNC_STEP_1:
      return { type: 'step1', stateVector: readBytes(decoder) };
    case SYNC_STEP_2:
      return { type: 'step2', update: readBytes(decoder) };
    case SYNC_UPDATE:
      return { type: 'update', update: readBytes(decoder) };
    default:
      throw new MalformedMessage(`unknown sync message ${step}`);
  }
}

/** lib0 clips a payload that is cut short instead of refusing it, so the length is checked here. */
function readBytes(decoder: decoding.Decoder): Uint8Array {
  const length = decoding.readVarUint(decoder);
  if (length > decoder.arr.length - decoder.pos) {
    throw new MalformedMessage('the frame ends before its payload does');
  }
  return decoding.readUint8Array(decoder, length);
}

/** The same goes for a text. */
function readText(decoder: decoding.Decoder): string {
  const bytes = readBytes(decoder);
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new MalformedMessage('a text that is not UTF-8', { cause });
  }
}

function readOneOf<Text extends string>(known: readonly Text[], decoder: decoding.Decoder): Text {
  const text = readText(decoder) as Text;
  if (!known.includes(text)) throw new MalformedMessage(`unknown: ${text}`);
  return text;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns a new array that the caller owns. */
export function encodeMessage(message: Message): Uint8Array {
  const encoder = encoding.createEncoder();
  switch (message.type) {
    case 'step1':
      writeHead(encoder, MESSAGE_SYNC, SYNC_STEP_1);
      encoding.writeVarUint8Array(encoder, message.stateVector);
      break;
    case 'step2':
      writeHead(encoder, MESSAGE_SYNC, SYNC_STEP_2);
      encoding.writeVarUint8Array(encoder, message.update);
      break;
    case 'update':
      writeHead(encoder, MESSAGE_SYNC, SYNC_UPDATE);
      encoding.writeVarUint8Array(encoder, message.update);
      break;
    case 'awareness':
      encoding.writeVarUint(encoder, MESSAGE_AWARENESS);
      encoding.writeVarUint8Array(encoder, message.update);
      break;
    case 'auth':
      writeHead(encoder, MESSAGE_AUTH, 0);
      encoding.writeVarString(encoder, message.reason);
      break;
    case 'queryAwareness':
      encoding.writeVarUint(encoder, MESSAGE_QUERY_AWARENESS);
      break;
    case 'saved':
      writeHead(encoder, MESSAGE_SAVED, message.count);
      break;
    case 'rejected':
      writeHead(encoder, MESSAGE_REJECTED, message.count);
      encoding.writeVarString(encoder, message.reason);
      break;
    case 'drain':
      writeHead(encoder, MESSAGE_DRAIN, message.delay);
      break;
    case 'token':
      encoding.writeVarUint(encoder, MESSAGE_TOKEN);
      encoding.writeVarString(encoder, message.token);
      break;
    case 'access':
      encoding.writeVarUint(encoder, MESSAGE_ACCESS);
      encoding.writeVarString(encoder, message.access);
      break;
    case 'generation':
      encoding.writeVarUint(encoder, MESSAGE_GENERATION);
      encoding.writeVarUint(encoder, message.generation);
      break;
    case 'probe':
      encoding.writeVarUint(encoder, MESSAGE_PROBE);
      break;
  }
  return encoding.toUint8Array(encoder);
}

function writeHead(encoder: encoding.Encoder, type: number, subtype: number): void {
  encoding.writeVarUint(encoder, type);
  encoding.writeVarUint(encoder, subtype);
}
