/**
 * The relay port: messages between instances, by channel.
 *
 * The law: the relay is a hint. A message may be lost, doubled, late or out of
 * order, and nothing may depend on it but speed; the store is the truth. So
 * nothing here throws or waits when the relay is away.
 *
 * A channel is any string that a room's name can be part of. Byte arrays handed
 * over are not changed afterwards; those delivered belong to the listener.
 */
export interface Relay {
  /** For logs and metrics: `redis`, `memory`. */
  readonly name: string;

  /** Whether messages get through at the moment, as far as is known here. */
  readonly isConnected: boolean;

  /**
   * Sends to everybody who is subscribed, this instance included. Messages of one
   * turn of the loop leave together; those of one instance on one channel keep
   * their order. While the relay is away they are dropped.
   */
  publish(channel: string, message: Uint8Array): void;

  /** Delivers what is published from now on. Several listeners of a channel are one subscription. */
  subscribe(channel: string, listener: (message: Uint8Array) => void): Subscription;

  /** Called whenever messages may have been missed: after the connection was lost and is back, with every subscription. */
  onGap(listener: () => void): void;

  /**
   * Drops the connections and makes new ones: for one that is open and carries nothing, or that
   * leads elsewhere than those of others. Ends in {@link onGap}.
   */
  reconnect(): void;

  /** Nothing is delivered afterwards. */
  close(): Promise<void>;
}

export interface Subscription {
  /** Resolves once messages are delivered, or at once while the relay is away; never rejects. */
  readonly ready: Promise<void>;
  close(): void;
}
