/** What a test asks of the demo's page, in any browser: its document, its carets, where its own caret is. */

export interface Selected {
  /** Which of the blocks of text the caret is in, counted from 0. */
  readonly block: number;
  readonly blocks: number;
  readonly before: string;
  readonly after: string;
  readonly selected: string;
}

/** Keys that put the caret somewhere, and how the page shows that it is there. */
export const WAYS = {
  start: {
    keys: ['ControlOrMeta+Home'],
    isThere: ({ block, before }: Selected) => block === 0 && before === '',
  },
  'end of the first line': {
    keys: ['ControlOrMeta+Home', 'End'],
    isThere: ({ block, after }: Selected) => block === 0 && after === '',
  },
  end: {
    keys: ['ControlOrMeta+End'],
    isThere: ({ block, blocks, after }: Selected) => block === blocks - 1 && after === '',
  },
};

/** Runs in the page, so it can use nothing from here. */
export async function selectionIn(editor: HTMLElement | SVGElement): Promise<Selected> {
  for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
  const selection = getSelection();
  const blocks = [...editor.querySelectorAll('p, h1, h2, h3, pre')];
  const block = blocks.findIndex((element) => element.contains(selection?.focusNode ?? null));
  // The text without carets, and without the characters of no width that stand beside them.
  const textOf = (range: Range) => {
    const content = range.cloneContents();
    for (const caret of content.querySelectorAll('.collaboration-carets__caret')) caret.remove();
    return (content.textContent ?? '').replace(/[\u200b\u2060\ufeff]/g, '');
  };
  const element = blocks[block];
  const [before, after] = [document.createRange(), document.createRange()];
  if (selection?.focusNode && element) {
    for (const range of [before, after]) range.selectNodeContents(element);
    before.setEnd(selection.focusNode, selection.focusOffset);
    after.setStart(selection.focusNode, selection.focusOffset);
  }
  return {
    block,
    blocks: blocks.length,
    before: textOf(before),
    after: textOf(after),
    selected: selection?.rangeCount ? textOf(selection.getRangeAt(0)) : '',
  };
}

/** Runs in the page, so it can use nothing from here. */
export function plainHtml(editor: HTMLElement | SVGElement): string {
  const copy = editor.cloneNode(true) as HTMLElement;
  const decorations =
    '.collaboration-carets__caret, .ProseMirror-trailingBreak, .ProseMirror-separator';
  for (const element of copy.querySelectorAll(decorations)) element.remove();
  // Marks have tags of their own; a span is a selection.
  for (const span of copy.querySelectorAll('span')) span.replaceWith(...span.childNodes);
  for (const element of copy.querySelectorAll('*')) {
    for (const name of ['class', 'data-placeholder']) element.removeAttribute(name);
  }
  // Somebody's caret in a mark splits its element in two.
  for (const mark of copy.querySelectorAll('strong, em, u, s, code, a')) {
    const previous = mark.previousSibling;
    if (!(previous instanceof Element)) continue;
    if (!previous.cloneNode(false).isEqualNode(mark.cloneNode(false))) continue;
    mark.prepend(...previous.childNodes);
    previous.remove();
  }
  return copy.innerHTML;
}

/** Runs in the page, so it can use nothing from here. */
export function caretsIn(editor: HTMLElement | SVGElement): Record<string, string> {
  const carets: Record<string, string> = {};
  for (const caret of editor.querySelectorAll('.collaboration-carets__caret')) {
    const range = document.createRange();
    range.setStart(caret.parentElement?.closest('p, h1, h2, h3, li') ?? editor, 0);
    range.setEndBefore(caret);
    const before = range.cloneContents();
    for (const other of before.querySelectorAll('.collaboration-carets__caret')) other.remove();
    // ProseMirror keeps the browser's caret beside a widget with characters of no width.
    const name = caret.querySelector<HTMLElement>('[data-name]')?.dataset.name ?? '';
    carets[name] = (before.textContent ?? '').replace(/[\u200b\u2060\ufeff]/g, '');
  }
  return carets;
}

/** The words of a document in order. */
export function wordsOf(html: string): string[] {
  const text = html.replace(/<\/(p|h\d|li|pre)>|<br>|&nbsp;/g, ' ').replace(/<[^>]*>/g, '');
  return text.split(/\s+/).filter((word) => word !== '');
}
