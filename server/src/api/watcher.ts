/**
 * Somebody who only watches a room: what happens there as server-sent events.
 *
 * Takes part in the room's fan-out, so what it costs is bounded as for any socket: one
 * that reads too slowly is skipped, told what it missed, and in the end dropped. An event
 * is encoded once for all watchers.
 */
import type { ServerResponse } from 'node:http';
import type { Message } from '@cowrite/client/protocol';
import { type AwarenessEntry, isNull, readAwareness } from '../awareness.js';
import type { Clock, Timer } from '../clock.js';
import type { Dialect } from '../dialect.js';
import type { Outlet } from '../fanout.js';
import type { Frame } from '../frame.js';
import type { Room } from '../room.js';
import { Bystander } from './bystander.js';
import { stateOf } from './people.js';

/** A change of more bytes is told without them: whoever wants it reads the document. */
const MAX_TOLD = 256 * 1024;

/** @param type what it is counted as */
function event(type: Message['type'], name: string, data: unknown): Frame {
  return frame(type, `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

function frame(type: Message['type'], text: string): Frame {
  const bytes = Buffer.from(text);
  return { type, chunks: [[bytes]], size: bytes.length };
}

/** A comment. */
const SIGN_OF_LIFE = frame('awareness', ':\n\n');

function encode(message: Message): Frame {
  switch (message.type) {
    case 'update': {
      const { update } = message;
      const isTold = update.length <= MAX_TOLD;
      const base64 = isTold && {
        update: Buffer.from(update.buffer, update.byteOffset, update.length).toString('base64'),
      };
      return event('update', 'change', { bytes: update.length, ...base64 });
    }
    case 'awareness':
      return presence(readAwareness(message.update));
    default:
      throw new Error(`nobody who watches is told ${message.type}`);
  }
}

function presence(entries: readonly AwarenessEntry[]): Frame {
  const people = entries.map(({ client, state }) => ({
    client,
    state: isNull(state) ? null : stateOf(state),
  }));
  return event('awareness', 'presence', { people });
}

const DIALECT: Dialect = {
  name: 'cowrite.v1',
  codec: {
    decode: () => {
      throw new Error('who watches says nothing');
    },
    encode,
  },
  acknowledges: false,
  movesWhenTold: false,
};

export class Watcher extends Bystander {
  readonly author = 'who watches';
  readonly receivedAt = 0;
  readonly dialect = DIALECT;
  readonly connection: Outlet;
  readonly #room: Room;
  readonly #response: ServerResponse;
  readonly #look: Timer;

  /**
   * @param response its head is not sent yet
   * @param every milliseconds between two looks at whether it still reads
   */
  constructor(room: Room, response: ServerResponse, clock: Clock, every: number) {
    super();
    this.#room = room;
    this.#response = response;
    this.connection = {
      get buffered() {
        return response.writableLength;
      },
      send: ({ chunks }) => {
        if (response.destroyed || response.writableEnded) return;
        for (const part of chunks.flat()) response.write(part);
      },
      close: () => response.destroy(),
    };
    this.#look = clock.every(every, () => {
      room.fanout.checkPatience(this);
      // So that no proxy takes the silence for an end, and a reader that is gone is noticed.
      if (response.writableLength === 0) this.connection.send(SIGN_OF_LIFE);
    });
    response.once('close', () => {
      this.#look.cancel();
      room.leave(this);
    });
    response.on('drain', () => room.fanout.drained(this));
  }

  /** The room is entered in the turn in which it is open. */
  start(): void {
    this.#response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      // nginx would keep events until it has enough of them.
      'X-Accel-Buffering': 'no',
    });
    this.#room.enter(this);
    this.connection.send(presence(this.#room.awareness.present()));
    this.#room.fanout.add(this);
  }

  close(code: number, reason: string): void {
    this.connection.send(event('auth', 'end', { code, reason }));
    this.#response.end();
    this.#room.leave(this);
  }

  mayWrite(): boolean {
    return false;
  }

  saved(): boolean {
    return true;
  }
}
