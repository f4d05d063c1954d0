/**
 * A document in which something is missing for good, because a record of the offline copy is
 * damaged: Yjs keeps back all that was written after it, and what is sent of it waits at the server.
 *
 * In the place of what is missing comes something deleted, which hides nothing else. Only where
 * no server has what is missing: a document that has other content in the same place would stay
 * different from the others'.
 */
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

/** Yjs's numbers for a struct of which nothing is known but its clocks, and for deleted content; its flag for an origin. */
const GC = 0;
const DELETED = 1;
const HAS_ORIGIN = 0x80;
/** What stands before the name of a root type. */
const ROOT = 1;

/** Structs of a client that are looked at. */
const MANY = 1_000;

export class Mend {
  readonly #doc: Y.Doc;
  readonly #apply: (update: Uint8Array) => void;
  readonly #mayGuess: boolean;
  /** From which clock on something of each client was made up before any server was asked. */
  readonly #madeUp = new Map<number, number>();

  /**
   * @param apply changes the document by an update
   * @param mayGuess whether it seems that no server has what is missing
   * @param earlier what was made up by a page before this one
   */
  constructor(
    doc: Y.Doc,
    apply: (update: Uint8Array) => void,
    mayGuess: boolean,
    earlier: readonly Uint8Array[],
  ) {
    this.#doc = doc;
    this.#apply = apply;
    this.#mayGuess = mayGuess;
    for (const update of earlier) {
      for (const { id } of Y.decodeUpdate(update).structs) this.#madeUp.set(id.client, id.clock);
    }
  }

  /** No server answers, and somebody wants to see what is there. */
  guess(): void {
    if (this.#mayGuess) this.fill();
  }

  /** Puts something in the place of all that is missing. @returns whether anything was */
  fill(): boolean {
    const { store } = this.#doc;
    // What was kept back until now may need something else.
    for (let isFilled = false; ; isFilled = true) {
      const structs = waitingIn(store);
      const missing = missingIn(store, structs);
      if (missing.length === 0) return isFilled;
      for (const { client, clock } of missing) {
        if (!this.#madeUp.has(client)) this.#madeUp.set(client, clock);
      }
      this.#apply(encode(this.#doc, missing, structs));
    }
  }

  /**
   * Whether a server has what was taken for lost: here it stands empty, and there it does not.
   * Once: after that it has what was made up here.
   *
   * @returns what to say of it; null where it has not
   */
  contradiction(stateVector: Uint8Array): Error | null {
    const known = Y.decodeStateVector(stateVector);
    const isKnown = [...this.#madeUp].some(([client, clock]) => (known.get(client) ?? 0) > clock);
    this.#madeUp.clear();
    if (!isKnown) return null;
    return new Error('the server has what is damaged in the offline copy: open the document again');
  }
}

/** Clocks of a client that are not here, and structs that wait for them. */
interface Missing {
  readonly client: number;
  readonly clock: number;
  readonly len: number;
}

type Struct = ReturnType<typeof Y.decodeUpdate>['structs'][number];

function missingIn(store: Y.Doc['store'], structs: readonly Struct[]): Missing[] {
  // There begins what waits, or ends what is pointed at, or deleted.
  const ends = new Map<number, number>();
  const pointAt = (client: number, end: number) =>
    ends.set(client, Math.max(end, ends.get(client) ?? 0));
  const waiting = new Map<number, number>();
  for (const struct of structs) {
    const { client, clock } = struct.id;
    waiting.set(client, Math.min(clock, waiting.get(client) ?? clock));
    if (!(struct instanceof Y.Item)) continue;
    for (const id of [struct.origin, struct.rightOrigin, struct.parent]) {
      if (id instanceof Y.ID) pointAt(id.client, id.clock + 1);
    }
  }
  const deletions = store.pendingDs && Y.decodeUpdateV2(store.pendingDs).ds.clients;
  for (const [client, ranges] of deletions ?? []) {
    for (const { clock, len } of ranges) pointAt(client, clock + len);
  }
  return [...new Map([...ends, ...waiting])].flatMap(([client, end]) => {
    const clock = Y.getState(store, client);
    return end > clock ? [{ client, clock, len: end - clock }] : [];
  });
}

/** What waits for something that is not here. */
function waitingIn({ pendingStructs }: Y.Doc['store']): Struct[] {
  if (pendingStructs === null) return [];
  const { structs } = Y.decodeUpdateV2(pendingStructs.update);
  return structs.filter((struct) => !(struct instanceof Y.Skip));
}

/** A place in a list: behind an item, or at the beginning of a root type. */
type Place = Y.ID | string;

/**
 * Where what is missing may have stood: what was written behind it then finds its place. People
 * write one thing behind the other, or before what was there; most documents have one list.
 */
function placeOf(doc: Y.Doc, { client, clock, len }: Missing, structs: readonly Struct[]) {
  const before = doc.store.clients.get(client) ?? [];
  for (let at = before.length - 1; at >= Math.max(0, before.length - MANY); at--) {
    const item = before[at];
    if (isInList(item)) return item.lastId;
  }
  for (const struct of structs) {
    if (!(struct instanceof Y.Item) || struct.rightOrigin === null) continue;
    const { origin, rightOrigin: right } = struct;
    const isBehind =
      origin?.client === client && origin.clock >= clock && origin.clock < clock + len;
    if (!isBehind || right.clock >= Y.getState(doc.store, right.client)) continue;
    const item = Y.getItem(doc.store, right);
    if (isInList(item) && item.left !== null) return item.left.lastId;
  }
  // Whether a type is a map shows in what is in it, or will be.
  const isOfMap = (struct: Struct): struct is Y.Item =>
    struct instanceof Y.Item && struct.parentSub !== null;
  const maps = new Set<unknown>(
    structs.flatMap((struct) => (isOfMap(struct) ? [struct.parent] : [])),
  );
  const lists = [...doc.share].filter(
    ([name, { _map, _start }]) => _start !== null || (_map.size === 0 && !maps.has(name)),
  );
  const [only] = lists;
  if (only === undefined || lists.length > 1) return null;
  let last = only[1]._start;
  while (last?.right) last = last.right;
  return last?.lastId ?? only[0];
}

function isInList(struct: unknown): struct is Y.Item {
  return struct instanceof Y.Item && struct.parentSub === null;
}

function encode(doc: Y.Doc, missing: readonly Missing[], structs: readonly Struct[]): Uint8Array {
  const encoder = encoding.createEncoder();
  const write = (...numbers: readonly number[]) => {
    for (const number of numbers) encoding.writeVarUint(encoder, number);
  };
  write(missing.length);
  for (const each of missing) {
    write(1, each.client, each.clock);
    const place: Place | null = placeOf(doc, each, structs);
    if (place === null) encoding.writeUint8(encoder, GC);
    else if (typeof place === 'string') {
      encoding.writeUint8(encoder, DELETED);
      write(ROOT);
      encoding.writeVarString(encoder, place);
    } else {
      encoding.writeUint8(encoder, DELETED | HAS_ORIGIN);
      write(place.client, place.clock);
    }
    write(each.len);
  }
  // It says itself that it is deleted.
  write(0);
  return encoding.toUint8Array(encoder);
}
