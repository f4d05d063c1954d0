/**
 * The tabs of one browser that have the same room open: who is there, and who holds the socket.
 *
 * Messages go over a BroadcastChannel. The Web Lock `<name>` is the right to hold the socket, and
 * those who wait for it are next, in their order; the browser hands it on when its holder leaves
 * or dies. Each tab also holds a lock of its own, by which the others learn that it has died.
 * (https://w3c.github.io/web-locks/)
 *
 * Invariants: at most one tab is the holder; whatever is still under way of a membership that was
 * left is not heard.
 */

/** What is used of a browser; the tests have one of their own. */
export interface TabsBrowser {
  readonly BroadcastChannel: new (name: string) => TabsChannel;
  readonly locks: TabsLocks;
}

export interface TabsChannel {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

export interface TabsLocks {
  request(
    name: string,
    options: { signal?: AbortSignal },
    callback: () => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** Undefined where there are no tabs, or no means to find them: outside of pages, in insecure ones. */
export function tabsBrowser(): TabsBrowser | undefined {
  const { document, navigator, BroadcastChannel } = globalThis as {
    document?: unknown;
    navigator?: { locks?: TabsLocks };
    BroadcastChannel?: TabsBrowser['BroadcastChannel'];
  };
  const locks = navigator?.locks;
  if (document === undefined || locks === undefined || BroadcastChannel === undefined) {
    return undefined;
  }
  return { BroadcastChannel, locks };
}

export interface TabsListener<Message> {
  /** This tab is one of them: it hears the others, and they would notice if it died. */
  joined(): void;
  /** This tab is the holder from now on, until it resigns or leaves. */
  held(): void;
  heard(from: string, message: Message): void;
  /** A tab that was watched is not there any more. */
  gone(id: string): void;
  /** The browser does not let this page have a channel or locks. */
  unavailable(error: unknown): void;
}

/** A lock that is waited for or held. */
interface Claim {
  readonly abort: AbortController;
  /** Set while it is held. */
  release: (() => void) | null;
}

interface Membership {
  readonly id: string;
  readonly channel: TabsChannel;
  /** Its own lock, and those of the tabs that it watches. */
  readonly claims: Set<Claim>;
  readonly watched: Set<string>;
  candidacy: Claim | null;
  isHolder: boolean;
}

export class Tabs<Message> {
  readonly #name: string;
  readonly #browser: TabsBrowser;
  readonly #listener: TabsListener<Message>;
  #membership: Membership | null = null;

  /** @param name the same for those who are to meet, on all pages of the origin */
  constructor(name: string, browser: TabsBrowser, listener: TabsListener<Message>) {
    this.#name = name;
    this.#browser = browser;
    this.#listener = listener;
  }

  /** Of this membership; each has another. */
  get id(): string {
    return this.#membership?.id ?? '';
  }

  /** Whether this tab wants to be one of them. */
  get isIn(): boolean {
    return this.#membership !== null;
  }

  get isHolder(): boolean {
    return this.#membership?.isHolder ?? false;
  }

  join(): void {
    if (this.#membership !== null) return;
    try {
      const id = crypto.randomUUID();
      const channel = new this.#browser.BroadcastChannel(this.#name);
      const claims = new Set<Claim>();
      const watched = new Set<string>();
      const membership = { id, channel, claims, watched, candidacy: null, isHolder: false };
      this.#membership = membership;
      channel.onmessage = ({ data }) => {
        if (this.#membership !== membership) return;
        const { from, message } = data as { from: string; message: Message };
        this.#listener.heard(from, message);
      };
      this.#claim(membership, this.#lockOf(id), () => this.#listener.joined());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Queues for the right to hold the socket; without effect while it is queued, or the holder. */
  stand(): void {
    const membership = this.#membership;
    if (membership === null || membership.candidacy !== null) return;
    membership.candidacy = this.#claim(membership, this.#name, () => {
      membership.isHolder = true;
      this.#listener.held();
    });
  }

  /** Gives the right to hold the socket, or the place in the queue, to the next. */
  resign(): void {
    const membership = this.#membership;
    if (membership === null || membership.candidacy === null) return;
    letGo(membership.candidacy);
    membership.candidacy = null;
    membership.isHolder = false;
  }

  /** Is to be told when that tab is gone. */
  watch(id: string): void {
    const membership = this.#membership;
    if (membership === null || membership.watched.has(id)) return;
    membership.watched.add(id);
    const claim = this.#claim(membership, this.#lockOf(id), () => {
      letGo(claim);
      membership.watched.delete(id);
      this.#listener.gone(id);
    });
  }

  post(message: Message): void {
    this.#membership?.channel.postMessage({ from: this.#membership.id, message });
  }

  leave(): void {
    const membership = this.#membership;
    if (membership === null) return;
    this.#membership = null;
    membership.channel.close();
    for (const claim of membership.claims) letGo(claim);
  }

  #lockOf(id: string): string {
    return `${this.#name} ${id}`;
  }

  #claim(membership: Membership, name: string, held: () => void): Claim {
    const claim: Claim = { abort: new AbortController(), release: null };
    const { signal } = claim.abort;
    membership.claims.add(claim);
    const done = this.#browser.locks.request(name, { signal }, () => {
      if (signal.aborted) return undefined;
      return new Promise((resolve) => {
        claim.release = resolve;
        held();
      });
    });
    done
      .catch((error: unknown) => {
        if (!signal.aborted && this.#membership === membership) this.#fail(error);
      })
      .finally(() => membership.claims.delete(claim));
    return claim;
  }

  #fail(error: unknown): void {
    this.leave();
    this.#listener.unavailable(error);
  }
}

function letGo({ abort, release }: Claim): void {
  abort.abort();
  release?.();
}
