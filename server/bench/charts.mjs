/** The charts as SVG: what the targets came to, and how costs grow. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCENARIOS } from './scenarios/index.mjs';
import { EVERYONE, LABELS } from './servers.mjs';
import { medianOf, timesBare } from './targets.mjs';

const COLOURS = {
  ws: '#9aa0a6',
  'y-websocket': '#e8a33d',
  hocuspocus: '#4f8fdd',
  cowrite: '#7c4dcf',
};
const FONT = 'system-ui, sans-serif';

/** @returns file and title of what was drawn, by group of scenarios; `overview` is of all */
export async function drawCharts(folder, results) {
  // Installed with what is compared; who imports this file may not have it.
  const echarts = await import('echarts');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const known = SCENARIOS.filter(({ id }) => results[id] !== undefined);
  const drawn = {};
  const draw = (group, file, title, option, width = 760, height = 340) => {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      textStyle: { fontFamily: FONT },
      title: { text: title, left: 12, top: 8, textStyle: { fontSize: 14, fontFamily: FONT } },
      legend: { bottom: 6, data: named(option.series) },
      ...option,
    });
    writeFileSync(join(folder, file), `${chart.renderToSVGString()}\n`);
    chart.dispose();
    drawn[group] = [...(drawn[group] ?? []), { file, title }];
  };
  const ratios = ratioChart(known, results);
  if (ratios !== undefined) {
    const height = 110 + 46 * ratios.yAxis.data.length;
    draw('overview', 'ratios.svg', 'Cost as times a bare ws broadcast', ratios, 860, height);
  }
  for (const { file, title, option } of curveCharts(known, results)) {
    draw('curves', file, title, option);
  }
  return drawn;
}

/** Servers in their order, whatever that of the bars. */
function named(series) {
  const names = series.map(({ name }) => name);
  return EVERYONE.map((name) => LABELS[name]).filter((label) => names.includes(label));
}

/** Bars for what has a target in times of the bare broadcast. */
function ratioChart(known, results) {
  const rows = known.filter(({ targets = [] }) => targets.some((target) => target.timesBare));
  if (rows.length === 0) return undefined;
  const drawn = [...rows].reverse();
  return {
    grid: { left: 340, right: 40, top: 44, bottom: 60 },
    xAxis: { type: 'value' },
    yAxis: {
      type: 'category',
      data: drawn.map(({ title }) => title),
      axisLabel: { width: 280, overflow: 'break' },
    },
    series: [...EVERYONE].reverse().map((name) => ({
      name: LABELS[name],
      type: 'bar',
      color: COLOURS[name],
      label: { show: true, position: 'right', fontSize: 9 },
      data: drawn.map(({ id, main }) =>
        Number(timesBare(results[id].runs, name, main)?.toFixed(2) ?? Number.NaN),
      ),
    })),
  };
}

/** A line for each server, from the scenarios that name the same curve. */
function* curveCharts(known, results) {
  const curves = grouped(known, ({ curve }) => curve?.name);
  for (const [curve, points] of curves) {
    if (curve === undefined) continue;
    const { axis, title, shown, isLogarithmic = true } = points[0].curve;
    for (const figure of shown) {
      const { label, unit } = points[0].figures[figure];
      const names = EVERYONE.filter((name) => points.some(({ servers }) => servers.includes(name)));
      yield {
        file: `${curve}-${figure}.svg`,
        title: `${title}: ${label}, ${unit}`,
        option: {
          grid: { left: 70, right: 30, top: 48, bottom: 74 },
          xAxis: {
            type: isLogarithmic ? 'log' : 'value',
            name: axis,
            nameLocation: 'middle',
            nameGap: 26,
            minInterval: isLogarithmic ? undefined : 1,
            min: Math.min(...points.map((point) => point.curve.x)),
            max: Math.max(...points.map((point) => point.curve.x)),
          },
          yAxis: { type: isLogarithmic ? 'log' : 'value' },
          series: names.map((name) => ({
            name: LABELS[name],
            type: 'line',
            color: COLOURS[name],
            symbolSize: 7,
            data: points
              .map(({ id, curve: { x } }) => [x, medianOf(results[id].runs, name, figure)])
              .filter(([, value]) => value > 0),
          })),
        },
      };
    }
  }
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
}
