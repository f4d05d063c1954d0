/**
 * A document as somebody without Yjs reads it: as JSON, as text, or as one update. Runs in
 * the worker, like all that builds a document.
 *
 * A root type says nowhere of which kind it is, as long as no editor has asked for it by
 * its kind: that is guessed from what is in it, unless whoever asks says it.
 */
import * as Y from 'yjs';
import type { Form, Kind } from './forms.js';
import { merge } from './merge.js';

export interface ViewTask {
  readonly snapshot: Uint8Array | undefined;
  readonly updates: readonly Uint8Array[];
  readonly form: Form;
  /** Only this root type; all of them if left out. */
  readonly type?: string | undefined;
  /** The kind of `type`, where it is not to be guessed. */
  readonly as?: Kind | undefined;
}

/** A few characters can be shown many times: each run of a text repeats all of its marks. */
const MAX_VIEW = 256 * 1024 * 1024;

type SharedType = Y.Doc['share'] extends Map<string, infer T> ? T : never;

/** Of any type: those of one kind differ in what their events are. */
type Parts = Pick<SharedType, '_start' | '_map'>;

/** @returns undefined when there is no such type */
export function view({ snapshot, updates, form, type, as }: ViewTask): Uint8Array | undefined {
  const { doc } = merge(snapshot, updates);
  if (form === 'update') return Y.encodeStateAsUpdate(doc);
  const names = type === undefined ? [...doc.share.keys()].sort() : [type];
  if (type !== undefined && !doc.share.has(type)) return undefined;
  const roots = names.map((name) => [name, rootOf(doc, name, as)] as const);
  const shown =
    form === 'text'
      ? roots.map(([, root]) => linesOf(root).join('\n')).join('\n\n')
      : written(
          type === undefined
            ? Object.fromEntries(roots.map(([name, root]) => [name, jsonOf(root)]))
            : jsonOf(roots[0]![1], as),
        );
  const bytes = new TextEncoder().encode(shown);
  if (bytes.length > MAX_VIEW) throw new RangeError('the document shows more than can be told');
  return bytes;
}

/** Bytes as base64, and whole numbers that JSON has no room for as text. */
function written(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Uint8Array) return Buffer.from(inner).toString('base64');
    if (typeof inner === 'bigint') return inner.toString();
    return inner;
  });
}

/** @returns undefined for one in which nothing is left that would say what it is */
function rootOf(doc: Y.Doc, name: string, as: Kind | undefined): unknown {
  switch (as ?? kindOf(doc.share.get(name)!)) {
    case 'text':
    case 'delta':
      return doc.getText(name);
    case 'array':
      return doc.getArray(name);
    case 'map':
      return doc.getMap(name);
    case 'xml':
      return doc.getXmlFragment(name);
    case undefined:
      return undefined;
  }
}

/**
 * Text stands for itself in a text, and in the elements of Yjs 14, which has no texts of their own in
 * XML. There a type without a name is written as a fragment, whatever is in it.
 */
function kindOf({ _start, _map }: Parts): Kind | undefined {
  let kind: Kind | undefined;
  for (let item = _start; item !== null; item = item.right) {
    if (item.deleted) continue;
    const { content } = item;
    if (content instanceof Y.ContentType && isXml(content.type)) return 'xml';
    const isText =
      content instanceof Y.ContentString ||
      content instanceof Y.ContentFormat ||
      content instanceof Y.ContentEmbed;
    kind ??= isText ? 'text' : 'array';
  }
  return kind ?? (_map.size > 0 ? 'map' : undefined);
}

function isXml(type: unknown): boolean {
  return type instanceof Y.XmlElement || type instanceof Y.XmlText || type instanceof Y.XmlHook;
}

function jsonOf(value: unknown, as?: Kind): unknown {
  if (value === undefined) return null;
  // Before texts and fragments, which it extends.
  if (value instanceof Y.XmlText) return nodesOf(value);
  if (value instanceof Y.Text) return as === 'delta' ? value.toDelta() : value.toString();
  if (value instanceof Y.XmlElement) return nodeOf(value);
  if (value instanceof Y.XmlFragment) return fragmentOf(value, as ?? kindOf(value));
  if (value instanceof Y.Array) return itemsOf(value).map((each) => jsonOf(each));
  if (value instanceof Y.Map) return entriesOf(value);
  // A document in a document is one of its own, which is not here.
  if (value instanceof Y.Doc) return { subdocument: value.guid };
  return value;
}

function entriesOf(type: Parts): Record<string, unknown> {
  return Object.fromEntries(keyed(type).map(([key, value]) => [key, jsonOf(value)]));
}

