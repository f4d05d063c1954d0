/**
 * How others get to this document: its link, as text and as a QR code, and what the link lets them
 * do. A page can hand on no more than it has. Without a token that is the address alone; with one,
 * the token as it is, with all that it opens and in the name that it says. Nothing here makes
 * another token: that would let everybody who may write decide who else may.
 */
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { linkTo } from '../rooms.js';
import { type TokenScope, tokenScope } from '../token.js';
import { qrCode } from './qr-code.js';
import type { ShareParts } from './share.js';
import '../styles/share.css';

export function openShareDialog(parts: ShareParts): void {
  const { room, token } = parts;
  const link = linkTo(room);
  const heading = h('h2', { id: 'share-title' }, 'Share this document');
  const close = h(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': 'Close' },
    icon('close'),
  );
  const field = h('input', { id: 'share-link', class: 'field', readonly: true });
  const said = h('span', { class: 'field-note', role: 'status' });
  const copy = h('button', { type: 'button', class: 'button primary' }, icon('copy'), 'Copy');
  const code = h('div', { class: 'share-code' });
  const about = h('p', { id: 'share-about', class: 'share-about' });
  const dialog = h(
    'dialog',
    { class: 'share', 'aria-labelledby': heading.id, 'aria-describedby': about.id },
    h('div', { class: 'share-head' }, heading, close),
  );

  const show = (withToken: boolean) => {
    const address = withToken ? `${link}#token=${encodeURIComponent(token)}` : link;
    field.value = address;
    said.textContent = '';
    about.textContent = withToken ? aboutToken(parts) : aboutLink(parts);
    about.classList.toggle('is-warning', withToken);
    code.replaceChildren(
      qrCode(address) ??
        h('p', { class: 'field-note' }, 'This link is too long for a QR code that a phone reads.'),
    );
  };
  if (token !== '') dialog.append(choice(show));
  dialog.append(
    about,
    h('label', { for: field.id }, 'Link'),
    h('div', { class: 'share-row' }, field, copy),
    said,
    ...onlyHere(),
    code,
    ...furtherLinks(parts),
  );
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = 'Copied';
    } catch {
      // No permission, or not a secure origin: there is no clipboard to write to.
      field.select();
      said.textContent = 'This browser does not let the page copy. The link is selected.';
    }
  });
  close.addEventListener('click', () => dialog.close());
  // A click beside the dialog is one on its backdrop, which belongs to it.
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('close', () => dialog.remove());
  show(false);
  document.body.append(dialog);
  dialog.showModal();
  // Where it begins, the link is marked, so that it can be copied at once by hand as well.
  field.focus();
  field.select();
}

function choice(show: (withToken: boolean) => void): HTMLElement {
  const option = (label: string, note: string, withToken: boolean) => {
    const input = h('input', { type: 'radio', name: 'share-with', checked: !withToken });
    input.addEventListener('change', () => show(withToken));
    return h(
      'label',
      { class: 'share-option' },
      input,
      h('span', {}, label, h('span', { class: 'field-note' }, note)),
    );
  };
  return h(
    'fieldset',
    { class: 'share-choice' },
    h('legend', {}, 'What the link brings along'),
    option('The document alone', 'People need access of their own', false),
    option('Your access', 'For another device of yours', true),
  );
}

function aboutLink({ token, provider }: ShareParts): string {
  if (token !== '') return 'This link opens the document for people who already have access to it.';
  return `The link brings no access along: the server decides what people may do with it. You can ${rights(provider)}.`;
}

/** An address that means another computer on each one, such as that of `npm start`. */
function onlyHere(): HTMLElement[] {
  const { hostname } = location;
  if (!/^(localhost|.+\.localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) return [];
  const note = `${hostname} is this computer itself: the link opens here, and on no other device.`;
  return [h('p', { class: 'field-note' }, note)];
}

/** What a token hands over is said in full, because it cannot be asked back for. */
function aboutToken({ token, room, provider }: ShareParts): string {
  const { name, id, expires, rooms }: TokenScope = tokenScope(token);
  const who = name ?? id;
  const others = rooms?.filter((other) => other !== room) ?? [];
  const parts = [
    `Anyone with this link can ${rights(provider)} here`,
    who === undefined ? ' with your access' : ` in your name (${who})`,
    expires === undefined
      ? ', for as long as your access lasts.'
      : `, until ${expires.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })}.`,
  ];
  if (rooms === undefined) parts.push(' What else your access opens, this page cannot tell.');
  else if (others.length > 0) parts.push(` It opens other documents as well: ${listed(others)}.`);
  return parts.join('');
}

function rights({ access }: ShareParts['provider']): string {
  return access === 'write' ? 'read and write' : 'read, but not write';
}

const LISTED = 3;

function listed(names: readonly string[]): string {
  const shown = names.slice(0, LISTED).map((name) => (name === '*' ? 'all of them' : name));
  const more = names.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** How somebody gets a link that only reads, which no page can make. */
function furtherLinks({ room, token }: ShareParts): HTMLElement[] {
  if (token === '') {
    const note =
      'A link that only reads needs a server with AUTH_SECRET: each person then has a token.';
    return [h('p', { class: 'field-note' }, note)];
  }
  const command = (right: string) =>
    h('code', {}, `cowrite token --user grace --name Grace --room '${room}=${right}'`);
  return [
    h(
      'details',
      { class: 'share-more' },
      h('summary', {}, 'Links for other people, to read or to write'),
      h('p', {}, 'The operator of the server makes a token for each person:'),
      command('read'),
      command('write'),
      h('p', {}, 'The link with it is:'),
      h('code', {}, `${linkTo(room)}#token=…`),
    ),
  ];
}
