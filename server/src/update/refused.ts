import { MAX_NESTING } from './nesting-limits.js';

/**
 * An update that no honest client of Yjs 13 writes, and that must reach neither
 * the log nor another client: decoding, applying or reloading it would throw,
 * lose data or cost more than linear time.
 */
export class UpdateRefused extends Error {
  override readonly name: string = 'UpdateRefused';
}

/** Some of it lies deeper than anything may. An honest client can have written it. */
export class TooDeep extends UpdateRefused {
  override readonly name = 'TooDeep';

  constructor() {
    super(`shared types, or values, are nested more than ${MAX_NESTING} levels deep`);
  }
}

/** Another client has written other content under the same clocks: two clients use one id. */
export class ClientIdConflict extends UpdateRefused {
  override readonly name = 'ClientIdConflict';

  constructor(client: number, clock: number) {
    super(`client ${client} wrote something else at ${clock}: two clients have this id`);
  }
}

/** Cut into several, an honest client's update may be taken. */
export class UpdateTooLarge extends UpdateRefused {
  override readonly name = 'UpdateTooLarge';
}
