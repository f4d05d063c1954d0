/** Bytes that no honest client writes: the crafted inputs that a server must survive. */
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

type Write = (encoder: encoding.Encoder) => void;

export interface Item {
  origin?: [client: number, clock: number];
  right?: [client: number, clock: number];
  /** A root's name, or an id. */
  parent?: string | [client: number, clock: number];
  sub?: string;
  kind: number;
  content: Write;
}

export const text =
  (value: string): Write =>
  (encoder) =>
    encoding.writeVarString(encoder, value);

export const uint =
  (value: number): Write =>
  (encoder) =>
    encoding.writeVarUint(encoder, value);

/** A nested shared type: 0 array, 1 map, 2 text. */
export const type = uint;

export function bytes(...writes: Write[]): Uint8Array {
  const encoder = encoding.createEncoder();
  for (const write of writes) write(encoder);
  return encoding.toUint8Array(encoder);
}

export const gc =
  (length: number): Write =>
  (encoder) => {
    encoding.writeUint8(encoder, 0);
    encoding.writeVarUint(encoder, length);
  };

export const item =
  ({ origin, right, parent, sub, kind, content }: Item): Write =>
  (encoder) => {
    const info = kind | (origin ? 0x80 : 0) | (right ? 0x40 : 0) | (sub !== undefined ? 0x20 : 0);
    encoding.writeUint8(encoder, info);
    for (const id of [origin, right]) {
      if (id === undefined) continue;
      encoding.writeVarUint(encoder, id[0]);
      encoding.writeVarUint(encoder, id[1]);
    }
    if (origin === undefined && right === undefined) {
      if (typeof parent === 'string') {
        encoding.writeVarUint(encoder, 1);
        encoding.writeVarString(encoder, parent);
      } else {
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarUint(encoder, parent![0]);
        encoding.writeVarUint(encoder, parent![1]);
      }
      if (sub !== undefined) encoding.writeVarString(encoder, sub);
    }
    content(encoder);
  };

/** An update of these blocks, and these deletions as (client, clock, length) in the given order. */
export function update(
  blocks: readonly { client: number; clock: number; structs: readonly Write[] }[],
  deletes: readonly (readonly [number, number, number])[] = [],
): Uint8Array {
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, blocks.length);
    for (const { client, clock, structs } of blocks) {
      encoding.writeVarUint(encoder, structs.length);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
      for (const struct of structs) struct(encoder);
    }
    const clients = new Map<number, [number, number][]>();
    for (const [client, clock, length] of deletes) {
      const ranges = clients.get(client) ?? [];
      ranges.push([clock, length]);
      clients.set(client, ranges);
    }
    encoding.writeVarUint(encoder, clients.size);
    for (const [client, ranges] of clients) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, ranges.length);
      for (const [clock, length] of ranges) {
        encoding.writeVarUint(encoder, clock);
        encoding.writeVarUint(encoder, length);
      }
    }
  });
}

const M = 666;

