import type { ElementType } from '../runtime/onnx.js';
import { type Attributes, elements, type OpName, ops } from './ops.js';
import type { Value } from './value.js';

function node(op: OpName, inputs: readonly Value[], attributes: Attributes = {}): Value {
  const rule = ops[op];
  const shape = rule.shape(
    inputs.map((input) => input.shape),
    attributes,
  );
  const type = rule.type ?? inputs[0]?.type ?? 'f32';
  const bounded = isBounded(rule.rows, inputs, attributes);
  return { op, inputs, attributes, shape, type, ...(bounded ? { bounded } : {}) };
}

function isBounded(
  rows: (typeof ops)[OpName]['rows'],
  inputs: readonly Value[],
  { axis }: Attributes,
): boolean {
  if (rows === 'fewer') return true;
  if (rows === 'whole') return false;
  // Sums over rows, and rows cut out or joined.
  if (axis === 0) return false;
  const deciding = rows === 'as the first input' ? inputs.slice(0, 1) : inputs;
  return deciding.some((input) => input.bounded);
}

export const input = (name: string, shape: readonly number[], type: ElementType = 'f32'): Value => ({
  ...node('input', [], { shape }),
  name,
  type,
});

/** An input of at most so many rows as its shape says (`Value.bounded`). */
export const boundedInput = (name: string, shape: readonly number[]): Value => ({
  ...input(name, shape),
  bounded: true,
});

export const constant = (data: Float32Array, shape: readonly number[] = [data.length]): Value => ({
  ...node('constant', [], { shape }),
  data,
});

export const scalar = (value: number): Value => constant(Float32Array.of(value), []);

export const add = (a: Value, b: Value) => node('add', [a, b]);
export const sub = (a: Value, b: Value) => node('sub', [a, b]);
export const mul = (a: Value, b: Value) => node('mul', [a, b]);
export const div = (a: Value, b: Value) => node('div', [a, b]);
export const equal = (a: Value, b: Value) => node('equal', [a, b]);
export const neg = (a: Value) => node('neg', [a]);
export const abs = (a: Value) => node('abs', [a]);
export const exp = (a: Value) => node('exp', [a]);
export const log = (a: Value) => node('log', [a]);
export const sqrt = (a: Value) => node('sqrt', [a]);
export const tanh = (a: Value) => node('tanh', [a]);
export const sigmoid = (a: Value) => node('sigmoid', [a]);
export const gelu = (a: Value) => node('gelu', [a]);
export const geluTanh = (a: Value) => node('geluTanh', [a]);
export const erf = (a: Value) => node('erf', [a]);
export const toFloat = (a: Value) => node('toFloat', [a]);
export const matmul = (a: Value, b: Value) => node('matmul', [a, b]);
export const linear = (x: Value, weight: Value, bias?: Value) =>
  node('linear', bias ? [x, weight, bias] : [x, weight]);
export const moment = (x: Value, y: Value, previous: Value) => node('moment', [x, y, previous]);
export const softmax = (a: Value) => node('softmax', [a]);
export const logSoftmax = (a: Value) => node('logSoftmax', [a]);
export const rmsNorm = (x: Value, weight: Value, epsilon: number) =>
  node('rmsNorm', [x, weight], { epsilon });
export const layerNorm = (x: Value, weight: Value, bias: Value, epsilon: number) =>
  node('layerNorm', [x, weight, bias], { epsilon });
export const sum = (a: Value, axis: number) => node('sum', [a], { axis });
export const max = (a: Value, axis: number) => node('max', [a], { axis });
export const argmax = (a: Value) => node('argmax', [a]);
export const transpose = (a: Value, order: readonly number[]) => node('transpose', [a], { order });
export const slice = (a: Value, axis: number, start: number, end: number) =>
  node('slice', [a], { axis, start, end });
export const concat = (parts: readonly Value[], axis: number) => node('concat', parts, { axis });
export const gather = (rows: Value, indices: Value) => node('gather', [rows, indices]);
export const toBool = (a: Value) => node('toBool', [a]);
export const place = (base: Value, indices: Value, values: Value) => node('place', [base, indices, values]);
export const topIndices = (a: Value, count: number) => node('topIndices', [a], { count });
export const gatherRows = (a: Value, indices: Value) => node('gatherRows', [a, indices]);
export const addRows = (base: Value, indices: Value, rows: Value) => node('addRows', [base, indices, rows]);
export const pick = (values: Value, indices: Value) => node('pick', [values, indices]);

/** One dimension may be −1: whatever is left. */
export function reshape(a: Value, shape: readonly number[]): Value {
  const rest = elements(a.shape) / elements(shape.filter((size) => size !== -1));
  return node('reshape', [a], { shape: shape.map((size) => (size === -1 ? rest : size)) });
}

/** Indices, [n, 1], of the rows where a column, [rows, 1], is not zero. */
export function rowsWhere(column: Value): Value {
  const [rows = 0] = column.shape;
  const all = BigInt64Array.from({ length: rows }, (_, row) => BigInt(row));
  const numbers: Value = { ...node('constant', [], { shape: [rows, 1] }), type: 'i64', data: all };
  return node('compress', [numbers, toBool(reshape(column, [rows]))]);
}

/** x · sigmoid(x) (Elfwing et al., 2017). */
export const silu = (x: Value) => mul(x, sigmoid(x));
