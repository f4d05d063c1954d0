/**
 * The document as Markdown, in which nothing runs where a program shows it as HTML. Tiptap writes out
 * what a document says of links, images and code as it stands, and anybody who can write may have
 * written it: an address that runs a script, or code that ends its own fence with HTML behind it.
 *
 * Invariant: of addresses only those are written that the page follows itself, and all text outside
 * of code is escaped; code cannot end where the document does not end it.
 */
import type { AnyExtension, JSONContent, MarkdownRendererHelpers } from '@tiptap/core';
import { MarkdownManager } from '@tiptap/markdown';
import { pictureAt, safeAddress } from './addresses.js';

/** @param extensions of the editor, with all that any of them brings along */
export function toMarkdown(extensions: readonly AnyExtension[], document: JSONContent): string {
  const manager = new MarkdownManager({
    // Those that only bring others along would bring theirs once more.
    extensions: extensions
      .filter(({ type, config }) => type !== 'extension' || config.addExtensions === undefined)
      .map((extension) =>
        extension.name === 'codeBlock'
          ? extension.extend({ renderMarkdown: codeBlock })
          : extension,
      ),
  });
  const written = manager.serialize(harmless(document, false)).replaceAll(ESCAPE, '\\');
  return `${written.trim()}\n`;
}

/** A backslash that Tiptap does not escape in its turn: a letter that no text has a meaning for. */
const ESCAPE = '\uE000';

/** @param isInTable where all of a cell is one line, which ends at a `|` also within code */
function harmless(node: JSONContent, isInTable: boolean): JSONContent {
  const { type, attrs = {}, text, content, marks } = node;
  const isCode = type === 'codeBlock' && !isInTable;
  const inner = content?.map((child, index) => {
    const isStart = index === 0 || content[index - 1]?.type === 'hardBreak';
    const plain = isCode ? child : asText(child, isStart, isInTable);
    return harmless(plain, isInTable || type === 'table');
  });
  const whole = { ...node, ...(inner !== undefined && { content: inner }) };
  switch (type) {
    case 'text':
      return {
        ...node,
        marks: marks?.flatMap((mark) => safeMark(mark, text ?? '', isInTable)) ?? [],
      };
    case 'codeBlock':
      return isInTable
        ? { type: 'paragraph', ...(inner !== undefined && { content: inner }) }
        : { ...whole, attrs: { language: languageOf(attrs.language) } };
    case 'image':
      return image(attrs);
    case 'heading':
      return { ...whole, attrs: { level: [1, 2, 3].includes(attrs.level) ? attrs.level : 1 } };
    case 'orderedList':
      return { ...whole, attrs: { start: Number.isSafeInteger(attrs.start) ? attrs.start : 1 } };
    default:
      return whole;
  }
}

/** What Markdown takes for more than text at the start of a line, and in a table anywhere. */
function asText(node: JSONContent, isStart: boolean, isInTable: boolean): JSONContent {
  const { type, text = '', marks = [] } = node;
  if (type !== 'text') return node;
  const isCode = marks.flatMap((mark) => safeMark(mark, text, isInTable)).some(isCodeMark);
  let said = text.replaceAll(ESCAPE, '');
  if (isStart && !isCode) {
    said = said
      .trimStart()
      .replace(/^[#+=-]/, `${ESCAPE}$&`)
      .replace(/^(\d{1,9})([.)])/, `$1${ESCAPE}$2`);
  }
  if (isInTable) said = said.replaceAll('|', `${ESCAPE}|`);
  return { ...node, text: said };
}

const isCodeMark = ({ type }: Mark) => type === 'code';

type Mark = NonNullable<JSONContent['marks']>[number];

function safeMark(mark: Mark, text: string, isInTable: boolean): Mark[] {
  if (mark.type === 'code') {
    const isOpenable = (isInTable ? /[`|\r\n]/ : /[`\r\n]/).test(text);
    return isOpenable ? [] : [mark];
  }
  if (mark.type !== 'link') return [mark];
  const address = safeAddress(mark.attrs?.href);
  return address === undefined ? [] : [{ type: 'link', attrs: { href: destination(address) } }];
}

function image({ src, alt }: Record<string, unknown>): JSONContent {
  const said = typeof alt === 'string' ? alt.replace(/\s+/g, ' ').trim() : '';
  if (pictureAt(src) === undefined) {
    return { type: 'paragraph', content: said === '' ? [] : [{ type: 'text', text: said }] };
  }
  const label = said.replace(/[\\`*_[\]<>&!|]/g, '\\$&');
  return { type: 'image', attrs: { src: destination(src as string), alt: label } };
}

/** In full, because the file lies elsewhere; without what ends an address in Markdown, or is decoded in it. */
function destination(address: string): string {
  return new URL(address, location.href).href
    .replace(/[\0-\x20<>()[\]"'\\`|]/g, (letter) => `%${hex(letter)}`)
    .replaceAll('&', '&amp;');
}

function hex(letter: string): string {
  return letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0');
}

function languageOf(language: unknown): string | null {
  return typeof language === 'string' && /^[\w#+.-]{1,40}$/.test(language) ? language : null;
}

/** Within a fence that is longer than any in it. */
function codeBlock(node: JSONContent, helpers: MarkdownRendererHelpers): string {
  const code = helpers.renderChildren(node.content ?? []).replace(/\r\n?/g, '\n');
  const longest = Math.max(2, ...(code.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${node.attrs?.language ?? ''}\n${code}\n${fence}`;
}
