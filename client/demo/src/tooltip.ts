/**
 * The one tooltip of the page. It shows `data-tip`, and `data-keys` as a shortcut, of what the mouse
 * rests on or the keyboard reaches. Names for assistive technology are on the elements themselves.
 */
import { h } from './dom.js';
import { placeNear } from './place.js';

const REST = 350;

export function installTooltips(): void {
  const text = h('span');
  const keys = h('kbd');
  const tooltip = h('div', { class: 'tooltip', 'aria-hidden': 'true' }, text, keys);
  tooltip.hidden = true;
  document.body.append(tooltip);

  let target: HTMLElement | undefined;
  let timer: number | undefined;

  const hide = () => {
    clearTimeout(timer);
    target = undefined;
    tooltip.hidden = true;
  };
  const show = () => {
    if (!target?.isConnected || !target.dataset.tip) return hide();
    text.textContent = target.dataset.tip;
    keys.textContent = target.dataset.keys ?? '';
    keys.hidden = !target.dataset.keys;
    tooltip.hidden = false;
    placeNear(tooltip, target.getBoundingClientRect(), 'middle');
  };
  const enter = (event: Event, delay: number) => {
    const found = event.target instanceof Element ? event.target.closest('[data-tip]') : null;
    if (found === target) return;
    hide();
    if (!(found instanceof HTMLElement)) return;
    target = found;
    timer = window.setTimeout(show, delay);
  };

  document.addEventListener('pointerover', (event) => {
    if (event.pointerType === 'mouse') enter(event, REST);
  });
  document.documentElement.addEventListener('pointerleave', hide);
  document.addEventListener('pointerdown', hide);
  document.addEventListener('focusin', (event) => {
    if (event.target instanceof Element && event.target.matches(':focus-visible')) enter(event, 0);
  });
  document.addEventListener('focusout', hide);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') hide();
  });
  document.addEventListener('scroll', hide, { passive: true, capture: true });
}
