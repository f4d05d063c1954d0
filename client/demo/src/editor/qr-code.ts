/** A link as a QR code. */
import encodeQR from 'qr';

/** Bytes. A code can hold more, in squares that are too small for a phone to read off a screen. */
const LONGEST = 1_000;
/** Squares: what the standard asks for around a code. */
const BORDER = 4;

/** @returns undefined for a link that is too long */
export function qrCode(link: string): SVGSVGElement | undefined {
  if (new TextEncoder().encode(link).length > LONGEST) return undefined;
  const rows = encodeQR(link, 'raw', { ecc: 'low', border: BORDER });
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  svg.setAttribute('class', 'qr-code');
  svg.setAttribute('viewBox', `0 0 ${rows.length} ${rows.length}`);
  svg.setAttribute('shape-rendering', 'crispEdges');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'QR code of the link');
  const dark = document.createElementNS(namespace, 'path');
  const squares = rows.flatMap((row, y) =>
    row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')),
  );
  dark.setAttribute('d', squares.join(''));
  svg.append(dark);
  return svg;
}
