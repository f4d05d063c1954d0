/**
 * Reverts in the document what a server refuses, at its time, and tells the application.
 *
 * Loaded once something is refused. Invariant: what is refused is told once it is reverted, all
 * that was reverted together as one.
 */
import type * as Y from 'yjs';
import { Alarm } from './alarm.js';
import type { Clock } from './clock.js';
import { isTooDeep } from './depth.js';
import type { Rejection } from './options.js';
import type { Pending } from './pending.js';
import type { RejectReason } from './protocol/index.js';
import { Spacing } from './spacing.js';

export interface RevertingListener {
  /** Something is going to be reverted. @param isLeft whether something waits to be sent once more */
  refused(isLeft: boolean): void;
  /** All that the server lacks, once more; behind what is to be reverted. */
  send(): void;
  /** The same, if it has waited for a revert. */
  sendOwed(): void;
  reverted(rejection: Rejection): void;
  /** Whether all that the server had is here. */
  isComplete(): boolean;
  /** From now on it has to be known what the server has deleted. */
  ask(): void;
  /** Runs `work`, and tells what happens in it afterwards. */
  hold(work: () => void): void;
}

export class Reverting {
  readonly #doc: Y.Doc;
  readonly #pending: Pending;
  readonly #clock: Clock;
  readonly #deepest: number;
  readonly #listener: RevertingListener;
  readonly #spacing = new Spacing();
  readonly #alarm: Alarm;
  /** What was refused and is to be reverted at {@link Reverting.#revertAt}: one event for all of it. */
  #burst: Rejection | null = null;
  #revertAt = 0;

  /** @param deepest level that a document may have */
  constructor(
    doc: Y.Doc,
    pending: Pending,
    clock: Clock,
    deepest: number,
    listener: RevertingListener,
  ) {
    this.#doc = doc;
    this.#pending = pending;
    this.#clock = clock;
    this.#deepest = deepest;
    this.#listener = listener;
    this.#alarm = new Alarm(clock, () => listener.hold(() => this.revertWhenDue()));
  }

  /**
   * The document keeps it until {@link Reverting.revert}. A message in which there is nothing new of
   * this client's is no news for the application.
   *
   * @param isUrgent whether it is reverted now
   * @returns whether there was something, of which nothing is left, or is going to be
   */
  refuse(message: number, reason: RejectReason, isUrgent: boolean): boolean {
    const isReverted = this.#pending.refuse(
      message,
      reason === 'too-deep' ? (change) => isTooDeep(this.#doc, change, this.#deepest) : undefined,
    );
    if (isReverted === null) {
      this.#compare(true);
      return false;
    }
    const isTakenBack = isReverted && this.#burst?.isTakenBack !== false;
    this.#burst = { reason, isTakenBack };
    this.#listener.refused(this.#pending.isLeft);
    this.#revertAt = isUrgent ? this.#clock.now() : this.next();
    this.revertWhenDue();
    if (this.#pending.isLeft) this.#listener.send();
    return isTakenBack;
  }

  /** When what is refused now may be reverted, in the clock's milliseconds. */
  next(): number {
    return this.#spacing.next(this.#clock.now());
  }

  /** Whether something is to be reverted, and not yet. */
  get isWaiting(): boolean {
    return this.#burst !== null && this.#clock.now() < this.#revertAt;
  }

  revertWhenDue(): void {
    if (this.#burst === null || this.#pending.isOffering) return;
    if (this.isWaiting) this.#alarm.set(this.#revertAt);
    else this.revert();
  }

  /** All that was refused and is in the document still, as one. */
  revert(): void {
    const burst = this.#burst;
    if (burst === null) return;
    this.#burst = null;
    this.#alarm.set(null);
    this.#spacing.reverted(this.#clock.now());
    const wasForked = this.#pending.isForked;
    this.#pending.revert();
    this.#listener.sendOwed();
    this.#compare(wasForked);
    this.#listener.reverted(burst);
  }

  /** Where there are traces of what was refused: they follow what the others do. */
  #compare(wasForked: boolean): void {
    if (!this.#pending.isForked) return;
    if (!wasForked) this.#listener.ask();
    queueMicrotask(() => this.#listener.isComplete() && this.#pending.complete());
  }
}
