import { CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { formatBytes } from '../numbers.js';
import type { Bin, FrontPoint } from './findings.js';
import { type Html, html, raw } from './html.js';

use([CustomChart, LineChart, ScatterChart, GridComponent, MarkLineComponent, SVGRenderer]);

/** Widths that charts are drawn for: beside the text on a screen, and on a phone. */
const chartWidths = { wide: 720, narrow: 340 } as const;

// Colours are CSS variables of the page, so that one drawing serves light and dark.
const muted = 'var(--muted)';
const rule = 'var(--rule)';
const accent = 'var(--accent)';
const contrast = 'var(--contrast)';
const font = { fontFamily: 'system-ui, sans-serif', fontSize: 12 };
const axisLabel = { ...font, color: muted };
const axisName = { nameTextStyle: { ...font, color: muted }, nameLocation: 'middle' as const };

/** One drawing as SVG text without scripts or styles of its own; the same option gives the same text. */
function draw(width: number, height: number, option: EChartsCoreOption, title: string): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, ...option });
    const drawing = chart.renderToSVGString();
    // Nothing is outside the axes, so that clipping, whose names are counted through the process, is not missed.
    return drawing
      .replace(/<(style|defs)[\s\S]*?<\/\1>/g, '')
      .replace(/ (class|clip-path|ecmeta_\w+|xmlns(:\w+)?|version|baseProfile)="[^"]*"/g, '')
      .replace('<svg ', `<svg role="img" aria-label="${title}" `);
  } finally {
    chart.dispose();
  }
}

export interface Cell {
  readonly row: number;
  readonly column: number;
  /** Which of the page's colours of the scale. */
  readonly step: number;
  /** What it says: the first of these that it has room for. */
  readonly texts: readonly string[];
}

export interface HeatMap {
  readonly title: string;
  /** Name of the scale in the page's colours. */
  readonly scale: 'bits' | 'error';
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly cells: readonly Cell[];
}

/** A grid of coloured cells with a word in each, the first row at the top. */
export function heatMap({ title, scale, rows, columns, cells }: HeatMap, width: number): string {
  const cellHeight = rows.length > 40 ? 16 : 22;
  const left = 34;
  const slanted = (width - left) / columns.length < 80;
  const top = slanted ? 64 : 28;
  const labels = { ...axisLabel, interval: 0 };
  return draw(
    width,
    top + rows.length * cellHeight + 4,
    {
      grid: { left, right: 4, top, bottom: 4 },
      xAxis: {
        type: 'category',
        position: 'top',
        data: columns,
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { ...labels, ...(slanted ? { rotate: 45 } : {}) },
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: rows,
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: labels,
      },
      series: {
        type: 'custom',
        data: cells.map(({ row, column }) => [column, row]),
        renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) => {
          const cell = cells[dataIndex];
          const [x = 0, y = 0] = api.coord([api.value(0), api.value(1)]);
          const [cellWidth = 0] = api.size([1, 1]);
          return {
            type: 'rect',
            shape: {
              x: x - cellWidth / 2 + 1,
              y: y - cellHeight / 2 + 1,
              width: cellWidth - 2,
              height: cellHeight - 2,
              r: 2,
            },
            style: { fill: `var(--${scale}-${cell?.step})` },
            textContent: {
              style: {
                ...font,
                fontSize: 11,
                text: fitting(cell?.texts, cellWidth),
                fill: `var(--${scale}-ink-${cell?.step})`,
              },
            },
            textConfig: { position: 'inside' },
          };
        },
      },
    },
    title,
  );
}

/** What custom series are drawn with; echarts' own types ask for its whole option. */
interface CustomApi {
  value(dimension: number): number;
  coord(data: readonly number[]): number[];
  size(data: readonly number[]): number[];
}

/** Of the small type in cells. */
const letterWidth = 6.2;

const fitting = (texts: readonly string[] = [], width: number) =>
  texts.find((text) => text.length * letterWidth <= width - 4) ?? '';

/** A value to point out, drawn as a line of its own kind. */
export interface Mark {
  readonly value: number;
  readonly line: 'solid' | 'dashed' | 'dotted';
}

