import type { ElementType, OnnxAttribute } from '../runtime/onnx.js';

type Shape = readonly number[];

/** Whole numbers, lists of them, or named choices; a number that is not whole is written as a float. */
export type Attributes = Readonly<Record<string, number | boolean | string | readonly number[]>>;

/** What a rule sees of a value (value.ts). */
interface Operand {
  readonly inputs: readonly Operand[];
  readonly attributes: Attributes;
  readonly shape: Shape;
}

/** How an op appears in ONNX: the operator, its attributes, and whole-number inputs behind the value's own. */
interface Lowering {
  readonly op: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly extra?: readonly (readonly number[])[];
  /** Results of the operator in front of the one that is the value. */
  readonly unusedResults?: number;
}

/** One kind of computation. A rule sees its own inputs only; gradients have theirs in differentiate.ts. */
interface Op {
  /** @throws Error when the inputs do not fit, since that is a mistake in an architecture, not in a file */
  shape(inputs: readonly Shape[], attributes: Attributes): Shape;
  lower(value: Operand): Lowering;
  /** Element type of the result; that of the first input when absent. */
  readonly type?: ElementType;
  /**
   * How many rows the result has where an input's are known at run time only (`Value.bounded`): as few, unless said.
   * `fewer` makes such values; `whole` results have the rows that their shape says.
   */
  readonly rows?: 'fewer' | 'whole' | 'as the first input';
}

const source: Op = {
  shape: (_inputs, { shape }) => shape as Shape,
  lower: () => {
    throw new Error('inputs and constants are not computed');
  },
};

const elementwise = (op: string): Op => ({ shape: ([a]) => a ?? [], lower: () => ({ op }) });
const broadcasting = (op: string, type?: ElementType): Op => ({
  shape: ([a, b]) => broadcast(a ?? [], b ?? []),
  lower: () => ({ op }),
  ...(type ? { type } : {}),
});
const reduction = (op: string): Op => ({
  shape: ([a = []], { axis }) => a.map((size, at) => (at === normal(axis, a) ? 1 : size)),
  lower: ({ attributes }) => ({ op, extra: [[attributes.axis as number]], attributes: { keepdims: 1 } }),
});

