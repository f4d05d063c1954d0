/**
 * The page of one document: makes the document and its provider, and puts the parts together.
 * The editor comes only once the document is there, so an empty page is never shown for a full one.
 */
import { CowriteProvider } from '@cowrite/client';
import type { Editor } from '@tiptap/core';
import { isChangeOrigin } from '@tiptap/extension-collaboration';
import { Doc } from 'yjs';
import { base } from '../base.js';
import { h } from '../dom.js';
import { mark } from '../icons.js';
import { Me } from '../people.js';
import { rememberDocument } from '../recent.js';
import { linkTo } from '../rooms.js';
import { themeButton } from '../theme.js';
import { claimsOf, takeToken, watchForToken } from '../token.js';
import { banner } from './banner.js';
import { peerCarets } from './carets.js';
import { copyLink } from './copy-link.js';
import { download } from './download.js';
import { createEditor, titleOf } from './editor.js';
import { Following } from './following.js';
import { ImageFiles } from './image-files.js';
import { Integrity } from './integrity.js';
import { linkPopover } from './link-popover.js';
import { Notice } from './notice.js';
import { Outage } from './outage.js';
import { presence } from './presence.js';
import { saveStatus } from './save-status.js';
import { shareButton } from './share.js';
import { nothingHere, skeleton } from './skeleton.js';
import { toolbar } from './toolbar.js';
import '../styles/document.css';
import '../styles/toolbar.css';
import '../styles/people.css';
import '../styles/prose.css';

export function documentPage(root: HTMLElement, room: string): void {
  const doc = new Doc();
  const token = takeToken();
  // Whose a token is, the demo does not know; a copy of what it opens is not for the next one.
  const offline = token === '';
  const provider = new CowriteProvider({ url: `${base}ws`, room, doc, token, offline });
  watchForToken();
  const me = Me.load(location.search, claimsOf(token));
  const carets = peerCarets(provider.awareness);
  const integrity = new Integrity();
  const outage = new Outage(provider);
  const said = { provider, integrity, outage, hasToken: token !== '', hasCopy: offline };
  const notice = new Notice();
  const images = new ImageFiles(notice);
  const files = download();
  const header = h('header', { class: 'doc-header' });
  const following = new Following(carets, () => header.getBoundingClientRect());
  const share = shareButton({ room, token, provider, notice });
  const tools = toolbar();
  const title = h('span', { class: 'doc-title' }, room);
  const sheet = h('div', { class: 'sheet' }, skeleton());
  document.title = `${room} · Cowrite`;

  header.append(
    h(
      'div',
      { class: 'doc-bar' },
      h(
        'a',
        {
          class: 'home',
          href: base,
          'aria-label': 'Your documents',
          'data-tip': 'Your documents',
        },
        mark(),
      ),
      title,
      saveStatus(said),
      h('span', { class: 'spring' }),
      presence(provider.awareness, me, (clientIds) => carets.goTo(clientIds), following),
      share,
      files.element,
      themeButton(),
      copyLink(linkTo(room)),
    ),
    h('div', { class: 'tool-row' }, tools.element),
    banner(said),
  );
  root.replaceChildren(
    h('a', { class: 'skip-link', href: '#editor' }, 'Skip to the document'),
    header,
    h('main', { class: 'desk' }, sheet),
    h('div', { class: 'foot' }, following.element, notice.element),
  );

  const open = () => {
    const surface = h('div', { class: 'surface' });
    sheet.replaceChildren(surface);
    const editor = createEditor({
      element: surface,
      doc,
      awareness: provider.awareness,
      carets,
      images,
      notice,
      onLink: () => link.open(),
      onToolbar: () => tools.focus(),
    });
    const link = linkPopover(editor);
    sheet.append(link.element);
    tools.attach(editor, { onImage: () => images.pick(), onLink: () => link.open() });
    files.attach(editor, () => titleOf(editor.state.doc) || room);
    followTitle(editor, room, title);
    editor.on('transaction', ({ transaction }) => {
      if (transaction.docChanged && !isChangeOrigin(transaction)) following.stop();
      following.follow();
    });
    followCarets(editor, () => carets.keepNamesInside(sheet));
    integrity.watch(editor, doc.getXmlFragment('default'), provider);
    const showEditable = () => {
      const editable =
        !integrity.isApart && provider.status !== 'refused' && provider.access === 'write';
      if (editor.isEditable !== editable) editor.setEditable(editable);
    };
    provider.on('status', showEditable);
    provider.on('access', showEditable);
    integrity.onApart(showEditable);
    showEditable();
    // Whoever is doing something else already is not to be interrupted.
    if (editor.isEmpty && document.activeElement === document.body) editor.commands.focus();
  };
  provider.whenReady().then(open, () => sheet.replaceChildren(nothingHere()));
}

/** The first line names the document: in the header, the window and the list of recent ones. */
function followTitle(editor: Editor, room: string, shown: HTMLElement): void {
  let remembering: number | undefined;
  let last: string | undefined;
  const show = () => {
    const title = titleOf(editor.state.doc);
    if (title === last) return;
    last = title;
    shown.textContent = title || room;
    document.title = `${title || room} · Cowrite`;
    clearTimeout(remembering);
    remembering = window.setTimeout(() => rememberDocument(room, title), 400);
  };
  editor.on('update', show);
  show();
  rememberDocument(room, last ?? '');
}

function followCarets(editor: Editor, place: () => void): void {
  let waiting = false;
  editor.on('transaction', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      place();
    });
  });
}