/** Refused by the parser or by admission, whatever the room holds. */
export const REFUSED: Record<string, () => Uint8Array> = {
  'an item whose origin is its own future clock': () =>
    update([
      { client: M, clock: 0, structs: [item({ origin: [M, 5], kind: 4, content: text('x') })] },
    ]),
  'a GC of length 0': () => update([{ client: M, clock: 0, structs: [gc(0)] }]),
  'a declaration of 2^25 structs': () => bytes(uint(1), uint(2 ** 25), uint(M), uint(0)),
  'a GC of 2^40 clocks of the victim': () =>
    update([{ client: 77, clock: 5, structs: [gc(2 ** 40)] }]),
  'a V2 update': () => {
    const doc = new Y.Doc();
    doc.getText('t').insert(0, 'v2');
    return Y.encodeStateAsUpdateV2(doc);
  },
  'two items whose origins name each other': () =>
    update([
      { client: M, clock: 0, structs: [item({ origin: [M + 1, 0], kind: 4, content: text('a') })] },
      { client: M + 1, clock: 0, structs: [item({ origin: [M, 0], kind: 4, content: text('b') })] },
    ]),
  'two blocks of one client': () =>
    update([
      { client: M, clock: 0, structs: [item({ parent: 't', kind: 4, content: text('a') })] },
      { client: M, clock: 0, structs: [item({ parent: 't', kind: 4, content: text('b') })] },
    ]),
  'an unknown content type': () =>
    update([{ client: M, clock: 0, structs: [item({ parent: 't', kind: 11, content: uint(1) })] }]),
  'bytes behind the update': () => Uint8Array.of(0, 0, 0),
  'a string that is not UTF-8': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: [
          item({
            parent: 't',
            kind: 4,
            content: (encoder) => encoding.writeVarUint8Array(encoder, Uint8Array.of(0xff, 0xfe)),
          }),
        ],
      },
    ]),
  'a format that is not JSON': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: [
          item({
            parent: 't',
            kind: 6,
            content: (encoder) => {
              encoding.writeVarString(encoder, 'bold');
              encoding.writeVarString(encoder, '{"a":');
            },
          }),
        ],
      },
    ]),
  'an array of any that declares 2^30 values': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: [
          item({
            parent: 't',
            kind: 8,
            content: (encoder) => {
              encoding.writeVarUint(encoder, 1);
              encoding.writeUint8(encoder, 117);
              encoding.writeVarUint(encoder, 2 ** 30);
            },
          }),
        ],
      },
    ]),
  '1.2 MB of deletions in descending order': () => {
    const count = 150_000;
    return update(
      [
        {
          client: M,
          clock: 0,
          structs: [item({ parent: 't2', kind: 4, content: text('z'.repeat(count * 2)) })],
        },
      ],
      Array.from({ length: count }, (_, i): [number, number, number] => [
        M,
        (count - i - 1) * 2,
        1,
      ]),
    );
  },
};

/** Deeper than a document may be, and else such as honest clients write. */
export const TOO_DEEP: Record<string, () => Uint8Array> = {
  '12 KB of JSON nested 6,000 deep': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: [
          item({
            parent: 't',
            kind: 5,
            content: text('['.repeat(6_000) + ']'.repeat(6_000)),
          }),
        ],
      },
    ]),
  '4,000 nested types and the deletion of their root': () =>
    update(
      [
        {
          client: M,
          clock: 0,
          structs: Array.from({ length: 4_000 }, (_, i) =>
            i === 0
              ? item({ parent: 'deep', kind: 7, content: type(0) })
              : item({ parent: [M, i - 1], kind: 7, content: type(0) }),
          ),
        },
      ],
      [[M, 0, 1]],
    ),
  'a value of 6,000 arrays in each other': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: [
          item({
            parent: 't',
            kind: 8,
            content: (encoder) => {
              encoding.writeVarUint(encoder, 1);
              for (let level = 0; level < 6_000; level++) {
                encoding.writeUint8(encoder, 117);
                encoding.writeVarUint(encoder, 1);
              }
              encoding.writeUint8(encoder, 126);
            },
          }),
        ],
      },
    ]),
};

/** Admitted, because honest clients could have written it, and expensive to whoever integrates it. */
export const EXPENSIVE: Record<string, () => Uint8Array> = {
  '192 KB of inserts at one position': () =>
    update(
      Array.from({ length: 12_000 }, (_, i) => ({
        client: 1_000_000 + i,
        clock: 0,
        structs: [item({ parent: 'hot', kind: 4, content: text('xy') })],
      })),
    ),
  '8,000 nested types touched at once': () =>
    update([
      {
        client: M,
        clock: 0,
        structs: Array.from({ length: 8_000 }, (_, i) =>
          i % 90 === 0
            ? item({ parent: 'wide', kind: 7, content: type(0) })
            : item({ parent: [M, i - 1], kind: 7, content: type(0) }),
        ),
      },
    ]),
  '50,000 client ids': () =>
    update(
      Array.from({ length: 50_000 }, (_, i) => ({
        client: 2_000_000 + i,
        clock: 0,
        structs: [item({ parent: 'm', sub: 'k', kind: 4, content: text('v') })],
      })),
    ),
};
