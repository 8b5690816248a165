import type { Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Parameters } from '../grid.js';
import { type CodedLevels, describeLevels, spreadImportance } from './arguments.js';

/** Σ over the tensor: what least squares needs, as in assembly/fit/evaluate.ts, and the range of the weights. */
interface Sums {
  readonly error: number;
  readonly gradient: readonly [scale: number, offset: number];
  readonly curvature: readonly [scale: number, mixed: number, offset: number];
  readonly low: number;
  readonly high: number;
}

interface Candidate {
  readonly scale: number;
  readonly offset: number;
  readonly error: number;
}

/** Trial ranges keep these shares of the whole one at either end. */
const keptShares = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.12, 0.07, 0.04];
const alternations = 8;
/** Relative determinant of the normal matrix below which scale and offset cannot be told apart. */
const singular = 1e-6;

type Measure = (scale: number, offset: number) => Sums;

/**
 * Fits one scale (and offset) that all rows share, minimising `Σ importance · (w − nearest value)²`: trial ranges,
 * each followed by a least-squares step, then alternating minimisation, then the halves around.
 */
export async function fitTensor(
  kernels: Kernels,
  levels: CodedLevels,
  affine: boolean,
  weight: Panel,
  importance: Float32Array,
  { scale, offset }: Parameters,
): Promise<void> {
  const { rows, stride, cols, data } = weight;
  await kernels.scope((arena) => {
    const perRow = arena.f32(8 * stride);
    const vectors = spreadImportance(kernels, arena, importance, cols, cols);
    const description = describeLevels(arena, levels, affine);
    const measure: Measure = (s, o) => {
      kernels.parallel('tensorSums', rows, {
        weight: data,
        stride,
        cols,
        importance: vectors,
        levels: description,
        scale: s,
        offset: o,
        sums: perRow,
      });
      return total(perRow, rows, stride);
    };
    const ideal = search(measure, levels, affine);
    let best: Candidate = { scale: 0, offset: 0, error: Infinity };
    for (const side of [-1, 1]) {
      for (const offsetSide of affine ? [-1, 1] : [0]) {
        const s = kernels.call('halfBeside', { x: ideal.scale, side });
        const o = kernels.call('halfBeside', { x: ideal.offset, side: offsetSide });
        const { error } = measure(s, o);
        if (error < best.error) best = { scale: s, offset: o, error };
      }
    }
    scale.fill(best.scale);
    if (affine) offset.fill(best.offset);
  });
}

function search(measure: Measure, levels: CodedLevels, affine: boolean): Candidate {
  const [min, max] = rangeOf(levels);
  let best: Candidate = { scale: 0, offset: 0, error: Infinity };
  const descend = (scale: number, offset: number) => {
    const candidate = leastSquares(measure(scale, offset), scale, offset, affine);
    if (candidate.error < best.error) best = candidate;
  };
  const { low, high } = measure(0, 0);
  const range = high - low;
  for (const share of keptShares) {
    if (affine) {
      const scale = (range * share) / (max - min);
      const cut = range * (1 - share);
      // Cut off at both ends alike, above, below.
      for (const start of [low + cut / 2, low, low + cut]) descend(scale, start - scale * min);
    } else {
      const extreme = -low > high ? low : high;
      for (const level of min === -max ? [max] : [min, max]) descend((extreme / level) * share, 0);
    }
  }
  for (let i = 0; i < alternations; i++) descend(best.scale, best.offset);
  return best;
}

/** The optimum for fixed codes, and the error that it leaves. */
function leastSquares(
  { error, gradient: [g, h], curvature: [a, b, c] }: Sums,
  scale: number,
  offset: number,
  affine: boolean,
): Candidate {
  if (!affine)
    return a > 0 ? { scale: scale + g / a, offset, error: error - g ** 2 / a } : { scale, offset, error };
  const determinant = a * c - b * b;
  if (determinant <= singular * a * c) return { scale, offset: offset + h / c, error: error - h ** 2 / c };
  const [ds, dOffset] = [(g * c - h * b) / determinant, (a * h - b * g) / determinant];
  return { scale: scale + ds, offset: offset + dOffset, error: error - g * ds - h * dOffset };
}

function total(perRow: Float32Array, rows: number, stride: number): Sums {
  const line = (i: number) => perRow.subarray(i * stride, i * stride + rows);
  const sum = (i: number) => line(i).reduce((a, b) => a + b, 0);
  return {
    error: sum(0),
    gradient: [sum(1), sum(2)],
    curvature: [sum(3), sum(4), sum(5)],
    low: line(6).reduce((a, b) => Math.min(a, b), Infinity),
    high: line(7).reduce((a, b) => Math.max(a, b), -Infinity),
  };
}

function rangeOf(levels: CodedLevels): readonly [number, number] {
  if (levels.kind === 'uniform') return [levels.min, levels.max];
  return [levels.values[0] ?? 0, levels.values.at(-1) ?? 0];
}
