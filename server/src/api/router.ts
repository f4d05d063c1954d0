/**
 * One route of the HTTP API: what stands between a request and what carries it out.
 *
 * Each asks for the administrator's token first, then whether there is a free place, then
 * reads what was sent, within bounds, and only then begins. The same schemas make the
 * description at /api/openapi.json.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpBindings } from '@hono/node-server';
import { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Administrator } from '../administrator.js';
import { userIdProblem } from '../auth/user-id.js';
import type { Clock } from '../clock.js';
import type { LimitName } from '../limits.js';
import { fromRoot } from '../request-path.js';
import { checkRoomName } from '../room-name.js';
import { within } from '../within.js';
import { ApiError, type ErrorCode, namesOf, type RequestNames, STATUS } from './errors.js';
import { readToEnd } from './unread-body.js';

export type ApiContext = Context<{ Bindings: HttpBindings }>;

export interface RouterOptions {
  readonly administrator: Administrator;
  /** Bytes of an update. */
  readonly maxUpdate: number;
  /** Requests that are answered at once. */
  readonly maxRequests: number;
  /** Milliseconds after which an answer is cut off that nobody reads. */
  readonly patience: number;
  readonly clock: Clock;
  readonly onLimit: (limit: LimitName) => void;
  /** What nobody expected, such as a store that is away. */
  readonly onError: (error: unknown, request: RequestNames) => void;
}

/** What a request brings, read. */
export interface Asked<Query, Body> {
  readonly c: ApiContext;
  readonly query: Query;
  readonly body: Body;
  /** The room in the path. */
  readonly room: string;
  /** The user in the path. */
  readonly id: string;
}

interface Answer {
  readonly says: string;
  /** JSON of this form, or bytes and text of these types. */
  readonly schema?: z.ZodType;
  readonly types?: readonly string[];
}

