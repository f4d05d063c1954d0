/**
 * One attacker's socket, from its upgrade to its end.
 *
 * Invariants: what it sends follows from the seed and its number alone, so that it can be
 * repeated; it ends, whatever the server does, and also if it does nothing.
 */
import { setImmediate } from 'node:timers/promises';
import type { Dice } from '../test/seeded.js';
import type { Corpus, Sender } from './corpus.js';
import { Broken, type Figures } from './figures.js';
import { anHonestMove, aWrongMove, type Move } from './moves.js';
import { RawSocket } from './raw-socket.js';
import { anUninvitedUpgrade, aRightUpgrade, aWrongUpgrade, type Upgrade } from './upgrades.js';
import { closing, frame, OPCODE } from './wire.js';

/** A server that answers nobody for so long does not work. */
const PATIENCE_MS = 20_000;
/** A request that is no whole one is answered by nothing but the deadline for it. */
const SHORT_PATIENCE_MS = 300;
/** Moves of a session whose socket is not closed for them. */
const MAX_MOVES = 12;

export interface Attack {
  readonly port: number;
  readonly corpus: Corpus;
  readonly sender: Sender;
  readonly figures: Figures;
}

/** @throws {Broken} */
export async function attack({ port, corpus, sender, figures }: Attack, dice: Dice): Promise<void> {
  const roll = dice.next();
  const upgrade =
    roll < 0.9
      ? aRightUpgrade(sender, dice)
      : roll < 0.93
        ? anUninvitedUpgrade(sender, dice)
        : aWrongUpgrade(sender, dice);
  const socket = new RawSocket(port, dice.chance(0.85));
  const session = new Session(socket, corpus, sender, figures, dice);
  figures.sessions++;
  try {
    if (dice.chance(0.01)) await session.giveUp(upgrade);
    else if (await session.upgrade(upgrade)) await session.run();
  } finally {
    socket.reset();
  }
}

class Session {
  readonly #socket: RawSocket;
  readonly #corpus: Corpus;
  readonly #sender: Sender;
  readonly #figures: Figures;
  readonly #dice: Dice;

  constructor(socket: RawSocket, corpus: Corpus, sender: Sender, figures: Figures, dice: Dice) {
    this.#socket = socket;
    this.#corpus = corpus;
    this.#sender = sender;
    this.#figures = figures;
    this.#dice = dice;
  }

  /** Leaves while the server still thinks about it. */
  async giveUp({ kind, bytes }: Upgrade): Promise<void> {
    await this.#socket.connected;
    await this.#write(bytes);
    await setImmediate();
    this.#count(`upgrade: ${kind}`, 1, 'reset before an answer');
  }

