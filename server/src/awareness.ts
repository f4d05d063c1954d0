/**
 * Who is here: the awareness states of one room, and who may write which.
 *
 * Invariants: a client id belongs to the session that introduced it, or to the
 * instance that says so, until that leaves; foreign and unchanged entries are dropped in silence, because
 * y-websocket clients send back what they were sent; of each client others are told clocks that only
 * rise, also when it is back and counts from 0; a state is relayed as the
 * bytes it came in, once they are known to be JSON, or anew with the user that the
 * owner is known to be.
 *
 * Format: y-protocols `awareness.js`: count, then (client id, clock, JSON).
 */
import { bindUser, type Guest, type User } from './auth/identity.js';
import { Reader, uintSize, Writer } from './update/bytes.js';
import { UpdateRefused } from './update/refused.js';
import { isNestedDeeper, MAX_CLOCK } from './update/struct.js';

export interface AwarenessLimits {
  /** Bytes of one state as JSON. */
  readonly maxStateBytes: number;
  /** Client ids that one session may introduce. */
  readonly maxClients: number;
  /** Levels to which one state may be nested. */
  readonly maxDepth: number;
  readonly onLimit?: (limit: 'awareness-size' | 'awareness-clients' | 'awareness-depth') => void;
}

export interface AwarenessEntry {
  readonly client: number;
  readonly clock: number;
  /** JSON as bytes: a view into the message. */
  readonly state: Uint8Array;
}

/** A state of a client that another holds. */
export interface Claim extends AwarenessEntry {
  /** It is no newer than the holder's: its client is back on another socket, or it is an echo. */
  readonly isReturn: boolean;
  /** The holder's clock then. */
  readonly told: number;
}

interface Known<Owner> {
  /** As others are told it. */
  readonly clock: number;
  /** As its owner said it last; less, where others remember a later one. */
  readonly said: number;
  readonly state: Uint8Array;
  readonly owner: Owner;
}

/** The state of a client that is gone. */
export const NULL_STATE = new TextEncoder().encode('null');
const decoder = new TextDecoder('utf-8', { fatal: true });

/** How far a clock may be ahead of the last one that others were told. */
const MAX_STEP = 2 ** 20;

/** More than any room has people. */
const MAX_ENTRIES = 10_000;

/** @throws {UpdateRefused} when it is cut short, over-declared or has bytes behind it. */
export function readAwareness(bytes: Uint8Array): AwarenessEntry[] {
  const reader = new Reader(bytes);
  const count = reader.uint();
  if (count * 3 > reader.left) throw new UpdateRefused('more states declared than sent');
  if (count > MAX_ENTRIES) throw new UpdateRefused('too many states in one message');
  const entries: AwarenessEntry[] = [];
  for (let i = 0; i < count; i++) {
    const client = reader.uint();
    const clock = reader.uint();
    const length = reader.uint();
    const start = reader.pos;
    reader.skip(length);
    entries.push({ client, clock, state: bytes.subarray(start, reader.pos) });
  }
  if (reader.left > 0) throw new UpdateRefused('bytes after the awareness states');
  return entries;
}

export function encodeAwareness(entries: readonly AwarenessEntry[]): Uint8Array {
  let size = uintSize(entries.length);
  for (const { client, clock, state } of entries) {
    size += uintSize(client) + uintSize(clock) + uintSize(state.length) + state.length;
  }
  const writer = new Writer(size);
  writer.uint(entries.length);
  for (const { client, clock, state } of entries) {
    writer.uint(client);
    writer.uint(clock);
    writer.uint(state.length);
    writer.raw(state);
  }
  return writer.bytes;
}

/** What is known of a room's people. */
class Lists<Owner> {
  readonly clients = new Map<number, Known<Owner>>();
  readonly owned = new Map<Owner, Set<number>>();
  /** Clients whose state has changed since {@link Awareness.takeChanges}. */
  readonly changed = new Set<number>();
  /** Of those, the ones that sessions of this instance have changed. */
  readonly changedHere = new Set<number>();
  /** The last clock of those that are gone, for whoever was not told yet; bounded. */
  readonly gone = new Map<number, number>();
}