interface Described {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** As OpenAPI writes it: `/api/rooms/{room}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly answers: Readonly<Record<number, Answer>>;
  readonly errors: readonly ErrorCode[];
  /** It costs next to nothing, or goes on for as long as somebody listens: it counts as none that is answered. */
  readonly needsNoPlace?: boolean;
}

export interface Route<Q extends z.ZodObject, B extends z.ZodType> extends Described {
  readonly query?: Q;
  readonly body?: B;
  readonly handle: (asked: Asked<z.infer<Q>, z.infer<B>>) => Promise<Response> | Response;
}

export interface UpdateRoute<Q extends z.ZodObject> extends Described {
  readonly query?: Q;
  readonly handle: (asked: Asked<z.infer<Q>, Uint8Array>) => Promise<Response> | Response;
}

const MAX_BODY = 16 * 1024;
/** Milliseconds for an answer: above what a store, a worker and a room have together. */
const ANSWER_MS = 90_000;

const errorSchema = z
  .object({ error: z.object({ code: z.string(), message: z.string() }) })
  .openapi('Error');
const updateSchema = z.string().openapi({ format: 'binary' });
/** Of what is neither text nor made of a schema. */
const BODIES: Readonly<Record<string, z.ZodType>> = {
  'application/octet-stream': updateSchema,
  'application/json': z.unknown(),
};
const noQuery = z.object({});

/** Errors that any route may answer with. */
const EVERYWHERE: readonly ErrorCode[] = ['bad-request', 'unauthenticated', 'closed', 'internal'];

export class Router {
  readonly app = new OpenAPIHono<{ Bindings: HttpBindings }>();
  readonly #options: RouterOptions;
  #underWay = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.app.openAPIRegistry.registerComponent('securitySchemes', 'admin', {
      type: 'http',
      scheme: 'bearer',
      description: 'ADMIN_TOKEN',
    });
    this.app.onError(async (error, c) => {
      // Of others not a byte more than need be.
      if (this.#isAdministrator(c)) await readToEnd(c.req.raw, options.maxUpdate);
      return answerError(error, c, options.onError);
    });
  }

  /** A route without a body, or with one of JSON: whatever `Content-Type` says. */
  add<Q extends z.ZodObject = typeof noQuery, B extends z.ZodType = z.ZodUndefined>(
    route: Route<Q, B>,
  ): void {
    const body = route.body && { 'application/json': { schema: route.body } };
    this.#register<Q, z.infer<B>>(
      route,
      MAX_BODY,
      body,
      async (c) => (route.body && readJson(await c.req.text(), route.body)) as z.infer<B>,
    );
  }

  /** A route whose body is a Yjs update. */
  addUpdate<Q extends z.ZodObject = typeof noQuery>(route: UpdateRoute<Q>): void {
    const body = { 'application/octet-stream': { schema: updateSchema } };
    this.#register(route, this.#options.maxUpdate, body, async (c) => {
      const bytes = new Uint8Array(await c.req.arrayBuffer());
      if (bytes.length === 0) throw new ApiError('bad-request', 'the body has to be a Yjs update');
      return bytes;
    });
  }

  #register<Q extends z.ZodObject, Body>(
    route: Described & {
      readonly query?: Q;
      handle(asked: Asked<z.infer<Q>, Body>): Promise<Response> | Response;
    },
    maxSize: number,
    content: Record<string, { schema: z.ZodType }> | undefined,
    readBody: (c: ApiContext) => Promise<Body>,
  ): void {
    const { method, path, summary, description, query, answers, errors, needsNoPlace } = route;
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    this.app.openAPIRegistry.registerPath({
      method,
      path,
      summary,
      ...(description !== undefined && { description }),
      security: [{ admin: [] }],
      request: {
        params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))),
        ...(query !== undefined && { query }),
        ...(content !== undefined && { body: { content } }),
      },
      responses: {
        ...describeAnswers(answers),
        ...describeErrors([...EVERYWHERE, ...(needsNoPlace ? [] : ['busy' as const]), ...errors]),
      },
    });
    const limit = bodyLimit({
      maxSize,
      onError: () => {
        throw new ApiError('too-large', `a body has ${maxSize} bytes at most`);
      },
    });
    const honoPath = path.replace(/\{(\w+)\}/g, ':$1');
    this.app.on(method.toUpperCase(), honoPath, async (c) => {
      c.header('Cache-Control', 'no-store');
      this.#checkToken(c);
      if (needsNoPlace !== true) this.#takePlace(c);
      let answer: Response | undefined;
      const refused = await limit(c, async () => {
        const asked = {
          c,
          room: names.includes('room') ? roomOf(c) : '',
          id: names.includes('id') ? userOf(c) : '',
          query: parse(query ?? noQuery, c.req.query()) as z.infer<Q>,
          body: await readBody(c),
        };
        answer = await within(ANSWER_MS, this.#options.clock, Promise.resolve(route.handle(asked)));
      });
      if (refused instanceof Response) return refused;
      if (answer === undefined) throw new ApiError('unavailable', 'it took too long');
      return answer;
    });
  }

  #isAdministrator(c: ApiContext): boolean {
    return this.#options.administrator.refusal(c.req.header('Authorization')) === undefined;
  }

  #checkToken(c: ApiContext): void {
    const refusal = this.#options.administrator.refusal(c.req.header('Authorization'));
    if (refusal !== undefined) throw new ApiError(refusal.code, refusal.message);
  }

  /** Until all of the answer is sent: a large one stays in memory until then. */
  #takePlace(c: ApiContext): void {
    const { maxRequests, onLimit, clock, patience } = this.#options;
    if (this.#underWay >= maxRequests) {
      onLimit('api-requests');
      throw new ApiError('busy', 'too many requests are being answered: try again');
    }
    this.#underWay++;
    const { incoming, outgoing } = c.env;
    const look = clock.every(patience, untilStalled(outgoing));
    onceGone(incoming.socket, outgoing, () => {
      look.cancel();
      this.#underWay--;
    });
  }
}

/** @returns what is to be called now and then: it cuts an answer off that nobody has read any of since */
function untilStalled(outgoing: ServerResponse): () => void {
  let drains = 0;
  let last = '';
  outgoing.on('drain', () => drains++);
  return () => {
    const now = `${drains} ${outgoing.writableLength}`;
    if (outgoing.writableLength > 0 && now === last) outgoing.destroy();
    last = now;
  };
}

/** What waits for a socket's end, with one listener for all of its requests. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/** Of answers that are queued behind another one, Node does not say that their socket is gone. */
function onceGone(socket: Socket, outgoing: ServerResponse, gone: () => void): void {
  let others = waiting.get(socket);
  if (others === undefined) {
    const all = new Set<() => void>();
    socket.once('close', () => {
      for (const end of all) end();
    });
    waiting.set(socket, all);
    others = all;
  }
  const end = () => {
    if (others.delete(end)) gone();
  };
  others.add(end);
  outgoing.once('close', end);
}

function answerError(error: Error, c: Context, onError: RouterOptions['onError']): Response {
  if (error instanceof ApiError) {
    const { code, message, more, cause } = error;
    if (cause !== undefined) onError(cause, namesOf(c));
    return c.json({ error: { code, message }, ...more }, STATUS[code]);
  }
  onError(error, namesOf(c));
  return c.json({ error: { code: 'internal', message: 'internal error' } }, STATUS.internal);
}

function describeAnswers(answers: Readonly<Record<number, Answer>>) {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { says, schema, types = [] }]) => {
      const json = schema && { 'application/json': { schema } };
      const others = types.map((type) => [type, { schema: BODIES[type] ?? z.string() }]);
      return [status, { description: says, content: { ...json, ...Object.fromEntries(others) } }];
    }),
  );
}

function describeErrors(codes: readonly ErrorCode[]) {
  const byStatus = new Map<number, Set<ErrorCode>>();
  for (const code of codes) {
    byStatus.set(STATUS[code], (byStatus.get(STATUS[code]) ?? new Set()).add(code));
  }
  return Object.fromEntries(
    [...byStatus].map(([status, known]) => [
      status,
      {
        description: `code: ${[...known].join(', ')}`,
        content: { 'application/json': { schema: errorSchema } },
      },
    ]),
  );
}

/** @throws {ApiError} */
export function roomNamed(text: string): string {
  const checked = checkRoomName(text);
  if (!checked.ok) throw new ApiError('bad-request', checked.problem);
  return checked.name;
}

function roomOf(c: ApiContext): string {
  return roomNamed(partOf(c));
}

function userOf(c: ApiContext): string {
  const id = partOf(c);
  const problem = userIdProblem(id);
  if (problem !== undefined) throw new ApiError('bad-request', `the user's id ${problem}`);
  return id;
}

/** What follows `/api/rooms/` or `/api/users/`. Strictly, where Hono would take a wrong encoding as it stands. */
function partOf(c: ApiContext): string {
  const [path = ''] = fromRoot(c.env.incoming.url ?? '').split(/[?#]/);
  try {
    return decodeURIComponent(path.split('/')[3] ?? '');
  } catch {
    throw new ApiError('bad-request', 'the path is not percent-encoded UTF-8');
  }
}

function readJson<B extends z.ZodType>(text: string, schema: B): z.infer<B> {
  let value: unknown = {};
  try {
    if (text !== '') value = JSON.parse(text);
  } catch {
    throw new ApiError('bad-request', 'the body is not JSON');
  }
  return parse(schema, value);
}

function parse<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ApiError('bad-request', `${path.join('.') || 'what was sent'}: ${message}`);
}
