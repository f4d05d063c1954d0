/**
 * This instance among the others: who else is there, and what their rooms here miss.
 *
 * Every instance says that it is there, on one channel. One that is silent for
 * nearly as long as its people's time to live is gone, and its people with it.
 * An instance that does not even hear itself has a dead connection, and makes a
 * new one; so does one that does not hear others that are there (relay-check.ts). Now and then the store is asked how far the open rooms go, so that
 * nothing that the relay lost stays missing.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock, Timer } from './clock.js';
import type { Workers } from './compact/workers.js';
import { Link } from './link.js';
import type { RelayMeasures } from './measures.js';
import { PresenceKeeper } from './presence/keeper.js';
import type { Presence } from './presence/presence.js';
import { type Content, decodeEnvelope, type Envelope, encodeEnvelope } from './relay/envelope.js';
import type { Relay, Subscription } from './relay/relay.js';
import { RelayCheck } from './relay-check.js';
import type { Snapshots } from './snapshots.js';
import type { Storage } from './storage/storage.js';

export interface InstancesOptions {
  readonly relay: Relay;
  readonly presence: Presence;
  readonly storage: Storage;
  readonly snapshots: Snapshots;
  readonly workers: Workers;
  readonly measures: RelayMeasures;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds that people stay present after their instance has gone. */
  readonly presenceTtl: number;
  /** Milliseconds from one look at the store to the next. */
  readonly headCheck: number;
  /** Entries of another instance have arrived, so many milliseconds after they were sent, by both clocks. */
  readonly onRelayed: (updates: number, lag: number) => void;
  /** Another instance was told who is to leave, or to be asked about again, or that a room is deleted. */
  readonly onOrder: (order: Order) => void;
}

/** What is done to sessions wherever they are. */
const ORDERS = ['kick', 'kick-client', 'recheck', 'delete', 'replace', 'undelete'] as const;
export type Order = Extract<Content, { readonly kind: (typeof ORDERS)[number] }>;

const EVERYBODY = 'instances';
/** How often an instance says that it is there, as a part of its people's time to live. */
const HERE_PART = 1 / 6;
/** The part of the time to live after which a silent instance is gone. */
const GONE_PART = 0.9;
/** How long one that comes back is known for that, in times to live. */
const FORGOTTEN_PART = 1_000;
/** Times that it may not hear itself. */
const DEAF_AFTER = 3;
const HEADS_AT_ONCE = 1_000;
const ROOMS_AT_ONCE = 100;

export class Instances {
  /** This instance's name among them; a new one at each start. */
  readonly id = randomUUID();
  readonly #options: InstancesOptions;
  readonly #keeper: PresenceKeeper;
  readonly #links = new Set<Link>();
  readonly #heard = new Map<string, number>();
  readonly #check: RelayCheck;
  readonly #subscription: Subscription;
  readonly #timers: readonly Timer[];
  /** Those that were taken for gone because they were silent, and when. They are not remembered for ever: each start is another name. */
  readonly #silent = new Map<string, number>();
  /** Those that take nobody in any more. */
  readonly #ending = new Set<string>();
  #heardMyself: number;
  #isLeaving = false;
  #isChecking = false;
  /** Whether the last check was answered. */
  #areHeadsKnown = true;
  #isClosed = false;