export class Awareness<Owner extends object> {
  readonly #limits: AwarenessLimits;
  readonly #isHere: ((owner: Owner) => boolean) | undefined;
  readonly #isMoving: (owner: Owner, client: number) => boolean;
  /** Made when the first state comes: many rooms have none. */
  #lists: Lists<Owner> | undefined;
  /** Somebody has introduced more clients than they may, in this message. */
  #isFull = false;

  /**
   * @param isHere whether an owner is a session of this instance; what it holds is not
   *   given away to another. For an instance that is alone: nothing
   * @param isMoving whether the owner has let go of this client, which is on its way to another
   */
  constructor(
    limits: AwarenessLimits,
    isHere?: (owner: Owner) => boolean,
    isMoving: (owner: Owner, client: number) => boolean = () => false,
  ) {
    this.#limits = limits;
    this.#isHere = isHere;
    this.#isMoving = isMoving;
  }

  ownerOf(client: number): Owner | undefined {
    return this.#lists?.clients.get(client)?.owner;
  }

  get size(): number {
    return this.#lists?.clients.size ?? 0;
  }

  /**
   * Takes over what the owner may say.
   *
   * @param user who the owner is, where anybody is asked: their states cannot say otherwise
   * @param mayReturn whether it may be a client that is back and does not know that it is still held
   * @param onBehind a client is back with a clock that others would ignore: they are told this one
   * @returns the states of client ids that belong to somebody else, and may have to wait for them
   */
  apply(
    owner: Owner,
    entries: readonly AwarenessEntry[],
    user?: User | Guest,
    mayReturn = false,
    onBehind?: (client: number, clock: number) => void,
  ): Claim[] {
    const foreign: Claim[] = [];
    for (const entry of entries) {
      const known = this.#lists?.clients.get(entry.client);
      if (known !== undefined && known.owner !== owner && !this.#mayTake(owner, entry, known)) {
        const isReturn = entry.clock <= known.clock;
        if (isNull(entry.state) || (isReturn && !(mayReturn && this.#hasNobody(owner)))) continue;
        if (this.#isSmall(entry.state)) foreign.push({ ...entry, isReturn, told: known.clock });
      } else {
        this.#applyOwn(owner, entry, known, user, onBehind);
      }
    }
    // Once a message, of which each of its states would count otherwise.
    if (this.#isFull) this.#limits.onLimit?.('awareness-clients');
    this.#isFull = false;
    return foreign;
  }

  #applyOwn(
    owner: Owner,
    entry: AwarenessEntry,
    known: Known<Owner> | undefined,
    user: User | Guest | undefined,
    onBehind: ((client: number, clock: number) => void) | undefined,
  ): void {
    const { client, clock } = entry;
    if (isNull(entry.state)) {
      if (known === undefined || clock < known.said) return;
      this.#forget(client, Math.max(clock, known.clock), known);
      this.#noteHere(client);
      return;
    }
    const isOwn = known?.owner === owner;
    // As others were told it last, of this owner or another.
    const told = known?.clock ?? this.#lists?.gone.get(client) ?? -1;
    if (clock > MAX_CLOCK && clock > told + MAX_STEP) return;
    if (isOwn && clock <= known.said) return;
    if (!isOwn && !this.#mayIntroduce(this.heldBy(owner), entry)) return;
    const state = this.#fit(entry.state, user);
    if (state === undefined) return;
    if (known !== undefined) this.#lists?.owned.get(known.owner)?.delete(client);
    const shown = clockFor(clock, told, known !== undefined && !isOwn);
    this.#set(owner, { client, clock: shown, state }, clock);
    this.#noteHere(client);
    if (shown > clock && !isOwn) onBehind?.(client, shown);
  }

  /** Whether the holder has moved since then: it lives, and what only claimed to be back was an echo. */
  isRefuted({ client, isReturn, told }: Claim): boolean {
    const clock = this.#lists?.clients.get(client)?.clock ?? this.#lists?.gone.get(client) ?? -1;
    return isReturn && clock > told;
  }

  #hasNobody(owner: Owner): boolean {
    return this.heldBy(owner).size === 0;
  }

  /** A client that moves introduces itself where it arrives, perhaps at the clock it had; others echo that. */
  #mayTake(owner: Owner, { client, clock, state }: AwarenessEntry, known: Known<Owner>): boolean {
    if (isNull(state) || !this.#isMoving(known.owner, client)) return false;
    return clock > known.clock || (clock === known.clock && this.#hasNobody(owner));
  }

  #noteHere(client: number): void {
    if (this.#isHere !== undefined) this.#lists?.changedHere.add(client);
  }

  #set(owner: Owner, { client, clock, state }: AwarenessEntry, said: number): void {
    this.#lists ??= new Lists();
    const { owned, clients, gone, changed } = this.#lists;
    owned.set(owner, (owned.get(owner) ?? new Set()).add(client));
    clients.set(client, { clock, said, state: state.slice(), owner });
    gone.delete(client);
    changed.add(client);
  }

  /**
   * Takes over what another instance says of people it holds. It has looked at
   * their states itself, and has made sure that nobody else holds them.
   *
   * @returns the clients that were not taken over, because a session here holds them
   */
  applyRemote(owner: Owner, entries: readonly AwarenessEntry[]): number[] {
    const held: number[] = [];
    for (const entry of entries) {
      const known = this.#lists?.clients.get(entry.client);
      if (isNull(entry.state)) {
        if (known?.owner === owner)
          this.#forget(entry.client, Math.max(entry.clock, known.clock), known);
      } else if (known !== undefined && known.owner !== owner && this.#isHere?.(known.owner)) {
        held.push(entry.client);
      } else {
        // From one instance to another a client moves with the clock it had.
        const isOwn = known?.owner === owner;
        const isStale =
          known !== undefined && (isOwn ? entry.clock <= known.said : entry.clock < known.clock);
        if (isStale) continue;
        if (known !== undefined) this.#lists?.owned.get(known.owner)?.delete(entry.client);
        // That instance may not know what clock of the client others here remember.
        const told = known?.clock ?? this.#lists?.gone.get(entry.client) ?? -1;
        const clock = clockFor(entry.clock, told, known !== undefined && !isOwn);
        this.#set(owner, { ...entry, clock }, entry.clock);
      }
    }
    return held;
  }

  /** The clients that this owner holds. */
  heldBy(owner: Owner): ReadonlySet<number> {
    return this.#lists?.owned.get(owner) ?? NOBODY;
  }

  /**
   * A client that comes back introduces itself first, perhaps at the clock it had.
   * A session with an id of its own that brings a state no newer than a removal
   * is echoing what it was sent before that.
   */
  #mayIntroduce(owned: ReadonlySet<number>, { client, clock }: AwarenessEntry): boolean {
    if (owned.size >= this.#limits.maxClients) {
      this.#isFull = true;
      return false;
    }
    return owned.size === 0 || clock > (this.#lists?.gone.get(client) ?? -1);
  }

  /** The client is gone, and its id is free. */
  #forget(client: number, clock: number, { owner }: Known<Owner>): void {
    this.#lists ??= new Lists();
    const { clients, owned, changed, gone } = this.#lists;
    clients.delete(client);
    owned.get(owner)?.delete(client);
    changed.add(client);
    gone.delete(client);
    gone.set(client, clock);
    if (gone.size > MAX_GONE) {
      const [oldest] = gone.keys();
      gone.delete(oldest!);
    }
  }

  /** @returns what others may be sent; undefined when that is nothing */
  #fit(state: Uint8Array, user: User | Guest | undefined): Uint8Array | undefined {
    if (state.length === 0 || !this.#isSmall(state)) return undefined;
    try {
      const text = decoder.decode(state);
      if (isNestedDeeper(text, this.#limits.maxDepth)) {
        this.#limits.onLimit?.('awareness-depth');
        return undefined;
      }
      const parsed: unknown = JSON.parse(text);
      if (user === undefined) return state;
      // Also where the user is right already: of two members with one name readers may take either.
      const bound = Buffer.from(JSON.stringify(bindUser(parsed, user)));
      // Numbers such as 1e99 grow when they are written out.
      return this.#isSmall(bound) ? bound : undefined;
    } catch {
      // Every receiver would throw as this did.
      return undefined;
    }
  }

  #isSmall(state: Uint8Array): boolean {
    if (state.length <= this.#limits.maxStateBytes) return true;
    this.#limits.onLimit?.('awareness-size');
    return false;
  }

  /** The owner has left: its clients are gone, and their ids are free. */
  leave(owner: Owner): void {
    for (const client of [...this.heldBy(owner)]) {
      const known = this.#lists!.clients.get(client)!;
      // The same clock with a null state is a removal to y-protocols, so a client
      // that returns need not count past a clock that it never used.
      this.#forget(client, known.clock, known);
      if (this.#isHere?.(owner)) this.#noteHere(client);
    }
    this.#lists?.owned.delete(owner);
  }

  /** What the owner holds is another's from now on, and nobody sees a difference. */
  pass(owner: Owner, heir: Owner): void {
    if (this.#lists === undefined) return;
    const { owned, clients } = this.#lists;
    const passed = this.heldBy(owner);
    owned.delete(owner);
    owned.set(heir, new Set(passed));
    for (const client of passed) clients.set(client, { ...clients.get(client)!, owner: heir });
  }

  get hasChanges(): boolean {
    return this.#lists !== undefined && this.#lists.changed.size > 0;
  }

  /** The newest state of every client that has changed since the last call. */
  takeChanges(): AwarenessEntry[] {
    if (!this.hasChanges) return [];
    const { changed } = this.#lists!;
    const entries = [...changed].map((client) => this.#entry(client));
    changed.clear();
    return entries.filter((entry) => entry !== undefined);
  }

  /** The same for other instances: what sessions of this one have changed. */
  takeChangesHere(): AwarenessEntry[] {
    const entries: AwarenessEntry[] = [];
    for (const client of this.#lists?.changedHere ?? []) {
      const owner = this.ownerOf(client);
      const entry = this.#entry(client);
      // Not those who have moved to another instance meanwhile: it speaks for them.
      if (entry !== undefined && (owner === undefined || this.#isHere?.(owner)))
        entries.push(entry);
    }
    this.#lists?.changedHere.clear();
    return entries;
  }

  #entry(client: number): AwarenessEntry | undefined {
    const known = this.#lists?.clients.get(client);
    if (known !== undefined) return { client, clock: known.clock, state: known.state };
    const clock = this.#lists?.gone.get(client);
    return clock === undefined ? undefined : { client, clock, state: NULL_STATE };
  }

  /** Everyone who is here. */
  present(): AwarenessEntry[] {
    const entries: AwarenessEntry[] = [];
    for (const [client, { clock, state }] of this.#lists?.clients ?? []) {
      entries.push({ client, clock, state });
    }
    return entries;
  }

  /** Everyone whom sessions of this instance hold. */
  here(): AwarenessEntry[] {
    return [...(this.#lists?.clients ?? [])]
      .filter(([, { owner }]) => this.#isHere?.(owner))
      .map(([client, { clock, state }]) => ({ client, clock, state }));
  }

  /** Everyone who is here, and those who left of late: for a reader that missed some changes. */
  presentAndGone(): AwarenessEntry[] {
    const gone = [...(this.#lists?.gone ?? [])].map(([client, clock]) => {
      return { client, clock, state: NULL_STATE };
    });
    return [...this.present(), ...gone];
  }
}

/**
 * The clock that others take: they ignore what is not newer than what they remember.
 *
 * @param told as they were told it last
 * @param isMoving whether they still see it, so that the same clock says the same
 */
function clockFor(clock: number, told: number, isMoving: boolean): number {
  return clock > told || (isMoving && clock === told) ? clock : told + 1;
}

const NOBODY: ReadonlySet<number> = new Set();

/** Kept for readers that were behind when somebody left; those who miss it wait for the 30 s of y-protocols. */
const MAX_GONE = 1_000;

export function isNull(state: Uint8Array): boolean {
  return state.length === NULL_STATE.length && NULL_STATE.every((byte, i) => state[i] === byte);
}
