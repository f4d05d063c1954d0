/** A figure's last minutes as a line, with the ground under it tinted. */
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 120;
const HEIGHT = 28;
/** So that the line at the top and at the bottom is whole. */
const MARGIN = 1.5;

/** @param points null leaves a gap */
export function sparkline(points: readonly (number | null)[], slots: number): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'sparkline');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  if (points.length < 2) return svg;
  const top = Math.max(0, ...points.filter((value) => value !== null));
  const step = WIDTH / (slots - 1);
  const start = WIDTH - (points.length - 1) * step;
  const x = (i: number): string => (start + i * step).toFixed(1);
  const y = (value: number): string => {
    const share = top === 0 ? 0 : value / top;
    return (HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)).toFixed(1);
  };
  const lines: { from: number; to: number; through: string[] }[] = [];
  for (const [i, value] of points.entries()) {
    if (value === null) continue;
    const last = lines.at(-1);
    const point = `${x(i)} ${y(value)}`;
    if (last?.to === i - 1) {
      last.to = i;
      last.through.push(point);
    } else {
      lines.push({ from: i, to: i, through: [point] });
    }
  }
  for (const { from, to, through } of lines) {
    // One by itself is a line to where it begins: a dot.
    const line = [...through, through.at(-1)].join(' L');
    svg.append(
      path('sparkline-ground', `M${x(from)} ${HEIGHT} L${line} L${x(to)} ${HEIGHT} Z`),
      path('sparkline-line', `M${line}`),
    );
  }
  return svg;
}

function path(name: string, d: string): SVGPathElement {
  const element = document.createElementNS(SVG, 'path');
  element.setAttribute('class', name);
  element.setAttribute('d', d);
  return element;
}