/** What a type has by key: the values of a map, the attributes of an element. */
function keyed({ _map }: Parts): (readonly [key: string, value: unknown])[] {
  return [..._map]
    .filter(([, { deleted }]) => !deleted)
    .map(([key, { content, length }]) => [key, content.getContent()[length - 1]]);
}

function fragmentOf(fragment: Y.XmlFragment, kind: Kind | undefined): unknown {
  switch (kind) {
    case 'text':
      return plain(fragment);
    case 'array':
      return itemsOf(fragment).map((each) => jsonOf(each));
    case 'map':
      return entriesOf(fragment);
    default:
      return { type: 'doc', ...partsOf(fragment) };
  }
}

/** As ProseMirror and Tiptap write a node. */
function nodeOf(element: Y.XmlElement): object {
  return { type: element.nodeName, ...partsOf(element) };
}

function partsOf(parent: Y.XmlFragment): object {
  const attrs = entriesOf(parent);
  const content = nodesOf(parent);
  return {
    ...(Object.keys(attrs).length > 0 && { attrs }),
    ...((content.length > 0 || !(parent instanceof Y.XmlElement)) && { content }),
  };
}

/** What y-prosemirror puts behind a mark's name where several of one kind may overlap. */
const OVERLAPPING = /--[A-Za-z0-9+/=]{8}$/;

interface Run {
  readonly insert: unknown;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** What is in a type, in order: text in runs of one format, all else one by one. */
function runsOf({ _start }: Parts): Run[] {
  const runs: Run[] = [];
  const formats = new Map<string, unknown>();
  let text = '';
  const add = (insert: unknown) => runs.push({ insert, attributes: Object.fromEntries(formats) });
  const endText = () => {
    if (text !== '') add(text);
    text = '';
  };
  for (let item = _start; item !== null; item = item.right) {
    if (item.deleted) continue;
    const { content } = item;
    if (content instanceof Y.ContentString) {
      text += content.str;
      continue;
    }
    endText();
    if (!(content instanceof Y.ContentFormat)) content.getContent().forEach(add);
    else if (content.value === null) formats.delete(content.key);
    else formats.set(content.key, content.value);
  }
  endText();
  return runs;
}

function itemsOf(type: Parts): unknown[] {
  return runsOf(type).map(({ insert }) => insert);
}

/** The nodes of ProseMirror for what is in a type: an element may stand among text. */
function nodesOf(type: Parts): object[] {
  return runsOf(type).flatMap(({ insert, attributes }): object[] => {
    // A text of its own in XML, which has marks of its own.
    if (insert instanceof Y.XmlText && !(type instanceof Y.XmlText)) return nodesOf(insert);
    const marks = marksOf(attributes);
    return [{ ...contentOf(insert), ...(marks.length > 0 && { marks }) }];
  });
}

function contentOf(insert: unknown): object {
  if (typeof insert === 'string') return { type: 'text', text: insert };
  if (insert instanceof Y.XmlElement) return nodeOf(insert);
  return { type: 'embed', embed: jsonOf(insert) };
}

function marksOf(attributes: Run['attributes']): object[] {
  return Object.entries(attributes).map(([name, value]) => {
    const type = name.replace(OVERLAPPING, '');
    const isPlain = typeof value !== 'object' || value === null;
    const attrs = isPlain ? { value } : value;
    return value === true || Object.keys(attrs).length === 0 ? { type } : { type, attrs };
  });
}

/** Each text on a line of its own; of XML each element that has text directly in it. */
function linesOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (value instanceof Y.Text) return [plain(value)];
  if (value instanceof Y.XmlFragment) {
    const children = itemsOf(value);
    const hasText = children.some(
      (child) => typeof child === 'string' || child instanceof Y.XmlText,
    );
    if (hasText) return [children.map((child) => inlineOf(child)).join('')];
    const values = value instanceof Y.XmlElement ? [] : keyed(value).map(([, each]) => each);
    return [...children, ...values].flatMap(linesOf);
  }
  if (value instanceof Y.Array) return itemsOf(value).flatMap(linesOf);
  if (value instanceof Y.Map) return [...value.values()].flatMap(linesOf);
  return [];
}

function inlineOf(child: unknown): string {
  if (child instanceof Y.XmlElement && /^hard_?break$/i.test(child.nodeName)) return '\n';
  return linesOf(child).join('\n');
}

/** Without marks, which `toString` of an XML text writes as tags. */
function plain(text: Parts): string {
  return runsOf(text)
    .map(({ insert }) => (typeof insert === 'string' ? insert : ''))
    .join('');
}
