/** Gives the browser a file to keep. */
import { h } from '../../demo/src/dom.js';

export function download(file: Blob, name: string): void {
  const link = h('a', { href: URL.createObjectURL(file), download: name });
  link.click();
  // A browser that asks where to put it begins to read only then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