const table = {
  /** An array given at each run. */
  input: source,
  /** An array that belongs to the program. */
  constant: source,

  add: broadcasting('Add'),
  sub: broadcasting('Sub'),
  mul: broadcasting('Mul'),
  div: broadcasting('Div'),
  equal: { ...broadcasting('Equal'), type: 'bool' },
  neg: elementwise('Neg'),
  abs: elementwise('Abs'),
  exp: elementwise('Exp'),
  log: elementwise('Log'),
  sqrt: elementwise('Sqrt'),
  tanh: elementwise('Tanh'),
  sigmoid: elementwise('Sigmoid'),
  /** Gaussian error linear unit by the tanh approximation (Hendrycks and Gimpel, 2016). */
  geluTanh: {
    shape: ([a]) => a ?? [],
    lower: () => ({ op: 'Gelu', attributes: { approximate: 'tanh' } }),
  },
  gelu: elementwise('Gelu'),
  erf: elementwise('Erf'),
  toFloat: { shape: ([a]) => a ?? [], lower: () => ({ op: 'Cast', attributes: { to: 1 } }), type: 'f32' },
  /** Whether a number is not zero. */
  toBool: { shape: ([a]) => a ?? [], lower: () => ({ op: 'Cast', attributes: { to: 9 } }), type: 'bool' },

  /** Batched matrix product over the last two dimensions. */
  matmul: {
    shape: ([a = [], b = []]) => {
      require(a.at(-1) === b.at(-2), 'matmul', a, b);
      return [...broadcast(a.slice(0, -2), b.slice(0, -2)), ...a.slice(-2, -1), ...b.slice(-1)];
    },
    lower: () => ({ op: 'MatMul' }),
    rows: 'as the first input',
  },
  /** y = x Wᵀ (+ bias, the third input) for x: tokens × in and W: out × in, as linear layers store it. */
  linear: {
    shape: ([x = [], w = []]) => {
      require(x.length === 2 && x[1] === w[1], 'linear', x, w);
      return [x[0] ?? 0, w[0] ?? 0];
    },
    lower: () => ({ op: 'Gemm', attributes: { transB: 1 } }),
  },
  /** xᵀ y + previous for x: tokens × in, y: tokens × other: running sums of second moments. */
  moment: {
    shape: ([x = [], y = [], previous = []]) => {
      require(x[0] === y[0] && x[1] === previous[0] && y[1] === previous[1], 'moment', x, y, previous);
      return previous;
    },
    lower: () => ({ op: 'Gemm', attributes: { transA: 1 } }),
    rows: 'whole',
  },

  softmax: { shape: ([a]) => a ?? [], lower: () => ({ op: 'Softmax', attributes: { axis: -1 } }) },
  logSoftmax: { shape: ([a]) => a ?? [], lower: () => ({ op: 'LogSoftmax', attributes: { axis: -1 } }) },
  /** x / rms(x) · weight over the last dimension (Zhang and Sennrich, 2019). */
  rmsNorm: {
    shape: ([a]) => a ?? [],
    lower: ({ attributes }) => ({
      op: 'SimplifiedLayerNormalization',
      attributes: { axis: -1, epsilon: { float: attributes.epsilon as number } },
    }),
  },
  /** (x − mean) / std · weight + bias over the last dimension. */
  layerNorm: {
    shape: ([a]) => a ?? [],
    lower: ({ attributes }) => ({
      op: 'LayerNormalization',
      attributes: { axis: -1, epsilon: { float: attributes.epsilon as number } },
    }),
  },

  sum: reduction('ReduceSum'),
  max: reduction('ReduceMax'),
  argmax: {
    shape: ([a = []]) => [...a.slice(0, -1), 1],
    lower: () => ({ op: 'ArgMax', attributes: { axis: -1, keepdims: 1 } }),
    type: 'i64',
  },

  reshape: {
    shape: ([a = []], { shape }) => {
      const whole = (shape as Shape).every(Number.isInteger);
      require(whole && elements(a) === elements(shape as Shape), 'reshape', a, shape as Shape);
      return shape as Shape;
    },
    lower: ({ shape }) => ({ op: 'Reshape', extra: [shape] }),
  },
  transpose: {
    shape: ([a = []], { order }) => (order as Shape).map((axis) => a[axis] ?? 0),
    lower: ({ attributes }) => ({ op: 'Transpose', attributes: { perm: attributes.order as Shape } }),
    // Rows that are few are columns then, which nothing but a product goes over.
    rows: 'whole',
  },
  slice: {
    shape: ([a = []], { axis, start, end }) =>
      a.map((size, at) => (at === normal(axis, a) ? Number(end) - Number(start) : size)),
    lower: ({ attributes: { axis, start, end } }) => ({
      op: 'Slice',
      extra: [[start as number], [end as number], [axis as number]],
    }),
  },
  concat: {
    shape: ([a = [], ...others], { axis }) =>
      a.map((size, at) =>
        at === normal(axis, a) ? others.reduce((total, other) => total + (other[at] ?? 0), size) : size,
      ),
    lower: ({ attributes }) => ({ op: 'Concat', attributes: { axis: attributes.axis as number } }),
  },
  /** Rows of a table by index: embeddings. */
  gather: {
    shape: ([rows = [], indices = []]) => [...indices, ...rows.slice(1)],
    lower: () => ({ op: 'Gather', attributes: { axis: 0 } }),
  },
  /** Along the last dimension, the element that the index names: log-probabilities of labels. */
  pick: {
    shape: ([_values, indices = []]) => indices,
    lower: () => ({ op: 'GatherElements', attributes: { axis: -1 } }),
  },
  /** The way back: a base with values added where the index of each names an element of the last dimension. */
  place: {
    shape: ([base]) => base ?? [],
    lower: () => ({ op: 'ScatterElements', attributes: { axis: -1, reduction: 'add' } }),
  },
  /** Indices of the largest elements of the last dimension, the largest first and of equal ones the first. */
  topIndices: {
    shape: ([a = []], { count }) => [...a.slice(0, -1), count as number],
    lower: ({ attributes: { count } }) => ({
      op: 'TopK',
      extra: [[count as number]],
      attributes: { axis: -1 },
      unusedResults: 1,
    }),
    type: 'i64',
  },

  /** Those rows of an array, [rows, …], of which a truth value says yes, [rows]: as many as there are. */
  compress: {
    shape: ([a]) => a ?? [],
    lower: () => ({ op: 'Compress', attributes: { axis: 0 } }),
    rows: 'fewer',
  },
  /** Rows of a matrix by index, [n, 1]. */
  gatherRows: {
    shape: ([a = [], indices = []]) => [...indices.slice(0, 1), ...a.slice(1)],
    lower: () => ({ op: 'GatherND' }),
  },
  /** A matrix with rows, [n, width], added to those of its rows that an index, [n, 1], names. */
  addRows: {
    shape: ([base = [], indices = [], rows = []]) => {
      require(indices[0] === rows[0] && base[1] === rows[1], 'addRows', base, indices, rows);
      return base;
    },
    lower: () => ({ op: 'ScatterND', attributes: { reduction: 'add' } }),
    rows: 'as the first input',
  },
} satisfies Record<string, Op>;

export type OpName = keyof typeof table;
export const ops: Readonly<Record<OpName, Op>> = table;

function normal(axis: unknown, shape: Shape): number {
  return Number(axis) < 0 ? shape.length + Number(axis) : Number(axis);
}

function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, at) => {
    const [x, y] = [a[at - rank + a.length] ?? 1, b[at - rank + b.length] ?? 1];
    require(x === y || x === 1 || y === 1, 'broadcast', a, b);
    return Math.max(x, y);
  });
}

function require(condition: boolean, op: string, ...shapes: Shape[]): void {
  if (!condition)
    throw new Error(`${op} does not apply to shapes ${shapes.map((s) => `[${s}]`).join(' and ')}`);
}

export const elements = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);
