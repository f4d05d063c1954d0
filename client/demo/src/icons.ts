/** The icons, drawn for this app on a 20-unit grid with one stroke, and the mark of the product. */
const SHAPES = {
  bold: '<path d="M6 4h4.75a3 3 0 0 1 0 6H6zM6 10h5.5a3 3 0 0 1 0 6H6z"/>',
  italic: '<path d="M8.5 4H14M6 16h5.5M11.5 4 8.5 16"/>',
  underline: '<path d="M5.5 3.5v5a4.5 4.5 0 0 0 9 0v-5M4.5 17h11"/>',
  strike:
    '<path d="M3.5 10h13M13.7 6.2C13.3 4.7 12 3.8 10 3.8c-2.2 0-3.8 1.1-3.8 2.9 0 .7.2 1.2.6 1.7M6 13.5c.4 1.7 1.9 2.7 4.1 2.7 2.4 0 4-1.2 4-3 0-.4-.1-.8-.2-1.1"/>',
  code: '<path d="m7 6-4 4 4 4M13 6l4 4-4 4"/>',
  heading1: '<path d="M3 5v10M10 5v10M3 10h7M14 8.5l2.5-2V15"/>',
  heading2:
    '<path d="M3 5v10M9.5 5v10M3 10h6.5M13 8.6c0-1.2.9-2.1 2.1-2.1s2.1.9 2.1 2c0 1.9-4.2 3.7-4.2 6.5h4.3"/>',
  heading3:
    '<path d="M3 5v10M9.5 5v10M3 10h6.5M13.1 6.5h4l-2.4 3.3c1.5 0 2.5 1 2.5 2.5S16.1 15 14.9 15c-1 0-1.7-.5-2-1.3"/>',
  bullets:
    '<path d="M8 5h9M8 10h9M8 15h9"/><path stroke-width="2.6" d="M3.5 5h.01M3.5 10h.01M3.5 15h.01"/>',
  numbers:
    '<path d="M8.5 5H17M8.5 10H17M8.5 15H17M3 4l1.3-.9v4M2.9 12.6c0-.7.5-1.2 1.2-1.2s1.2.5 1.2 1.1c0 1.2-2.4 2.2-2.4 4h2.5"/>',
  quote:
    '<path d="M8.5 6.5C5.5 7 4 8.7 4 11.5v2.5h4.5v-4H6M16.5 6.5C13.5 7 12 8.7 12 11.5v2.5h4.5v-4H14"/>',
  codeBlock:
    '<rect x="2.5" y="3.5" width="15" height="13" rx="2.5"/><path d="m8 8-2 2 2 2M12 8l2 2-2 2"/>',
  tasks:
    '<rect x="2.5" y="3" width="5" height="5" rx="1.2"/><path d="M10.5 5.5H17M10.5 14H17M2.5 14l1.8 1.8 3.2-3.6"/>',
  table:
    '<rect x="2.5" y="3.5" width="15" height="13" rx="2"/><path d="M2.5 8h15M2.5 12.25h15M10 8v8.5"/>',
  image:
    '<rect x="2.5" y="3.5" width="15" height="13" rx="2"/><path d="m3 14.5 4.2-4.2 3.2 3.2 2.4-2.4 4.2 4.2"/><path stroke-width="2.4" d="M12.6 7.4h.01"/>',
  divider: '<path d="M3 10h14M6 5.5h8M6 14.5h8"/>',
  share:
    '<circle cx="5.5" cy="10" r="2.2"/><circle cx="14.5" cy="5" r="2.2"/><circle cx="14.5" cy="15" r="2.2"/><path d="m7.5 8.9 5-2.8M7.5 11.1l5 2.8"/>',
  follow:
    '<path d="M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5z"/><circle cx="10" cy="10" r="2.2"/>',
  copy: '<rect x="7" y="7" width="9.5" height="9.5" rx="2"/><path d="M4.5 13A1.5 1.5 0 0 1 3.5 11.5V5A1.5 1.5 0 0 1 5 3.5h6.5A1.5 1.5 0 0 1 13 4.5"/>',
  download: '<path d="M10 3.5v9M6 9l4 4 4-4M3.5 16.5h13"/>',
  edit: '<path d="m12.7 4.3 3 3M4 16l.7-3.6 8.6-8.6a1.4 1.4 0 0 1 2 0l.9.9a1.4 1.4 0 0 1 0 2L7.6 15.3z"/>',
  unlink:
    '<path d="M9 11a3.2 3.2 0 0 0 3.8.7l2.8-2.8a3.2 3.2 0 0 0-4.5-4.5l-.9.9M11 9a3.2 3.2 0 0 0-3.8-.7l-2.8 2.8a3.2 3.2 0 0 0 4.5 4.5l.9-.9M3.5 3.5l13 13"/>',
  more: '<path stroke-width="2.6" d="M4.5 10h.01M10 10h.01M15.5 10h.01"/>',
  link: '<path d="M8.3 11.7a3.2 3.2 0 0 0 4.5 0l2.8-2.8a3.2 3.2 0 0 0-4.5-4.5l-.9.9M11.7 8.3a3.2 3.2 0 0 0-4.5 0l-2.8 2.8a3.2 3.2 0 0 0 4.5 4.5l.9-.9"/>',
  undo: '<path d="M7 4.5 3.5 8 7 11.5M3.5 8h8.25a4.25 4.25 0 0 1 0 8.5H8"/>',
  redo: '<path d="M13 4.5 16.5 8 13 11.5M16.5 8H8.25a4.25 4.25 0 0 0 0 8.5H12"/>',
  sun: '<circle cx="10" cy="10" r="3.25"/><path d="M10 2.5v1.25M10 16.25v1.25M2.5 10h1.25M16.25 10h1.25M4.7 4.7l.9.9M14.4 14.4l.9.9M15.3 4.7l-.9.9M5.6 14.4l-.9.9"/>',
  moon: '<path d="M16.5 11.7A6.75 6.75 0 0 1 8.3 3.5a6.75 6.75 0 1 0 8.2 8.2z"/>',
  check: '<path d="m4.5 10.5 3.75 3.75 7.25-8"/>',
  saved: '<circle cx="10" cy="10" r="7"/><path d="m6.9 10.2 2.2 2.2 4-4.5"/>',
  saving: '<path d="M17 10a7 7 0 1 1-4.7-6.6"/>',
  offline:
    '<path d="M3 3l14 14M6.6 9.2A7 7 0 0 0 5.2 10.3M14.8 10.3A7 7 0 0 0 10.6 8M2.7 7.6a11 11 0 0 1 2.6-1.7M17.3 7.6A10.9 10.9 0 0 0 8.2 4.7M7.9 13a3.2 3.2 0 0 1 3.6-.4"/><path stroke-width="2.4" d="M10 16h.01"/>',
  stop: '<circle cx="10" cy="10" r="7"/><path d="M10 6.25v4.5"/><path stroke-width="2.2" d="M10 13.6h.01"/>',
  lock: '<rect x="4.5" y="9" width="11" height="7.5" rx="2"/><path d="M7 9V6.5a3 3 0 0 1 6 0V9"/>',
  close: '<path d="m5.5 5.5 9 9M14.5 5.5l-9 9"/>',
  plus: '<path d="M10 4.5v11M4.5 10h11"/>',
  arrow: '<path d="M4 10h12M11 5l5 5-5 5"/>',
  page: '<path d="M5 4.5A1.5 1.5 0 0 1 6.5 3H11l4 4v8.5a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 5 15.5zM11 3v4h4M8 11h4M8 14h2.5"/>',
  open: '<path d="M11.5 3.5h5v5M16.5 3.5 9 11M14.5 11.5v3a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2h3"/>',
} as const;

export type IconName = keyof typeof SHAPES;

export function icon(name: IconName): SVGSVGElement {
  return parse(
    `<svg class="icon" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${SHAPES[name]}</svg>`,
  );
}

/** Two carets in one document. */
export function mark(): SVGSVGElement {
  return parse(
    '<svg class="mark" viewBox="0 0 32 32" fill="none" stroke-linecap="round" stroke-width="2.6" aria-hidden="true"><rect width="32" height="32" rx="8" fill="var(--brand)"/><path stroke="#fff" d="M9 8h5M11.5 8v16M9 24h5"/><path stroke="#f2b84b" d="M18 11h5M20.5 11v13M18 24h5"/></svg>',
  );
}

function parse(svg: string): SVGSVGElement {
  const template = document.createElement('template');
  template.innerHTML = svg;
  const element = template.content.firstElementChild;
  if (!(element instanceof SVGSVGElement)) throw new TypeError('not an SVG');
  return element;
}
