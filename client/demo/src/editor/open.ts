/**
 * The editor of a document that is there, with what works on it. Nearly all of the page's code is
 * behind this file: it comes while the page connects and its document arrives.
 *
 * It comes as a whole. An editor that does not know tables yet would remove those that the document
 * has, and anybody may add one at any time.
 */
import type { CowriteProvider } from '@cowrite/client';
import type { Editor } from '@tiptap/core';
import { isChangeOrigin } from '@tiptap/extension-collaboration';
import type { Doc } from 'yjs';
import { h } from '../dom.js';
import { rememberDocument } from '../recent.js';
import type { Carets } from './carets.js';
import type { Download } from './download.js';
import { createEditor, titleOf } from './editor.js';
import type { Following } from './following.js';
import { ImageFiles } from './image-files.js';
import type { Integrity } from './integrity.js';
import { linkPopover } from './link-popover.js';
import type { Notice } from './notice.js';
import { showsDocument } from './shows-document.js';
import type { Toolbar } from './toolbar.js';
import '../styles/prose.css';

export interface OpenParts {
  readonly room: string;
  readonly doc: Doc;
  readonly provider: CowriteProvider;
  readonly carets: Carets;
  readonly integrity: Integrity;
  readonly notice: Notice;
  readonly tools: Toolbar;
  readonly files: Download;
  readonly following: Following;
  /** Where the document is shown. */
  readonly sheet: HTMLElement;
  readonly title: HTMLElement;
}

export function openEditor(parts: OpenParts): void {
  const { room, doc, provider, carets, integrity, notice, tools, files, following, sheet } = parts;
  const surface = h('div', { class: 'surface' });
  sheet.replaceChildren(surface);
  const images = new ImageFiles(notice);
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
  followTitle(editor, room, parts.title);
  followCarets(editor, () => carets.keepNamesInside(sheet));
  editor.on('transaction', ({ transaction }) => {
    if (transaction.docChanged && !isChangeOrigin(transaction)) following.stop();
    following.follow();
  });
  integrity.watch(editor, provider, () => showsDocument(editor, doc.getXmlFragment('default')));
  const showEditable = () => {
    const editable =
      !integrity.isApart && provider.status !== 'refused' && provider.access === 'write';
    if (editor.isEditable !== editable) editor.setEditable(editable);
  };
  provider.on('status', showEditable);
  provider.on('access', showEditable);
  integrity.onApart(showEditable);
  showEditable();
  // Somebody who is doing something else already is not to be interrupted.
  if (editor.isEmpty && document.activeElement === document.body) editor.commands.focus();
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
