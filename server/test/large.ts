/** Honest documents that are large for their bytes, or in their bytes, made without Yjs's help: that would take minutes. */
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { item, text, uint, update } from './crafted.js';

/** Clients as Yjs draws them: half of them beyond 2^31. */
const idOf = (person: number) => (1_000 + person * 2_147_000_011) % 2 ** 32;

export interface TypedByTurns {
  /** Rounded down to whole turns. */
  readonly items: number;
  readonly people?: number;
  /** What each types when it is their turn. */
  readonly typed?: string;
  /** Whether everybody types in front of what the one before typed and behind the one before that, so that there are two references an item. */
  readonly isBetween?: boolean;
}

/** A text of many people who type in turn, each behind the one before. */
export function typedByTurns({
  items,
  people = 100,
  typed = 'a',
  isBetween = false,
}: TypedByTurns): Uint8Array {
  const encoder = encoding.createEncoder();
  const turns = Math.floor(items / people);
  const ids = Array.from({ length: people }, (_, person) => idOf(person));
  const writeId = (item: number, unit: number) => {
    encoding.writeVarUint(encoder, ids[item % people]!);
    encoding.writeVarUint(encoder, Math.floor(item / people) * typed.length + unit);
  };
  encoding.writeVarUint(encoder, people);
  for (let person = 0; person < people; person++) {
    encoding.writeVarUint(encoder, turns);
    encoding.writeVarUint(encoder, ids[person]!);
    encoding.writeVarUint(encoder, 0);
    for (let turn = 0; turn < turns; turn++) {
      const item = turn * people + person;
      if (item === 0) {
        encoding.writeUint8(encoder, 4);
        encoding.writeVarUint(encoder, 1);
        encoding.writeVarString(encoder, 'text');
      } else if (isBetween && item > 1) {
        encoding.writeUint8(encoder, 0xc4);
        writeId(item - 2, typed.length - 1);
        writeId(item - 1, 0);
      } else {
        encoding.writeUint8(encoder, 0x84);
        writeId(item - 1, typed.length - 1);
      }
      encoding.writeVarString(encoder, typed);
    }
  }
  encoding.writeVarUint(encoder, 0);
  return encoding.toUint8Array(encoder);
}

/** Documents of about a megabyte, of the kinds that people make. */
export const KINDS_OF_DOCUMENTS: Readonly<Record<string, () => Uint8Array>> = {
  'a text typed by turns': () => typedByTurns({ items: 100_000 }),
  'a text that was pasted': () => typedByTurns({ items: 2_000, typed: 'Lorem ipsum '.repeat(50) }),
  'a text that is not Latin': () =>
    typedByTurns({ items: 8_000, typed: 'Несколько слов. '.repeat(4) }),
  'formatted paragraphs': () =>
    made((doc) => {
      const root = doc.getXmlFragment('prosemirror');
      for (let i = 0; i < 6_000; i++) {
        const paragraph = new Y.XmlElement('paragraph');
        const words = new Y.XmlText();
        words.insert(0, 'Some words ');
        words.insert(11, 'in bold', { bold: {} });
        paragraph.setAttribute('textAlign', 'left');
        paragraph.insert(0, [words]);
        root.insert(0, [paragraph]);
      }
    }),
  'a board of maps': () =>
    made((doc) => {
      const shapes = doc.getMap('shapes');
      for (let i = 0; i < 10_000; i++) {
        const shape = new Y.Map();
        shape.set('kind', 'rectangle');
        shape.set('x', i);
        shape.set('style', { color: 'red', width: 2, dash: [1, 2] });
        shapes.set(`shape ${i}`, shape);
      }
    }),
  'lists of records': () =>
    made((doc) => {
      const list = doc.getArray('list');
      const record = (i: number) => ({
        id: i,
        name: `record ${i}`,
        at: { x: i, y: 2 * i },
        tags: ['a', 'b'],
      });
      for (let i = 0; i < 200; i++)
        list.insert(
          0,
          Array.from({ length: 100 }, (_, k) => record(k)),
        );
    }),
  'documents in it': () =>
    made((doc) => {
      for (let i = 0; i < 12_000; i++) doc.getMap('pages').set(`page ${i}`, new Y.Doc());
    }),
  'what is left of deleted text': () => {
    const structs = Array.from({ length: 60_000 }, (_, i) =>
      item({
        ...(i === 0 ? { parent: 'text' } : { origin: [7, 2 * i - 1] as [number, number] }),
        ...(i % 2 === 0 ? { kind: 4, content: text('ab') } : { kind: 1, content: uint(2) }),
      }),
    );
    return update([{ client: 7, clock: 0, structs }]);
  },
};

function made(fill: (doc: Y.Doc) => void): Uint8Array {
  const doc = new Y.Doc();
  // One transaction: Yjs walks over all clients at the end of each.
  doc.transact(() => fill(doc));
  return Y.encodeStateAsUpdate(doc);
}
