/** Why a request was not carried out: a code for programs, a sentence for people. */
import type { Context } from 'hono';
import type { RequestIdVariables } from 'hono/request-id';
import { DamagedSnapshot } from '../storage/storage.js';

export const STATUS = {
  'bad-request': 400,
  unauthenticated: 401,
  closed: 403,
  'not-found': 404,
  exists: 409,
  incomplete: 409,
  deleted: 410,
  'too-large': 413,
  'document-too-large': 413,
  refused: 422,
  internal: 500,
  busy: 503,
  'not-everywhere': 503,
  'not-saved': 503,
  'over-budget': 503,
  unavailable: 503,
} as const;

export type ErrorCode = keyof typeof STATUS;

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  /** What else the answer says. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    more: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.more = more;
  }
}

/** A request as a log names it: by the id that its answer has in `X-Request-Id`, without its query. */
export interface RequestNames {
  readonly request: string;
  readonly method: string;
  readonly path: string;
}

// biome-ignore lint/suspicious/noExplicitAny: whatever else a context has.
export function namesOf(c: Context<any>): RequestNames {
  const { requestId } = c.var as RequestIdVariables;
  return { request: requestId, method: c.req.method, path: c.req.path };
}

/** What only the store does. @throws {ApiError} where it does not answer, or has something that is damaged */
export async function stored<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (cause instanceof ApiError) throw cause;
    if (cause instanceof DamagedSnapshot) throw new ApiError('unavailable', cause.message);
    throw new ApiError('unavailable', 'the store did not answer: try again', {}, { cause });
  }
}
