/**
 * A relay in this process's memory: for tests with several servers in one process.
 *
 * All relays of a {@link MemoryHub} reach each other. The hub delivers at the end
 * of the turn, never inside `publish`. A test can make it as bad as the port
 * allows: {@link MemoryHub.disturb}.
 */
import { type Clock, systemClock } from '../clock.js';
import type { Relay, Subscription } from './relay.js';

/** How messages fare: probabilities from 0 to 1, for each message and receiver. */
export interface Disturbance {
  /** From 0 to below 1; the same numbers give the same disturbance. */
  readonly random: () => number;
  readonly drop?: number;
  readonly double?: number;
  /** Of being late by up to `delayMs`; others overtake it. */
  readonly delay?: number;
  readonly delayMs?: number;
  /** Of changing places with another message of the same turn. */
  readonly reorder?: number;
}

type Deliver = () => void;

/** What connects relays. */
export class MemoryHub {
  readonly #clock: Clock;
  readonly #relays = new Set<MemoryRelay>();
  #disturbance: Disturbance | undefined;
  #due: Deliver[] = [];

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** From now on messages are treated so; with nothing, well again. */
  disturb(disturbance?: Disturbance): void {
    this.#disturbance = disturbance;
  }

  /** Cuts every relay off; those that are made meanwhile are not. */
  disconnect(): void {
    for (const relay of this.#relays) relay.disconnect();
  }

  connect(): void {
    for (const relay of this.#relays) relay.connect();
  }

  /** For {@link MemoryRelay}. */
  enter(relay: MemoryRelay): void {
    this.#relays.add(relay);
  }

  /** For {@link MemoryRelay}. */
  leave(relay: MemoryRelay): void {
    this.#relays.delete(relay);
  }

  /** For {@link MemoryRelay}. */
  send(channel: string, message: Uint8Array): void {
    for (const relay of this.#relays) {
      // Who is connected and subscribed now; whether it still is counts at the delivery.
      const deliver = relay.receiver(channel, message);
      if (deliver !== undefined) this.#post(deliver);
    }
  }

  #post(deliver: Deliver): void {
    const { random, drop = 0, double = 0, delay = 0, delayMs = 50 } = this.#disturbance ?? CALM;
    if (random() < drop) return;
    const copies = random() < double ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (random() < delay) this.#clock.after(random() * delayMs, deliver);
      else this.#enqueue(deliver);
    }
  }

  #enqueue(deliver: Deliver): void {
    if (this.#due.length === 0) this.#clock.soon(() => this.#flush());
    this.#due.push(deliver);
  }

  #flush(): void {
    const due = this.#due;
    this.#due = [];
    const { random, reorder = 0 } = this.#disturbance ?? CALM;
    for (let i = 0; i < due.length; i++) {
      if (random() >= reorder) continue;
      const j = Math.floor(random() * due.length);
      [due[i], due[j]] = [due[j]!, due[i]!];
    }
    for (const deliver of due) deliver();
  }
}

const CALM: Disturbance = { random: () => 1 };

type Listener = (message: Uint8Array) => void;

export class MemoryRelay implements Relay {
  readonly name = 'memory';
  readonly #hub: MemoryHub;
  readonly #channels = new Map<string, Set<{ readonly listener: Listener }>>();
  readonly #gapListeners: (() => void)[] = [];
  #isConnected = true;
  #isClosed = false;
  /** Counts connections: what was on its way through an earlier one is lost. */
  #connection = 1;

  constructor(hub: MemoryHub = new MemoryHub()) {
    this.#hub = hub;
    hub.enter(this);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  publish(channel: string, message: Uint8Array): void {
    if (this.#isConnected) this.#hub.send(channel, message);
  }

  subscribe(channel: string, listener: Listener): Subscription {
    const entry = { listener };
    let entries = this.#channels.get(channel);
    if (entries === undefined) {
      entries = new Set();
      this.#channels.set(channel, entries);
    }
    entries.add(entry);
    return {
      ready: Promise.resolve(),
      close: () => {
        entries.delete(entry);
        if (entries.size === 0 && this.#channels.get(channel) === entries) {
          this.#channels.delete(channel);
        }
      },
    };
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  reconnect(): void {
    this.disconnect();
    this.connect();
  }

  async close(): Promise<void> {
    this.disconnect();
    this.#isClosed = true;
    this.#channels.clear();
    this.#hub.leave(this);
  }

  /** Cuts it off until {@link connect}. */
  disconnect(): void {
    this.#isConnected = false;
    this.#connection++;
  }

  connect(): void {
    if (this.#isConnected || this.#isClosed) return;
    this.#isConnected = true;
    for (const listener of this.#gapListeners) listener();
  }

  /** For {@link MemoryHub}: what delivers a message that is published now; undefined where nobody listens. */
  receiver(channel: string, message: Uint8Array): Deliver | undefined {
    if (!this.#isConnected || !this.#channels.has(channel)) return undefined;
    const connection = this.#connection;
    return () => {
      if (connection !== this.#connection) return;
      const entries = this.#channels.get(channel) ?? new Set();
      for (const entry of [...entries]) {
        // One of those before it may have closed it.
        if (entries.has(entry)) entry.listener(message.slice());
      }
    };
  }
}
