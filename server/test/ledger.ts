/**
 * What a server has told its clients to be saved, unit by unit, and whether a
 * document still has it.
 *
 * Listens on the sockets of real `cowrite.v1` clients and reads with Yjs's own
 * decoder, so that it shares no code with what it judges but the framing.
 */
import { decodeMessage } from '@cowrite/client/protocol';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

/** A unit that is deleted; also one of which only the clock is left. */
const GONE = '';
/** A unit that is there and is not a character. */
const OTHER = '\ufffc';

/** Per client id, by clock: the character, {@link GONE}, {@link OTHER}, or nothing where nothing is known. */
type Units = Map<number, string[]>;

export class Ledger {
  readonly #promised: Units = new Map();
  #units = 0;

  /** Units that were promised so far, deletions counted again. */
  get units(): number {
    return this.#units;
  }

  /** The server has said that this update is on disk. */
  promise(update: Uint8Array): void {
    const { structs, ds } = Y.decodeUpdate(update);
    for (const struct of structs) {
      if (struct instanceof Y.Skip) continue;
      const units = unitsOf(this.#promised, struct.id.client);
      for (let i = 0; i < struct.length; i++) {
        if (units[struct.id.clock + i] === GONE) continue;
        units[struct.id.clock + i] = unitAt(struct, i);
        this.#units++;
      }
    }
    for (const [client, ranges] of ds.clients) {
      const units = unitsOf(this.#promised, client);
      for (const { clock, len } of ranges) {
        for (let i = clock; i < clock + len; i++) {
          if (units[i] !== GONE) this.#units++;
          units[i] = GONE;
        }
      }
    }
  }

  /**
   * @param everyone a document of all that any client has: what is deleted there may be deleted here
   * @returns what was promised and is not in `doc`, as far as the first few
   */
  brokenIn(doc: Y.Doc, everyone: Y.Doc): string[] {
    const held = contentOf(doc);
    const known = contentOf(everyone);
    const broken: string[] = [];
    for (const [client, units] of this.#promised) {
      for (const [clock, promised] of units.entries()) {
        // A clock that no promise covers.
        if (promised === undefined) continue;
        const unit = held.get(client)?.[clock];
        if (unit === promised) continue;
        if (unit === GONE && known.get(client)?.[clock] === GONE) continue;
        broken.push(`${client}:${clock} is ${show(unit)}, promised ${show(promised)}`);
        if (broken.length === 10) return broken;
      }
    }
    return broken;
  }
}

function show(unit: string | undefined): string {
  if (unit === undefined) return 'missing';
  return unit === GONE ? 'deleted' : JSON.stringify(unit);
}

function unitsOf(all: Units, client: number): string[] {
  let units = all.get(client);
  if (units === undefined) {
    units = [];
    all.set(client, units);
  }
  return units;
}

function unitAt(struct: Y.Item | Y.GC, i: number): string {
  if (!(struct instanceof Y.Item) || struct.deleted) return GONE;
  if (struct.content instanceof Y.ContentDeleted) return GONE;
  return struct.content instanceof Y.ContentString ? struct.content.str[i]! : OTHER;
}

function contentOf(doc: Y.Doc): Units {
  const all: Units = new Map();
  for (const [client, structs] of doc.store.clients) {
    const units = unitsOf(all, client);
    for (const struct of structs) {
      for (let i = 0; i < struct.length; i++) units.push(unitAt(struct, i));
    }
  }
  return all;
}

/** Everything that these documents hold, in one. */
export function union(docs: readonly Y.Doc[]): Y.Doc {
  const all = new Y.Doc();
  for (const doc of docs) Y.applyUpdate(all, Y.encodeStateAsUpdate(doc));
  return all;
}

/** Whether two documents have the same structs and deletions. */
export function same(a: Y.Doc, b: Y.Doc): boolean {
  return Y.equalSnapshots(Y.snapshot(a), Y.snapshot(b));
}

/** Where clients find the server while its process comes and goes. */
export class Address {
  /** Privileged and unused: what connects meanwhile is refused, and meets no stranger. */
  static readonly #NOWHERE = 'ws://127.0.0.1:1';
  #url = Address.#NOWHERE;
  /** `saved` messages so far. */
  reports = 0;
  /** Messages of any kind that clients received so far. */
  received = 0;
  #waiters: (() => void)[] = [];

  /** Called for every message of a client's socket. */
  heard(): void {
    this.received++;
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Resolves once so many messages have been received. */
  async untilReceived(count: number): Promise<void> {
    while (this.received < count) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  up(server: { readonly url: string }): void {
    this.#url = server.url.replace('http', 'ws');
  }

  down(): void {
    this.#url = Address.#NOWHERE;
  }

  of(asked: string): string {
    const { pathname, search } = new URL(asked);
    return `${this.#url}${pathname}${search}`;
  }
}

/**
 * A WebSocket class for `cowrite.v1` clients: connects to the process that is up,
 * and writes into the ledger what its server promises.
 */
export function tapped(address: Address, ledger: Ledger) {
  return class Tapped extends WebSocket {
    readonly #sent: Uint8Array[] = [];
    #promised = 0;

    constructor(url: string, protocols: string[]) {
      super(address.of(url), protocols);
      // Before the client's own listener: a promise counts from the moment it arrives.
      this.on('message', (data) => {
        address.heard();
        const message = decodeMessage(new Uint8Array(data as ArrayBuffer));
        if (message.type !== 'saved') return;
        address.reports++;
        for (const update of this.#sent.slice(this.#promised, message.count)) {
          ledger.promise(update);
        }
        this.#promised = message.count;
      });
    }

    override send(data: Uint8Array): void {
      const message = decodeMessage(data);
      if (message.type === 'step2' || message.type === 'update') this.#sent.push(message.update);
      super.send(data);
    }
  };
}

/** One more turn of the event loop, in which sockets are read and written. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
