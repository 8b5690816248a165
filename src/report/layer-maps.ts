import { formatBytes, formatPercent, significant } from '../numbers.js';
import { drawings, heatMap } from './charts.js';
import type { TensorFinding } from './findings.js';
import { type Html, html } from './html.js';
import { scaleSteps } from './style.js';

// Linear layers over depth: what each became.

/** Upper ends of the steps of a scale; the last step has none. */
const bitSteps = [2.7, 3.5, 4.5, 5.5, 6.6, 8.5];
const errorSteps = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1];

const stepOf = (value: number, ends: readonly number[]) => {
  const step = ends.findIndex((end) => value <= end);
  return step < 0 ? scaleSteps - 1 : step;
};

function legend(scale: 'bits' | 'error', ends: readonly number[], format: (value: number) => string): Html {
  const last = ends.at(-1) ?? 0;
  const names = [...ends.map((end) => `to ${format(end)}`), `above ${format(last)}`];
  return html`<ul class="legend">${names.map((name, step) => html`<li><i style="background:var(--${scale}-${step})"></i>${name}</li>`)}</ul>`;
}

/** Linear layers over depth: blocks down, roles across. */
function layerMap(
  tensors: readonly TensorFinding[],
  map: {
    readonly title: string;
    readonly scale: 'bits' | 'error';
    readonly step: (tensor: TensorFinding) => number;
    readonly texts: (tensor: TensorFinding) => readonly string[];
  },
): Html {
  const layers = tensors.filter(({ kind, block }) => kind === 'linear' && block !== undefined);
  const columns = [...new Set(layers.map(({ role }) => role))];
  const rows = [...new Set(layers.map(({ block = 0 }) => block))].sort((a, b) => a - b);
  const cells = layers.map((tensor) => ({
    row: rows.indexOf(tensor.block ?? 0),
    column: columns.indexOf(tensor.role),
    step: map.step(tensor),
    texts: map.texts(tensor),
  }));
  const { title, scale } = map;
  return drawings((width) => heatMap({ title, scale, rows: rows.map(String), columns, cells }, width));
}

/** Types of the layers. */
export function bitsSection(tensors: readonly TensorFinding[]): Html {
  const outside = tensors.filter(({ kind }) => kind === 'embedding' || kind === 'head');
  const others = outside.map(({ role, type, bytes }) => `${role} ${type} (${formatBytes(bytes)})`).join(', ');
  return html`<h2>Where the bits went</h2>
<figure>
${layerMap(tensors, {
  title: 'Types of the linear layers by block and role',
  scale: 'bits',
  step: ({ bitsPerWeight }) => stepOf(bitsPerWeight, bitSteps),
  texts: ({ type, bitsPerWeight }) => [type, significant(bitsPerWeight, 2)],
})}
${legend('bits', bitSteps, String)}
<figcaption>Type of every linear layer (or its bits, where the name is long), the first block at the top; the stronger the colour, the more bits per weight.${others ? ` Outside the blocks: ${others}.` : ''}</figcaption>
</figure>`;
}

/** Errors of the layers, where they were measured. */
export function errorSection(tensors: readonly TensorFinding[], text = 'the text'): Html | undefined {
  const measured = tensors.filter(({ relativeError }) => relativeError !== undefined);
  if (measured.length === 0) return undefined;
  const outside = measured
    .filter(({ kind }) => kind !== 'linear')
    .map(({ role, relativeError = 0 }) => `${role} ${formatPercent(relativeError)}`)
    .join(', ');
  return html`<h2>What it changed, layer by layer</h2>
<figure>
${layerMap(measured, {
  title: 'Relative errors of the linear layers by block and role',
  scale: 'error',
  step: ({ relativeError = 0 }) => stepOf(relativeError, errorSteps),
  texts: ({ relativeError = 0 }) => [formatError(relativeError)],
})}
${legend('error', errorSteps, (end) => `${significant(100 * end, 1)} %`)}
<figcaption>Relative error in per cent: the share of a layer's output energy that changed, on inputs as the original has them on ${text}.${outside ? ` Outside the blocks: ${outside}.` : ''}</figcaption>
</figure>`;
}

/** Per cent with two digits, without the sign: cells are small. */
const formatError = (error: number) => (error === 0 ? '0' : significant(100 * error, 2));
