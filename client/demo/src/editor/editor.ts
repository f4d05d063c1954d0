/** The rich-text editor on one Yjs document: what it can hold and how it is bound. */
import { Editor, Extension } from '@tiptap/core';
import { Collaboration } from '@tiptap/extension-collaboration';
import { CollaborationCaret } from '@tiptap/extension-collaboration-caret';
import { TaskItem, TaskList } from '@tiptap/extension-list';
import { Placeholder, Selection } from '@tiptap/extensions';
import type { Node } from '@tiptap/pm/model';
import { StarterKit } from '@tiptap/starter-kit';
import type { Awareness } from 'y-protocols/awareness';
import type { Doc } from 'yjs';
import { safeAddress } from './addresses.js';
import type { Carets } from './carets.js';
import { code } from './code.js';
import { firstLine } from './first-line.js';
import { Image } from './image.js';
import type { ImageFiles } from './image-files.js';
import { LastLine } from './last-line.js';
import { Link } from './link.js';
import { linkCard } from './link-card.js';
import type { Notice } from './notice.js';
import { selectionMenu } from './selection-menu.js';
import { slash } from './slash.js';
import { tableMenu } from './table.js';
import { tables } from './tables.js';
import { undoSteps } from './undo-steps.js';

export interface EditorParts {
  readonly element: HTMLElement;
  readonly doc: Doc;
  readonly awareness: Awareness;
  readonly carets: Carets;
  readonly images: ImageFiles;
  readonly notice: Notice;
  readonly onLink: () => void;
  readonly onToolbar: () => void;
}

export function createEditor(parts: EditorParts): Editor {
  const editor = new Editor({
    element: parts.element,
    // The styles are in prose.css, so that no Content-Security-Policy has to allow inline ones.
    injectCSS: false,
    editorProps: {
      attributes: {
        id: 'editor',
        class: 'prose',
        'data-testid': 'editor',
        role: 'textbox',
        'aria-multiline': 'true',
        'aria-label': 'Document',
        spellcheck: 'true',
      },
      handlePaste: (_view, event) => parts.images.paste(event.clipboardData),
      // What is dragged within the text is moved there.
      handleDrop: (view, event) => !view.dragging && parts.images.drop(event),
      transformPastedHTML: (html) => parts.images.withoutLost(html),
      handleClickOn(_view, _position, _node, _nodePosition, event) {
        const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
        if (!link || !(event.metaKey || event.ctrlKey)) return false;
        const address = safeAddress(link.getAttribute('href'));
        if (address !== undefined) window.open(address, '_blank', 'noopener,noreferrer');
        return true;
      },
    },
    extensions: [
      StarterKit.configure({
        // Undo belongs to the collaboration extension: it takes back only one's own changes.
        undoRedo: false,
        // Every client would add the empty line at the end, each its own.
        trailingNode: false,
        heading: { levels: [1, 2, 3] },
        link: false,
        dropcursor: { color: false, width: 2, class: 'drop-cursor' },
      }),
      Link,
      linkCard(parts.onLink),
      selectionMenu(parts.onLink),
      slash(parts.notice, () => parts.images.pick()),
      code(parts.notice),
      Image,
      tables,
      tableMenu(),
      LastLine,
      TaskList,
      TaskItem.configure({
        nested: true,
        a11y: { checkboxLabel: ({ textContent }) => textContent || 'Empty task' },
      }),
      Collaboration.configure({ document: parts.doc }),
      CollaborationCaret.configure({
        provider: { awareness: parts.awareness },
        user: parts.awareness.getLocalState()?.user,
        render: (user) => parts.carets.render(user),
        selectionRender: (user) => parts.carets.selection(user),
      }),
      Placeholder.configure({
        placeholder: ({ editor, node }) => {
          if (editor.isEmpty) return 'Start with a title, or just write';
          return node.type.name === 'heading' ? 'Heading' : '';
        },
      }),
      Selection.configure({ className: 'kept-selection' }),
      Extension.create({
        name: 'demoKeys',
        addKeyboardShortcuts: () => ({
          'Mod-k': () => {
            parts.onLink();
            return true;
          },
          'Alt-F10': () => {
            parts.onToolbar();
            return true;
          },
        }),
      }),
    ],
  });
  firstLine(editor, parts.doc.getXmlFragment('default'));
  undoSteps(editor);
  parts.images.attach(editor);
  return editor;
}

/** @returns the first line that says something; empty if none does. */
export function titleOf(document: Node): string {
  let title = '';
  document.descendants((node) => {
    if (title) return false;
    if (node.isTextblock) title = node.textContent.replace(/\s+/g, ' ').trim().slice(0, 120);
    return !node.isTextblock;
  });
  return title;
}
