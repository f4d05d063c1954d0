/** The server's HTTP API, as this page uses it. The token goes into a header, and never into an address. */
import type {
  DescribedRoom,
  ListedRoom,
  Page,
  PresentPerson,
} from '../../../server/src/api/shapes.js';
import type { Readiness } from '../../../server/src/health.js';
import { base } from './base.js';

export type { DescribedRoom, ListedRoom, Page, PresentPerson, Readiness };

const KEY = 'cowrite:admin-token';

/** What the server said no with. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** There was no answer at all. */
export class Unreachable extends Error {}

/** Why it did not succeed, as a part of a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof Refused && error.status === 500) return 'the server’s log says why';
  return error instanceof Error ? error.message : String(error);
}

/** Milliseconds for what the server has in its memory, and for a look into the store. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 20_000;

export class Api {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  /** The token of this tab, kept over reloads and forgotten when the tab is closed. */
  static remembered(): Api | undefined {
    const token = sessionStorage.getItem(KEY);
    return token === null ? undefined : new Api(token);
  }

  remember(): void {
    sessionStorage.setItem(KEY, this.#token);
  }

  static forget(): void {
    sessionStorage.removeItem(KEY);
  }

  async rooms(query: Readonly<Record<string, string>>): Promise<Page> {
    return await this.#look(`api/rooms?${new URLSearchParams(query)}`);
  }

  async room(room: string): Promise<DescribedRoom> {
    return await this.#look(pathOf(room));
  }

  async presence(room: string): Promise<{ people: readonly PresentPerson[]; total: number }> {
    return await this.#look(`${pathOf(room)}/presence`);
  }

  /** It is still to be read. */
  async document(room: string, form: string, signal?: AbortSignal): Promise<Response> {
    const path = `${pathOf(room)}/document?form=${form}`;
    return await this.#request('GET', path, signal === undefined ? {} : { signal });
  }

  /** All of the store; still to be read. */
  async backup(signal: AbortSignal): Promise<Response> {
    return await this.#request('GET', 'api/backup', { signal });
  }

  /** @param about whom: everybody where it names nobody */
  async kick(
    room: string,
    about: { readonly user?: string; readonly client?: number },
  ): Promise<{ sessions: number }> {
    return await this.#json(`${pathOf(room)}/kick`, 'POST', JSON.stringify(about));
  }

  async compact(room: string): Promise<{ isCompacted: boolean }> {
    return await this.#json(`${pathOf(room)}/compact`, 'POST');
  }

  async remove(room: string): Promise<unknown> {
    return await this.#json(pathOf(room), 'DELETE');
  }

  async revive(room: string): Promise<unknown> {
    return await this.#json(`${pathOf(room)}/revive`, 'POST');
  }

  async metrics(): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return await (await this.#request('GET', 'metrics', { signal })).text();
  }

  /** Needs no token. Not being ready is an answer, too. */
  async readiness(): Promise<Readiness> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await reach('health/ready', { signal });
    const text = await response.text();
    try {
      return JSON.parse(text) as Readiness;
    } catch {
      throw new Refused(response.status, 'no answer of this server');
    }
  }

  async #look<T>(path: string): Promise<T> {
    const response = await this.#request('GET', path, { signal: AbortSignal.timeout(LOOK_MS) });
    return (await response.json()) as T;
  }

  async #json<T>(path: string, method: string, body?: string): Promise<T> {
    const response = await this.#request(method, path, body === undefined ? {} : { body });
    return (await response.json()) as T;
  }

  async #request(method: string, path: string, more: RequestInit = {}): Promise<Response> {
    const headers = { Authorization: `Bearer ${this.#token}` };
    const response = await reach(path, { method, headers, ...more });
    if (response.ok) return response;
    const text = await response.text();
    throw new Refused(response.status, messageIn(text) ?? text.trim());
  }
}

/** @param path of the server, without a slash at its beginning */
async function reach(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(base + path, request);
  } catch (cause) {
    throw new Unreachable('the server does not answer', { cause });
  }
}

function pathOf(room: string): string {
  return `api/rooms/${encodeURIComponent(room)}`;
}

function messageIn(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message;
  } catch {
    return undefined;
  }
}
