/**
 * The rooms that are attacked, one after the other.
 *
 * Invariant: each has a sentence that an honest client wrote before; whatever is done to
 * the room, it opens for the next one, has the sentence, and takes and saves another.
 */
import { CowriteProvider } from '@cowrite/client';
import { WebSocket } from 'ws';
import { Broken } from './figures.js';
import { within } from './patience.js';
import { tokenFor } from './tokens.js';

export const PREFIX = 'attacked/';
/** Sessions in one room: it has some thousand frames then. */
const SESSIONS = 300;
const PATIENCE_MS = 60_000;

interface Attacked {
  readonly planted: Promise<void>;
  sessions: number;
  sentences: string;
}

export class AttackedRooms {
  readonly #url: string;
  readonly #rooms = new Map<number, Attacked>();

  constructor(url: string) {
    this.#url = url;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** The one that a session of this number attacks; resolves once there is something to be lost. */
  async of(session: number): Promise<number> {
    const number = Math.floor(session / SESSIONS);
    let room = this.#rooms.get(number);
    if (room === undefined) {
      room = { planted: this.#write(number, ''), sessions: 0, sentences: sentence(number, 0) };
      this.#rooms.set(number, room);
    }
    await room.planted;
    return number;
  }

  /** A session has ended; after the last one of a room it is looked at. */
  async left(number: number): Promise<void> {
    const room = this.#rooms.get(number)!;
    room.sessions++;
    if (room.sessions === SESSIONS) await this.#look(number, room);
  }

  /** Looks at all of them. */
  async check(): Promise<void> {
    for (const [number, room] of this.#rooms) await this.#look(number, room);
  }

  async #look(number: number, room: Attacked): Promise<void> {
    const before = room.sentences;
    room.sentences += sentence(number, before.length);
    await this.#write(number, before);
  }

  /** @param before what has to be there */
  async #write(number: number, before: string): Promise<void> {
    const room = `${PREFIX}${number}`;
    const token = tokenFor(PREFIX, 'honest');
    const provider = new CowriteProvider({ url: this.#url, room, WebSocket, token });
    try {
      await within(PATIENCE_MS, `${room} opens`, provider.whenSynced());
      const text = provider.doc.getText('honest');
      if (text.toString() !== before) {
        throw new Broken(
          `${room} has ${JSON.stringify(text.toString())} instead of ${JSON.stringify(before)}`,
        );
      }
      text.insert(before.length, sentence(number, before.length));
      await within(PATIENCE_MS, `${room} takes an edit and saves it`, provider.whenSaved());
    } finally {
      provider.destroy();
    }
  }
}

function sentence(number: number, at: number): string {
  return `written in ${number} at ${at}. `;
}
