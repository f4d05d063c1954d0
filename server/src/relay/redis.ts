/**
 * The relay through Redis's publish and subscribe.
 *
 * Two connections, whatever the number of channels: one publishes, one is
 * subscribed. What a turn of the loop publishes leaves in one write, and in few
 * commands (`bundle.ts`).
 *
 * Invariants: what the server was told on the subscriber's connection follows
 * what is wanted, with at most one change of a channel on its way, in order, so
 * the last word of a race counts. After a connection was lost, gap listeners are
 * called once the server has confirmed every channel on the new one. What waits
 * for the publisher's connection is bounded; beyond that it is dropped.
 *
 * Channels are not part of a Redis database: their names carry its number, so
 * that deployments that share a server by database stay apart.
 */
import { type Redis, ReplyError } from 'ioredis';
import { systemClock } from '../clock.js';
import {
  asBuffer,
  begin,
  checkPrefix,
  connectRedis,
  endConnection,
  type RedisOptions,
} from '../redis.js';
import { traced } from '../trace.js';
import { type Addressed, bundled, decodeBundle, encodeBundle } from './bundle.js';
import type { Relay, Subscription } from './relay.js';

/** Bytes that may be on their way to Redis without an answer. */
const MAX_UNANSWERED_BYTES = 16 * 1024 * 1024;
/** What a message costs beside its bytes, so that a flood of tiny ones is bounded too. */
const MESSAGE_OVERHEAD = 200;
const CHANNELS_PER_COMMAND = 1_000;
/** Milliseconds for which the number of instances is believed that a bundle's PUBLISH was answered with. */
const COUNT_HOLDS_MS = 10_000;

type Listener = (message: Uint8Array) => void;

interface Channel {
  readonly listeners: Set<{ readonly listener: Listener }>;
  /** Whether SUBSCRIBE was sent on this connection, and was answered. */
  told: 'no' | 'sent' | 'confirmed';
  /** Resolve what waits for the confirmation. */
  waiting: (() => void)[];
}

export class RedisRelay implements Relay {
  readonly name = 'redis';
  readonly #prefix: string;
  /** The channel that every instance hears. Those of rooms have one colon more. */
  readonly #everybody: string;
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  readonly #onWarning: (line: string) => void;
  readonly #channels = new Map<string, Channel>();
  /** Channels of which the server may have to be told something. */
  readonly #changed = new Set<string>();
  readonly #gapListeners: (() => void)[] = [];
  #outgoing: Addressed[] = [];
  #instances = { count: 0, until: 0 };
  #unansweredBytes = 0;
  #dropped = 0;
  /** Counts the subscriber's connections, so that a late answer to an earlier one is known as such. */
  #connection = 0;
  #isSubscribed = false;
  /** Over when the newest connection hears everything, or is lost; never rejects. */
  #subscribing: Promise<void> = Promise.resolve();
  #hasMissed = false;
  #isRefused = false;
  #isClosed = false;

