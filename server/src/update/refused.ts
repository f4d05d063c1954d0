/**
 * An update that no honest client of Yjs 13 writes, and that must reach neither
 * the log nor another client: decoding, applying or reloading it would throw,
 * lose data or cost more than linear time.
 */
export class UpdateRefused extends Error {
  override readonly name = 'UpdateRefused';
}
