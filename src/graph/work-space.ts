import { elements, type OpName } from './ops.js';
import { topological, type Value } from './value.js';

/**
 * Floats of a program's own arrays that exist at once, at most: what is computed, from where it is made to where it is
 * used last. Inputs, constants and the outputs themselves are the caller's. onnxruntime goes through a program in the
 * same order, and writes over an array that it needs no more where an op allows it.
 */
export function workSpace(outputs: readonly Value[]): number {
  const order = topological(outputs);
  const ends = new Map<Value, number>();
  for (const [at, value] of order.entries()) for (const input of value.inputs) ends.set(rootOf(input), at);
  const theirs = new Set(outputs.map(rootOf));
  const counts = (value: Value) =>
    !external.has(value.op) && rootOf(value) === value && !theirs.has(value) ? elements(value.shape) : 0;
  let [now, most] = [0, 0];
  for (const [at, value] of order.entries()) {
    const over = new Set(value.inputs.map(rootOf).filter((input) => ends.get(input) === at));
    const size = counts(value);
    const replaced = inPlace.has(value.op)
      ? [...over].find((input) => size > 0 && counts(input) === size)
      : undefined;
    if (!replaced) now += size;
    most = Math.max(most, now);
    for (const input of over) if (input !== replaced) now -= counts(input);
  }
  return most;
}

const external = new Set<OpName>(['input', 'constant']);
const inPlace = new Set<OpName>([
  'add',
  'sub',
  'mul',
  'div',
  'neg',
  'abs',
  'exp',
  'log',
  'sqrt',
  'tanh',
  'sigmoid',
  'softmax',
]);

/** The array that a value is another view of. */
const rootOf = (value: Value): Value => {
  const [input] = value.inputs;
  return value.op === 'reshape' && input ? rootOf(input) : value;
};
