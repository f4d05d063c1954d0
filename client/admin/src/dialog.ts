/** Windows over the page: they keep the focus, and Escape closes them. */
import { h } from '../../demo/src/dom.js';

export interface Question {
  readonly title: string;
  readonly text: string;
  /** What is done, on the button. */
  readonly action: string;
  /** What has to be typed first, where one click is too little. */
  readonly typed?: string;
}

/** Shows a dialog until it is closed; then the focus is where it was. */
export async function showDialog(dialog: HTMLDialogElement): Promise<void> {
  document.body.append(dialog);
  const closed = new Promise((resolve) => dialog.addEventListener('close', resolve));
  dialog.showModal();
  await closed;
  dialog.remove();
}

/** Asks before something is done that cannot be undone. @returns whether it was confirmed */
export async function confirm({ title, text, action, typed }: Question): Promise<boolean> {
  const input = h('input', {
    id: 'typed',
    class: 'field',
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const sure = h('button', { class: 'button danger', disabled: typed !== undefined }, action);
  const cancel = h('button', { type: 'button', class: 'button' }, 'Cancel');
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', {}, title),
    h('p', {}, text),
    ...(typed === undefined
      ? []
      : [h('label', { for: 'typed' }, `To confirm, type ${typed}`), input]),
    h('div', { class: 'dialog-actions' }, cancel, sure),
  );
  const dialog = h('dialog', { class: 'dialog', 'aria-label': title }, form);
  input.addEventListener('input', () => {
    sure.disabled = input.value !== typed;
  });
  let isSure = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    isSure = true;
    dialog.close();
  });
  cancel.addEventListener('click', () => dialog.close());
  await showDialog(dialog);
  return isSure;
}