  /** @returns whether there is a WebSocket now */
  async upgrade({ kind, bytes, statuses }: Upgrade): Promise<boolean> {
    const socket = this.#socket;
    // Some do not wait for the answer either.
    const isHasty = this.#dice.chance(0.05);
    const early = anHonestMove(this.#corpus, this.#sender, this.#dice);
    await this.#write(isHasty ? Buffer.concat([bytes, early.bytes]) : bytes);
    if (isHasty) this.#count(early.kind, early.frames, 'sent with the upgrade');
    if (statuses === undefined && this.#dice.chance(0.5)) socket.end();
    const patience = statuses === undefined ? SHORT_PATIENCE_MS : PATIENCE_MS;
    await socket.until(() => socket.status !== undefined, patience);
    const { status } = socket;
    this.#count(`upgrade: ${kind}`, 1, `upgrade: ${status ?? 'none'}`);
    this.#figures.statuses.add(`${status ?? (socket.isGone ? 'closed' : 'no answer')}`);
    if (statuses !== undefined && !statuses.includes(status ?? 0)) {
      throw new Broken(`an upgrade (${kind}) was answered with ${status ?? 'nothing'}`);
    }
    return status === 101 && !socket.isGone;
  }

  async run(): Promise<void> {
    const dice = this.#dice;
    if (dice.chance(0.01)) return await this.#deaf();
    for (let i = 0; i < MAX_MOVES; i++) {
      const moves = Array.from({ length: dice.below(3) }, () =>
        anHonestMove(this.#corpus, this.#sender, dice),
      );
      moves.push(aWrongMove(this.#corpus, this.#sender, dice));
      if (!(await this.#throw(moves))) return;
    }
    if (dice.chance(0.3)) {
      this.#socket.write(frame(closing(1000), { opcode: OPCODE.close }, dice));
      await this.#untilGone();
    }
  }

  /** Asks for everything, and reads nothing of it. */
  async #deaf(): Promise<void> {
    this.#socket.stopReading();
    for (let i = 0; i < MAX_MOVES; i++) {
      const move = anHonestMove(this.#corpus, this.#sender, this.#dice);
      await this.#write(move.bytes);
      this.#count(move.kind, move.frames, 'not read back');
    }
  }

  /** Each move with a fence behind it. @returns whether the socket is still good */
  async #throw(moves: readonly Move[]): Promise<boolean> {
    const socket = this.#socket;
    const passed = socket.fences;
    const isOpenEnded = moves.at(-1)!.closes === 'waits';
    const parts = moves.map(({ bytes, closes }) =>
      closes === 'waits' ? bytes : Buffer.concat([bytes, socket.fence()]),
    );
    await this.#write(Buffer.concat(parts));
    if (isOpenEnded) socket.end();
    const isDone = () => !isOpenEnded && socket.fencesPassed === socket.fences;
    const isAnswered = await socket.until(
      () => isDone() || socket.closeCode !== undefined,
      PATIENCE_MS,
    );
    const taken = socket.fencesPassed - passed;
    for (const move of moves.slice(0, taken)) this.#took(move);
    if (socket.complaint !== undefined) throw new Broken(socket.complaint);
    // Some messages are refused a little later than they are read.
    if (isDone()) return socket.closeCode === undefined;
    // Those behind the one that ended it were not looked at, and do not count.
    const { kind, frames } = moves[taken]!;
    this.#count(kind, frames, this.#end(isAnswered));
    if (socket.closeCode !== undefined) await this.#untilGone();
    return false;
  }

  #took({ kind, frames, closes }: Move): void {
    if (closes === 'must') throw new Broken(`the server has to close for ${kind}, and goes on`);
    this.#count(kind, frames, 'taken');
  }

  #end(isAnswered: boolean): string {
    const { closeCode } = this.#socket;
    if (closeCode !== undefined) return `closed with ${closeCode}`;
    return isAnswered ? 'cut off' : 'not answered';
  }

  /** Behind a close frame. The impolite do not answer it, and are not waited for. */
  async #untilGone(): Promise<void> {
    if (!this.#socket.isPolite) return;
    const isGone = await this.#socket.until(() => false, PATIENCE_MS);
    if (!isGone) throw new Broken(`a socket is open ${PATIENCE_MS} ms after it was closed`);
  }

  /** Mostly at once; else in pieces, so that the server reads them one by one. */
  async #write(bytes: Uint8Array): Promise<void> {
    if (!this.#dice.chance(0.1)) return this.#socket.write(bytes);
    const size = 1 + this.#dice.below(this.#dice.chance(0.5) ? 10 : 1_000);
    const pieces = Math.min(40, Math.ceil(bytes.length / size));
    for (let i = 0; i < pieces; i++) {
      const end = i === pieces - 1 ? bytes.length : (i + 1) * size;
      this.#socket.write(bytes.subarray(i * size, end));
      await setImmediate();
    }
  }

  #count(kind: string, frames: number, outcome: string): void {
    this.#figures.frames += frames;
    this.#figures.kinds.add(kind, frames);
    this.#figures.outcomes.add(outcome, frames);
  }
}
