/** Puts a floating element below (or, without room, above) what it belongs to, inside the window. */
const GAP = 8;

export function placeNear(
  element: HTMLElement,
  anchor: DOMRectReadOnly,
  align: 'start' | 'middle' | 'end',
): void {
  const { width, height } = element.getBoundingClientRect();
  const wanted = {
    start: anchor.left,
    middle: anchor.left + anchor.width / 2 - width / 2,
    end: anchor.right - width,
  }[align];
  const left = Math.max(GAP, Math.min(wanted, document.documentElement.clientWidth - width - GAP));
  const below = anchor.bottom + GAP;
  const above = anchor.top - GAP - height;
  const top = below + height > window.innerHeight - GAP && above > GAP ? above : below;
  element.style.left = `${Math.round(left)}px`;
  element.style.top = `${Math.round(top)}px`;
}
