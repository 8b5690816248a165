import { formatBytes, formatDivergence, significant } from '../../src/numbers.js';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Chart {
  /** Draws the points on an axis of bytes up to `most`; `from` is where the model can talk. */
  draw(points: readonly Point[], most: number, from: number): void;
}

const margin = { left: 52, right: 62, top: 14, bottom: 40 };
const height = 300;
/** Units are the page's, so that letters are as large as others; up to here the drawing grows with its place. */
const widths = { least: 300, most: 640 };
const namespace = 'http://www.w3.org/2000/svg';

/** A line over bytes on a logarithmic scale, redrawn as a whole: there are few points. */
export function createChart(into: HTMLElement): Chart {
  return {
    draw(points, most, from) {
      const width = Math.min(widths.most, Math.max(widths.least, into.clientWidth));
      const size = { width, height, ...margin };
      const ticks = width < 460 ? 2 : 4;
      const svg = node('svg', {
        viewBox: `0 0 ${size.width} ${size.height}`,
        role: 'img',
        'aria-label': describe(points),
      });
      const values = points.map(({ y }) => y);
      const top = 10 ** Math.ceil(Math.log10(Math.max(10, ...values)));
      const bottom = 10 ** Math.floor(Math.log10(Math.min(0.001, ...values.filter((y) => y > 0))));
      const x = (bytes: number) =>
        size.left + ((size.width - size.left - size.right) * bytes) / Math.max(1, most);
      const y = (value: number) => {
        const share = Math.log(Math.max(value, bottom) / bottom) / Math.log(top / bottom);
        return size.height - size.bottom - (size.height - size.top - size.bottom) * share;
      };
      const floor = size.height - size.bottom;
      for (let tick = bottom; tick <= top * 1.001; tick *= 10) {
        svg.append(
          node('line', {
            class: 'grid',
            x1: size.left,
            x2: size.width - size.right,
            y1: y(tick),
            y2: y(tick),
          }),
          label(tickName(tick), size.left - 8, y(tick) + 4, 'end'),
        );
      }
      for (let at = 0; at <= ticks && most > 0; at++)
        svg.append(
          label(
            at === 0 ? '0' : formatBytes((most * at) / ticks),
            x((most * at) / ticks),
            floor + 20,
            at === ticks ? 'end' : 'middle',
          ),
        );
      if (from > 0) {
        svg.append(
          node('rect', {
            class: 'silent',
            x: x(0),
            y: size.top,
            width: x(from) - x(0),
            height: floor - size.top,
          }),
          label(
            x(from) - x(0) < 105 ? 'silent' : 'cannot talk yet',
            (x(0) + x(from)) / 2,
            size.top + 16,
            'middle',
          ),
        );
      }
      const path = points.map((point, at) => `${at === 0 ? 'M' : 'L'}${x(point.x)} ${y(point.y)}`).join('');
      svg.append(node('path', { class: 'line', d: path }));
      for (const point of points) {
        const dot = node('circle', { class: 'dot', cx: x(point.x), cy: y(point.y), r: 3.5 });
        const title = node('title', {});
        title.textContent = `${formatBytes(point.x)}: ${significant(point.y, 3)}`;
        dot.append(title);
        svg.append(dot);
      }
      const last = points.at(-1);
      if (last) {
        svg.append(label(significant(last.y, 2), x(last.x) + 9, y(last.y) + 4, 'start', 'value'));
      }
      into.replaceChildren(svg);
    },
  };
}

const tickName = (value: number) => (value >= 1 ? String(Math.round(value)) : significant(value, 1));

function describe(points: readonly Point[]): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return 'nothing measured yet';
  return `divergence falls from ${formatDivergence(first.y, 2)} at ${formatBytes(first.x)} to ${formatDivergence(last.y, 2)} at ${formatBytes(last.x)}`;
}

function node(tag: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

function label(text: string, x: number, y: number, anchor: string, style = 'tick'): SVGElement {
  const element = node('text', { x, y, 'text-anchor': anchor, class: style });
  element.textContent = text;
  return element;
}