  constructor(options: InstancesOptions) {
    const { relay, presence, clock, logger, presenceTtl, headCheck } = options;
    this.#options = options;
    this.#keeper = new PresenceKeeper({
      presence,
      instance: this.id,
      clock,
      logger,
      ttl: presenceTtl,
    });
    this.#check = new RelayCheck({ ...options, instance: this.id, ttl: presenceTtl });
    this.#heardMyself = clock.now();
    this.#subscription = relay.subscribe(EVERYBODY, (message) => this.#receive(message));
    relay.onGap(() => this.#gap());
    // Those who are to end now know that there is somewhere else to go.
    this.#publish(EVERYBODY, { kind: 'here' });
    this.#timers = [
      clock.every(presenceTtl * HERE_PART, () => this.#beat()),
      clock.every(headCheck, () => void this.#checkHeads()),
    ];
  }

  /** How many other instances are there. */
  get others(): number {
    return this.#heard.size;
  }

  /** How many people of this instance are kept present. */
  get presenceKeys(): number {
    return this.#keeper.size;
  }

  /** Whether messages get through at the moment, as far as is known here. */
  get isConnected(): boolean {
    return this.#options.relay.isConnected;
  }

  /** How many other instances are there and cannot be heard. */
  get unheard(): number {
    return this.#check.hearing.unheard.length;
  }

  /** Whether messages get through, and from all other instances, as far as is known here. */
  get state(): 'connected' | 'away' | 'split' {
    if (!this.isConnected) return 'away';
    return this.#check.isSplit ? 'split' : 'connected';
  }

  link(room: string): Link {
    const { relay, presence, storage, snapshots, workers, measures, clock, logger } = this.#options;
    const channel = `room:${room}`;
    const link = new Link(room, {
      instance: this.id,
      subscribe: (listener) => relay.subscribe(channel, listener),
      publish: (content) => this.#publish(channel, content),
      listPresent: () => presence.list(room),
      keeper: this.#keeper,
      storage,
      snapshots,
      workers,
      measures,
      clock,
      logger,
      isLeaving: () => this.#isLeaving,
      onHeard: (envelope) => this.#onHeard(envelope),
      onPeer: (instance) => {
        // From now on it has to be heard of.
        if (!this.#heard.has(instance)) this.#heard.set(instance, clock.now());
      },
      onClose: () => this.#links.delete(link),
    });
    this.#links.add(link);
    return link;
  }

  /** Tells every other instance. @returns false while they cannot be told */
  order(order: Order): boolean {
    this.#publish(EVERYBODY, order);
    return this.state === 'connected';
  }

  /** From now on those who leave this instance are elsewhere in a moment: nobody there sees them go. */
  leave(): void {
    this.#isLeaving = true;
    this.#publish(EVERYBODY, { kind: 'ending' });
  }

  /** Whether there is an instance that takes in who leaves this one. */
  get isOtherOpen(): boolean {
    for (const instance of this.#heard.keys()) if (!this.#ending.has(instance)) return true;
    return false;
  }

  /** Whether somebody is on the way from here to another instance. */
  get areMoving(): boolean {
    for (const { people } of this.#links) if (people.areMoving) return true;
    return false;
  }

  /** Tells the others that this instance has left. Its people are removed at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#publish(EVERYBODY, { kind: 'gone' });
    this.#subscription.close();
    for (const link of [...this.#links]) link.close();
    await this.#keeper.close();
  }

  #publish(channel: string, content: Content): void {
    const { relay, clock, storage } = this.#options;
    const primary = storage.primary?.id ?? 0;
    const envelope = { origin: this.id, sentAt: clock.date(), primary, content };
    relay.publish(channel, encodeEnvelope(envelope));
  }

  #receive(message: Uint8Array): void {
    const envelope = decodeEnvelope(message);
    if (envelope === undefined || this.#isClosed) return;
    if (envelope.origin === this.id) {
      this.#heardMyself = this.#options.clock.now();
    } else if (envelope.content.kind === 'gone') {
      this.#silent.delete(envelope.origin);
      this.#left(envelope.origin);
    } else {
      this.#onHeard(envelope);
      const { content } = envelope;
      if (isOrder(content)) this.#options.onOrder(content);
    }
  }

  #onHeard({ origin, sentAt, content }: Envelope): void {
    const { clock, measures, onRelayed } = this.#options;
    this.#heard.set(origin, clock.now());
    this.#check.hearing.heard(origin);
    if (content.kind === 'ending') this.#ending.add(origin);
    // It was there all the time, with people who were taken for gone.
    if (this.#silent.delete(origin)) void this.#inTurn(({ people }) => people.reconcile());
    if (content.kind !== 'updates') return;
    const lag = clock.date() - sentAt;
    // Clocks of two machines differ.
    measures.lag.add(Math.max(0, lag));
    onRelayed(content.updates.length, lag);
  }

  #beat(): void {
    const { relay, clock, logger, presenceTtl } = this.#options;
    const now = clock.now();
    const every = presenceTtl * HERE_PART;
    if (!relay.isConnected) {
      this.#hearAnew();
    } else if (now - this.#heardMyself > DEAF_AFTER * every) {
      logger.warn('nothing is heard through the relay; its connection is made anew');
      this.#heardMyself = now;
      relay.reconnect();
    }
    for (const [instance, heardAt] of this.#heard) {
      if (now - heardAt <= presenceTtl * GONE_PART) continue;
      this.#left(instance);
      this.#silent.set(instance, now);
    }
    for (const [instance, since] of this.#silent) {
      if (now - since > FORGOTTEN_PART * presenceTtl) this.#silent.delete(instance);
    }
    this.#publish(EVERYBODY, { kind: this.#isLeaving ? 'ending' : 'here' });
    void this.#check.beat();
  }

  #left(instance: string): void {
    this.#ending.delete(instance);
    if (!this.#heard.delete(instance)) return;
    this.#options.logger.info({ instance }, 'another instance has left');
    for (const link of this.#links) link.people.peerLeft(instance);
  }

  /** Silence says nothing of the others while nothing can be heard. */
  #hearAnew(): void {
    const now = this.#options.clock.now();
    this.#heardMyself = now;
    for (const instance of this.#heard.keys()) this.#heard.set(instance, now);
    this.#check.hearing.forgive();
  }

  /** The relay was away and is back. */
  #gap(): void {
    if (this.#isClosed) return;
    this.#options.measures.gaps++;
    this.#hearAnew();
    this.#publish(EVERYBODY, { kind: 'here' });
    void this.#checkHeads();
    void this.#inTurn(({ people }) => people.gap());
  }

  /** Some rooms at a time: each of them is a question to the presence store. @param act never rejects */
  async #inTurn(act: (link: Link) => Promise<void>): Promise<void> {
    const links = [...this.#links];
    for (let i = 0; i < links.length && !this.#isClosed; i += ROOMS_AT_ONCE) {
      await Promise.all(links.slice(i, i + ROOMS_AT_ONCE).map(act));
    }
  }

  /** Never rejects: the next check is soon. */
  async #checkHeads(): Promise<void> {
    if (this.#isChecking || this.#isClosed) return;
    this.#isChecking = true;
    const { storage, logger } = this.#options;
    try {
      const links = [...this.#links];
      for (let i = 0; i < links.length; i += HEADS_AT_ONCE) {
        const some = links.slice(i, i + HEADS_AT_ONCE);
        const asked = some.map(({ head }) => head);
        const heads = await storage.heads(some.map(({ name }) => name));
        for (const [n, link] of some.entries()) link.checkHead(heads[n]!, asked[n]!);
      }
      this.#areHeadsKnown = true;
    } catch (error) {
      // Once: it is tried every few seconds, and health tells when the store is back.
      const line = 'the store could not be asked how far its rooms go; it is asked again';
      if (this.#areHeadsKnown) logger.warn({ err: error }, line);
      this.#areHeadsKnown = false;
    } finally {
      this.#isChecking = false;
    }
  }
}

function isOrder(content: Content): content is Order {
  return (ORDERS as readonly string[]).includes(content.kind);
}
