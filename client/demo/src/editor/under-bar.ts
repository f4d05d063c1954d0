/**
 * For a menu beside the text: it flips to the other side where the bar at the top would lie over it.
 * The bar stays while the text scrolls under it, and is as high as what it holds at the time. The
 * window alone bounds the menu: the sheet, which clips only what is beside it, would count as well.
 */
const GAP = 8;

interface Bounds {
  readonly boundary: Element[];
  readonly padding: { readonly top: number };
}

export function underBar(): Bounds {
  const bar = document.querySelector('.doc-header');
  return {
    boundary: [],
    padding: { top: Math.max(0, bar?.getBoundingClientRect().bottom ?? 0) + GAP },
  };
}
