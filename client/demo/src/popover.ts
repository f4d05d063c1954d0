/**
 * A small panel beside what opened it. The browser's own popover closes it on Escape and on a click
 * elsewhere, and hands the focus back.
 */
import { h } from './dom.js';
import { placeNear } from './place.js';

export function popover(
  label: string,
  align: 'start' | 'end',
  anchor: () => DOMRectReadOnly,
): HTMLElement {
  const element = h('div', {
    class: 'popover',
    popover: 'auto',
    role: 'dialog',
    'aria-label': label,
  });
  const place = () => placeNear(element, anchor(), align);
  // Its size is known only once it is shown; until it is placed it must not be seen.
  element.addEventListener('beforetoggle', (event) => {
    if (event.newState === 'open') element.style.visibility = 'hidden';
  });
  element.addEventListener('toggle', (event) => {
    if (event.newState !== 'open') return;
    place();
    element.style.visibility = '';
  });
  window.addEventListener('resize', () => {
    if (element.matches(':popover-open')) place();
  });
  return element;
}
