/** The icons of this page, on the demo's 20-unit grid. */
const SHAPES = {
  open: '<path d="M2.5 10S5.5 4.5 10 4.5 17.5 10 17.5 10 14.5 15.5 10 15.5 2.5 10 2.5 10Z"/><circle cx="10" cy="10" r="2.5"/>',
  backup:
    '<ellipse cx="10" cy="5" rx="6" ry="2.25"/><path d="M4 5v10c0 1.25 2.7 2.25 6 2.25s6-1 6-2.25V5M4 10c0 1.25 2.7 2.25 6 2.25s6-1 6-2.25"/>',
  back: '<path d="M16 10H4M9 5l-5 5 5 5"/>',
  download: '<path d="M10 3.5v9M6 9l4 4 4-4M4 16.5h12"/>',
  compact: '<path d="M10 2.5v5M7.5 5 10 7.5 12.5 5M10 17.5v-5M7.5 15l2.5-2.5 2.5 2.5M3.5 10h13"/>',
  out: '<path d="M8 3.5H5a1.5 1.5 0 0 0-1.5 1.5v10A1.5 1.5 0 0 0 5 16.5h3M8 10h8.5M13 6.5l3.5 3.5-3.5 3.5"/>',
  remove:
    '<path d="M4 5.5h12M8 5.5V4a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1v1.5M5.5 5.5l.7 10a1.5 1.5 0 0 0 1.5 1.4h4.6a1.5 1.5 0 0 0 1.5-1.4l.7-10M8.5 9v4.5M11.5 9v4.5"/>',
  revive: '<path d="M4 10a6 6 0 1 0 2-4.5M4 3.5v3.2h3.2"/>',
  search: '<circle cx="9" cy="9" r="5"/><path d="m13 13 3.5 3.5"/>',
  key: '<circle cx="6.75" cy="13.25" r="3.25"/><path d="m9.2 10.8 6.8-6.8M13 7l2.5 2.5"/>',
} as const;

export type AdminIcon = keyof typeof SHAPES;

export function adminIcon(name: AdminIcon): SVGSVGElement {
  const template = document.createElement('template');
  template.innerHTML = `<svg class="icon" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${SHAPES[name]}</svg>`;
  return template.content.firstElementChild as SVGSVGElement;
}
