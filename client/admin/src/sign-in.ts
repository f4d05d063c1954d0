/** Asks for the administrator's token, and goes on with one that is good. */
import { h } from '../../demo/src/dom.js';
import { Api, Refused, reasonOf } from './api.js';
import { adminIcon } from './icons.js';
import { pageHeader } from './page.js';

/** @param problem why it is asked for again */
export function signIn(root: HTMLElement, problem: string, onDone: (api: Api) => void): void {
  const input = h('input', {
    id: 'token',
    class: 'field',
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    required: true,
    'aria-describedby': 'token-error',
  });
  const error = h('p', { id: 'token-error', class: 'field-error', role: 'alert' }, problem);
  const button = h('button', { class: 'button primary' }, 'Open');
  const form = h(
    'form',
    { class: 'sign-in' },
    h('span', { class: 'sign-in-icon' }, adminIcon('key')),
    h('h1', {}, 'Administration'),
    h(
      'p',
      {},
      'For the people who run this server. The token is the value of its ADMIN_TOKEN; this tab keeps it until it is closed.',
    ),
    h('label', { for: 'token' }, 'Token'),
    h('div', { class: 'sign-in-row' }, input, button),
    error,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const api = new Api(input.value.trim());
    button.disabled = true;
    try {
      // What needs no store: this page is wanted most when that is away.
      await api.metrics();
      api.remember();
      onDone(api);
    } catch (reason) {
      const isWrong = reason instanceof Refused && reason.status === 401;
      error.textContent = isWrong
        ? 'This is not the server’s ADMIN_TOKEN.'
        : sentence(reasonOf(reason));
      input.setAttribute('aria-invalid', 'true');
      input.select();
      button.disabled = false;
    }
  });
  root.replaceChildren(pageHeader('Administration'), h('main', { class: 'sign-in-page' }, form));
  input.focus();
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
