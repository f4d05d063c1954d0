/** Where an application shows a document: an address with `{room}` in it, for the administrator's page. */
const ROOM = '{room}';

export const DOCUMENT_URL_FORM =
  'an address with {room} in it behind the host, such as https://docs.example/d/{room}, or /d/{room} for this server’s own';

/** Nothing but a page of the web, at one host whatever the room is called. */
export function isDocumentUrl(url: string): boolean {
  const parts = url.split(ROOM);
  if (parts.length !== 2 || !/^(https?:\/\/[^/]+)?\/(?![/\\])/.test(parts[0]!)) return false;
  const whole = url.startsWith('/') ? `http://this.invalid${url}` : url;
  if (!URL.canParse(whole)) return false;
  const { username, password } = new URL(whole);
  return username === '' && password === '';
}

export function documentAddress(url: string, room: string): string {
  return url.replace(ROOM, () => encodeURIComponent(room));
}
