/** Random histories of several Yjs clients, for property tests. Not part of the package's exports. */
import fc from 'fast-check';
import * as Y from 'yjs';
import { chosenSeed } from './seeded.js';

export type Edit =
  | { kind: 'insert'; at: number; text: string }
  | { kind: 'delete'; at: number; length: number }
  | { kind: 'format'; at: number; length: number; bold: boolean }
  | { kind: 'set'; key: string; value: unknown }
  | { kind: 'unset'; key: string }
  | { kind: 'push'; value: unknown }
  | { kind: 'pull'; at: number }
  | { kind: 'element'; at: number; text: string }
  | { kind: 'embed'; at: number }
  | { kind: 'nest'; key: string; value: string }
  | { kind: 'subdocument'; key: string }
  | { kind: 'sync'; from: number };

const value = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 8 }),
  fc.record(
    {
      a: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
      b: fc.bigInt({ min: 0n, max: 2n ** 60n }),
    },
    { noNullPrototype: true },
  ),
);
const key = fc.constantFrom('a', 'b', 'ключ');
const at = fc.nat(60);

const anEdit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('insert' as const),
      at,
      text: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      at,
      length: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('format' as const),
      at,
      length: fc.integer({ min: 1, max: 9 }),
      bold: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('set' as const), key, value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unset' as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('push' as const), value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pull' as const), at }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('element' as const),
      at,
      text: fc.string({ maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('embed' as const), at }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('nest' as const),
      key,
      value: fc.string({ maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('subdocument' as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('sync' as const), from: fc.nat(3) }) },
);

/** Who does what, in order. */
export const edits = fc.array(fc.tuple(fc.nat(3), anEdit), { minLength: 1, maxLength: 60 });

export interface World {
  readonly docs: readonly Y.Doc[];
  /** The updates in the order and number in which the server receives them. */
  readonly delivered: readonly Uint8Array[];
}

/**
 * Plays a script on four documents that sync among themselves.
 *
 * @param luck decides what is dropped, doubled and delayed; without it every
 *   update is delivered once and in order
 */
export function replay(
  script: readonly (readonly [number, Edit])[],
  luck: Iterable<number> | undefined,
): World {
  const delivered: Uint8Array[] = [];
  const delayed: Uint8Array[] = [];
  const dice = luck?.[Symbol.iterator]();
  const docs = [101, 7, 4_000_000_000, 2 ** 31].map((clientID) => {
    const doc = new Y.Doc();
    doc.clientID = clientID;
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === 'sync') return;
      const roll = dice?.next().value ?? 1;
      if (roll < 0.15) return;
      if (roll < 0.3) delayed.push(update);
      else delivered.push(update);
      if (roll >= 0.3 && roll < 0.4) delivered.push(update);
      if (roll > 0.8 && delayed.length > 0) delivered.push(delayed.pop()!);
    });
    return doc;
  });
  for (const [who, what] of script) edit(docs, docs[who]!, what);
  return { docs, delivered };
}

export function edit(docs: readonly Y.Doc[], doc: Y.Doc, what: Edit): void {
  const text = doc.getText('text');
  const map = doc.getMap('map');
  const list = doc.getArray('list');
  const xml = doc.getXmlFragment('xml');
  switch (what.kind) {
    case 'insert':
      text.insert(what.at % (text.length + 1), what.text);
      break;
    case 'delete': {
      const from = what.at % (text.length + 1);
      text.delete(from, Math.min(what.length, text.length - from));
      break;
    }
    case 'format': {
      const from = what.at % (text.length + 1);
      text.format(from, Math.min(what.length, text.length - from), { bold: what.bold || null });
      break;
    }
    case 'set':
      map.set(what.key, what.value);
      break;
    case 'unset':
      map.delete(what.key);
      break;
    case 'push':
      list.push([what.value, 'beside']);
      break;
    case 'pull':
      if (list.length > 0) list.delete(what.at % list.length);
      break;
    case 'element': {
      const element = new Y.XmlElement('p');
      element.insert(0, [new Y.XmlText(what.text)]);
      element.setAttribute('class', what.text);
      xml.insert(what.at % (xml.length + 1), [element]);
      break;
    }
    case 'embed':
      text.insertEmbed(what.at % (text.length + 1), { image: 'x' });
      break;
    case 'nest': {
      const nested = new Y.Map();
      nested.set('inner', new Y.Text(what.value));
      map.set(what.key, nested);
      break;
    }
    case 'subdocument':
      map.set(what.key, new Y.Doc());
      break;
    case 'sync': {
      const from = docs[what.from]!;
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(from, Y.encodeStateVector(doc)), 'sync');
      break;
    }
  }
}

/**
 * What a reader sees, to be compared. Yjs replaces both halves of a surrogate
 * pair that a position splits, in the document where it was split and in no
 * other, so that halves and replacements count as the same.
 */
export function content(doc: Y.Doc) {
  return {
    text: doc
      .getText('text')
      .toDelta()
      .map((run: { insert: unknown }) =>
        typeof run.insert === 'string'
          ? { ...run, insert: run.insert.replace(/[\ud800-\udfff]/g, '\ufffd') }
          : run,
      ),
    map: [...doc.getMap('map').entries()]
      .map(([key, value]) => [
        key,
        value instanceof Y.Doc ? value.guid : value instanceof Y.Map ? value.toJSON() : value,
      ])
      .sort(),
    list: doc.getArray('list').toJSON(),
    xml: doc.getXmlFragment('xml').toString(),
  };
}

/** Runs a property with the chosen seed, printed on failure; `RUNS` makes it longer. */
export function withSeed<T>(property: fc.IProperty<T>): void;
export function withSeed<T>(property: fc.IAsyncProperty<T>): Promise<void>;
export function withSeed<T>(property: fc.IProperty<T> | fc.IAsyncProperty<T>): unknown {
  return fc.assert(property as fc.IProperty<T>, {
    seed: chosenSeed(),
    numRuns: Number(process.env.RUNS ?? 200),
    verbose: 1,
  });
}
