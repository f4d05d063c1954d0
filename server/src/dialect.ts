/**
 * The wire protocols that a socket may speak. A room does not know them: it
 * hands over messages, and a dialect says which of them a session can be sent.
 */
import {
  COWRITE_SUBPROTOCOL,
  decodeMessage,
  isTokenSubprotocol,
  type Message,
} from '@cowrite/client/protocol';
import { encodeFrame, type Frame } from './frame.js';

export interface Dialect {
  readonly name: 'y-websocket' | 'cowrite.v1';
  /** Dialects with the same codec share the frames of a flush. */
  readonly codec: Codec;
  /** Whether clients are told when their changes are saved or rejected. */
  readonly acknowledges: boolean;
  /** Whether clients go elsewhere by themselves when they are told when. */
  readonly movesWhenTold: boolean;
}

export interface Codec {
  /** @throws {MalformedMessage} */
  decode(frame: Uint8Array): Message;
  encode(message: Message): Frame;
}

const codec: Codec = { decode: decodeMessage, encode: encodeFrame };

const yWebsocket: Dialect = {
  name: 'y-websocket',
  codec,
  acknowledges: false,
  movesWhenTold: false,
};
const cowrite: Dialect = { name: 'cowrite.v1', codec, acknowledges: true, movesWhenTold: true };

/**
 * @param offered the client's subprotocols, in its order
 * @returns the dialect, and the subprotocol to answer with: browsers refuse a
 *   handshake that answers an offer with none, and y-websocket clients may offer
 *   nothing but a token
 */
export function chooseDialect(offered: ReadonlySet<string>): {
  dialect: Dialect;
  subprotocol: string | undefined;
} {
  if (offered.has(COWRITE_SUBPROTOCOL))
    return { dialect: cowrite, subprotocol: COWRITE_SUBPROTOCOL };
  const names = [...offered];
  const other = names.find((name) => !isTokenSubprotocol(name));
  return { dialect: yWebsocket, subprotocol: other ?? names[0] };
}