  private constructor(url: string, options: RedisOptions) {
    const prefix = checkPrefix(options.prefix);
    this.#onWarning = options.onWarning ?? (() => undefined);
    this.#publisher = connectRedis(url, 'publisher', options);
    this.#subscriber = connectRedis(url, 'subscriber', options);
    this.#everybody = `${prefix}${this.#publisher.options.db ?? 0}`;
    this.#prefix = `${this.#everybody}:`;
    this.#listen(this.#everybody, (bundle) => {
      for (const { channel, message } of decodeBundle(bundle) ?? []) {
        this.#deliver(this.#prefix + channel, message);
      }
    });
    this.#subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) =>
      this.#deliver(channel.toString(), message),
    );
    this.#subscriber.on('ready', () => {
      this.#subscribing = this.#subscribeAll();
    });
    this.#subscriber.on('close', () => this.#lost());
    // What was to be said meanwhile was dropped: as bad for the others as what was not heard.
    this.#publisher.on('close', () => {
      this.#hasMissed = true;
    });
    this.#publisher.on('ready', () => this.#tellGap());
  }

  /**
   * Resolves once the first attempt to connect is over. Where it failed the relay
   * is away, and comes back by itself.
   *
   * @throws {TypeError} when the address or an option cannot be right
   * @throws {UnusableRedis} when a cluster or a Sentinel is there
   */
  static async open(url: string, options: RedisOptions = {}): Promise<RedisRelay> {
    const relay = new RedisRelay(url, options);
    try {
      await Promise.all([
        begin(relay.#publisher, options.timeout),
        begin(relay.#subscriber, options.timeout),
      ]);
    } catch (error) {
      await relay.close();
      throw error;
    }
    await relay.#subscribing;
    return relay;
  }

  get isConnected(): boolean {
    return this.#isSubscribed && this.#publisher.status === 'ready';
  }

  /** Messages that were not sent, since the relay was away or behind. */
  get dropped(): number {
    return this.#dropped;
  }

  publish(channel: string, message: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#outgoing.length === 0) systemClock.soon(() => this.#send());
    this.#outgoing.push({ channel, message });
  }

  subscribe(channel: string, listener: Listener): Subscription {
    return this.#listen(this.#prefix + channel, listener);
  }

  #listen(name: string, listener: Listener): Subscription {
    const entry = { listener };
    let state = this.#channels.get(name);
    if (state === undefined) {
      state = { listeners: new Set(), told: 'no', waiting: [] };
      this.#channels.set(name, state);
    }
    const { listeners } = state;
    listeners.add(entry);
    this.#change(name);
    return {
      ready: this.#confirmed(state),
      close: () => {
        if (listeners.delete(entry) && listeners.size === 0) this.#change(name);
      },
    };
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  reconnect(): void {
    // In any other state it is being made already.
    if (this.#publisher.status === 'ready') this.#publisher.disconnect(true);
    if (this.#subscriber.status !== 'ready') return;
    // At once, not when the socket is closed: no gap may be told that the old connection has to fill.
    this.#lost();
    this.#subscriber.disconnect(true);
  }

  async close(): Promise<void> {
    this.#send();
    this.#isClosed = true;
    this.#channels.clear();
    await Promise.all([endConnection(this.#publisher), endConnection(this.#subscriber)]);
  }

  async #confirmed(state: Channel): Promise<void> {
    // What is subscribed before the connection is ready is confirmed before the gap listeners are called.
    if (this.#subscriber.status !== 'ready' || state.told === 'confirmed') return;
    await new Promise<void>((resolve) => state.waiting.push(resolve));
  }

  #deliver(channel: string, message: Uint8Array): void {
    const state = this.#channels.get(channel);
    if (state === undefined || this.#isClosed) return;
    for (const entry of [...state.listeners]) {
      // One of those before it may have closed it. The buffer is a view into what the socket read.
      if (state.listeners.has(entry)) entry.listener(new Uint8Array(message));
    }
  }

  #send(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    if (outgoing.length === 0) return;
    if (this.#isClosed || this.#publisher.status !== 'ready') {
      this.#dropped += outgoing.length;
      return;
    }
    const pipeline = this.#publisher.pipeline();
    let bytes = 0;
    let bundle = -1;
    for (const messages of bundled(outgoing, this.#knownInstances())) {
      const isBundle = messages.length > 1;
      const message = isBundle ? encodeBundle(messages) : messages[0]!.message;
      const cost = message.length + messages.length * MESSAGE_OVERHEAD;
      if (this.#unansweredBytes + bytes + cost > MAX_UNANSWERED_BYTES) {
        this.#dropped += messages.length;
        continue;
      }
      bytes += cost;
      if (isBundle) bundle = pipeline.length;
      const channel = isBundle ? this.#everybody : this.#prefix + messages[0]!.channel;
      pipeline.publish(channel, asBuffer(message));
    }
    if (pipeline.length === 0) return;
    this.#unansweredBytes += bytes;
    void traced(
      'cowrite.publish',
      () => ({ 'cowrite.messages': outgoing.length, 'cowrite.bytes': bytes }),
      async () => await pipeline.exec(),
    ).then((results) => {
      this.#unansweredBytes -= bytes;
      const [error] = results?.[0] ?? [];
      if (isRefusal(error)) this.#refused(error);
      const heard = results?.[bundle]?.[1];
      if (typeof heard === 'number') {
        this.#instances = { count: heard, until: systemClock.now() + COUNT_HOLDS_MS };
      }
    });
  }

  /** A bundle is the way to learn it, so without a count there is said to be one. */
  #knownInstances(): number {
    const { count, until } = this.#instances;
    return systemClock.now() < until ? count : 1;
  }

  #change(name: string): void {
    if (this.#changed.size === 0) systemClock.soon(() => void this.#tell());
    this.#changed.add(name);
  }

  /** Tells the server what has changed. Resolves once it has confirmed that, or the connection is lost. */
  async #tell(): Promise<void> {
    const subscribe: string[] = [];
    const unsubscribe: string[] = [];
    for (const name of this.#changed) {
      const state = this.#channels.get(name);
      if (state === undefined) continue;
      const isWanted = state.listeners.size > 0;
      if (isWanted && state.told === 'no') subscribe.push(name);
      if (!isWanted) {
        if (state.told !== 'no') unsubscribe.push(name);
        this.#channels.delete(name);
        settle(state);
      }
    }
    this.#changed.clear();
    // While the connection is away or new, `#subscribeAll` will tell what holds by then.
    if (this.#subscriber.status !== 'ready') return;
    await Promise.all([
      ...inParts(unsubscribe).map((names) => this.#unsubscribe(names)),
      ...inParts(subscribe).map((names) => this.#subscribe(names)),
    ]);
  }

  async #subscribe(names: readonly string[]): Promise<void> {
    const connection = this.#connection;
    const states = names.map((name) => this.#channels.get(name)!);
    for (const state of states) state.told = 'sent';
    try {
      await this.#subscriber.subscribe(...names);
    } catch (error) {
      if (connection === this.#connection) this.#failed(states, error);
      return;
    }
    if (connection !== this.#connection) return;
    for (const state of states) {
      state.told = 'confirmed';
      settle(state);
    }
  }

  async #unsubscribe(names: readonly string[]): Promise<void> {
    const connection = this.#connection;
    try {
      await this.#subscriber.unsubscribe(...names);
    } catch (error) {
      if (connection === this.#connection) this.#failed([], error);
    }
  }

  /** The connection may be as good as lost; then another will do better. A refusal nothing here can mend. */
  #failed(states: readonly Channel[], error: unknown): void {
    if (this.#isClosed) return;
    for (const state of states) {
      state.told = 'no';
      settle(state);
    }
    if (isRefusal(error)) this.#refused(error);
    else this.reconnect();
  }

  /** Once a connection: whoever has no permission has it for no message. */
  #refused(error: Error): void {
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#onWarning(`Redis refuses the relay: ${error.message}`);
  }

  /** On a new connection: subscribes to everything. */
  async #subscribeAll(): Promise<void> {
    const connection = ++this.#connection;
    this.#isRefused = false;
    for (const [name, state] of this.#channels) {
      state.told = 'no';
      this.#changed.add(name);
    }
    await this.#tell();
    if (connection !== this.#connection || this.#isClosed) return;
    this.#isSubscribed = true;
    this.#tellGap();
  }

  #tellGap(): void {
    if (!this.#hasMissed || !this.isConnected || this.#isClosed) return;
    this.#hasMissed = false;
    for (const listener of this.#gapListeners) listener();
  }

  #lost(): void {
    this.#connection++;
    this.#isSubscribed = false;
    this.#hasMissed = true;
    for (const state of this.#channels.values()) {
      state.told = 'no';
      settle(state);
    }
  }
}

/** Whether Redis itself said no, rather than nothing. */
function isRefusal(error: unknown): error is Error {
  return error instanceof ReplyError;
}

function settle(state: Channel): void {
  for (const resolve of state.waiting.splice(0)) resolve();
}

function inParts(names: readonly string[]): string[][] {
  const parts: string[][] = [];
  for (let i = 0; i < names.length; i += CHANNELS_PER_COMMAND) {
    parts.push(names.slice(i, i + CHANNELS_PER_COMMAND));
  }
  return parts;
}
