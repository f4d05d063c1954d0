/**
 * How pictures come into a document: pasted, dropped or picked. What cannot be taken over is said.
 *
 * Tiptap's file handler takes files and text of one paste both or not at all; a browser puts a
 * picture that is copied on the clipboard as both, and a spreadsheet its cells.
 */
import type { Editor } from '@tiptap/core';
import { h } from '../dom.js';
import { pictureAt } from './addresses.js';
import { lazily } from './lazy.js';
import type { Notice } from './notice.js';

/** Letters of an address, which are some 200 KB of picture: larger ones are made smaller first. */
const LARGEST = 270_000;

export class ImageFiles {
  readonly #notice: Notice;
  readonly #load: () => Promise<typeof import('./shrink-image.js') | undefined>;
  #editor: Editor | undefined;

  constructor(notice: Notice) {
    this.#notice = notice;
    this.#load = lazily('What takes images over', notice, () => import('./shrink-image.js'));
  }

  attach(editor: Editor): void {
    this.#editor = editor;
  }

  pick(): void {
    const input = h('input', { type: 'file', accept: 'image/*', multiple: true });
    input.addEventListener('change', () => void this.#insert([...(input.files ?? [])]));
    input.click();
  }

  /** @returns whether it takes care of the paste */
  paste(data: DataTransfer | null): boolean {
    const files = picturesOf(data);
    const html = data?.getData('text/html') ?? '';
    const page = new DOMParser().parseFromString(html, 'text/html');
    if (files.length > 0 && !page.body.textContent?.trim() && !page.querySelector('table')) {
      void this.#insert(files);
      return true;
    }
    const large = [...page.images].filter(({ src }) => src.length > LARGEST);
    if (large.length === 0) return false;
    void this.#pasteSmaller(page, large);
    return true;
  }

  drop(event: DragEvent): boolean {
    const editor = this.#editor;
    const files = picturesOf(event.dataTransfer);
    if (!editor || files.length === 0) return false;
    event.preventDefault();
    const at = editor.view.posAtCoords({ left: event.clientX, top: event.clientY });
    void this.#insert(files, at?.pos);
    return true;
  }

  /** Of a picture that no page could show, only what describes it comes along, and that is said. */
  withoutLost(html: string): string {
    if (!/<img/i.test(html)) return html;
    const page = new DOMParser().parseFromString(html, 'text/html');
    const lost = [...page.querySelectorAll('img')].filter(
      (image) => pictureAt(image.getAttribute('src')) === undefined,
    );
    if (lost.length === 0) return html;
    for (const image of lost) image.replaceWith(image.alt);
    this.#notice.say(
      lost.length === 1
        ? 'An image is missing: it was not on the clipboard, only a reference to it. Copy it by itself, or insert its file.'
        : `${lost.length} images are missing: they were not on the clipboard, only references to them. Copy them one by one, or insert their files.`,
    );
    return page.body.innerHTML;
  }

  async #insert(files: readonly File[], at?: number): Promise<void> {
    const editor = this.#editor;
    if (!editor?.isEditable) return;
    const part = await this.#load();
    if (part === undefined) return;
    const images = [];
    for (const file of files) {
      const isImage = file.type.startsWith('image/');
      const src = isImage ? await part.shrinkImage(file, LARGEST) : undefined;
      const alt = file.name.replace(/\.[^.]*$/, '');
      if (src !== undefined) images.push({ type: 'image', attrs: { src, alt } });
    }
    if (images.length < files.length) {
      this.#notice.say('This browser cannot read that as an image.');
    }
    if (images.length === 0 || editor.isDestroyed || !editor.isEditable) return;
    const place = at === undefined ? editor.state.selection : at;
    editor.chain().focus().insertContentAt(place, images).run();
  }

  async #pasteSmaller(page: Document, large: readonly HTMLImageElement[]): Promise<void> {
    const part = await this.#load();
    for (const image of large) {
      const smaller = await part?.shrinkImage(blobOf(image.src), LARGEST);
      // Without an address it is one of the lost.
      if (smaller === undefined) image.setAttribute('src', '');
      else image.setAttribute('src', smaller);
    }
    if (this.#editor?.isEditable) this.#editor.view.pasteHTML(page.body.innerHTML);
  }
}

function picturesOf(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith('image/'));
}

/** The policy of the page lets nothing fetch a `data:` address. */
function blobOf(address: string): Blob {
  const [head = '', base64 = ''] = address.split(',', 2);
  const type = /^data:([^;,]*)/.exec(head)?.[1] ?? '';
  try {
    return new Blob([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], { type });
  } catch {
    // Not base64: no picture, and said to be lost.
    return new Blob([]);
  }
}
