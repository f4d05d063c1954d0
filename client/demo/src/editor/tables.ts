/**
 * Tables, as far as a document may say what they are: anybody who can write it may have written
 * anything. The editor has a list of every place in a table, so one cell that spans millions of
 * columns would stop the page of everybody who opens the document; it fills places in which no cell is;
 * and it writes an alignment into a style, which could lay a cell over the whole page.
 *
 * A cell with a span or a width that is none is no cell, and goes the way of all that the editor
 * does not know. Of an alignment nothing depends, so an unknown one is not shown.
 */
import { type Attribute, Extension } from '@tiptap/core';
import { Table, TableCell, TableHeader, TableRow } from '@tiptap/extension-table';
import type { Node } from '@tiptap/pm/model';
import { Plugin } from '@tiptap/pm/state';
import { TableMap } from '@tiptap/pm/tables';

/** Columns of one cell. */
const MOST_COLUMNS = 100;
/** Rows of one cell: those that the table does not have cost nothing. */
const MOST_ROWS = 10_000;
/** Places without a cell that are filled with empty ones; a table with more stays as it is. */
const MOST_FILLED = 5_000;
const ALIGNMENTS: readonly unknown[] = ['left', 'right', 'center'];

/** Whether a document has a table with too many places without a cell. */
export function isRagged(document: Node): boolean {
  let isFound = false;
  document.descendants((node) => {
    isFound ||= node.type.spec.tableRole === 'table' && missingIn(node) > MOST_FILLED;
    return !isFound && !node.isTextblock;
  });
  return isFound;
}

/** The list of its places is made for the editor in any case, and kept. */
function missingIn(table: Node): number {
  let count = 0;
  for (const problem of TableMap.get(table).problems ?? []) {
    if (problem.type === 'missing') count += problem.n;
  }
  return count;
}

function patient(plugin: Plugin): Plugin {
  const { appendTransaction } = plugin.spec;
  if (appendTransaction === undefined) return plugin;
  return new Plugin({
    ...plugin.spec,
    appendTransaction(transactions, before, state) {
      if (isRagged(state.doc)) return null;
      return appendTransaction.call(this, transactions, before, state);
    },
  });
}

type Attributes = Readonly<Record<string, Attribute>>;

function checked(usual: Attributes): Attributes {
  const { align, colwidth } = usual;
  return {
    ...usual,
    colspan: span('colspan', MOST_COLUMNS),
    rowspan: span('rowspan', MOST_ROWS),
    colwidth: { ...colwidth, validate: checkWidths },
    align: {
      ...align,
      renderHTML: (attributes) =>
        ALIGNMENTS.includes(attributes.align) ? (align?.renderHTML?.(attributes) ?? null) : {},
    },
  };
}

function span(name: string, most: number): Attribute {
  return {
    default: 1,
    parseHTML: (cell) => {
      const said = Number.parseInt(cell.getAttribute(name) ?? '', 10);
      return Math.min(Math.max(said || 1, 1), most);
    },
    validate: (value: unknown) => {
      const isSpan = Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most;
      if (!isSpan) throw new RangeError(`a cell's ${name} is from 1 to ${most}`);
    },
  };
}

function checkWidths(value: unknown): void {
  const isUsual =
    value === null ||
    (Array.isArray(value) &&
      value.length <= MOST_COLUMNS &&
      value.every((width) => width === null || typeof width === 'number'));
  if (!isUsual) throw new RangeError("a cell's colwidth is a list of numbers");
}

/**
 * A document whose table an editor does not know loses it there, so every editor knows tables from
 * the start.
 */
export const tables = Extension.create({
  name: 'tables',
  addExtensions: () => [
    Table.extend({
      addProseMirrorPlugins() {
        return (this.parent?.() ?? []).map(patient);
      },
    }).configure({ resizable: false, renderWrapper: true }),
    TableRow,
    TableCell.extend({
      addAttributes() {
        return checked(this.parent?.() ?? {});
      },
    }),
    TableHeader.extend({
      addAttributes() {
        return checked(this.parent?.() ?? {});
      },
    }),
  ],
});
