import * as g from './build.js';
import type { OpName } from './ops.js';
import { topological, type Value } from './value.js';

/** Gradients for the inputs of an op, from that of its result; undefined where none flows. */
type Rule = (value: Value, gradient: Value) => readonly (Value | undefined)[];

/**
 * Reverse-mode differentiation of a tensor program: the gradients of Σ output · upstream.
 *
 * @param upstream the gradient of some scalar with respect to `output`, of its shape
 * @param sources values of the program, inputs or computed ones
 * @returns for every source a value of its shape, in their order
 * @throws Error when a source does not take part in the output, or an op between them has no rule: mistakes of the
 *   caller, not of a file
 */
export function differentiate(output: Value, upstream: Value, sources: readonly Value[]): Value[] {
  const order = topological([output]);
  const wanted = new Set<Value>(sources);
  for (const value of order) if (value.inputs.some((input) => wanted.has(input))) wanted.add(value);
  const gradients = new Map<Value, Value>([[output, upstream]]);
  for (const value of order.toReversed()) {
    const gradient = gradients.get(value);
    if (!gradient || !value.inputs.some((input) => wanted.has(input))) continue;
    const rule = rules[value.op];
    if (!rule) throw new Error(`there is no gradient of ${value.op}`);
    for (const [index, part] of rule(value, gradient).entries()) {
      const input = value.inputs[index];
      if (!input || !part || !wanted.has(input)) continue;
      const before = gradients.get(input);
      gradients.set(input, before ? g.add(before, part) : part);
    }
  }
  return sources.map((source) => {
    const gradient = gradients.get(source);
    if (!gradient) throw new Error(`${source.name ?? source.op} does not take part in the output`);
    return gradient;
  });
}

/** A rule for an op of one input by the derivative at it. */
const pointwise =
  (derivative: (x: Value, y: Value) => Value): Rule =>
  (value, gradient) => [g.mul(gradient, derivative(first(value), value))];

const rules: Readonly<Partial<Record<OpName, Rule>>> = {
  add: ({ inputs }, gradient) => inputs.map(({ shape }) => collapse(gradient, shape)),
  sub: ({ inputs: [a, b] }, gradient) => [
    collapse(gradient, a?.shape ?? []),
    collapse(g.neg(gradient), b?.shape ?? []),
  ],
  mul: (value, gradient) => {
    const [a, b] = both(value);
    return [collapse(g.mul(gradient, b), a.shape), collapse(g.mul(gradient, a), b.shape)];
  },
  div: (value, gradient) => {
    const [a, b] = both(value);
    const share = g.div(gradient, b);
    return [collapse(share, a.shape), collapse(g.neg(g.mul(share, value)), b.shape)];
  },
  neg: (_, gradient) => [g.neg(gradient)],
  exp: pointwise((_, y) => y),
  log: (value, gradient) => [g.div(gradient, first(value))],
  sqrt: (value, gradient) => [g.div(gradient, g.mul(g.scalar(2), value))],
  tanh: pointwise((_, y) => g.sub(g.scalar(1), g.mul(y, y))),
  sigmoid: pointwise((_, y) => g.mul(y, g.sub(g.scalar(1), y))),
  gelu: pointwise(geluSlope),
  geluTanh: pointwise(geluTanhSlope),

  matmul: (value, gradient) => {
    const [a, b] = both(value);
    return [
      collapse(g.matmul(gradient, turned(b)), a.shape),
      collapse(g.matmul(turned(a), gradient), b.shape),
    ];
  },
  linear: (value, gradient) => {
    const [x, weight] = both(value);
    const bias = value.inputs[2];
    return [
      g.matmul(gradient, weight),
      g.matmul(turned(gradient), x),
      bias ? collapse(gradient, bias.shape) : undefined,
    ];
  },

  softmax: (value, gradient) => [g.mul(value, g.sub(gradient, g.sum(g.mul(gradient, value), -1)))],
  logSoftmax: (value, gradient) => [g.sub(gradient, g.mul(g.exp(value), g.sum(gradient, -1)))],
  rmsNorm: (value, gradient) => {
    const [x, weight] = both(value);
    const size = deviation(x, value.attributes);
    const unit = g.div(x, size);
    const inner = g.mul(gradient, weight);
    const along = g.mul(unit, mean(g.mul(inner, unit)));
    return [g.div(g.sub(inner, along), size), collapse(g.mul(gradient, unit), weight.shape)];
  },
  layerNorm: (value, gradient) => {
    const [x, weight] = both(value);
    const centred = g.sub(x, mean(x));
    const size = deviation(centred, value.attributes);
    const unit = g.div(centred, size);
    const inner = g.mul(gradient, weight);
    const along = g.add(mean(inner), g.mul(unit, mean(g.mul(inner, unit))));
    return [
      g.div(g.sub(inner, along), size),
      collapse(g.mul(gradient, unit), weight.shape),
      collapse(gradient, weight.shape),
    ];
  },

  sum: (value, gradient) => {
    const x = first(value);
    return [
      g.mul(gradient, g.constant(new Float32Array(width(x, value.attributes.axis)).fill(1), ones(value))),
    ];
  },
  pick: (value, gradient) => {
    const [x, indices] = both(value);
    return [g.place(nothing(x.shape), indices, gradient)];
  },
  place: (value, gradient) => [gradient, undefined, g.pick(gradient, both(value)[1])],
  gatherRows: (value, gradient) => {
    const [x, indices] = both(value);
    return [g.addRows(nothing(x.shape), indices, gradient)];
  },
  addRows: (value, gradient) => [gradient, undefined, g.gatherRows(gradient, both(value)[1])],
  reshape: (value, gradient) => [g.reshape(gradient, first(value).shape)],
  transpose: ({ attributes }, gradient) => {
    const order = attributes.order as readonly number[];
    return [
      g.transpose(
        gradient,
        [...order.keys()].map((axis) => order.indexOf(axis)),
      ),
    ];
  },
  slice: (value, gradient) => {
    const { shape } = first(value);
    const axis = place(value.attributes.axis, shape);
    const [start, end] = [Number(value.attributes.start), Number(value.attributes.end)];
    const parts = [zeros(shape, axis, start), gradient, zeros(shape, axis, (shape[axis] ?? 0) - end)];
    return [
      g.concat(
        parts.filter((part) => part !== undefined),
        axis,
      ),
    ];
  },
  concat: ({ inputs, shape, attributes }, gradient) => {
    const axis = place(attributes.axis, shape);
    let at = 0;
    return inputs.map((input) => {
      const from = at;
      at += input.shape[axis] ?? 0;
      return g.slice(gradient, axis, from, at);
    });
  },
};

