/** Who runs the server, and shows it by a token; without one being set nobody does. */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface AdministratorRefusal {
  readonly code: 'closed' | 'unauthenticated';
  readonly message: string;
}

export class Administrator {
  readonly #token: string | undefined;

  constructor(token: string | undefined) {
    this.#token = token;
  }

  /** Whether there is one at all. */
  get exists(): boolean {
    return this.#token !== undefined;
  }

  /**
   * @param authorization the header of that name
   * @returns undefined if it is the administrator who asks
   */
  refusal(authorization: string | undefined): AdministratorRefusal | undefined {
    if (this.#token === undefined) {
      return { code: 'closed', message: 'closed: ADMIN_TOKEN is not set' };
    }
    const shown = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (shown === undefined) {
      const message = 'there is no Authorization: Bearer <ADMIN_TOKEN>';
      return { code: 'unauthenticated', message };
    }
    if (isEqual(shown, this.#token)) return undefined;
    return { code: 'unauthenticated', message: 'the administrator has another token' };
  }
}

/** In a time that says nothing of how much of it is right. */
function isEqual(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
