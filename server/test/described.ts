/** The API's description, held against what it answers. */
import { z } from 'zod';
import { Administrator } from '../src/administrator.js';
import { Api, type ApiOptions } from '../src/api/api.js';

type Schema = Readonly<Record<string, unknown>>;

interface Answered {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

export interface Description {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<
      string,
      Record<string, { readonly security: unknown; readonly responses: Record<string, Answered> }>
    >
  >;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

let description: Promise<Description> | undefined;

async function describe(): Promise<Description> {
  const administrator = new Administrator('x'.repeat(32));
  const { app } = new Api({ administrator, maxUpdate: 1 } as Partial<ApiOptions> as ApiOptions);
  return (await (await app.request('/api/openapi.json')).json()) as Description;
}

/** @throws where an answer in JSON is not as the description has it, to the last property; a path that it does not have says nothing */
export async function isDescribed(
  method: string,
  path: string,
  status: number,
  said: unknown,
): Promise<void> {
  description ??= describe();
  const { paths, components } = await description;
  const asked = `/api/${path.split('?')[0]}`;
  const template = Object.keys(paths).find((known) =>
    new RegExp(`^${known.replace(/\{\w+\}/g, '[^/]+')}$`).test(asked),
  );
  const operation = template && paths[template]?.[method.toLowerCase()];
  if (!operation) return;
  const answer = operation.responses[status];
  const what = `${method} ${template} ${status}`;
  if (answer === undefined) throw new Error(`${what} is not in the description`);
  // A document as JSON is whatever somebody wrote.
  if (!('application/json' in (answer.content ?? {}))) return;
  const schema = whole(answer.content!['application/json']!.schema, components.schemas);
  const { error } = z.fromJSONSchema(schema as never).safeParse(said);
  if (error) throw new Error(`${what} is described otherwise: ${error.message}`);
}

/** With what it refers to in its place, and no property besides those that it has. */
function whole(schema: unknown, known: Readonly<Record<string, Schema>>): unknown {
  if (Array.isArray(schema)) return schema.map((part) => whole(part, known));
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref, ...rest } = schema as { readonly $ref?: string };
  if ($ref !== undefined) return whole(known[$ref.split('/').at(-1)!], known);
  const parts = Object.entries(rest).map(([key, part]) => [key, whole(part, known)]);
  const closed = 'properties' in rest && { additionalProperties: false };
  return { ...closed, ...Object.fromEntries(parts) };
}
