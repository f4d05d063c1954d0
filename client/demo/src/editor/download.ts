/** The document as a file, for programs that know nothing of this one. */
import type { Editor } from '@tiptap/core';
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { popover } from '../popover.js';
import { lazily } from './lazy.js';
import type { Notice } from './notice.js';

interface Form {
  readonly label: string;
  readonly ending: string;
  readonly type: string;
  /** @returns undefined, once people know, where it cannot be made now */
  make(editor: Editor, title: string): string | Promise<string | undefined>;
}

/** Few documents are ever downloaded, so what turns them into Markdown comes when one is. */
function markdown(notice: Notice): Form {
  const load = lazily('What makes Markdown', notice, () => import('./markdown.js'));
  return {
    label: 'Markdown',
    ending: 'md',
    type: 'text/markdown',
    async make(editor) {
      return (await load())?.toMarkdown(editor.extensionManager.extensions, editor.getJSON());
    },
  };
}

const FORMS: readonly Form[] = [
  {
    label: 'HTML',
    ending: 'html',
    type: 'text/html',
    make(editor, title) {
      const name = h('title', {}, title).outerHTML;
      return `<!doctype html>\n<meta charset="utf-8">\n${name}\n${editor.getHTML()}\n`;
    },
  },
  {
    label: 'JSON',
    ending: 'json',
    type: 'application/json',
    make: (editor) => `${JSON.stringify(editor.getJSON(), null, 2)}\n`,
  },
];

export interface Download {
  readonly element: HTMLElement;
  /** Until then there is nothing to download. */
  attach(editor: Editor, title: () => string): void;
}

export function download(notice: Notice): Download {
  const button = h(
    'button',
    {
      type: 'button',
      class: 'icon-button',
      'aria-label': 'Download',
      'data-tip': 'Download',
      disabled: true,
    },
    icon('download'),
  );
  const panel = popover('Download as', 'end', () => button.getBoundingClientRect());
  panel.classList.add('menu');
  button.popoverTargetElement = panel;
  return {
    element: h('div', { class: 'download' }, button, panel),
    attach(editor, title) {
      button.disabled = false;
      const items = [markdown(notice), ...FORMS].map((form) => {
        const item = h('button', { type: 'button', class: 'menu-item' }, form.label);
        item.addEventListener('click', async () => {
          panel.hidePopover();
          const text = await form.make(editor, title());
          if (text === undefined) return;
          save(new Blob([text], { type: form.type }), `${fileName(title())}.${form.ending}`);
        });
        return item;
      });
      panel.replaceChildren(...items);
    },
  };
}

function save(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  h('a', { href: address, download: name }).click();
  // The browser has taken it by then; kept on, it would take up memory while the page is open.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Without what some file system does not take. */
function fileName(title: string): string {
  const name = title.replace(/[\\/:*?"<>|\s\p{Cc}]+/gu, ' ').trim();
  return name.slice(0, 80).trim() || 'document';
}
