/**
 * There are crafted items that only a document can tell from honest ones, and on which Yjs
 * throws in whoever applies them. The provider reports that as uncaught and goes on, so
 * here it is counted; whether the provider went on is what is looked at.
 */
export class YjsThrows {
  count = 0;
  readonly #others = process.listeners('uncaughtException');

  constructor() {
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', this.#hear);
  }

  readonly #hear = (error: Error): void => {
    if (error.stack?.includes('/yjs/')) {
      this.count++;
      return;
    }
    if (this.#others.length === 0) {
      console.error(error);
      process.exit(1);
    }
    for (const other of this.#others) other(error, 'uncaughtException');
  };

  /** Those who listened before do again. */
  end(): void {
    process.off('uncaughtException', this.#hear);
    for (const other of this.#others) process.on('uncaughtException', other);
  }
}