function both({ op, inputs: [a, b] }: Value): [Value, Value] {
  if (!a || !b) throw new Error(`${op} without two inputs`);
  return [a, b];
}

function first({ op, inputs: [x] }: Value): Value {
  if (!x) throw new Error(`${op} without an input`);
  return x;
}

/** Sums over the dimensions along which an input of this shape was repeated. */
function collapse(gradient: Value, shape: readonly number[]): Value {
  let result = gradient;
  const added = gradient.shape.length - shape.length;
  for (const [axis, size] of gradient.shape.entries()) {
    const own = axis < added ? 1 : (shape[axis - added] ?? 1);
    if (own === 1 && size !== 1) result = g.sum(result, axis);
  }
  return result.shape.join() === shape.join() ? result : g.reshape(result, shape);
}

/** The last two dimensions exchanged. */
function turned(x: Value): Value {
  const axes = [...x.shape.keys()];
  return g.transpose(x, [...axes.slice(0, -2), ...axes.slice(-2).toReversed()]);
}

/** Over the last dimension, which stays with length one. */
const mean = (x: Value): Value => g.mul(g.sum(x, -1), g.scalar(1 / (x.shape.at(-1) ?? 1)));

const deviation = (x: Value, { epsilon }: Value['attributes']): Value =>
  g.sqrt(g.add(mean(g.mul(x, x)), g.scalar(Number(epsilon))));

/** Of x Φ(x): Φ(x) + x φ(x), for the normal distribution and its density. */
function geluSlope(x: Value): Value {
  const half = g.scalar(0.5);
  const below = g.mul(half, g.add(g.scalar(1), g.erf(g.mul(x, g.scalar(Math.SQRT1_2)))));
  const density = g.mul(g.scalar(1 / Math.sqrt(2 * Math.PI)), g.exp(g.neg(g.mul(half, g.mul(x, x)))));
  return g.add(below, g.mul(x, density));
}

/** Of gelu by the tanh approximation, 0.5 x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³). */
function geluTanhSlope(x: Value): Value {
  const [half, one, root, cubic] = [0.5, 1, Math.sqrt(2 / Math.PI), 0.044715].map(g.scalar) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const square = g.mul(cubic, g.mul(x, x));
  const t = g.tanh(g.mul(root, g.mul(x, g.add(one, square))));
  const inner = g.mul(root, g.add(one, g.mul(g.scalar(3), square)));
  const bent = g.mul(g.mul(x, g.sub(one, g.mul(t, t))), inner);
  return g.mul(half, g.add(g.add(one, t), bent));
}

const place = (axis: unknown, shape: readonly number[]): number =>
  Number(axis) < 0 ? shape.length + Number(axis) : Number(axis);

const width = ({ shape }: Value, axis: unknown): number => shape[place(axis, shape)] ?? 1;

/** The shape of ones that spread a sum over its axis again. */
const ones = (value: Value): number[] => {
  const { shape } = first(value);
  const axis = place(value.attributes.axis, shape);
  return shape.map((size, at) => (at === axis ? size : 1));
};

const nothing = (shape: readonly number[]): Value =>
  g.constant(new Float32Array(shape.reduce((product, each) => product * each, 1)), shape);

function zeros(shape: readonly number[], axis: number, size: number): Value | undefined {
  if (size === 0) return undefined;
  const own = shape.map((old, at) => (at === axis ? size : old));
  return nothing(own);
}
