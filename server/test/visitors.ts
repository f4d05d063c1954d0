/** Those who come to a server's door with tokens, and what they see there. */
import type { IncomingMessage } from 'node:http';
import { type CowriteServer, type ServerOptions, signToken } from '@cowrite/server';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as awareness from 'y-protocols/awareness';
import * as Y from 'yjs';
import { RawClient, socketUrl, startServer } from './support.js';

export const SECRET = 'a secret of more than thirty-two bytes';

export async function token(
  user: string,
  rooms: Record<string, string>,
  expiresIn = '1h',
  secret = SECRET,
): Promise<string> {
  return await signToken({ user: { id: user, name: `${user}!` }, rooms, expiresIn }, { secret });
}

export async function guarded(options: ServerOptions = {}): Promise<CowriteServer> {
  return await startServer({ auth: { secret: SECRET }, ...options });
}

export interface Knock {
  readonly protocols?: readonly string[];
  readonly headers?: Record<string, string>;
}

/** What the upgrade is answered with. */
export async function knock(
  server: { url: string },
  path: string,
  { protocols = [], headers = {} }: Knock = {},
) {
  const socket = new WebSocket(`${socketUrl(server)}/${path}`, [...protocols], { headers });
  onTestFinished(() => socket.terminate());
  // `ws` complains of a socket that is ended before it is open.
  socket.on('error', () => undefined);
  return await new Promise<{ status: number; text: string }>((resolve) => {
    socket.once('open', () => resolve({ status: 101, text: socket.protocol }));
    socket.once('unexpected-response', (_, response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('end', () => resolve({ status: response.statusCode!, text: text.trim() }));
    });
  });
}

export async function enter(
  server: { url: string },
  room: string,
  shown: string,
): Promise<RawClient> {
  return await RawClient.connect(server, room, ['cowrite.v1', `cowrite.token.${shown}`]);
}

/** An awareness message of a client that says it is somebody. */
export function presence(clientID: number, state: object, clock = 1) {
  const states = new awareness.Awareness(new Y.Doc());
  states.states.set(clientID, state);
  states.meta.set(clientID, { clock, lastUpdated: 0 });
  const update = awareness.encodeAwarenessUpdate(states, [clientID]);
  states.destroy();
  return { type: 'awareness' as const, update };
}

/** The states that a client was told, by client id. */
export function shownTo(client: RawClient): Map<number, unknown> {
  const states = new awareness.Awareness(new Y.Doc());
  states.setLocalState(null);
  for (const message of client.received) {
    if (message.type === 'awareness')
      awareness.applyAwarenessUpdate(states, message.update, 'test');
  }
  states.destroy();
  return states.getStates();
}
