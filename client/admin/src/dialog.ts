/** Asks before something is done that cannot be undone. */
import { h } from '../../demo/src/dom.js';

export interface Question {
  readonly title: string;
  readonly text: string;
  /** What is done, on the button. */
  readonly action: string;
  /** What has to be typed first, where one click is too little. */
  readonly typed?: string;
}

/** @returns whether it was confirmed */
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
  document.body.append(dialog);
  const answer = new Promise<boolean>((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      resolve(true);
      dialog.close();
    });
    cancel.addEventListener('click', () => dialog.close());
    // After the submit above this changes nothing.
    dialog.addEventListener('close', () => resolve(false));
  });
  dialog.showModal();
  try {
    return await answer;
  } finally {
    dialog.remove();
  }
}
