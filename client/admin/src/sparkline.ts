/** A figure's last minutes as a line, with the ground under it tinted. */
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 120;
const HEIGHT = 28;
/** So that the line at the top and at the bottom is whole. */
const MARGIN = 1.5;

export function sparkline(points: readonly number[], slots: number): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'sparkline');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  if (points.length < 2) return svg;
  const top = Math.max(...points);
  const step = WIDTH / (slots - 1);
  const start = WIDTH - (points.length - 1) * step;
  const line = points
    .map((value, i) => {
      const share = top === 0 ? 0 : value / top;
      const y = HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN);
      return `${(start + i * step).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join(' L');
  svg.append(
    path('sparkline-ground', `M${start.toFixed(1)} ${HEIGHT} L${line} L${WIDTH} ${HEIGHT} Z`),
    path('sparkline-line', `M${line}`),
  );
  return svg;
}

function path(name: string, d: string): SVGPathElement {
  const element = document.createElementNS(SVG, 'path');
  element.setAttribute('class', name);
  element.setAttribute('d', d);
  return element;
}
