import { topological, type Value } from './value.js';

/** The same computation with some values replaced; everything that does not depend on them is shared. */
export function substitute(output: Value, replacements: ReadonlyMap<Value, Value>): Value {
  const done = new Map<Value, Value>(replacements);
  for (const value of topological([output])) {
    if (done.has(value)) continue;
    const inputs = value.inputs.map((input) => done.get(input) ?? input);
    const same = inputs.every((input, index) => input === value.inputs[index]);
    done.set(value, same ? value : { ...value, inputs });
  }
  return done.get(output) ?? output;
}

/**
 * Where a computation of `whole` can pause once `reached` is known: the values that are computed by then and
 * needed afterwards. Inputs other than `carried` and constants are at hand anyway and do not count.
 */
export function frontier(whole: Value, reached: readonly Value[], carried: ReadonlySet<Value>): Value[] {
  const known = new Set(topological(reached));
  const needed = new Set<Value>();
  for (const value of topological([whole])) {
    if (!known.has(value)) for (const input of value.inputs) if (known.has(input)) needed.add(input);
  }
  if (known.has(whole)) needed.add(whole);
  return [...needed]
    .filter(({ op }) => op !== 'input' && op !== 'constant')
    .concat([...needed].filter((value) => carried.has(value)));
}