/** Shares of positions by divergence, on a logarithmic scale, with lines at some values. */
export function histogram(bins: readonly Bin[], marks: readonly Mark[], width: number): string {
  const used = bins.flatMap(({ count }, index) => (count > 0 ? [index] : []));
  const shown = bins.slice(used[0] ?? 0, (used.at(-1) ?? 0) + 1);
  const total = shown.reduce((sum, { count }) => sum + count, 0);
  const log = Math.log10;
  const bars = shown.map(({ from, to, count }) => [log(from), log(to), count / total]);
  const narrow = width < 500;
  return draw(
    width,
    200,
    {
      grid: { left: 44, right: 12, top: 14, bottom: 44 },
      xAxis: {
        ...axisName,
        type: 'value',
        min: Math.floor(bars[0]?.[0] ?? -6),
        max: Math.ceil(bars.at(-1)?.[1] ?? 1),
        interval: narrow ? 2 : 1,
        name: 'divergence of a position, nats',
        nameGap: 28,
        axisLine: { lineStyle: { color: rule } },
        axisLabel: { ...axisLabel, formatter: (value: number) => decade(value) },
        splitLine: { show: false },
      },
      yAxis: {
        type: 'value',
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { ...axisLabel, formatter: (value: number) => `${Math.round(value * 100)} %` },
        splitLine: { lineStyle: { color: rule } },
      },
      series: {
        type: 'custom',
        data: bars,
        encode: { x: [0, 1], y: 2 },
        renderItem: (_: unknown, api: CustomApi) => {
          const [x1 = 0, y1 = 0] = api.coord([api.value(0), api.value(2)]);
          const [x2 = 0, y2 = 0] = api.coord([api.value(1), 0]);
          return {
            type: 'rect',
            shape: { x: x1 + 0.5, y: y1, width: x2 - x1 - 1, height: y2 - y1 },
            style: { fill: accent },
          };
        },
        markLine: {
          symbol: 'none',
          silent: true,
          label: { show: false },
          data: marks.map(({ value, line }) => ({
            xAxis: log(value),
            lineStyle: { color: contrast, type: line, width: 2 },
          })),
        },
      },
    },
    'Histogram of the divergence over positions',
  );
}

/** 0.001 and the like; smaller ones as 1e-5. */
const decade = (exponent: number) => (exponent >= -4 ? String(Number(`1e${exponent}`)) : `1e${exponent}`);

export interface SizesAndCosts {
  /** What is lost, with its unit. */
  readonly cost: string;
  readonly points: readonly FrontPoint[];
  /** Drawn as a ring. */
  readonly expected: FrontPoint;
  /** Drawn as a dot. */
  readonly measured?: FrontPoint;
}

/** Divergence against size, both expected and measured for one of them. */
export function sizesAndCosts({ cost, points, expected, measured }: SizesAndCosts, width: number): string {
  const pair = ({ bytes, divergence }: FrontPoint) => [bytes, divergence];
  const narrow = width < 500;
  const marked = [
    { point: expected, color: 'var(--paper)', size: 13 },
    ...(measured ? [{ point: measured, color: contrast, size: 9 }] : []),
  ];
  const all = [...points, ...marked.map(({ point }) => point)].map(({ bytes }) => bytes);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return draw(
    width,
    300,
    {
      grid: { left: 56, right: 16, top: 14, bottom: 44 },
      xAxis: {
        ...axisName,
        type: 'value',
        min: least - 0.04 * (most - least),
        max: most + 0.04 * (most - least),
        splitNumber: narrow ? 3 : 6,
        name: 'size of the file',
        nameGap: 28,
        axisLine: { lineStyle: { color: rule } },
        axisLabel: {
          ...axisLabel,
          showMinLabel: false,
          showMaxLabel: false,
          formatter: (value: number) => formatBytes(Math.round(value)),
        },
        splitLine: { show: false },
      },
      yAxis: {
        ...axisName,
        type: 'log',
        name: cost,
        nameGap: 42,
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { ...axisLabel, formatter: (value: number) => decade(Math.round(Math.log10(value))) },
        splitLine: { lineStyle: { color: rule } },
      },
      series: [
        {
          type: 'line',
          data: points.map(pair),
          showSymbol: false,
          lineStyle: { color: accent, width: 2 },
        },
        {
          type: 'scatter',
          z: 3,
          data: marked.map(({ point, color, size }) => ({
            value: pair(point),
            symbolSize: size,
            itemStyle: { color, borderColor: contrast, borderWidth: 2, opacity: 1 },
          })),
        },
      ],
    },
    'Divergence against file size',
  );
}

/** One drawing for each width; the page shows the one that fits. */
export const drawings = (draw: (width: number) => string): Html =>
  html`<div class="wide">${raw(draw(chartWidths.wide))}</div><div class="narrow">${raw(draw(chartWidths.narrow))}</div>`;
