/** The documents this browser opened, newest first. */
import { read, write } from './storage.js';

const KEPT = 12;

export interface RecentDocument {
  readonly room: string;
  /** Empty while the document has no text. */
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
}

export function recentDocuments(): RecentDocument[] {
  const stored = read('cowrite:recent');
  return Array.isArray(stored) ? stored.filter(isRecentDocument) : [];
}

export function rememberDocument(room: string, title: string): void {
  const others = recentDocuments().filter((document) => document.room !== room);
  write('cowrite:recent', [{ room, title, openedAt: Date.now() }, ...others].slice(0, KEPT));
}

export function forgetDocument(room: string): void {
  write(
    'cowrite:recent',
    recentDocuments().filter((document) => document.room !== room),
  );
}

function isRecentDocument(value: unknown): value is RecentDocument {
  if (typeof value !== 'object' || value === null) return false;
  const { room, title, openedAt } = value as Record<string, unknown>;
  return typeof room === 'string' && typeof title === 'string' && typeof openedAt === 'number';
}
