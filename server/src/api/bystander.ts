/** Somebody in a room without a WebSocket: in nobody's list, and told nothing that is for one session alone. */
import type { Dialect } from '../dialect.js';
import type { Outlet } from '../fanout.js';
import type { Member } from '../room.js';

export abstract class Bystander implements Member {
  abstract readonly author: string;
  abstract readonly connection: Outlet;
  abstract readonly dialect: Dialect;
  abstract readonly receivedAt: number;
  readonly shownAs = undefined;
  readonly isWaiting = false;

  abstract mayWrite(client: number): boolean;
  abstract saved(durable: number): boolean;
  abstract close(code: number, reason: string): void;

  hasWritten(): boolean {
    return false;
  }

  send(): void {
    // Such as the step 1 by which a client begins.
  }

  probe(): void {
    // It holds no client id.
  }

  retry(): void {
    // Nothing of it waits.
  }

  guard(action: () => void): void {
    action();
  }
}
