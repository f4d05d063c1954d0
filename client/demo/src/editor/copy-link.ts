/** Copies the document's link and says so. */
import { h } from '../dom.js';
import { icon } from '../icons.js';
import { popover } from '../popover.js';

const FEEDBACK = 2000;

export function copyLink(link: string): HTMLElement {
  const text = h('span', { class: 'copy-text' }, 'Copy link');
  const said = h('span', { class: 'visually-hidden', role: 'status' });
  const button = h(
    'button',
    {
      type: 'button',
      class: 'button copy-link',
      'data-testid': 'copy-link',
      'data-tip': 'Copy a link to this document',
    },
    icon('link'),
    text,
  );
  const byHand = copyByHand(link, button);
  let timer: number | undefined;

  const show = (copied: boolean) => {
    button.dataset.state = copied ? 'copied' : 'idle';
    text.textContent = copied ? 'Copied' : 'Copy link';
    said.textContent = copied ? 'Link copied' : '';
    button.querySelector('svg')?.replaceWith(icon(copied ? 'check' : 'link'));
  };
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      // No permission, or not a secure origin: there is no clipboard to write to.
      byHand.showPopover();
      return;
    }
    show(true);
    clearTimeout(timer);
    timer = window.setTimeout(() => show(false), FEEDBACK);
  });
  return h('div', { class: 'copy' }, button, said, byHand);
}

function copyByHand(link: string, anchor: HTMLElement): HTMLElement {
  const panel = popover('Copy the link', 'end', () => anchor.getBoundingClientRect());
  const input = h('input', { id: 'link-by-hand', class: 'field', readonly: true, value: link });
  panel.append(
    h(
      'div',
      { class: 'link-form' },
      h('label', { for: 'link-by-hand' }, 'This browser does not let the page copy. The link is:'),
      input,
    ),
  );
  panel.addEventListener('toggle', (event) => {
    if (event.newState === 'open') input.select();
  });
  return panel;
}
