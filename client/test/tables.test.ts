/** What the demo takes for a cell of a table, of all that a document may say. */
import { getSchema } from '@tiptap/core';
import { StarterKit } from '@tiptap/starter-kit';
import { expect, test } from 'vitest';
import { isRagged, tables } from '../demo/src/editor/tables.js';

const schema = getSchema([StarterKit, tables]);
const cell = (attributes: object, name = 'tableCell') =>
  schema.node(name, { ...attributes }, [schema.node('paragraph')]);

test.each(['tableCell', 'tableHeader'])(
  '[DEMO-30] a %s that spans or measures what none can is no cell',
  (name) => {
    const none: readonly object[] = [
      ...[2e7, 20_000, 0, -5, 0.5, Number.NaN, 'x', '2', { a: 1 }, null].flatMap((value) => [
        { colspan: value },
        { rowspan: value },
      ]),
      { colwidth: '1' },
      { colwidth: ['1;position:fixed;inset:0'] },
      { colwidth: { length: 1e9 } },
      { colwidth: Array.from({ length: 101 }, () => 1) },
    ];
    for (const attributes of none) {
      expect(() => cell(attributes, name), JSON.stringify(attributes)).toThrow(RangeError);
    }
    expect(cell({ colspan: 100, rowspan: 1_000, colwidth: [25, null] }, name).attrs).toMatchObject({
      colspan: 100,
      rowspan: 1_000,
    });
  },
);

test('[DEMO-30] an alignment that is none is in no style', () => {
  const shown = (align: unknown) =>
    JSON.stringify(schema.nodes.tableCell!.spec.toDOM!(cell({ align })));
  expect(shown('right')).toContain('text-align: right');
  for (const align of ['left;position:fixed;inset:0', 'url(https://evil.example)', ['left'], {}]) {
    expect(shown(align)).not.toContain('style');
  }
});

test('[DEMO-30] a table in which thousands of cells are missing is not filled with them', () => {
  const table = (wide: number, rows: number) => {
    const empty = Array.from({ length: rows }, () => schema.node('tableRow'));
    const row = schema.node(
      'tableRow',
      null,
      Array.from({ length: wide }, () => cell({ colspan: 100 })),
    );
    return schema.node('doc', null, [
      schema.node('blockquote', null, [schema.node('table', null, [row, ...empty])]),
    ]);
  };
  expect(isRagged(table(1, 50))).toBe(false);
  expect(isRagged(table(1, 51))).toBe(true);
});
