/** What a document holds, to read: as the store has it, so that nobody in the room sees a look. */
import { shownName } from '../../../server/src/shown.js';
import { h } from '../../demo/src/dom.js';
import { type Api, reasonOf } from './api.js';
import { showDialog } from './dialog.js';
import { size, timeOf } from './words.js';

const FORMS = { text: 'Text', json: 'JSON' } as const;
type Form = keyof typeof FORMS;

/** Bytes that are shown: a page of more is slow, and nobody reads it here. */
const MOST = 256 * 1024;

/** @param isOver whether the page is left because of this error */
export async function preview(
  api: Api,
  room: string,
  isOver: (error: unknown) => boolean,
): Promise<void> {
  const text = h('pre', {
    class: 'preview-text',
    tabindex: 0,
    role: 'region',
    'aria-label': 'What the document holds',
    dir: 'auto',
  });
  const said = h('p', { class: 'said', role: 'status' });
  const close = h('button', { type: 'button', class: 'button' }, 'Close');
  const again = h('button', { type: 'button', class: 'button' }, 'Read again');
  let form: Form = 'text';
  let looks = 0;
  let stop = new AbortController();

  const read = async (): Promise<void> => {
    const look = ++looks;
    stop.abort();
    stop = new AbortController();
    said.textContent = 'Reading…';
    try {
      const response = await api.document(room, form, stop.signal);
      const [shown, isAll] = await beginningOf(response, MOST);
      if (look !== looks) return;
      text.textContent = form === 'json' && isAll ? indented(shown) : shown;
      const of = `As the store had it at ${timeOf(new Date())}. Nobody in the room sees this look.`;
      const part = isAll
        ? ''
        : ` Only the first ${size(MOST)} are shown: download it for the rest.`;
      const none = shown.trim() === '' ? ' There is no text in it.' : '';
      said.textContent = of + none + part;
    } catch (error) {
      if (look !== looks) return;
      if (isOver(error)) return dialog.close();
      text.textContent = '';
      said.textContent = `It cannot be shown: ${reasonOf(error)}.`;
    }
  };

  const tabs = (Object.keys(FORMS) as Form[]).map((each) => {
    const button = h(
      'button',
      { type: 'button', class: 'tab', 'aria-pressed': String(each === form) },
      FORMS[each],
    );
    button.addEventListener('click', () => {
      form = each;
      for (const tab of tabs) tab.setAttribute('aria-pressed', String(tab === button));
      void read();
    });
    return button;
  });
  const dialog = h(
    'dialog',
    { class: 'dialog wide', 'aria-label': `Preview of ${shownName(room)}` },
    h(
      'div',
      { class: 'preview' },
      h('h2', {}, shownName(room)),
      h('div', { class: 'tabs', role: 'group', 'aria-label': 'Show it as' }, ...tabs),
      text,
      said,
      h('div', { class: 'dialog-actions' }, again, close),
    ),
  );
  again.addEventListener('click', () => void read());
  close.addEventListener('click', () => dialog.close());
  void read();
  await showDialog(dialog);
  looks++;
  stop.abort();
}

/** @returns the beginning as text, and whether that is all */
async function beginningOf(response: Response, most: number): Promise<[string, boolean]> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for (const reader = response.body!.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return [text + decoder.decode(), true];
    const left = most - bytes;
    bytes += value.length;
    text += decoder.decode(value.subarray(0, left), { stream: true });
    if (bytes <= most) continue;
    await reader.cancel();
    return [text, false];
  }
}

function indented(json: string): string {
  return JSON.stringify(JSON.parse(json), null, 2);
}
