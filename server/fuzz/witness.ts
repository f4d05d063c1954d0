/**
 * Two people in a room of their own, one typing to the other all the while.
 *
 * Invariant: they are never disconnected, every edit arrives and is reported saved, and
 * nothing is in their document, nobody in their room, but themselves.
 */
import { CowriteProvider } from '@cowrite/client';
import { WebSocket } from 'ws';
import type { Dice } from '../test/seeded.js';
import { Broken } from './figures.js';
import { within } from './patience.js';
import { tokenFor } from './tokens.js';

export const WITNESS_ROOM = 'witness';
const PATIENCE_MS = 30_000;
const MAX_LENGTH = 2_000;

export class Witness {
  readonly #people: readonly [CowriteProvider, CowriteProvider];
  readonly #url: string;
  readonly #dice: Dice;
  #expected = '';
  #isStopping = false;
  #typing: Promise<void> = Promise.resolve();
  edits = 0;
  /** Milliseconds from a keystroke until the other has it, and until it is reported saved. */
  slowest = { arrived: 0, saved: 0 };

  private constructor(url: string, dice: Dice) {
    this.#url = url;
    this.#dice = dice;
    this.#people = [person(url, 'one'), person(url, 'other')];
  }

  /** @param onBroken hears when the invariant does not hold */
  static async start(
    url: string,
    dice: Dice,
    onBroken: (error: unknown) => void,
  ): Promise<Witness> {
    const witness = new Witness(url, dice);
    for (const provider of witness.#people) {
      await within(PATIENCE_MS, 'the witness is let in', provider.whenSynced());
      provider.on('status', ({ status }) => {
        if (!witness.#isStopping) onBroken(new Broken(`the witness's socket became ${status}`));
      });
    }
    witness.#typing = witness.#type();
    witness.#typing.catch(onBroken);
    return witness;
  }

  async #type(): Promise<void> {
    const [one, other] = this.#people;
    while (!this.#isStopping) {
      await this.#write(one, other);
      await this.#write(other, one);
    }
  }

  async #write(from: CowriteProvider, to: CowriteProvider): Promise<void> {
    const text = from.doc.getText('text');
    const at = this.#dice.below(this.#expected.length + 1);
    const word = `${this.edits} `;
    const cut = this.#expected.length > MAX_LENGTH ? Math.min(30, this.#expected.length - at) : 0;
    this.#expected = this.#expected.slice(0, at) + word + this.#expected.slice(at + cut);
    const start = performance.now();
    from.doc.transact(() => {
      text.delete(at, cut);
      text.insert(at, word);
    });
    const saved = from.whenSaved().then(() => performance.now() - start);
    await within(PATIENCE_MS, "the witness's edit arrives", this.#arrived(to));
    const arrived = performance.now() - start;
    const { slowest } = this;
    slowest.arrived = Math.max(slowest.arrived, arrived);
    slowest.saved = Math.max(
      slowest.saved,
      await within(PATIENCE_MS, "the witness's edit is reported saved", saved),
    );
    this.edits++;
    this.#compare(to);
  }

  async #arrived({ doc }: CowriteProvider): Promise<void> {
    const text = doc.getText('text');
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (text.toString() !== this.#expected) return;
        doc.off('update', look);
        resolve();
      };
      doc.on('update', look);
      look();
    });
  }

  /** @throws {Broken} when anything is not as it has to be */
  async stop(): Promise<void> {
    this.#isStopping = true;
    try {
      await this.#typing;
      const reader = person(this.#url, 'reader');
      try {
        await within(PATIENCE_MS, 'somebody joins the witness', reader.whenSynced());
        for (const provider of [...this.#people, reader]) this.#compare(provider);
      } finally {
        reader.destroy();
      }
    } finally {
      for (const provider of this.#people) provider.destroy();
    }
  }

  #compare({ doc, awareness }: CowriteProvider): void {
    const writers = this.#people.map((provider) => provider.doc.clientID);
    const strangers = [...doc.store.clients.keys()].filter((client) => !writers.includes(client));
    if (strangers.length > 0) throw new Broken(`others have written in the witness's room`);
    if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) {
      throw new Broken("something is pending in the witness's document");
    }
    if (doc.getText('text').toString() !== this.#expected) {
      throw new Broken("the witness's document is not what was typed");
    }
    const known = [...awareness.getStates().values()];
    if (known.some(({ user }) => user?.id !== 'witness')) {
      throw new Broken("others are seen in the witness's room");
    }
  }
}

function person(url: string, name: string): CowriteProvider {
  const provider = new CowriteProvider({
    url,
    room: WITNESS_ROOM,
    WebSocket,
    token: tokenFor(WITNESS_ROOM, 'witness'),
  });
  provider.awareness.setLocalState({ user: { id: 'witness', name } });
  return provider;
}
