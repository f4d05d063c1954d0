/** The server's HTTP API, as this page uses it. The token goes into a header, and never into an address. */
import type {
  DescribedRoom,
  ListedRoom,
  Page,
  ShownPerson,
} from '../../../server/src/api/shapes.js';

export type { DescribedRoom, ListedRoom, ShownPerson };

const KEY = 'cowrite:admin-token';

/** What the server said no with. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

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
    return await this.#json(`/api/rooms?${new URLSearchParams(query)}`);
  }

  async room(room: string): Promise<DescribedRoom> {
    return await this.#json(pathOf(room));
  }

  async presence(room: string): Promise<{ people: readonly ShownPerson[]; total: number }> {
    return await this.#json(`${pathOf(room)}/presence`);
  }

  async document(room: string, form: string): Promise<Blob> {
    const response = await this.#request('GET', `${pathOf(room)}/document?form=${form}`);
    return await response.blob();
  }

  async kick(room: string, user: string | undefined): Promise<{ sessions: number }> {
    const body = JSON.stringify(user === undefined ? {} : { user });
    return await this.#json(`${pathOf(room)}/kick`, 'POST', body);
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
    return await (await this.#request('GET', '/metrics')).text();
  }

  async #json<T>(path: string, method = 'GET', body?: string): Promise<T> {
    return (await this.#request(method, path, body)).json() as Promise<T>;
  }

  async #request(method: string, path: string, body?: string): Promise<Response> {
    const response = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${this.#token}` },
      ...(body !== undefined && { body }),
    });
    if (response.ok) return response;
    const text = await response.text();
    throw new Refused(response.status, messageIn(text) ?? text.trim());
  }
}

function pathOf(room: string): string {
  return `/api/rooms/${encodeURIComponent(room)}`;
}

function messageIn(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message;
  } catch {
    return undefined;
  }
}
