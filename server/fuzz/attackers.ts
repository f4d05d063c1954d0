/** Sessions, some at a time, until enough frames are sent. Invariant: the first that finds something broken is the last. */
import { Dice } from '../test/seeded.js';
import { AttackedRooms, PREFIX } from './attacked-rooms.js';
import { Corpus } from './corpus.js';
import { Broken, type Figures } from './figures.js';
import { attack } from './session.js';
import { aUser } from './tokens.js';

/** Sockets at a time. */
const AT_A_TIME = 24;

export interface AttackersOptions {
  readonly port: number;
  readonly url: string;
  readonly seed: number;
  /** The number of the first session. */
  readonly first: number;
  readonly figures: Figures;
  readonly onProgress: (() => void) | undefined;
}

export class Attackers {
  readonly #options: AttackersOptions;
  readonly #corpus: Corpus;
  readonly #underWay = new Set<number>();
  readonly rooms: AttackedRooms;
  #next: number;
  #isBroken = false;

  constructor(options: AttackersOptions) {
    this.#options = options;
    this.#corpus = new Corpus(options.seed);
    this.#next = options.first;
    this.rooms = new AttackedRooms(options.url);
  }

  /** Sessions that have not ended, or that ended with something broken. */
  get underWay(): readonly number[] {
    return [...this.#underWay].sort((a, b) => a - b);
  }

  /** Resolves once so many frames are sent, those before included. */
  async until(frames: number): Promise<void> {
    const { figures } = this.#options;
    const lane = async (): Promise<void> => {
      while (figures.frames < frames && !this.#isBroken) await this.#attack(this.#next++);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, lane));
  }

  stop(): void {
    this.#isBroken = true;
  }

  async #attack(number: number): Promise<void> {
    const { port, seed, figures, onProgress } = this.#options;
    this.#underWay.add(number);
    const dice = new Dice(mixed(seed, number));
    const room = await this.rooms.of(number);
    const sender = { room, prefix: PREFIX, user: aUser(dice) };
    try {
      await attack({ port, corpus: this.#corpus, sender, figures }, dice);
    } catch (error) {
      throw new Broken(`session ${number}: ${(error as Error).message}`, { cause: error });
    }
    await this.rooms.left(room);
    this.#underWay.delete(number);
    onProgress?.();
  }
}

/** Neighbours must not throw the same dice. */
function mixed(seed: number, number: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0;
}
