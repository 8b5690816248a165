import { ops } from './ops.js';
import { topological, type Value } from './value.js';

/**
 * The same computation with some values replaced; everything that does not depend on them is shared, and
 * shapes follow. */
export function substitute(output: Value, replacements: ReadonlyMap<Value, Value>): Value {
  const done = new Map<Value, Value>(replacements);
  for (const value of topological([output])) {
    if (done.has(value)) continue;
    const inputs = value.inputs.map((input) => done.get(input) ?? input);
    const same = inputs.every((input, index) => input === value.inputs[index]);
    const shape = () =>
      ops[value.op].shape(
        inputs.map((input) => input.shape),
        value.attributes,
      );
    done.set(value, same ? value : { ...value, inputs, shape: shape() });
  }
  return done.get(output) ?? output;
}

/**
 * Where a computation of `whole` can pause once `reached` is known: the values that are computed by then and
 * needed afterwards, `entrance` among them if need be. Other inputs and constants are at hand at any time.
 */
export function frontier(whole: Value, reached: readonly Value[], entrance: Value): Value[] {
  const known = new Set(topological(reached));
  const needed = new Set<Value>(known.has(whole) ? [whole] : []);
  for (const value of topological([whole])) {
    if (known.has(value)) continue;
    for (const input of value.inputs) if (known.has(input)) needed.add(input);
  }
  const kept = new Set<Value>();
  const keep = (value: Value) => {
    if (value !== entrance && ['input', 'constant'].includes(value.op)) return;
    // Indices and truth values cost nothing to compute, and only floats wait between two parts.
    if (value.type === 'f32') kept.add(value);
    else value.inputs.forEach(keep);
  };
  needed.forEach(keep);
  return [...kept];
}
