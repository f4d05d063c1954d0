/** Documents' names: which are valid, where they live, and how what somebody types becomes one. */

import { base } from './base.js';

/**
 * ASCII only, so that two names that look the same are the same. A slash stands between two parts
 * of a name, as in `team-7/minutes`; none of them can be a step of a path.
 */
const ROOM_NAME = /^(?=.{1,100}$)[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;
const DOCUMENT_PATH = /^\/d\/(.*?)\/?$/;

export type Place =
  | { readonly page: 'landing' }
  | { readonly page: 'document'; readonly room: string }
  | { readonly page: 'invalid-room'; readonly name: string }
  | { readonly page: 'not-found' };

export function placeOf(pathname: string): Place {
  const path = pathname.startsWith(base) ? `/${pathname.slice(base.length)}` : pathname;
  if (path === '/' || path === '/index.html') return { page: 'landing' };
  const encoded = DOCUMENT_PATH.exec(path)?.[1];
  if (encoded === undefined) return { page: 'not-found' };
  const name = decode(encoded);
  return ROOM_NAME.test(name) ? { page: 'document', room: name } : { page: 'invalid-room', name };
}

export function pathOf(room: string): string {
  return `${base}d/${room.split('/').map(encodeURIComponent).join('/')}`;
}

export function linkTo(room: string): string {
  return new URL(pathOf(room), location.origin).href;
}

/** @returns the document meant by a name or a link to it, undefined if it can be neither. */
export function roomFromInput(text: string): string | undefined {
  const trimmed = text.trim();
  // With a scheme, from the root, or from a host; `team-7/d/minutes` is a name.
  const isAddress = /^\/|^[a-z][a-z0-9+.-]*:\/\/|^[^/]*[.:][^/]*\/d\//i.test(trimmed);
  if (!isAddress) {
    const name = trimmed.replace(/\s+/g, '-');
    return ROOM_NAME.test(name) ? name : undefined;
  }
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)
    ? trimmed
    : `https://${trimmed.replace(/^\/+/, 'host/')}`;
  if (!URL.canParse(address)) return undefined;
  const place = placeOf(new URL(address).pathname);
  return place.page === 'document' ? place.room : undefined;
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not percent-encoding: shown to the reader as it stands.
    return encoded;
  }
}
