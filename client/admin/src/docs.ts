/** The HTTP API as its description at /api/openapi.json has it, for people. */
import '../../demo/src/styles/tokens.css';
import '../../demo/src/styles/base.css';
import '../../demo/src/styles/controls.css';
import './styles/admin.css';
import './styles/docs.css';
import { h } from '../../demo/src/dom.js';
import { base } from './base.js';
import { pageHeader, rootElement } from './page.js';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Operation {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Content }>
  >;
}

interface Description {
  readonly info: { readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const root = rootElement();

async function show(): Promise<void> {
  const response = await fetch(`${base}api/openapi.json`);
  if (!response.ok) throw new Error(`the description could not be read: ${response.status}`);
  const description = (await response.json()) as Description;
  const schemas = description.components?.schemas ?? {};
  const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => route(method, path, operation, schemas)),
  );
  root.replaceChildren(
    pageHeader(
      'HTTP API',
      h('a', { class: 'button', href: `${base}api/openapi.json` }, 'OpenAPI'),
      h('a', { class: 'button', href: `${base}admin` }, 'Administration'),
    ),
    h(
      'main',
      { class: 'docs' },
      h('h1', {}, 'HTTP API'),
      h('p', {}, ...withCode(description.info.description)),
      ...routes,
    ),
  );
}

type Schemas = Readonly<Record<string, Schema>>;

function route(method: string, path: string, operation: Operation, schemas: Schemas): HTMLElement {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const asked = parameters.map(({ name, in: place, required, schema }) => [
    h('span', {}, h('code', {}, name)),
    h(
      'span',
      {},
      place === 'path' ? 'in the path' : required === true ? 'required' : 'optional',
      `: ${short(schema)}`,
      ...(schema.description === undefined ? [] : withCode(`, ${schema.description}`)),
    ),
  ]);
  const answers = Object.entries(responses).map(([status, answer]) => [
    h('code', {}, status),
    h(
      'span',
      {},
      ...withCode(answer.description),
      ...(Number(status) < 300 ? contentOf(answer.content, schemas) : []),
    ),
  ]);
  return h(
    'details',
    { class: 'route' },
    h(
      'summary',
      {},
      h('span', { class: `method ${method}` }, method.toUpperCase()),
      h('span', { class: 'route-path' }, path),
      h('span', { class: 'route-summary' }, summary),
    ),
    h(
      'div',
      { class: 'route-body' },
      ...(description === undefined ? [] : [h('p', {}, ...withCode(description))]),
      ...(asked.length === 0 ? [] : [table('Parameters', asked)]),
      ...(requestBody === undefined
        ? []
        : [h('div', {}, h('h3', {}, 'Body'), ...contentOf(requestBody.content, schemas))]),
      table('Answers', answers),
    ),
  );
}

function table(title: string, rows: readonly (readonly HTMLElement[])[]): HTMLElement {
  const lines = rows.map((cells) => h('tr', {}, ...cells.map((cell) => h('td', {}, cell))));
  return h('div', {}, h('h3', {}, title), h('table', {}, h('tbody', {}, ...lines)));
}

function contentOf(content: Content | undefined, schemas: Schemas): HTMLElement[] {
  return Object.entries(content ?? {}).flatMap(([type, { schema }]) => {
    const isBytes = schema?.format === 'binary';
    const shown = schema === undefined || isBytes ? [] : [h('pre', {}, form(schema, schemas, ''))];
    return [h('div', {}, h('code', {}, type), ...shown)];
  });
}

/** A value of this schema, with its types in the place of values. */
function form(schema: Schema, schemas: Schemas, indent: string): string {
  const named = schema.$ref?.split('/').at(-1);
  if (named !== undefined) return form(schemas[named] ?? {}, schemas, indent);
  const { properties, required = [], items, anyOf } = schema;
  if (anyOf !== undefined) return anyOf.map((each) => form(each, schemas, indent)).join(' | ');
  if (items !== undefined) return `[${form(items, schemas, indent)}, …]`;
  if (properties === undefined) return short(schema);
  const inner = `${indent}  `;
  const lines = Object.entries(properties).map(([name, each]) => {
    const mark = required.includes(name) ? '' : '?';
    const note = each.description === undefined ? '' : `  // ${each.description}`;
    return `${inner}${name}${mark}: ${form(each, schemas, inner)}${note}`;
  });
  return lines.length === 0 ? '{}' : `{\n${lines.join('\n')}\n${indent}}`;
}

function short({ type, enum: values, default: usual, format }: Schema): string {
  const what = values?.map((value) => JSON.stringify(value)).join(' | ');
  const name = what ?? format ?? (typeof type === 'string' ? type : (type?.join(' | ') ?? 'any'));
  return usual === undefined ? name : `${name} = ${JSON.stringify(usual)}`;
}

/** What stands in backquotes is code. */
function withCode(text: string): (HTMLElement | string)[] {
  return text.split('`').map((part, i) => (i % 2 === 1 ? h('code', {}, part) : part));
}

show().catch((error: unknown) => {
  root.replaceChildren(
    pageHeader('HTTP API'),
    h('p', { class: 'problem', role: 'alert' }, String(error)),
  );
});
