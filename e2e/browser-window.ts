/**
 * What the scenarios ask of a browser other than Chromium: the least that its protocol can do.
 *
 * Every request has an end (`PATIENCE`), so that a browser that hangs fails its test.
 */

/** Each with a storage of its own; it ends with the test that opened it. */
export interface OtherBrowser {
  /** A window, not a tab: a tab in the background is slowed down by its browser. */
  openWindow(): Promise<BrowserWindow>;
}

export interface BrowserWindow {
  goto(address: string): Promise<void>;
  back(): Promise<void>;
  reload(): Promise<void>;
  /** The value of an expression in the page, or of its promise, by way of JSON. */
  evaluate(expression: string): Promise<unknown>;
  /** A `\n` is the Enter key. */
  type(text: string): Promise<void>;
  /** A key, or several that are held together: `Shift+Home`. */
  press(keys: string): Promise<void>;
  close(): Promise<void>;
}

/** A browser's program, running for the tests of one file. */
export interface Engine {
  openBrowser(): Promise<OtherBrowser>;
  close(): Promise<void>;
}

export interface EngineFactory {
  /** Whether a page of the demo that is left is kept as it is for "back", or else loaded again. */
  readonly keepsPages: boolean;
  /** What this machine lacks, or undefined. */
  missing(): string | undefined;
  launch(): Promise<Engine>;
}
