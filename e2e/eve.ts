/** Somebody who shows presence that no editor can show. */
import { once } from 'node:events';
import { encodeMessage } from '@cowrite/client/protocol';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { Server } from './fixtures.js';

/** Beginning with this, each state has a client id of its own, if none is given. */
const FIRST_CLIENT = 7;

/**
 * Each of them makes some binding throw that is shown it, or styles the page.
 *
 * @param type the name of the root type that the editor is bound to
 */
export function hostile(type: string): unknown[] {
  const end = { type: null, tname: type, item: null, assoc: 0 };
  const noText = { toString: 1, valueOf: 1 };
  const cursors = [
    {},
    { anchor: {}, head: {} },
    { anchor: end },
    { anchor: null, head: end },
    end,
    1,
    'x',
    [],
    true,
    { anchor: { item: { client: 1, clock: -1 } }, head: end },
    { anchor: { item: { client: 1, clock: 0.5 } }, head: { type: { client: 1, clock: 2 ** 60 } } },
    { anchor: { ...end, tname: '__proto__' }, head: { ...end, tname: 'no such type' } },
    { anchor: { ...end, assoc: {} }, head: { ...end, assoc: 1e300 } },
  ];
  const good = { anchor: end, head: end };
  return [
    ...cursors.map((cursor) => ({ user: {}, cursor, selection: cursor })),
    ...['Eve', 1, true, [], { name: noText, color: noText }, { color: [noText], name: {} }].map(
      (user) => ({ user, cursor: good }),
    ),
    { user: { name: 'Eve', color: 'red;position:fixed;inset:0;z-index:9999' }, cursor: good },
    ...[1, 'x', true, [], [null]],
  ];
}

/** A bare socket: no client makes such states. */
export class Eve {
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async enter(server: Server, room: string, token = ''): Promise<Eve> {
    const protocols = ['cowrite.v1', ...(token === '' ? [] : [`cowrite.token.${token}`])];
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws/${room}`, protocols);
    onTestFinished(() => socket.terminate());
    await once(socket, 'open');
    return new Eve(socket);
  }

  /** As so many people at once, at most 64: that is how many one socket may be. */
  show(states: readonly unknown[], first = FIRST_CLIENT): void {
    const varUint = (n: number): number[] =>
      n < 128 ? [n] : [(n & 127) | 128, ...varUint(n >> 7)];
    const people = states.flatMap((state, i) => {
      const text = Buffer.from(JSON.stringify(state));
      return [...[first + i, 1, text.length].flatMap(varUint), ...text];
    });
    const update = Uint8Array.from([...varUint(states.length), ...people]);
    this.#socket.send(encodeMessage({ type: 'awareness', update }));
  }
}
