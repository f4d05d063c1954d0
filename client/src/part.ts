/**
 * A part of the package that is loaded when it is needed first, so that pages that never need it
 * are smaller.
 *
 * Invariant: once it is there it stays, for all of the page; where it could not be loaded, the next
 * that needs it tries again.
 */
export class Part<Module> {
  /** Null until it is there. */
  code: Module | null = null;
  readonly #load: () => Promise<Module>;

  /** @param load has the import: only one that names its module is seen by a bundler */
  constructor(load: () => Promise<Module>) {
    this.#load = load;
  }

  /** @throws what says that, and why, it could not be loaded */
  async load(): Promise<Module> {
    try {
      this.code ??= await this.#load();
      return this.code;
    } catch (cause) {
      throw new Error('a part of this package could not be loaded', { cause });
    }
  }
}

/** What a page needs once a server has refused something, or there is much to send. */
export const refusals = /* @__PURE__ */ new Part(() => import('./refusals.js'));

/** What a tab needs once there is another one that has the same room open. */
export const tabParts = /* @__PURE__ */ new Part(() => import('./others.js'));

/** What a page needs that keeps copies of documents. */
export const copies = /* @__PURE__ */ new Part(() => import('./offline.js'));

/** What a page needs that asks for what was unsaved in a document that is gone. */
export const recovery = /* @__PURE__ */ new Part(() => import('./offline-recoverable.js'));

/** What a page needs once it sees somebody else. */
export const guards = /* @__PURE__ */ new Part(() => import('./awareness-guard.js'));
